"""What strangers may send: JSON with another value in one place, and files with bytes that have changed."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from t5music.errors import T5MusicError

DELETED = object()

VALUES = st.one_of(
    st.sampled_from(
        [DELETED, None, True, 0, -1, 1, 2, 7, 10**6, 2**31, 2**63, 10**30, 0.5, float("nan"), float("inf"), 1e300]
    ),
    st.sampled_from(["", "v1.0", "remi", "nothing", "latest", "../x", "x" * 200, "\0", "\ud800"]),
    st.sampled_from([[], {}, [[]], {"a": 1}, ["a", "b"], [1, 2], {"kind": "continue"}]),
)


def refusal(read: Callable[[], object]) -> str:
    """What an error of ours says, '' where there is none; any other error goes on."""
    try:
        read()
    except T5MusicError as error:
        return str(error)
    return ""


def places(content: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yields the path of every value in a JSON value, itself included."""
    yield path
    items = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, value in items:
        yield from places(value, (*path, key))


def replaced(content: Any, path: tuple[Any, ...], value: Any) -> Any:
    """A JSON value with another value at a path; DELETED takes it away."""
    if not path:
        return {} if value is DELETED else value
    content = copy.deepcopy(content)
    parent = content
    for key in path[:-1]:
        parent = parent[key]
    if value is DELETED:
        del parent[path[-1]]
    else:
        parent[path[-1]] = value
    return content


@st.composite
def mutated(draw: st.DrawFn, content: Any) -> str:
    """The text of a JSON value with one or two changes, or cut off."""
    for _ in range(draw(st.integers(1, 2))):
        content = replaced(content, draw(st.sampled_from(list(places(content)))), draw(VALUES))
    text = json.dumps(content)
    return text[: draw(st.integers(0, len(text)))] if draw(st.integers(0, 9)) == 0 else text


@st.composite
def faults(draw: st.DrawFn, names: list[str]) -> tuple[str, str, float]:
    """(file, what happens to it, where in it, from 0 to 1)."""
    kinds = ["flip", "cut", "empty", "delete", "folder", "pipe", "link"]
    return draw(st.sampled_from(names)), draw(st.sampled_from(kinds)), draw(st.floats(0, 1, exclude_max=True))


def damage(path: Path, kind: str, where: float) -> None:
    """Does to a file what `faults` says."""
    content = bytearray(path.read_bytes())
    place = int(where * len(content))
    path.unlink()
    match kind:
        case "flip":
            if content:
                content[place] ^= 1 << int(8 * (where * len(content) - place))
            path.write_bytes(content)
        case "cut":
            path.write_bytes(content[:place])
        case "empty":
            path.write_bytes(b"")
        case "folder":
            path.mkdir()
        case "pipe":
            os.mkfifo(path)
        case "link":
            path.symlink_to("/dev/zero")
