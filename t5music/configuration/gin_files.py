"""Gin at the entry points: which functions gin may configure, and a strict reading of files and flags.

Stricter than gin itself: a misspelt name, a macro nobody reads and a value nobody sets are errors that suggest the
nearest name, before anything is computed. `music/`, `data/`, `model/` and `training/` know nothing of gin.
"""

from __future__ import annotations

import ast
import inspect
import logging
import re
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import gin

from t5music.errors import ConfigError, nearest

_MACRO = "gin.macro"

# Gin files are plain files. Gin's other reader takes "runs/train.gin" for something in a Python package "runs", and any
# folder of that name on Python's path for the package.
gin.config._FILE_READERS[:] = gin.config._FILE_READERS[:1]


def _refuse_import(context: Any, statement: Any) -> None:
    raise ConfigError(
        f"gin: a gin file cannot import code ({statement.module}), for strangers exchange these files: your own code "
        f"comes in by --module_import {statement.module}"
    )


# A gin file is data. Gin itself would import whatever a file names, and call whatever function it finds there.
gin.config.ParseContext.process_import = _refuse_import


def default_search_paths() -> list[Path]:
    """Where gin files are looked for after the given paths: the current folder and the gin files of t5music."""
    spec = find_spec("t5music")
    package = Path(spec.submodule_search_locations[0]) if spec and spec.submodule_search_locations else Path()
    # In a wheel the gin files lie inside the package, in a checkout beside it.
    return [Path.cwd(), *(path for path in (package / "gin", package.parent / "gin") if path.is_dir())]


def binding(name: str, value: str) -> str:
    """One gin binding; a value that is neither a reference nor a Python literal is quoted as text."""
    if not re.search(r"[@%]", value):
        try:
            ast.literal_eval(value)
        except (SyntaxError, ValueError):
            value = repr(value)
    return f"{name} = {value}"


def configure(files: Iterable[str], bindings: Iterable[str] = (), search_paths: Iterable[str] = ()) -> None:
    """Clears gin and reads files, then bindings, which win.

    Raises:
        ConfigError: a file that is missing or does not parse; a name or parameter nobody has; a macro that is read but
          not set; a value that is still required.
    """
    _parse(files, bindings, search_paths)
    _check_set()


def clear() -> None:
    """Takes every binding back."""
    gin.clear_config()


def macros(files: Iterable[str], search_paths: Iterable[str] = ()) -> set[str]:
    """The macros that gin files set, %gin.REQUIRED ones too. Raises ConfigError for files that do not parse."""
    _parse(files, (), search_paths)
    return _macros()


def require_files(files: Iterable[str], search_paths: Iterable[str] = ()) -> list[str]:
    """Returns the folders that gin files are searched in. Raises ConfigError for a file that is in none of them."""
    searched = [*map(str, search_paths), *map(str, default_search_paths())]
    for file in files:
        if not any((Path(path) / file).is_file() for path in searched):
            candidates = [str(other.relative_to(path)) for path in searched[-2:] for other in Path(path).rglob("*.gin")]
            raise ConfigError(f"--gin_file {file}: not found in {', '.join(searched)}{nearest(file, candidates)}")
    return searched


def _parse(files: Iterable[str], bindings: Iterable[str], search_paths: Iterable[str]) -> None:
    files = list(files)
    searched = require_files(files, search_paths)
    clear()
    for path in searched:
        gin.add_config_file_search_path(path)
    try:
        logging.disable(logging.ERROR)  # gin logs an error for every search path a file is not in
        gin.parse_config_files_and_bindings(files, list(bindings), finalize_config=False)
    except (ConfigError, ValueError, SyntaxError, OSError, TypeError, KeyError) as error:
        raise ConfigError(_explain(str(error))) from error
    finally:
        logging.disable(logging.NOTSET)


def _explain(message: str) -> str:
    """Gin's error in one line, with the nearest name where it is about an unknown one."""
    line = " ".join(message.split()).removeprefix("gin: ")
    unknown = re.search(r"No configurable matching '([^']+)'", line)
    if unknown:
        return f"gin: nothing is called {unknown[1]!r}{nearest(unknown[1], _configurables())} (in: {line})"
    parameter = re.search(r"[Cc]onfigurable '([^']+)' doesn't have a parameter(?: named)? '([^']+)'", line)
    if parameter:
        known = inspect.signature(gin.config._REGISTRY.get_match(parameter[1]).wrapped).parameters
        return f"gin: {parameter[1]} has no parameter {parameter[2]!r}{nearest(parameter[2], known)}"
    return f"gin: {line}"


def _configurables() -> list[str]:
    """The names of what gin may configure, gin's own apart."""
    registry = gin.config._REGISTRY
    return [registry.minimal_selector(name) for name, _ in registry.items() if not name.startswith("gin.")]


def _bindings() -> Iterator[tuple[str, str, str, Any]]:
    """Yields (scope, selector, parameter, value) of everything set."""
    for (scope, selector), parameters in gin.config._CONFIG.items():
        for parameter, value in parameters.items():
            yield scope, selector, parameter, value


def _name(scope: str, selector: str, parameter: str) -> str:
    """A binding as one would write it: MACRO, or the shortest name of a function, and its parameter."""
    return scope if selector == _MACRO else f"{gin.config._REGISTRY.minimal_selector(selector)}.{parameter}"


def _macros() -> set[str]:
    return {scope for scope, selector, _, _ in _bindings() if selector == _MACRO}


def _references(value: Any) -> Iterator[tuple[str, str]]:
    """Yields the (scope, selector) of every gin reference inside a value."""
    if isinstance(value, gin.config.ConfigurableReference):
        yield value.config_key
    elif isinstance(value, dict):
        for item in (*value.keys(), *value.values()):
            yield from _references(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _references(item)


def _check_set() -> None:
    """Every macro that is read is set, and nothing is left at %gin.REQUIRED."""
    macros = _macros()
    for scope, selector, parameter, value in _bindings():
        target = _name(scope, selector, parameter)
        for name, kind in _references(value):
            if (name, kind) == ("gin.REQUIRED", "gin.constant"):
                raise ConfigError(f"{target} must be set: --gin.{target}=...")
            if kind == _MACRO and name not in macros:
                raise ConfigError(f"gin: {target} reads %{name}, which is not set{nearest(name, macros)}")


def check_used() -> None:
    """Raises ConfigError for every binding and macro that nothing has read. Call it when all objects are made."""
    read = {
        (selector, parameter)
        for (_, selector), parameters in gin.config._OPERATIVE_CONFIG.items()
        for parameter in parameters
        if selector != _MACRO
    }
    macros_read = {scope for scope, selector in gin.config._OPERATIVE_CONFIG if selector == _MACRO}
    unused = [
        _name(scope, selector, parameter)
        for scope, selector, parameter, _ in _bindings()
        if (scope not in macros_read if selector == _MACRO else (selector, parameter) not in read)
    ]
    if unused:
        used = _macros() - set(unused)
        named = [f"{name}{nearest(name, used)}" for name in sorted(unused)]
        raise ConfigError(f"gin: set but read by nothing in this run: {', '.join(named)}")


def as_set() -> str:
    """Everything that is set, as a gin file in a fixed order, without comments."""
    text = gin.config_str(max_line_length=120)
    return "\n".join(line for line in text.splitlines() if line and not line.startswith(("#", "import "))) + "\n"


def used_config() -> str:
    """Returns the configuration that was used, as a gin file that reproduces the run.

    Raises ConfigError for what is set and was read by nothing. Call it when all objects are made.
    """
    check_used()
    return gin.operative_config_str(max_line_length=120)
