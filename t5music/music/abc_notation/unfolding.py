"""Unfolding: a tune's repeats, endings and parts written out in the order in which they are played."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import TypeAlias

from t5music.errors import MidiError
from t5music.music.abc_notation.items import Bar, Item, Key, Meter, Note, Part

Ending: TypeAlias = tuple[tuple[int, ...], tuple[Item, ...]]  # passes, and the music for them

_MOST_ITEMS = 1_000_000


def unfold(items: tuple[Item, ...], key: Key, meter: Meter | None, part_order: str = "") -> tuple[Item, ...]:
    """The items as they are played.

    A repeat goes back to the last line that begins one; where that repeat has ended already, or there is none, to the
    latest double bar, end of a repeat, or the beginning. A double bar between |: and :| is no such place. With an order
    of parts, what stands before the first part is played once, then the parts in that order, each with its repeats.

    Args:
        items: What is written, in order.
        key: The one in force at the beginning.
        meter: The one in force at the beginning; None where there is none.
        part_order: The letters of the parts, in the order in which they are played.

    Returns:
        Items without repeats, endings and parts. Key and meter are stated again where going back changes them.

    Raises:
        MidiError: More than a million items would be played.
    """
    in_force = _in_force(items, key, meter)
    marks = [index for index, item in enumerate(items) if isinstance(item, Part)]
    names = [item.name for item in items if isinstance(item, Part)]
    spans = dict(zip(names, itertools.pairwise([*marks, len(items)]), strict=True))
    played: list[Item] = []
    if part_order and spans:
        sections = [(0, marks[0]), *(spans[name] for name in part_order if name in spans)]
    else:
        sections = [(0, len(items))]
    state: dict[type, Item | None] = {Key: key, Meter: meter}
    for start, stop in sections:
        for item in (*in_force[start], *_repeated(items, in_force, start, stop)):
            if isinstance(item, Key | Meter):
                if state[type(item)] == item:
                    continue  # it is in force already
                state[type(item)] = item
            if not isinstance(item, Part):
                played.append(item)
            if len(played) > _MOST_ITEMS:
                raise MidiError(f"the tune's repeats would play more than {_MOST_ITEMS} notes and bar lines")
    return tuple(played)


def _in_force(items: tuple[Item, ...], key: Key, meter: Meter | None) -> list[tuple[Item, ...]]:
    """The key and the meter that hold at each index, and after the last item."""
    state: tuple[Item, ...] = (key, meter) if meter else (key,)
    states = [state]
    for item in items:
        if isinstance(item, Key | Meter):
            state = (*(other for other in state if type(other) is not type(item)), item)
        states.append(state)
    return states


def _repeated(items: tuple[Item, ...], in_force: list[tuple[Item, ...]], start: int, stop: int) -> Iterator[Item]:
    """The items from `start` to `stop`, with their repeats."""
    # Where the section begins, how often it is repeated, and whether |: is its beginning.
    before = items[start - 1] if start else None
    begin, again, opened = start, 1, False
    if isinstance(before, Bar) and before.begins:
        again, opened = before.begins, True
    index = start
    while index < stop:
        item = items[index]
        if isinstance(item, Bar) and item.ending:
            endings, closing, after = _endings(items, index, stop)
            passes = _passes(endings, closing)
            for number, music in enumerate(passes):
                if number:
                    yield from (*in_force[begin], *items[begin:index])
                yield Bar()
                yield from (*in_force[index], *music)
            yield Bar(double=True)
            begin, again, opened = after, closing.begins or 1, bool(closing.begins)
            index = after
            continue
        index += 1
        if isinstance(item, Bar):
            for _ in range(max(item.ends, again) if item.ends else 0):
                yield from (Bar(), *in_force[begin], *items[begin : index - 1])
            opened = bool(item.begins) or (opened and not item.ends)
            if item.ends or item.begins or (item.double and not opened):
                begin, again = index, item.begins or 1
            item = Bar(double=item.section)
        yield item


def _passes(endings: list[Ending], closing: Bar) -> list[tuple[Item, ...]]:
    """The music that ends each pass.

    Before the first ending's number there are passes without one; and after an only ending that closes a repeat.
    """
    music = {number: body for passes, body in endings for number in passes}
    only = len(endings) == 1 and closing.ends
    return [()] * (min(music) - 1) + [music[number] for number in sorted(music)] + ([()] if only else [])


def _endings(items: tuple[Item, ...], index: int, stop: int) -> tuple[list[Ending], Bar, int]:
    """The endings from the one at `index` on.

    Returns:
        (passes, music) of each, the bar line that closes the last one, and the index at which the tune goes on.
    """
    endings: list[Ending] = []
    changes: tuple[Item, ...] = ()  # of key or meter, between the endings
    used: set[int] = set()
    while True:
        bar = items[index]
        assert isinstance(bar, Bar)
        used.update(bar.passes)
        end = _first_bar(items, index + 1, stop, double=False)
        following = end
        if end < stop and not items[end].ending:  # type: ignore[union-attr]
            following += 1
            while following < stop and not isinstance(items[following], Note | Bar | Part):
                following += 1
        next_bar = items[following] if following < stop else None
        if isinstance(next_bar, Bar) and next_bar.passes and used.isdisjoint(next_bar.passes):
            endings.append((bar.passes, changes + items[index + 1 : end]))
            changes, index = items[end + 1 : following], following
            continue
        end = _first_bar(items, index + 1, stop, double=True)
        endings.append((bar.passes, changes + items[index + 1 : end]))
        closing = items[end] if end < stop else Bar()
        assert isinstance(closing, Bar)
        return endings, closing, end if closing.ending else min(stop, end + 1)


def _first_bar(items: tuple[Item, ...], start: int, stop: int, *, double: bool) -> int:
    """The index of the first bar line with a repeat or an ending, or with `double` a double one; `stop` for none."""
    for index in range(start, stop):
        line = items[index]
        if isinstance(line, Bar) and (line.ends or line.begins or line.ending or (double and line.double)):
            return index
    return stop
