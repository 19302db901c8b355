"""Gin files: reads gin files and flags strictly, and says what they set and what of it was used.

Reading is stricter than gin's: a misspelt name, a macro that nothing reads and a value that is required but not set are
errors that suggest the nearest name, before anything is computed.
"""

from __future__ import annotations

import ast
import inspect
import logging
import os
import re
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import gin

from t5music import storage
from t5music.configuration import value_types
from t5music.configuration.bindings import MACRO, every_binding, macro_names, put_aside, references
from t5music.configuration.bindings import clear as clear
from t5music.errors import ConfigError, nearest
from t5music.storage import bucket_copies

_INCLUDE = re.compile(r"""^include\s+['"]([^'"]+)['"]""", re.MULTILINE)

# Gin files are plain files. Gin's second reader takes "runs/train.gin" for a resource of a Python package "runs", and
# any folder of that name on Python's path for that package.
gin.config._FILE_READERS[:] = gin.config._FILE_READERS[:1]


def _refuse_import(context: Any, statement: Any) -> None:
    raise ConfigError(
        f"gin: a gin file cannot import code ({statement.module}), because people exchange these files: import your "
        f"own code with --module_import {statement.module}"
    )


# A gin file is data. Gin itself would import any module that a file names, and call any function in it.
gin.config.ParseContext.process_import = _refuse_import


def default_search_paths() -> list[Path]:
    """The folders in which gin files are looked for last: the current folder and the gin files of t5music."""
    spec = find_spec("t5music")
    package = Path(spec.submodule_search_locations[0]) if spec and spec.submodule_search_locations else Path()
    # The gin files are inside the package in a wheel, beside it in a checkout.
    return [Path.cwd(), *(path for path in (package / "gin", package.parent / "gin") if path.is_dir())]


def binding(name: str, value: str) -> str:
    """A gin binding; a value that is neither a reference nor a Python literal is quoted as text."""
    if not re.search(r"[@%]", value):
        try:
            ast.literal_eval(value)
        except (SyntaxError, ValueError):
            value = repr(value)
    return f"{name} = {value}"


def configure(files: Iterable[str], bindings: Iterable[str] = (), search_paths: Iterable[str] = ()) -> None:
    """Clears gin, then reads files and bindings; bindings replace what files set.

    Args:
        files: gin files.
        bindings: gin bindings.
        search_paths: where gin files are looked for first.

    Raises:
        ConfigError: a file is missing or does not parse; a name or parameter does not exist; a macro is read but not
            set; a required value is not set, or one that a function needs which is called; a value is not of its
            parameter's type.
    """
    _parse(files, bindings, search_paths)
    _check_set()
    for scope, selector, parameter, value in every_binding():
        if selector != MACRO:
            value_types.check(_name(scope, selector, parameter), selector, parameter, value)
    _check_called()


def macros(files: Iterable[str], search_paths: Iterable[str] = ()) -> set[str]:
    """The macros that gin files set, also those set to %gin.REQUIRED.

    Raises:
        ConfigError: a file is missing or does not parse.
    """
    _parse(files, (), search_paths)
    return macro_names()


def require_files(files: Iterable[str], search_paths: Iterable[str] = ()) -> list[str]:
    """Returns the folders that gin files are searched in.

    Raises:
        ConfigError: a file, or one that it includes, is in none of them.
    """
    searched = [*map(str, search_paths), *map(str, default_search_paths())]
    pending = [(file, f"--gin_file {file}") for file in files]
    seen: set[str] = set()
    for file, where in pending:
        file = local_copy(file)
        path = next((Path(path) / file for path in searched if os.path.isfile(Path(path) / file)), None)
        if path is None:
            candidates = [str(other.relative_to(path)) for path in searched[-2:] for other in Path(path).rglob("*.gin")]
            raise ConfigError(f"{where}: not found in {', '.join(searched)}{nearest(file, candidates)}")
        if file not in seen:
            seen.add(file)
            included = _INCLUDE.findall(path.read_text(encoding="utf-8", errors="replace"))
            pending += [(name, f"{path} includes {name}") for name in included]
    return searched


def local_copy(file: str) -> str:
    """The path of the copy on this machine of a gin file in a bucket; any other name as it is.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        return str(bucket_copies.copy_of_file(storage.path_of(file))) if storage.is_bucket(file) else file
    except OSError as error:
        raise ConfigError(f"--gin_file {file}: {error.strerror}") from error


def _parse(files: Iterable[str], bindings: Iterable[str], search_paths: Iterable[str]) -> None:
    files = [local_copy(file) for file in files]
    searched = require_files(files, search_paths)
    clear()
    for path in searched:
        gin.add_config_file_search_path(path)
    try:
        logging.disable(logging.ERROR)  # gin logs an error for every folder that does not have a file
        gin.parse_config_files_and_bindings(files, list(bindings), finalize_config=False)
    except (ConfigError, ValueError, SyntaxError, OSError, TypeError, KeyError) as error:
        raise ConfigError(_explain(str(error))) from error
    finally:
        logging.disable(logging.NOTSET)


def _explain(message: str) -> str:
    """Gin's error in one line, with the nearest name if it is about an unknown one."""
    line = " ".join(message.split()).removeprefix("gin: ")
    unknown = re.search(r"No configurable matching '([^']+)'", line)
    if unknown:
        return f"gin: nothing is called {unknown[1]!r}{nearest(unknown[1], _configurables())} (in: {line})"
    parameter = re.search(r"[Cc]onfigurable '([^']+)' doesn't have a parameter(?: named)? '([^']+)'", line)
    if parameter:
        parameters = inspect.signature(gin.config._REGISTRY.get_match(parameter[1]).wrapped).parameters
        return f"gin: {parameter[1]} has no parameter {parameter[2]!r}{nearest(parameter[2], parameters)}"
    return f"gin: {line}"


def _configurables() -> list[str]:
    """The names of what gin may configure, without those of gin itself."""
    registry = gin.config._REGISTRY
    return [registry.minimal_selector(name) for name, _ in registry.items() if not name.startswith("gin.")]


def _name(scope: str, selector: str, parameter: str) -> str:
    """A binding's name as one writes it: MACRO, or FUNCTION.PARAMETER with the function's shortest name."""
    return scope if selector == MACRO else f"{gin.config._REGISTRY.minimal_selector(selector)}.{parameter}"


def _check_set() -> None:
    """Refuses a macro that is read but not set, and a value that is still %gin.REQUIRED."""
    macros = macro_names()
    for scope, selector, parameter, value in every_binding():
        target = _name(scope, selector, parameter)
        for name, kind in references(value):
            if (name, kind) == ("gin.REQUIRED", "gin.constant"):
                raise ConfigError(f"{target} must be set: --gin.{target}=...")
            if kind == MACRO and name not in macros:
                raise ConfigError(f"gin: {target} reads %{name}, which is not set{nearest(name, macros)}")


def _check_called() -> None:
    """Refuses a value that calls a function of which a parameter is neither set nor has a default."""
    aside = put_aside()
    is_set = {(selector, parameter) for _, selector, parameter, _ in every_binding()}
    for scope, selector, parameter, value in every_binding():
        if (scope, selector, parameter) in aside:
            continue
        for _, function in references(value, called=True):
            if function.startswith("gin."):
                continue
            name = gin.config._REGISTRY.minimal_selector(function)
            signature = inspect.signature(gin.config._REGISTRY.get_match(function).wrapped)
            missing = [
                each.name
                for each in signature.parameters.values()
                if each.default is each.empty
                and each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)
                and (function, each.name) not in is_set
            ]
            if missing:
                flags = " ".join(f"--gin.{name}.{each}=..." for each in missing)
                raise ConfigError(f"gin: {_name(scope, selector, parameter)} calls {name}, which needs more: {flags}")


def values(*parameters: str) -> list[Any]:
    """The values that are bound to parameters of these names, of whatever function, with macros read."""
    macros = {scope: value for scope, selector, _, value in every_binding() if selector == MACRO}
    bound = [value for _, selector, name, value in every_binding() if selector != MACRO and name in parameters]
    for index, value in enumerate(bound):
        seen: set[str] = set()
        while isinstance(value, gin.config.ConfigurableReference) and value.config_key[0] in macros.keys() - seen:
            seen.add(value.config_key[0])
            value = macros[value.config_key[0]]
        bound[index] = value
    return bound


def check_used() -> None:
    """Checks that every binding and macro was read or put aside. To be called once all objects exist.

    Raises:
        ConfigError: names every binding and macro that nothing has read and no later line put aside.
    """
    read = {
        (selector, parameter)
        for (_, selector), parameters in gin.config._OPERATIVE_CONFIG.items()
        for parameter in parameters
        if selector != MACRO
    }
    macros_read = {scope for scope, selector in gin.config._OPERATIVE_CONFIG if selector == MACRO}
    aside = put_aside()
    unused = [
        _name(scope, selector, parameter)
        for scope, selector, parameter, _ in every_binding()
        if (scope not in macros_read if selector == MACRO else (selector, parameter) not in read)
        and (scope, selector, parameter) not in aside
    ]
    if unused:
        macros = macro_names() - set(unused)
        names = [name if "." in name else f"{name}{nearest(name, macros)}" for name in sorted(unused)]
        raise ConfigError(f"gin: set but read by nothing in this run: {', '.join(names)}")


def as_set() -> str:
    """All bindings, as a gin file in a fixed order without comments."""
    text = gin.config_str(max_line_length=120)
    return "\n".join(line for line in text.splitlines() if line and not line.startswith(("#", "import "))) + "\n"


def used_config() -> str:
    """The bindings that were used, as a gin file that reproduces the run. To be called once all objects exist.

    Raises:
        ConfigError: a binding or macro was read by nothing.
    """
    check_used()
    return gin.operative_config_str(max_line_length=120)
