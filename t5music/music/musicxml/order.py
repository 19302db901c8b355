"""Order: which measures are played one after another, with repeats, endings, da capo, dal segno, coda and fine.

After a jump back (D.C., D.S.) repeats are not taken again and the last ending is played, as is the custom.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from xml.etree.ElementTree import Element

from t5music.errors import MidiError
from t5music.music.musicxml.limits import MAX_PLAYED_MEASURES

_JUMPS = ("dacapo", "dalsegno", "tocoda", "segno", "coda", "fine")
_WORDS = (
    ("dacapo", re.compile(r"\bd\. ?c\.|\bda capo\b")),
    ("dalsegno", re.compile(r"\bd\. ?s\.|\bdal segno\b")),
    ("tocoda", re.compile(r"^to coda\b|^(al|alla) coda$")),
    ("fine", re.compile(r"^fine\.?$")),
)


@dataclass
class Signs:
    """The signs of order of all parts. They are often written in one part only, so they count for all.

    Attributes:
        forward: measures that a repeat begins with.
        backward: measure -> how often the passage that it ends is played.
        endings: measure -> the passes in which the ending that begins there is played.
        ending_stops: measures that an ending ends with.
        jumps: kind -> measure -> its label.
        words: likewise, where only words say so.
    """

    forward: set[int] = field(default_factory=set)
    backward: dict[int, int] = field(default_factory=dict)
    endings: dict[int, frozenset[int]] = field(default_factory=dict)
    ending_stops: set[int] = field(default_factory=set)
    jumps: dict[str, dict[int, str]] = field(default_factory=lambda: defaultdict(dict))
    words: dict[str, dict[int, str]] = field(default_factory=lambda: defaultdict(dict))

    def barline(self, measure: int, barline: Element) -> None:
        """Takes the repeats, endings and signs of a bar line."""
        repeat = barline.find("repeat")
        if repeat is not None and repeat.get("direction") == "forward":
            self.forward.add(measure)
        elif repeat is not None:
            times = repeat.get("times", "")
            self.backward[measure] = max(2, int(times)) if times.isdecimal() and len(times) < 4 else 2
        ending = barline.find("ending")
        if ending is not None:
            if ending.get("type") == "start":
                numbers = (int(text) for text in re.findall(r"\d{1,3}", ending.get("number", "1")))
                self.endings[measure] = frozenset(numbers) or frozenset((1,))
            else:
                self.ending_stops.add(measure)
        for kind in ("segno", "coda"):
            if barline.find(kind) is not None:
                self.words[kind].setdefault(measure, "")

    def sound(self, measure: int, attributes: Mapping[str, str]) -> None:
        """Takes the jumps that the sound of a part states."""
        for kind in _JUMPS:
            if kind in attributes and attributes[kind] != "no":
                self.jumps[kind].setdefault(measure, attributes[kind])
        if attributes.get("forward-repeat") == "yes":
            self.forward.add(measure)

    def direction(self, measure: int, direction: Element, words: str, stated: Mapping[str, str]) -> None:
        """Takes the jumps that words and signs alone state."""
        if any(kind in stated for kind in _JUMPS):
            return
        text = words.casefold()
        for kind, pattern in _WORDS:
            if text and pattern.search(text):
                self.words[kind].setdefault(measure, "")
        for kind in ("segno", "coda"):
            if direction.find(f"direction-type/{kind}") is not None:
                self.words[kind].setdefault(measure, "")

    def jumps_of(self, kind: str) -> dict[int, str]:
        """The jumps of a kind: those that sound states and, only where there is none, those of words and signs."""
        return self.jumps.get(kind) or self.words.get(kind) or {}


@dataclass(frozen=True)
class _Ending:
    """Measures of some passes only.

    Attributes:
        first: its first measure.
        last: its last one.
        passes: in which it is played.
        last_pass: of all the endings that stand side by side with it.
    """

    first: int
    last: int
    passes: frozenset[int]
    last_pass: int


def _endings(signs: Signs, measures: int) -> dict[int, _Ending]:
    """The ending of each measure that is in one."""
    starts = sorted(start for start in signs.endings if start < measures)
    rows: list[list[tuple[int, int]]] = []  # first and last measures of endings that stand side by side
    for place, start in enumerate(starts):
        following = starts[place + 1] if place + 1 < len(starts) else measures
        stops = (stop for stop in range(start, following) if stop in signs.ending_stops or stop in signs.backward)
        span = (start, next(stops, start))
        if rows and rows[-1][-1][1] + 1 == start:
            rows[-1].append(span)
        else:
            rows.append([span])
    of_measure: dict[int, _Ending] = {}
    for row in rows:
        last_pass = max(max(signs.endings[first]) for first, _ in row)
        for first, last in row:
            ending = _Ending(first, last, signs.endings[first], last_pass)
            of_measure.update(dict.fromkeys(range(first, last + 1), ending))
    return of_measure


def played(signs: Signs, measures: int, name: str) -> list[int]:
    """The measures (from 0) in the order in which they are played.

    Raises:
        MidiError: more than MAX_PLAYED_MEASURES would be.
    """
    player = _Player(signs, measures)
    order = []
    while player.at < measures:
        if player.at in player.endings and not player.takes(player.endings[player.at]):
            player.skip(player.endings[player.at])
            continue
        order.append(player.at)
        if len(order) > MAX_PLAYED_MEASURES:
            raise MidiError(f"{name}: with its repeats it has more than {MAX_PLAYED_MEASURES} measures")
        player.go_on()
    return order


class _Player:
    """Where somebody who plays a score is."""

    def __init__(self, signs: Signs, measures: int) -> None:
        self.signs = signs
        self.measures = measures
        self.endings = _endings(signs, measures)
        self.jumps = {kind: signs.jumps_of(kind) for kind in _JUMPS}
        self.at = self.section = 0
        self.turn = 1  # which time the section is played
        self.has_jumped = False
        self.done: set[int] = set()  # jumps back that were taken

    def takes(self, ending: _Ending) -> bool:
        """Whether an ending is played this time."""
        if self.has_jumped:
            return max(ending.passes) == ending.last_pass
        return self.turn in ending.passes

    def skip(self, ending: _Ending) -> None:
        """Goes on after an ending that is not played."""
        self.at = ending.last + 1
        if self.at not in self.endings and not self.has_jumped:  # no ending is left: the section is over
            self._new_section()

    def _new_section(self) -> None:
        self.section, self.turn = self.at, 1

    def go_on(self) -> None:
        """Goes to the measure that is played after the one just played."""
        measure = self.at
        ending = self.endings.get(measure)
        # An ending before another one leads back even where no sign says so.
        leads_on = ending is not None and measure == ending.last and measure + 1 in self.endings
        returns = measure in self.signs.backward or leads_on
        last_turn = ending.last_pass if ending is not None else self.signs.backward.get(measure, 1)
        if returns and not self.has_jumped and self.turn < last_turn:
            self.turn += 1
            self.at = self.section
            return
        if self._jump(measure):
            return
        self.at = measure + 1
        ends_section = measure in self.signs.backward
        if ending is not None:
            ends_section = measure == ending.last and self.at not in self.endings
        begins_section = self.at in self.signs.forward and self.at != self.section
        if not self.has_jumped and (ends_section or begins_section):
            self._new_section()

    def _jump(self, measure: int) -> bool:
        """Jumps where a measure says so; the end of the music is a jump too."""
        if self.has_jumped and measure in self.jumps["fine"]:
            self.at = self.measures
            return True
        if self.has_jumped and measure in self.jumps["tocoda"]:
            coda = _place(self.jumps["coda"], self.jumps["tocoda"][measure], after=measure)
            if coda is not None:
                self.at = coda
                return True
        if measure in self.done:
            return False
        if measure in self.jumps["dacapo"]:
            target: int | None = 0
        elif measure in self.jumps["dalsegno"]:
            target = _place(self.jumps["segno"], self.jumps["dalsegno"][measure], before=measure)
        else:
            return False
        if target is None:
            return False
        self.done.add(measure)
        self.at, self.has_jumped = target, True
        return True


def _place(signs: Mapping[int, str], label: str, *, before: int | None = None, after: int | None = None) -> int | None:
    """The measure of the sign that a jump means: with its label, else the nearest one on the right side."""
    if before is not None:
        places = sorted((place for place in signs if place <= before), reverse=True)
    else:
        places = sorted(place for place in signs if after is None or place > after)
    return next((place for place in places if label and signs[place] == label), places[0] if places else None)
