"""JSON files: read within bounds, and checked against the types of a dataclass's fields.

A model's folder, a token store and a mixture come from other people's machines. What their JSON says is checked here
once, so that no later code meets a list where it expects a number.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import stat
import types
from collections.abc import Mapping
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from t5music.storage import path_of

T = TypeVar("T")

MAX_BYTES = 1 << 26  # the vocabulary of a large foreign model takes a quarter of that
MAX_INTEGER = 2**63 - 1

_WORDS = {int: "a whole number", float: "a finite number", str: "text", bool: "true or false", type(None): "null"}


def read_json(path: str | os.PathLike[str]) -> Any:
    """Returns the content of a JSON file.

    Raises:
        OSError: it cannot be read, or is not a regular file; `strerror` says why.
        ValueError: it is no JSON in UTF-8, is larger than MAX_BYTES, or is nested too deeply.
    """
    file = path_of(path)
    status = file.stat()
    if not stat.S_ISREG(status.st_mode):
        raise OSError(0, "it is not a regular file")
    if status.st_size > MAX_BYTES:
        raise ValueError(f"it has {status.st_size:,} bytes; at most {MAX_BYTES:,} are read")
    try:
        return json.loads(file.read_bytes().decode("utf-8"))
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def parse(kind: type[T], value: Any, name: str = "", *, complete: bool = False) -> T:
    """Returns a JSON value as a dataclass, whose fields may be dataclasses, tuples, lists and mappings again.

        parse(FeatureSpec, {"kind": "text", "add_eos": False}) == FeatureSpec("text", False)

    Args:
        kind: the dataclass.
        value: a JSON value.
        name: what the value is called in errors.
        complete: every field must be there, those with a default too.

    Raises:
        ValueError: names the first field that is missing, unknown or of another type.
    """
    return _dataclass(kind, value, name, complete)


def parse_value(kind: Any, value: Any, name: str) -> Any:
    """Returns a JSON value as the type `kind` says: lists as tuples where it is a tuple.

    Raises ValueError as `parse` does.
    """
    origin, arguments = get_origin(kind), get_args(kind)
    if kind is Any:
        return value
    if origin in (Union, types.UnionType):
        return _alternative(arguments, value, name)
    if origin is Literal:
        if value not in arguments:
            raise ValueError(f"{name} must be one of {', '.join(map(repr, arguments))}, not {_shown(value)}")
        return value
    if origin in (tuple, list):
        return _sequence(origin, arguments, value, name)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        if not isinstance(value, dict):
            raise ValueError(f"{name} must be an object, not {_shown(value)}")
        return {key: parse_value(arguments[1], item, f"{name}.{key}") for key, item in value.items()}
    if dataclasses.is_dataclass(kind):
        return _dataclass(kind, value, name, False)
    if not _is(kind, value):
        raise ValueError(f"{name} must be {_WORDS[kind]}, not {_shown(value)}")
    return value


def _dataclass(kind: Any, value: Any, name: str, complete: bool) -> Any:
    if not isinstance(value, dict):
        raise ValueError(f"{name or 'the content'} must be an object, not {_shown(value)}")
    prefix = f"{name}." if name else ""
    fields = {field.name: field for field in dataclasses.fields(kind)}
    for key in value:
        if key not in fields:
            raise ValueError(f"{prefix}{key} is unknown")
    for key, field in fields.items():
        optional = field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING
        if key not in value and (complete or not optional):
            raise ValueError(f"{prefix}{key} is missing")
    hints = get_type_hints(kind)
    return kind(**{key: parse_value(hints[key], item, f"{prefix}{key}") for key, item in value.items()})


def _alternative(kinds: tuple[Any, ...], value: Any, name: str) -> Any:
    errors = []
    for kind in kinds:
        try:
            return parse_value(kind, value, name)
        except ValueError as error:
            errors.append(str(error))
    raise ValueError(errors[0])


def _sequence(origin: Any, kinds: tuple[Any, ...], value: Any, name: str) -> Any:
    if not isinstance(value, list | tuple):
        raise ValueError(f"{name} must be a list, not {_shown(value)}")
    if origin is tuple and kinds[-1] is not Ellipsis and len(value) != len(kinds):
        raise ValueError(f"{name} must have {len(kinds)} items, not {len(value)}")
    each = [kinds[0]] * len(value) if origin is list or kinds[-1] is Ellipsis else kinds
    items = (parse_value(kind, item, f"{name}[{i}]") for i, (kind, item) in enumerate(zip(each, value, strict=True)))
    return origin(items)


def _is(kind: Any, value: Any) -> bool:
    """Whether a value is of a plain type; a truth value is no number, and a whole number is also a number."""
    if kind is float:
        return not isinstance(value, bool) and isinstance(value, int | float) and _is_finite(value)
    if kind is int:
        return not isinstance(value, bool) and isinstance(value, int) and abs(value) <= MAX_INTEGER
    return isinstance(value, kind)


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number too large for a float
        return False


def _shown(value: Any) -> str:
    """A value for an error, cut to one short line."""
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
