"""Mended: what a reader left out, moved or guessed, as lines of the form "kind: how many", or a kind alone.

The kinds do not change, so reports can count by them. A kind may have another before it, as in "its score: notes of no
length: 3", which says of which file of a piece it is.

    kinds(["notes of no length: 3", "RIFF wrapper"])  ->  {"notes of no length": 3, "RIFF wrapper": 1}
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable


def kinds(lines: Iterable[str]) -> Counter[str]:
    """How often each kind occurs in lines of `Reading.mended`; a kind without a number counts once."""
    counts: Counter[str] = Counter()
    for line in lines:
        kind, _, number = line.rpartition(": ")
        if kind and number.isdecimal():
            counts[kind] += int(number)
        else:
            counts[line] += 1
    return counts


def lines(counts: Counter[str]) -> list[str]:
    """The lines that say these counts, without those of nothing."""
    return [f"{kind}: {count}" for kind, count in counts.items() if count]
