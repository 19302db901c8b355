"""Own kinds: examples, objectives and metrics declared outside of t5music, by their names in a registry each.

A store and a model folder name the module that declares what they need. Nothing here imports it: a folder from somebody
else must not decide what code runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping
from typing import Any, TypeVar

from t5music.errors import ConfigError, DataError, nearest


class NotImportedError(DataError):
    """Something that is declared in a module of somebody's, which is not imported; the message says how to."""


MODULE = "module"  # in a config: where its class is declared
Kind = TypeVar("Kind", bound=Callable[..., Any])


def register(registry: MutableMapping[str, Any], name: str, kind: Kind) -> Kind:
    """Puts a class or function under its name. Raises ConfigError where another one has that name."""
    other = registry.get(name)
    if other is not None and (other.__module__, other.__qualname__) != (kind.__module__, kind.__qualname__):
        raise ConfigError(f"{kind.__module__}: {name!r} is the name of {other.__module__}.{other.__qualname__} already")
    registry[name] = kind
    return kind


def origin(kind: Callable[..., Any]) -> dict[str, str]:
    """What a config says of a class or function that is declared elsewhere: its module. {} of t5music's own."""
    return {} if kind.__module__.partition(".")[0] == "t5music" else {MODULE: kind.__module__}


def look_up(registry: Mapping[str, Any], name: Any, what: str, module: Any = None) -> Any:
    """The class of a name.

    Args:
        registry: name -> class.
        name: as a config has it.
        what: it is, for errors.
        module: where a config says that it is declared.

    Raises:
        DataError: there is none of this name.
        NotImportedError: there is none before its module is imported.
    """
    if isinstance(name, str) and name in registry:
        return registry[name]
    if isinstance(module, str):
        raise NotImportedError(
            f"{what} {name!r} is declared in the module {module}, which is not imported: add --module_import {module}, "
            "or set T5MUSIC_MODULES, if you trust that module"
        )
    raise DataError(f"unknown {what} {name!r} (there are {', '.join(registry)}){nearest(str(name), registry)}")
