"""The JSB chorales in sixteenths, and the 370 chorales as printed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from small_music import entries_of, pieces_of, skipped, splits_of

from t5music.corpora.sources.bach_370 import BACH_370
from t5music.corpora.sources.jsb_chorales import JSB_CHORALES
from t5music.errors import DataError
from t5music.music.encodings.satb.grid import STEP, VOICES, to_score

CHORALE = [[74, 70, 65, 58], [74, 70, 65, 58], [75, 70, -1, 55], [75, 70, 65, 55]]


def table(root: Path, sets) -> Path:
    (root / "Jsb16thSeparated.json").write_text(json.dumps(sets))
    return root


def test_equal_pitches_in_a_row_are_one_note(tmp_path: Path):
    pieces = pieces_of(JSB_CHORALES, table(tmp_path, {"train": [CHORALE, CHORALE[:1]], "valid": [CHORALE], "test": []}))
    assert {name: piece.split for name, piece in pieces.items()} == {
        "train/000": "train",
        "train/001": "train",
        "valid/000": "validation",
    }
    score = pieces["train/000"].score
    assert score.track_names == VOICES
    assert score.ticks_per_quarter == 4 * STEP
    notes = [tuple(int(note[field]) for field in ("track", "onset", "duration", "pitch")) for note in score.notes]
    assert sorted(notes) == [
        (0, 0, 2 * STEP, 74), (0, 2 * STEP, 2 * STEP, 75),
        (1, 0, 4 * STEP, 70),
        (2, 0, 2 * STEP, 65), (2, 3 * STEP, STEP, 65),
        (3, 0, 2 * STEP, 58), (3, 2 * STEP, 2 * STEP, 55),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("steps", "reason"),
    [([[60, 60, 60]], "four pitches"), ([[60, 60, 60, 200]], "four pitches"), ([[60], [60, 61]], "four pitches"),
     ([[60, 60, 60, "x"]], "four pitches"), ([], "four pitches"), ([[-1, -1, -1, -1]], "no notes")],
)  # fmt: skip
def test_what_is_no_chorale_is_skipped(tmp_path: Path, steps: list, reason: str):
    [entry] = entries_of(JSB_CHORALES, table(tmp_path, {"train": [steps], "valid": [], "test": []})).values()
    assert reason in skipped(JSB_CHORALES, entry)


@pytest.mark.parametrize("sets", [{"train": []}, []])
def test_what_is_not_the_three_sets(tmp_path: Path, sets):
    with pytest.raises(DataError, match=r"Jsb16thSeparated\.json: not the sets train, valid and test"):
        JSB_CHORALES.entries(table(tmp_path, sets))


def roll(score) -> np.ndarray:
    """[steps, voices] of pitches, -1 for silence: the other way round, note by note."""
    steps = np.full((score.end_tick // STEP, len(VOICES)), -1)
    for note in score.notes:
        steps[note["onset"] // STEP : (note["onset"] + note["duration"]) // STEP, note["track"]] = note["pitch"]
    return steps


@pytest.mark.data
def test_real_chorales_round_trip(real_music):
    folder = real_music("jsb_chorales")
    pieces = pieces_of(JSB_CHORALES, folder)
    assert splits_of(pieces) == {"test": 77, "train": 229, "validation": 76}
    sets = json.loads((folder / "czhuang/Jsb16thSeparated.json").read_text())
    for name, piece in pieces.items():
        split, number = name.split("/")
        steps = np.array(sets[split][int(number)])
        sounding = np.flatnonzero((steps >= 0).any(axis=1))[-1] + 1
        assert np.array_equal(roll(piece.score), steps[:sounding])


def test_to_score_of_one_step():
    assert len(to_score(np.array([[72, 67, 64, 48]])).notes) == 4


KERN = """**kern\t**kern\t**kern\t**kern
*M4/4\t*M4/4\t*M4/4\t*M4/4
4C\t4G\t4e\t4cc
4D\t4G\t4f\t4b
2C\t2G\t2e\t2cc
*-\t*-\t*-\t*-
"""


def test_humdrum_chorales_have_four_voices_from_the_soprano_down(tmp_path: Path):
    (tmp_path / "kern").mkdir()
    (tmp_path / "kern" / "chor001.krn").write_text(KERN)
    (tmp_path / "kern" / "chor002.krn").write_text(KERN.replace("\t4cc", "").replace("\t4b", "").replace("\t2cc", "")
                                                   .replace("**kern\t", "", 1).replace("*M4/4\t", "", 1)
                                                   .replace("*-\t", "", 1))  # fmt: skip
    entries = entries_of(BACH_370, tmp_path)
    [piece] = BACH_370.read(entries["chor001"])
    assert piece.score.track_names == VOICES
    highest = [int(piece.score.notes["pitch"][piece.score.notes["track"] == track].max()) for track in range(4)]
    assert highest == [72, 65, 55, 50]
    assert skipped(BACH_370, entries["chor002"]) == "it has 3 voices"


@pytest.mark.data
def test_real_humdrum_chorales(real_music, tmp_path: Path):
    (tmp_path / "kern").symlink_to(real_music("jsb_chorales") / "bach370_kern")
    entries = entries_of(BACH_370, tmp_path)
    assert len(entries) == BACH_370.files
    [piece] = BACH_370.read(entries["chor001"])
    assert len(piece.score.notes) == 223, "as many as the MIDI file that was made of it"
