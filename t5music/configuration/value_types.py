"""Value types: whether what gin sets fits the type and the limits of its parameter, said before anything is computed.

The types are the annotations of the functions and classes that gin configures. A parameter without one takes anything.
"""

from __future__ import annotations

import inspect
import reprlib
import sys
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Union, get_args, get_origin, get_type_hints

import gin

from t5music.configuration import limits
from t5music.errors import ConfigError
from t5music.files import require_local
from t5music.inference import pretrained
from t5music.storage import require_reachable

PLACES = ("initial_checkpoint_path", "model_dir", "output_dir")  # parameters that may be in a bucket
MAX_INTEGER = 2**63 - 1  # what seeds, steps and sizes are stored in
MAX_FLOAT = sys.float_info.max

_WORDS = {
    int: "a whole number (at most 2^63 - 1)",
    float: "a finite number",
    str: "text, and not empty",
    bool: "True or False",
    type(None): "None",
}


def check(name: str, selector: str, parameter: str, value: Any) -> None:
    """Refuses a value that its parameter cannot take.

    Args:
        name: what the binding is called in errors.
        selector: of the function or class.
        parameter: its parameter.
        value: as gin parsed it: a Python literal, or one with references in it. A macro stands for what it is set to.

    Raises:
        ConfigError: names the binding and what it may be.
    """
    hint = _hints(gin.config._REGISTRY.get_match(selector).wrapped).get(parameter, Any)
    macro, value = _resolved(value)
    if macro == "gin.REQUIRED":
        return
    shown = f"{macro} (read by {name})" if macro else name
    for text in _texts(value):
        if parameter in PLACES and pretrained.is_name(text):
            require_local(text.removeprefix(pretrained.HUB), shown)
        elif parameter in PLACES:
            require_reachable(text, shown)
        else:
            require_local(text, shown)
    if not _fits(hint, value):
        raise ConfigError(f"{shown} must be {_description(hint)}, not {_short(value)}")
    limit = limits.of(parameter)
    for number in limits.numbers(value):
        if limit is not None and not limit.holds(number):
            raise ConfigError(f"{shown} must be {limit}, not {number}")


def _hints(function: Any) -> Mapping[str, Any]:
    """The annotations of a function or of a class's parameters; none where they cannot be read."""
    try:
        return get_type_hints(function.__init__ if inspect.isclass(function) else function)
    except (NameError, TypeError, AttributeError):
        return {}


def _resolved(value: Any) -> tuple[str, Any]:
    """(the last macro on the way, the value) of what may be a macro; ("", value) of any other."""
    macro = ""
    while isinstance(value, gin.config.ConfigurableReference) and value.config_key[1] in ("gin.macro", "gin.constant"):
        macro = value.config_key[0]
        if macro == "gin.REQUIRED":
            break
        value = gin.config._CONFIG.get(value.config_key, {}).get("value")
    return macro, value


def _texts(value: Any) -> Iterator[str]:
    """The texts in a value, at any depth."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in (*value.keys(), *value.values()):
            yield from _texts(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item)


def _fits(hint: Any, value: Any) -> bool:
    """Whether a value, or what a reference gives, is of a type."""
    value = _resolved(value)[1]
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return any(_fits(alternative, value) for alternative in arguments)
    if hint is Any or (isinstance(value, gin.config.ConfigurableReference) and value.config_key[1].startswith("gin.")):
        return True
    if isinstance(value, gin.config.ConfigurableReference):
        return _reference_fits(hint, value)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        is_key, is_item = arguments
        return isinstance(value, dict) and all(_fits(is_key, k) and _fits(is_item, v) for k, v in value.items())
    if isinstance(origin, type) and issubclass(origin, Sequence):
        if not isinstance(value, list | tuple):
            return False
        if origin is tuple and arguments[-1] is not Ellipsis:
            return len(value) == len(arguments) and all(map(_fits, arguments, value))
        return all(_fits(arguments[0], item) for item in value)
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool) and -MAX_FLOAT <= value <= MAX_FLOAT
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= MAX_INTEGER
    if hint is str:
        return isinstance(value, str) and value != ""
    return isinstance(hint, type) and origin is None and isinstance(value, hint)


def _reference_fits(hint: Any, reference: gin.config.ConfigurableReference) -> bool:
    """Whether `@function` is a callable that is wanted, or `@function()` gives what is."""
    function = reference.configurable.wrapped
    wants_callable = get_origin(hint) is Callable or hint is Callable
    if not reference.evaluate:
        return wants_callable and _is_of(_result(hint), _result(function))
    result = _result(function)
    if wants_callable and isinstance(result, type):
        return inspect.isfunction(result.__call__) and _is_of(_result(hint), _result(result.__call__))
    if wants_callable and get_origin(result) is Callable:
        return _is_of(_result(hint), _result(result))
    return _is_of(hint, result)


def _result(function: Any) -> Any:
    """What a function, a class or the type of a callable gives; Any where that is not said."""
    if get_origin(function) is Callable:
        return get_args(function)[1]
    return function if inspect.isclass(function) else _hints(function).get("return", Any)


def _is_of(hint: Any, result: Any) -> bool:
    """Whether what is annotated as `result` can be taken for `hint`; True where nobody can tell."""
    if get_origin(result) in (Union, types.UnionType):
        return True
    expected, actual = get_origin(hint) or hint, get_origin(result) or result
    if not isinstance(expected, type) or not isinstance(actual, type):
        return True
    return issubclass(actual, expected) or (expected is float and actual is int)


def _description(hint: Any) -> str:
    """What a value of a type is, in words."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return " or ".join(map(_description, arguments))
    if hint in _WORDS:
        return _WORDS[hint]
    if origin is Callable:
        return f"a reference to a function, @NAME, or @NAME() where NAME gives one{_examples(hint)}"
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return f"a dictionary from {_item(arguments[0])} to {_item(arguments[1])}"
    if isinstance(origin, type) and issubclass(origin, Sequence):
        number = f"{len(arguments)} of " if origin is tuple and arguments[-1] is not Ellipsis else ""
        return f"a list of {number}{_item(arguments[0])}"
    return f"a reference to what gives {getattr(hint, '__name__', hint)}{_examples(hint)}"


def _item(hint: Any) -> str:
    """What the items of a list are."""
    return {int: "whole numbers", float: "numbers", str: "texts"}.get(hint) or "values"


def _examples(kind: Any) -> str:
    """Some references that give an object of a class, or a function of a type."""
    names = [
        f"@{gin.config._REGISTRY.minimal_selector(selector)}()"
        for selector, configurable in gin.config._REGISTRY.items()
        if _gives(configurable.wrapped, kind)
    ]
    return f", as {', '.join(names[:3])}" if names else ""


def _gives(function: Any, kind: Any) -> bool:
    result = _result(function)
    if get_origin(kind) is Callable:
        return get_origin(result) is Callable and _is_of(_result(kind), _result(result))
    return isinstance(result, type) and isinstance(kind, type) and issubclass(result, kind)


def _short(value: Any) -> str:
    """A value as gin has it, in one short line."""
    if isinstance(value, gin.config.ConfigurableReference):
        return f"@{value.scoped_selector}{'()' * value.evaluate}"
    try:
        return reprlib.repr(value)
    except ValueError:  # a whole number of more digits than Python writes
        return "a longer number"
