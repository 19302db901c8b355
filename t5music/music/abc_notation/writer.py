"""Writing ABC: the melody of a Score as a tune."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from t5music.errors import MidiError
from t5music.music.abc_notation.items import Bar, Item, Key, Meter, Note
from t5music.music.abc_notation.spelling import spell
from t5music.music.abc_notation.tune import Tune
from t5music.music.score import DRUMS, Score

PER_QUARTER = 12  # onsets and ends go to the nearest twelfth of a quarter, as in remi: triplets and 1/32 notes fit
_TONICS = ("Cb", "Gb", "Db", "Ab", "Eb", "Bb", "F", "C", "G", "D", "A", "E", "B", "F#", "C#", "G#", "D#", "A#")


def from_score(score: Score, title: str = "") -> Tune:
    """The melody of a score, its notes spelled by the key signature (C major where there is none).

    Onsets and ends go to the nearest twelfth of a quarter, and a note that is still sounding when the next one begins
    ends there. Rests that begin the first bar are left out, so it is an upbeat. Percussion is left out.

    Args:
        score: Notes that begin one after the other.
        title: The tune's name.

    Raises:
        MidiError: There are no notes, or two begin together: ABC of one voice has one note at a time.
    """
    notes = score.notes[score.notes["program"] != DRUMS]
    if not len(notes):
        raise MidiError("no notes to write in ABC")
    onsets = _units(notes["onset"], score)
    if (np.diff(onsets) <= 0).any():
        place = float(score.seconds(notes["onset"][int(np.argmax(np.diff(onsets) <= 0))]))
        raise MidiError(f"two notes begin together at {place:.2f} s: ABC has one at a time, keep the melody alone")
    ends = np.maximum(_units(notes["onset"] + notes["duration"], score), onsets + 1)
    ends[:-1] = np.minimum(ends[:-1], onsets[1:])

    lines, meters = score.bars()
    last = max(1, 4 * PER_QUARTER * int(meters[-1][0]) // int(meters[-1][1]))
    edges = np.append(_units(lines, score), 0)
    edges[-1] = max(edges[-2] + last, ends[-1])  # the last bar is written to its end
    key = _key_of(score)
    meter = first = Meter(*map(int, meters[0]))
    changes = {int(edge): Meter(*map(int, stated)) for edge, stated in zip(edges, meters, strict=False)}
    lines_at = set(edges.tolist())

    items: list[Item] = []
    cuts = np.unique(np.concatenate([edges, onsets, ends]))
    sounding = np.searchsorted(onsets, cuts, side="right") - 1
    for start, end, index in zip(cuts.tolist(), cuts[1:].tolist(), sounding.tolist(), strict=False):
        if changes.get(start, meter) != meter:
            items.append(meter := changes[start])
        sounds = index >= 0 and start < ends[index]
        pitches = (spell(int(notes["pitch"][index]), key),) if sounds else ()
        tied = bool(sounds and end < ends[index])
        items.append(Note(pitches, Fraction(end - start, 4 * PER_QUARTER), pitches if tied else ()))
        if end in lines_at:
            items.append(Bar())
    return Tune(key, first, (*_from_upbeat(items)[:-1], Bar(double=True)), " ".join(title.replace("%", " ").split()))


def _units(ticks: NDArray, score: Score) -> NDArray[np.int64]:
    """Ticks to the nearest twelfth of a quarter, half way: the later."""
    return (2 * ticks.astype(np.int64) * PER_QUARTER + score.ticks_per_quarter) // (2 * score.ticks_per_quarter)


def _key_of(score: Score) -> Key:
    if not len(score.keys):
        return Key("C")
    fifths, minor = int(score.keys["fifths"][0]), bool(score.keys["minor"][0])
    return Key(_TONICS[fifths + 7 + 3 * minor], "m" if minor else "")


def _from_upbeat(items: list[Item]) -> list[Item]:
    """The items without the rests that begin a first bar which has notes."""
    for index, item in enumerate(items):
        if not isinstance(item, Note):
            return items
        if item.pitches:
            return items[index:]
    return items
