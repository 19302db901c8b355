"""Bindings: what gin holds, in which order it was set, and what later lines have put aside.

What an earlier line set for something that a later line puts aside need not be taken back. Where a file takes Adafactor
and sets its rate, `Update.optimizer = @muon()` after it is enough.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any

import gin

MACRO = "gin.macro"

Key = tuple[str, str, str]  # scope, selector, parameter

_lines = itertools.count()
_set_at: dict[Key, int] = {}  # the number of the line that set a binding last
_replaced_at: dict[str, int] = {}  # of what a value named: the number of the last line that replaced such a value
_bind_parameter = gin.config.bind_parameter


def _bind_and_remember(key: Key, value: Any) -> None:
    parsed = gin.config.ParsedBindingKey.parse(key)
    line = next(_lines)
    before = gin.config._CONFIG.get(parsed.config_key, {}).get(parsed.arg_name)
    _replaced_at.update(dict.fromkeys(map(_owner, references(before)), line))
    _set_at[*parsed.config_key, parsed.arg_name] = line
    _bind_parameter(parsed, value)


# Gin keeps no order of what was set. It calls this for every line that it reads.
gin.config.bind_parameter = _bind_and_remember


def clear() -> None:
    """Removes all bindings."""
    gin.clear_config()
    _set_at.clear()
    _replaced_at.clear()


def every_binding() -> Iterator[tuple[str, str, str, Any]]:
    """Yields (scope, selector, parameter, value) of every binding."""
    for (scope, selector), parameters in gin.config._CONFIG.items():
        for parameter, value in parameters.items():
            yield scope, selector, parameter, value


def macro_names() -> set[str]:
    """The names of all macros that are set."""
    return {scope for scope, selector, _, _ in every_binding() if selector == MACRO}


def references(value: Any, called: bool = False) -> Iterator[tuple[str, str]]:
    """Yields the (scope, selector) of every gin reference inside a value, or of those alone that gin calls."""
    if isinstance(value, gin.config.ConfigurableReference):
        if value.evaluate or not called:
            yield value.config_key
    elif isinstance(value, dict):
        for item in (*value.keys(), *value.values()):
            yield from references(item, called)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from references(item, called)


def put_aside() -> set[Key]:
    """The bindings of what an earlier value named, set before the line that replaced the value."""
    replaced_at = dict(_replaced_at)
    aside: set[Key] = set()
    while True:
        more = {
            (scope, selector, parameter): value
            for scope, selector, parameter, value in every_binding()
            if (scope, selector, parameter) not in aside
            and _set_at.get((scope, selector, parameter), math.inf) < replaced_at.get(_owner((scope, selector)), -1)
        }
        if not more:
            return aside
        aside.update(more)
        for (scope, selector, _), value in more.items():  # what they named is put aside with them
            for name in map(_owner, references(value)):
                replaced_at[name] = max(replaced_at.get(name, -1), replaced_at[_owner((scope, selector))])


def _owner(key: tuple[str, str]) -> str:
    """What a (scope, selector) binds values of: a macro, or a function in whatever scope."""
    scope, selector = key
    return f"%{scope}" if selector == MACRO else selector
