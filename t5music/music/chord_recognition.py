"""Chord recognition: the chord symbols of a score, bar by bar, from all notes that sound.

A chord is a template of `chords.QUALITIES` on a root. Each beat, or each bar, has the chord that explains its notes
best, by how long they sound: what is in the template counts for it, what is not against it, and so does a note of the
template that is missing (after Pardo and Birmingham, Algorithms for Chordal Analysis, Computer Music Journal 26(2),
2002, whose weights are numbers of notes). Between chords that explain the notes alike, the one whose root is the bass
wins.

    | C | Am F | G7 | N.C. |       bars_of(text) and text_of(bars) go both ways
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from t5music.music.chords import QUALITIES
from t5music.music.keys import KEYS
from t5music.music.score import DRUMS, Score

NO_CHORD = "N.C."
ROOTS = tuple(key.partition(" ")[0] for key in KEYS[:12])  # one spelling for each pitch class
RECOGNISED = ("", "m", "dim", "7")  # qualities that are told apart
_MISSING = 0.1  # share of a chord's time that a missing note counts
_ROOT_IN_BASS = 0.05

Bars = tuple[tuple[str, ...], ...]  # of each bar its chords, which share it equally


class NamedChord(NamedTuple):
    """A chord as a root and a quality.

    Attributes:
        root: pitch class, 0 to 11 from C.
        quality: one of RECOGNISED.
    """

    root: int
    quality: str

    def symbol(self, interval: int = 0) -> str:
        """The chord symbol, of the chord so many semitones higher."""
        return f"{ROOTS[(self.root + interval) % 12]}{self.quality}"


_CHORDS = [NamedChord(root, quality) for quality in RECOGNISED for root in range(12)]
_ROOTS_OF_CHORDS = np.array([chord.root for chord in _CHORDS])
_TEMPLATES = np.zeros((len(_CHORDS), 12), bool)  # [chords, pitch classes]
for _row, _chord in zip(_TEMPLATES, _CHORDS, strict=True):
    _row[[(_chord.root + step) % 12 for step in QUALITIES[_chord.quality]]] = True


def recognise(score: Score, part: NDArray[np.bool_] | None = None, *, beats: bool) -> list[list[NamedChord | None]]:
    """The chords of every bar of a score.

    Args:
        score: any music; percussion is passed over.
        part: True [notes] for the notes that have the chords; None for all.
        beats: whether each beat has a chord of its own (of 6/8, 9/8 and 12/8, each dotted quarter), or each bar.

    Returns:
        Of each bar, as `Score.bars` has them, a chord for each beat, or one; None where nothing sounds.
    """
    notes = score.notes[(score.notes["program"] != DRUMS) & (True if part is None else part)]
    starts, meters = score.bars()
    numerator, denominator = map(int, meters[-1])
    edges = [*starts.tolist(), int(starts[-1]) + 4 * score.ticks_per_quarter * numerator // denominator]
    bars = []
    for (numerator, _), begin, end in zip(meters.tolist(), edges, edges[1:], strict=False):
        compound = numerator > 3 and numerator % 3 == 0
        parts = (numerator // 3 if compound else numerator) if beats else 1
        cuts = [begin + (end - begin) * part // parts for part in range(parts + 1)]
        bars.append([_chord_of(notes, *span) for span in itertools.pairwise(cuts)])
    return bars


def _chord_of(notes: NDArray, begin: int, end: int) -> NamedChord | None:
    """The chord of the notes that sound between two ticks; None where none does."""
    ticks = np.minimum(notes["onset"] + notes["duration"], end) - np.maximum(notes["onset"], begin)  # [notes]
    sounding = ticks > 0
    if not sounding.any():
        return None
    pitches = notes["pitch"][sounding].astype(int)
    profile = np.bincount(pitches % 12, weights=ticks[sounding], minlength=12) / ticks[sounding].sum()  # [classes]
    scores = np.where(_TEMPLATES, profile, -profile).sum(axis=1)  # [chords]
    scores -= _MISSING * (_TEMPLATES & (profile == 0)).sum(axis=1)
    scores += _ROOT_IN_BASS * (pitches.min() % 12 == _ROOTS_OF_CHORDS)
    return _CHORDS[int(np.argmax(scores))]


def symbols(bar: Sequence[NamedChord | None], interval: int = 0) -> tuple[str, ...]:
    """The chord symbols of a bar, so many semitones higher, as few as say the same: 'C C G G' is 'C G'."""
    names = tuple(NO_CHORD if chord is None else chord.symbol(interval) for chord in bar)
    for count in range(1, len(names)):
        size = len(names) // count
        groups = [set(names[start : start + size]) for start in range(0, len(names), size)]
        if len(names) % count == 0 and all(len(group) == 1 for group in groups):
            return names[::size]
    return names


def text_of(bars: Iterable[Sequence[str]]) -> str:
    """Bars of chord symbols as a text, which `music.chords.bars_of_chords` reads."""
    return "".join(f"| {' '.join(bar)} " for bar in bars) + "|"


def bars_of(text: str) -> Bars:
    """The bars of chord symbols of such a text; whatever the symbols are."""
    return tuple(tuple(bar.split()) for bar in text.strip().strip("|").split("|")) if text.strip(" |") else ()
