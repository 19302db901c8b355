"""Sums: what is counted of a split while its store is written, part by part, in whatever order they are done."""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Iterable, Mapping
from typing import Any

LENGTH_BIN = 16  # tokens; bin n of a histogram counts lengths from 16 n up to 16 n + 15


@dataclasses.dataclass
class Reason:
    """Why something was left out or mended: how often, and the first case of it."""

    count: int
    example: str


def add_reason(reasons: dict[str, Reason], reason: str, example: str, count: int = 1) -> None:
    """Counts a reason; reasons that differ in their numbers alone are one, with # for the numbers."""
    key = re.sub(r"\d+(\.\d+)?", "#", reason)
    if key in reasons:
        reasons[key].count += count
    else:
        reasons[key] = Reason(count, example)


def by_reason(cases: Iterable[tuple[str, str]]) -> dict[str, Reason]:
    """Counts (what, why) by why, the most frequent first."""
    reasons: dict[str, Reason] = {}
    for example, reason in cases:
        add_reason(reasons, reason, example)
    return dict(sorted(reasons.items(), key=lambda item: -item[1].count))


@dataclasses.dataclass
class Sums:
    """What is counted of one split.

    Attributes:
        examples: examples written.
        notes, seconds: of music.
        tokens, max_length, lengths: of each token feature, EOS not counted: tokens in all examples, in the longest one,
            and how many examples have a length in each bin of LENGTH_BIN.
        pieces: pieces of music that were taken up.
        without: pieces that gave no example.
        skipped: pieces that could not be said in the task's words, by reason.
        answers: how often each answer of a label set is expected.
    """

    examples: int = 0
    notes: int = 0
    seconds: float = 0.0
    tokens: dict[str, int] = dataclasses.field(default_factory=dict)
    max_length: dict[str, int] = dataclasses.field(default_factory=dict)
    lengths: dict[str, list[int]] = dataclasses.field(default_factory=dict)
    pieces: int = 0
    without: int = 0
    skipped: dict[str, Reason] = dataclasses.field(default_factory=dict)
    answers: dict[str, int] = dataclasses.field(default_factory=dict)

    def add(self, counts: Mapping[str, int], notes: int, seconds: float) -> None:
        """Counts one example: the tokens of each feature, and the music in it."""
        self.examples += 1
        self.notes += int(notes)
        self.seconds += float(seconds)
        for name, count in counts.items():
            self.tokens[name] = self.tokens.get(name, 0) + count
            self.max_length[name] = max(self.max_length.get(name, 0), count)
            bins = self.lengths.setdefault(name, [])
            bins += [0] * (count // LENGTH_BIN + 1 - len(bins))
            bins[count // LENGTH_BIN] += 1

    def merge(self, other: Sums) -> None:
        """Adds what was counted elsewhere."""
        self.examples += other.examples
        self.notes += other.notes
        self.seconds += other.seconds
        self.pieces += other.pieces
        self.without += other.without
        for name, bins in other.lengths.items():
            self.tokens[name] = self.tokens.get(name, 0) + other.tokens[name]
            self.max_length[name] = max(self.max_length.get(name, 0), other.max_length[name])
            pairs = itertools.zip_longest(self.lengths.get(name, []), bins, fillvalue=0)
            self.lengths[name] = [one + two for one, two in pairs]
        for reason, case in other.skipped.items():
            add_reason(self.skipped, reason, case.example, case.count)
        for answer, count in other.answers.items():
            self.answers[answer] = self.answers.get(answer, 0) + count

    def to_json(self) -> dict[str, Any]:
        """The sums in JSON values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Sums:
        """The inverse of `to_json`; keys that are no sums are passed over."""
        fields = {field.name: values[field.name] for field in dataclasses.fields(cls) if field.name in values}
        skipped = {reason: Reason(**case) for reason, case in fields.pop("skipped", {}).items()}
        return cls(**fields, skipped=skipped)
