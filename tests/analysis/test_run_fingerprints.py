"""Run fingerprints: what is shared is found in any key and at any tempo, and other music is not taken for it."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from t5music.analysis.longest_run import RunIndex
from t5music.analysis.run_fingerprints import GUARANTEED, RUN, RunFingerprints, Shared
from t5music.errors import CheckpointError
from t5music.music.score import NOTE, Score

QUARTER = 48


def melody(seed: int, notes: int) -> Score:
    """Notes at random, by a generator of this seed."""
    random = np.random.default_rng(seed)
    onsets = np.cumsum(random.integers(1, 9, notes)) * QUARTER // 4
    rows = [
        (onset, QUARTER // 4, pitch, 80, 0, 0)
        for onset, pitch in zip(onsets, random.integers(40, 80, notes), strict=True)
    ]
    return Score(QUARTER, np.array(rows, NOTE))


def altered(score: Score, semitones: int, factor: int) -> Score:
    """The same music in another key, slower by a factor, louder and on another instrument."""
    notes = score.notes.copy()
    notes["pitch"] += semitones
    notes["velocity"], notes["program"] = 100, 40
    notes["onset"] *= factor
    return Score(score.ticks_per_quarter * factor, notes)


def joined(*scores: Score) -> Score:
    """Scores one after the other."""
    parts, end = [], 0
    for score in scores:
        notes = score.notes.copy()
        notes["onset"] += end
        end = int(notes["onset"].max()) + QUARTER
        parts.append(notes)
    return dataclasses.replace(scores[0], notes=np.concatenate(parts))


COLLECTION = {f"piece {seed}": melody(seed, 150 + seed) for seed in range(20)}
FINGERPRINTS = RunFingerprints.of(COLLECTION.items())


@given(
    seed=st.integers(0, 19),
    start=st.integers(0, 90),
    notes=st.integers(GUARANTEED, 60),
    semitones=st.integers(-20, 20),
    factor=st.integers(1, 4),
    before=st.integers(0, 40),
)
def test_a_passage_of_the_guaranteed_length_is_found_wherever_it_stands(seed, start, notes, semitones, factor, before):
    piece = COLLECTION[f"piece {seed}"]
    passage = dataclasses.replace(piece, notes=piece.notes[start : start + notes])
    query = joined(melody(1000 + before, before + 1), passage, melody(2000, 30))
    shared = FINGERPRINTS.longest(altered(query, semitones, factor))
    assert shared.piece == f"piece {seed}"
    assert RUN < shared.notes <= RunIndex(COLLECTION).longest(query).notes
    assert before + 1 <= shared.start <= before + notes


def test_a_whole_piece_is_known_to_within_a_window_at_its_ends():
    for name, piece in COLLECTION.items():
        shared = FINGERPRINTS.longest(piece)
        assert shared.piece == name
        assert len(piece.notes) - 2 * GUARANTEED < shared.notes <= len(piece.notes)


@pytest.mark.parametrize("seed", range(100, 130))
def test_other_music_shares_nothing(seed):
    assert FINGERPRINTS.longest(melody(seed, 300)) == Shared(0, 0, "")


@pytest.mark.parametrize("notes", [0, 1, RUN, RUN + 1, RUN + 2])
def test_short_music_is_no_error(notes):
    short = Score(QUARTER, COLLECTION["piece 3"].notes[:notes])
    longest = RunFingerprints.of([("short", short)]).longest(short).notes
    assert RUN < longest <= notes if notes > RUN else longest == 0
    assert RunFingerprints.of([]).longest(short) == Shared(0, 0, "")


def test_a_file_gives_the_same_answers(tmp_path):
    path = tmp_path / "fingerprints.npz"
    FINGERPRINTS.save(path)
    again = RunFingerprints.load(path)
    assert again.names == FINGERPRINTS.names
    for piece in COLLECTION.values():
        assert again.longest(piece) == FINGERPRINTS.longest(piece)


@given(place=st.integers(0, 10_000), byte=st.integers(0, 255), cut=st.integers(0, 10_000))
def test_a_damaged_file_is_an_error_of_one_line_or_answers(tmp_path_factory, place, byte, cut):
    path = tmp_path_factory.mktemp("damaged") / "fingerprints.npz"
    FINGERPRINTS.save(path)
    content = bytearray(path.read_bytes())
    content[place % len(content)] = byte
    path.write_bytes(content[: len(content) - cut % len(content)])
    message = ""
    try:
        RunFingerprints.load(path).longest(COLLECTION["piece 0"])
    except CheckpointError as error:
        message = str(error)
    assert not message or (message.startswith(f"{path} cannot be read as fingerprints: ") and "\n" not in message)
