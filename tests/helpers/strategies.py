"""Hypothesis strategies for scores: `from strategies import scores`."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import strategies as st

from t5music.music import encodings
from t5music.music.encodings.tx1 import encoding as tx1
from t5music.music.score import DRUMS, KEY, METER, NOTE, PEDAL, TEMPO, Score

MICROSECONDS = st.integers(20_000, 3_000_000)  # 20 to 3000 quarters a minute


def _names() -> st.SearchStrategy[str]:
    return st.text(st.characters(exclude_categories=("Cs",)), max_size=12)


@st.composite
def scores(
    draw: st.DrawFn,
    *,
    max_notes: int = 24,
    min_notes: int = 0,
    max_tracks: int = 4,
    last_onset: int = 4_000,
    longest: int = 1_000,
    pedals: bool = True,
    changes: bool = True,
) -> Score:
    """Scores that any MIDI file could hold, in small numbers of notes, tracks and changes.

    Notes may overlap, of one pitch too, and begin together; each lasts at least a tick, and each track has one
    program, at least one note, and pedals that do not overlap. `changes` allows tempi, meters and keys (at most one
    a tick).
    """
    ticks = st.integers(0, last_onset)
    programs = draw(st.lists(st.integers(0, DRUMS), min_size=1, max_size=max_tracks))
    rows = draw(
        st.lists(
            st.tuples(
                ticks,
                st.integers(1, longest),
                st.integers(0, 127),
                st.integers(1, 127),
                st.integers(0, len(programs) - 1),
            ),
            min_size=min_notes,
            max_size=max_notes,
        )
    )
    used = sorted({row[-1] for row in rows})
    notes = np.array([(*row[:4], programs[row[4]], used.index(row[4])) for row in rows], NOTE)

    def timed(values: st.SearchStrategy, dtype: np.dtype) -> np.ndarray:
        found = draw(st.dictionaries(ticks, values, max_size=4)) if changes else {}
        return np.array([(tick, *value) for tick, value in found.items()], dtype)

    spans = []
    if pedals:
        for track in range(len(used)):
            edges = sorted(draw(st.sets(ticks, max_size=6)))
            spans += [(a, b - a, track) for a, b in zip(edges[::2], edges[1::2], strict=False)]
    return Score(
        ticks_per_quarter=draw(st.sampled_from([1, 24, 60, 96, 120, 220, 384, 480, 960, 22050, 32767])),
        notes=notes,
        tempos=timed(st.tuples(MICROSECONDS), TEMPO),
        meters=timed(st.tuples(st.integers(1, 16), st.sampled_from([1, 2, 4, 8, 16, 32])), METER),
        keys=timed(st.tuples(st.integers(-7, 7), st.booleans()), KEY),
        pedals=np.array(spans, PEDAL),
        track_names=tuple(draw(st.lists(_names(), min_size=len(used), max_size=len(used)))),
    )


@st.composite
def any_scores(draw: st.DrawFn) -> Score:
    """Scores within MIDI's ranges that MIDI may still not hold as they are.

    Tracks of several programs, tracks without notes, notes and pedals of no length, overlapping pedals, several
    changes at one tick, names with lone surrogates.
    """
    tracks = st.integers(0, 3)
    ticks = st.integers(0, 60)  # few, so that things meet
    lengths = st.integers(0, 40)
    few = {"max_size": 6}
    return Score(
        ticks_per_quarter=draw(st.integers(1, 32767)),
        notes=np.array(
            draw(
                st.lists(
                    st.tuples(
                        ticks,
                        lengths,
                        st.integers(60, 62),
                        st.integers(1, 127),
                        st.sampled_from([0, 1, 127, DRUMS]),
                        tracks,
                    ),
                    max_size=20,
                )
            ),
            NOTE,
        ),
        tempos=np.array(draw(st.lists(st.tuples(ticks, st.integers(1, 2**24 - 1)), **few)), TEMPO),
        meters=np.array(
            draw(st.lists(st.tuples(ticks, st.integers(1, 255), st.sampled_from([1, 2, 64, 128])), **few)), METER
        ),
        keys=np.array(draw(st.lists(st.tuples(ticks, st.integers(-7, 7), st.booleans()), **few)), KEY),
        pedals=np.array(draw(st.lists(st.tuples(ticks, lengths, tracks), max_size=10)), PEDAL),
        track_names=tuple(draw(st.lists(st.text(st.characters(), max_size=5), max_size=5))),
    )


def playable(encoding: encodings.Encoding, score: Score) -> Score:
    """The score, or for an encoding of voices one with the same rhythm whose (at most four) tracks are its voices."""
    if encoding.name == "satb":
        return monophonic(score)
    if encoding.name not in ("tx1", "tx2"):
        return score
    notes = score.notes[score.notes["track"] < len(tx1.VOICES)].copy()
    low, high = np.array(tx1.RANGES, np.int16)[notes["track"]].T
    notes["pitch"] = low + notes["pitch"] % (high - low + 1)
    samples = np.floor(score.seconds(notes["onset"]) * tx1.SAMPLE_RATE + 0.5)
    _, first = np.unique(np.column_stack([notes["track"], samples]), axis=0, return_index=True)
    names = ("P1", "p2", " Tr ", "no")[: len(score.track_names)]
    return replace(score, notes=notes[first], pedals=score.pedals[:0], track_names=names)


def monophonic(score: Score) -> Score:
    """The notes of the first four tracks, without percussion and of each chord only the first note."""
    notes = score.notes[score.notes["track"] < 4].copy()
    notes["program"] %= DRUMS
    _, first = np.unique(notes[["track", "onset"]], return_index=True)
    names = ("Soprano", "alto", " TENOR ", "bass")[: len(score.track_names)]
    return replace(score, notes=notes[first], pedals=score.pedals[:0], track_names=names)
