"""The longest run in common with a collection: a suffix array's answer is that of trying everything."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_music import line

from t5music.analysis.longest_run import LONGEST_GAP, Run, RunIndex
from t5music.music.score import DRUMS, NOTE, Score

# Few pitches and gaps, so that much is in common; several notes may begin together.
MELODIES = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), max_size=14)


def score(melody: Sequence[tuple[int, int]], low: int = 60, quarter: int = 24) -> Score:
    """Notes as (eighths after the one before, semitones above `low`)."""
    onsets = np.cumsum([gap for gap, _ in melody]) * quarter // 2
    notes = [(onset, quarter, low + step, 64, 0, 0) for onset, (_, step) in zip(onsets, melody, strict=True)]
    return Score(quarter, np.array(notes, NOTE))


def notes_of(of: Score) -> list[tuple[float, int]]:
    return sorted((note["onset"] / of.ticks_per_quarter, int(note["pitch"])) for note in of.notes)


def by_trying_everything(query: Score, collection: Sequence[Score]) -> int:
    """The length of the longest run of any notes that begin alike, relative to their first one's pitch and onset."""
    best = 0
    notes = notes_of(query)
    for other in collection:
        others = notes_of(other)
        for i in range(len(notes)):
            for j in range(len(others)):
                length = 0
                while (
                    max(i, j) + length < len(notes) + len(others)
                    and i + length < len(notes)
                    and j + length < len(others)
                ):
                    (onset, pitch), (begun, low) = notes[i + length], notes[i]
                    (other_onset, other_pitch), (other_begun, other_low) = others[j + length], others[j]
                    if (onset - begun, pitch - low) != (other_onset - other_begun, other_pitch - other_low):
                        break
                    length += 1
                best = max(best, length)
    return best


@given(MELODIES, st.lists(MELODIES, max_size=4), st.integers(-10, 10))
@settings(deadline=None, max_examples=150)
def test_the_longest_run_is_found_where_it_is_said_to_be(melody, melodies, moved):
    collection = {str(number): score(of) for number, of in enumerate(melodies)}
    query = score(melody, low=60 + moved, quarter=480)
    run = RunIndex(collection).longest(query)
    assert run.notes == by_trying_everything(query, list(collection.values()))
    if run.notes:
        notes = notes_of(query)[run.start : run.start + run.notes]
        others = notes_of(collection[run.piece])[run.position : run.position + run.notes]
        assert len(others) == run.notes
        assert [pitch for _, pitch in notes] == [pitch + run.interval for _, pitch in others]
        assert [at - notes[0][0] for at, _ in notes] == [at - others[0][0] for at, _ in others]


def test_a_planted_phrase_is_found_in_another_key_tempo_and_colour():
    tunes = {f"tune {number}": line(number, notes=40) for number in range(20)}
    notes = tunes["tune 7"].notes[10:30].copy()
    notes["onset"] = 3 * (notes["onset"] - notes["onset"][0])
    notes["pitch"], notes["velocity"], notes["program"], notes["duration"] = notes["pitch"] - 5, 20, 40, 7
    drum = np.array([(100, 10, 36, 90, DRUMS, 1)], NOTE)
    copy = Score(3 * 480, np.concatenate([notes, drum]))
    assert RunIndex(tunes).longest(copy) == Run(20, 0, "tune 7", 10, -5)
    other = line(99, notes=40)
    assert RunIndex(tunes).longest(other).notes < 8


def test_a_run_ends_with_its_piece_and_long_rests_are_alike():
    index = RunIndex({"a": score([(0, 0), (1, 1)]), "b": score([(0, 0), (1, 2)])})
    assert index.longest(score([(0, 0), (1, 1), (1, 0), (1, 2)])).notes == 2
    far = [score([(0, 0), (LONGEST_GAP // 6 + more, 1), (1, 2)]) for more in (1, 100)]
    assert RunIndex({"far": far[0]}).longest(far[1]).notes == 3


@pytest.mark.parametrize("collection", [{}, {"none": score([])}])
def test_nothing_in_common(collection):
    assert RunIndex(collection).longest(score([(0, 0)])) == Run(0, 0, "", 0, 0)
    assert RunIndex({"one": score([(0, 3)])}).longest(score([])).notes == 0
    assert RunIndex({**collection, "one": score([(0, 3)])}).longest(score([(0, 0)])) == Run(1, 0, "one", 0, -3)


def test_repeats_within_the_collection_do_no_harm():
    tune = line(0, notes=12)
    twice = tune.notes.copy()
    twice["onset"] += tune.end_tick
    long = dataclasses.replace(tune, notes=np.concatenate([tune.notes, twice] * 1))
    index = RunIndex({"once": tune, "again": tune, "twice": long})
    assert index.longest(long).notes == 24
    assert index.longest(long).piece == "twice"
