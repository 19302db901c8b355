"""Classes of single notes: melody, bridge or accompaniment; loudness; and the skyline, a baseline without learning.

The classes are those of MIDI-BERT's two tasks per note on POP909. All arrays are in the order of `Score.notes`; index
them with `Notes.order` of `compound_words`, or with `remi_order`, for the order of the words.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from t5music.errors import MidiError
from t5music.music.encodings.remi.grid import DURATIONS, POSITION, lay_notes
from t5music.music.encodings.remi.words import DURATION, PITCH, parse
from t5music.music.score import Score

MELODY, BRIDGE, ACCOMPANIMENT = range(3)
POP909_TRACKS = ("MELODY", "BRIDGE", "PIANO")  # the names of its tracks, in the order of the classes
VELOCITY_EDGES = np.array([0, 32, 48, 64, 80, 96, 128])  # class i: edge i <= velocity < edge i + 1


def melody_classes(score: Score) -> NDArray[np.int64]:
    """MELODY, BRIDGE or ACCOMPANIMENT for each note (int64 [notes]), from the names of POP909's tracks.

    Raises MidiError where a track with notes has another name. (MIDI-BERT numbers the tracks that have notes, so
    without a bridge its accompaniment would be called bridge; no piece of its valid and test sets is like that.)
    """
    classes = np.array([_class_of(name) for name in score.track_names], np.int64)[score.notes["track"]]
    if (classes < 0).any():
        name = score.track_names[int(score.notes["track"][np.argmin(classes)])]
        raise MidiError(f"the track {name!r} is none of POP909's: {', '.join(POP909_TRACKS)}")
    return classes


def _class_of(name: str) -> int:
    name = name.strip().upper()
    return POP909_TRACKS.index(name) if name in POP909_TRACKS else -1


def velocity_classes(velocities: ArrayLike) -> NDArray[np.int64]:
    """Classes 0..5 (int64 [notes]) of velocities 0..127, by MIDI-BERT's edges."""
    return np.searchsorted(VELOCITY_EDGES, np.asarray(velocities), side="right") - 1


def skyline(score: Score) -> NDArray[np.int64]:
    """MELODY for the notes that are the highest ones sounding where they begin, ACCOMPANIMENT for all others.

    A note sounds from its onset up to its end as written, so a held note above hides what begins below it. Of notes of
    one pitch that begin together only one, the longest, is melody.
    """
    return _highest(score.notes["onset"], score.notes["duration"], score.notes["pitch"])


def skyline_of_words(events: NDArray[np.int32]) -> NDArray[np.int64]:
    """The same of `remi`'s events: a class for each Pitch word (int64 [Pitch words]), in their order.

    So it knows what a model knows that is asked about these events. A Pitch without Duration lasts for one position.
    """
    if not len(events):
        return np.empty(0, np.int64)
    parsed = parse(events)
    notes = np.flatnonzero(parsed.kinds == PITCH)
    says = np.append(parsed.kinds, -1)[notes + 1] == DURATION
    positions = np.where(says, DURATIONS[np.append(parsed.values, 0)[notes + 1] * says], 1)
    return _highest(parsed.ticks[notes], positions * POSITION, parsed.values[notes])


def _highest(onsets: NDArray, durations: NDArray, pitches: NDArray) -> NDArray[np.int64]:
    """See `skyline`; of notes [notes] in any order."""
    times, inverse = np.unique(onsets, return_inverse=True)
    until = np.searchsorted(times, onsets + durations)  # the first onset at which it is silent
    until = np.maximum(until, inverse + 1)
    sounding = np.zeros((len(times) + 1, 128), np.int32)
    np.add.at(sounding, (inverse, pitches), 1)
    np.add.at(sounding, (until, pitches), -1)
    held = np.cumsum(sounding, axis=0)[:-1] > 0
    highest = 127 - np.argmax(held[:, ::-1], axis=1)
    classes = np.full(len(onsets), ACCOMPANIMENT, np.int64)
    top = np.flatnonzero(pitches == highest[inverse])
    top = top[np.lexsort((durations[top], inverse[top]))]
    classes[top[np.append(np.diff(inverse[top]) > 0, True)[: len(top)]]] = MELODY
    return classes


def remi_order(score: Score) -> NDArray[np.int64]:
    """Which note of `score.notes` each note word (Pitch or Drum) of `remi`'s events is, in their order.

    remi keeps one of several notes of one program and pitch that begin at one position, so some may be missing.
    """
    return lay_notes(score).notes if len(score.notes) else np.empty(0, np.int64)
