"""Marks: what signs and words say of loudness and tempo.

Loudness: a mark is its velocity in MuseScore (p 49, f 96 ...), as is `<sound dynamics>`, in percent of forte, 90.
A hairpin goes evenly to the mark at its end, and without one a step up or down, as far as ff or ppp. sf, fz and their
like are for the notes they stand at.
"""

from __future__ import annotations

import bisect
import re

import numpy as np
from numpy.typing import NDArray

DEFAULT_VELOCITY = 80  # mezzo-forte: before the first mark
FORTE = 90  # the velocity that MusicXML's loudness is in percent of
STEP = 16  # from a mark to the next: the size of a hairpin without an end
ACCENT, MARCATO, SFORZANDO = 1.2, 1.3, 112

LEVELS = {
    "pppppp": 1, "ppppp": 5, "pppp": 10, "ppp": 16, "pp": 33, "p": 49, "mp": 64, "mf": 80, "f": 96, "ff": 112,
    "fff": 126, "ffff": 127, "fffff": 127, "ffffff": 127, "n": 1, "pf": 80,
}  # fmt: skip
# For the notes at the mark, and from the next ones on (None: as before).
MOMENTARY: dict[str, tuple[int, int | None]] = {
    **dict.fromkeys(("sf", "sfz", "sffz", "fz", "rf", "rfz"), (SFORZANDO, None)),
    "fp": (96, 49), "sfp": (SFORZANDO, 49), "sfpp": (SFORZANDO, 33), "sfzp": (SFORZANDO, 49),
}  # fmt: skip

# Words at the beginning of a tempo mark, the more special before the more general -> quarter notes a minute.
_TEMPO_WORDS = (
    ("larghissimo", 24), ("largamente", 50), ("larghetto", 63), ("largo", 50), ("grave", 40),
    ("lento|lent\\b|lentement", 56),
    ("adagietto", 72), ("adagio", 66), ("langsam|sehr langsam", 60), ("andantino", 88), ("andante", 80),
    ("marcia|marsch", 112), ("gehend", 80), ("moderato|mod.r.|m(ä|ae)(ß|ss)ig", 104), ("allegretto", 112),
    ("allegro|all[eo]\\.", 132), ("bewegt|etwas bewegt|animato|anim.", 120), ("vivacissimo", 176),
    ("vivace|vivo|vif\\b", 160),
    ("lebhaft|sehr lebhaft|munter", 132), ("schnell|rasch|sehr schnell|geschwind", 152), ("prestissimo", 200),
    ("presto", 184), ("ziemlich langsam", 66), ("ziemlich", 108),
)  # fmt: skip
_TEMPI = tuple((re.compile(pattern), tempo) for pattern, tempo in _TEMPO_WORDS)


def tempo_of_words(words: str) -> int | None:
    """The quarter notes a minute of a tempo mark such as 'Andante con moto'; None for other words."""
    text = words.strip().casefold()
    return next((tempo for pattern, tempo in _TEMPI if pattern.match(text)), None)


def velocity(percent: float) -> int:
    """The velocity of a loudness in percent of forte."""
    return int(min(127, max(1, round(percent * FORTE / 100))))


def levels(
    times: NDArray[np.int64], marks: list[tuple[int, int]], wedges: list[tuple[int, int, int]], quarter: int
) -> NDArray[np.int64]:
    """The velocity at each time.

    Args:
        times: int64 [notes], in any order.
        marks: (time, velocity), in the order of time; of several at one time the last one holds.
        wedges: (begin, end, direction), direction 1 for louder and -1 for softer, in the order of time.
        quarter: a quarter note: so much after its end a hairpin still finds its mark.

    Returns:
        int64 [notes].
    """
    at, values = [time for time, _ in marks], [value for _, value in marks]
    slopes = []  # (begin, end, velocity at the beginning, and at the end)
    for begin, end, direction in wedges:
        place = bisect.bisect_right(at, begin)
        start = values[place - 1] if place else DEFAULT_VELOCITY
        until = at[place] if place < len(at) else np.iinfo(np.int64).max
        goal = bisect.bisect_left(at, end - quarter // 2, lo=place)
        if goal < len(at) and at[goal] <= end + quarter and (values[goal] - start) * direction > 0:
            target = values[goal]
        else:
            limit = max(start, LEVELS["ff"]) if direction > 0 else min(start, LEVELS["ppp"])
            target = min(limit, start + STEP) if direction > 0 else max(limit, start - STEP)
        if until > end:  # no mark says what comes after it
            at.insert(place, end)
            values.insert(place, target)
        slopes.append((begin, min(end, until), end, start, target))
    level = np.array([DEFAULT_VELOCITY, *values], np.int64)[np.searchsorted(at, times, side="right")]
    order = np.argsort(times, kind="stable")
    ordered = times[order]
    for begin, stop, end, start, target in slopes:
        first, last = np.searchsorted(ordered, (begin, stop))
        inside = order[first:last]
        level[inside] = start + (target - start) * (times[inside] - begin) // max(end - begin, 1)
    return level
