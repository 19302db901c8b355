"""FourParts and Harmonise: what they ask of a chorale, and what they make of answers."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from small_scores import BAR, NOTHING, QUARTER, chorale, piece, tune

from t5music.data import objectives
from t5music.data.examples import FourParts, Harmonise
from t5music.data.objectives.base import LOSS_WEIGHTS
from t5music.data.vocabulary import default
from t5music.errors import DataError, MidiError
from t5music.music import encodings
from t5music.music.encodings.satb.grid import to_grid
from t5music.music.score import DRUMS, Score

SATB = encodings.get("satb")
KIND = Harmonise("chorale", words=128)  # two bars


def test_a_whole_chorale_is_one_example_however_long():
    score = chorale(bars=40)
    [example] = FourParts().examples(piece(score))
    assert example.inputs == ""
    assert example.targets == SATB.to_text(SATB.encode(score))
    assert len(example.targets.split()) == 40 * 64  # as long as the longest of the JSB chorales
    assert example.targets.startswith("Cell_72 Cell_67 Cell_60 Cell_48 Cell_72")


@pytest.mark.parametrize("kind", [FourParts(), KIND], ids=["four_parts", "harmonise"])
def test_four_parts_are_needed(kind):
    score = chorale()
    for count in (1, 3):
        some = score.with_notes(score.notes[score.notes["track"] < count])
        with pytest.raises(MidiError, match=f"four parts are needed, and this piece has {count} with notes"):
            list(kind.examples(piece(some)))
    fifth = score.notes[:1].copy()
    fifth["track"] = 4
    with pytest.raises(MidiError, match="keep at most four"):
        list(kind.examples(piece(score.with_notes(np.append(score.notes, fifth)))))
    assert list(kind.examples(piece(NOTHING))) == []


def test_harmonise_asks_the_soprano_and_expects_all_four_voices_in_windows():
    score = chorale(bars=3)
    first, last = KIND.examples(piece(score))
    grid = to_grid(score)
    for example, window in ((first, grid[:32]), (last, grid[32:])):
        assert example.inputs == "harmonise chorale: " + SATB.to_text(SATB.of_grid(window[:, 0]))
        assert example.targets == SATB.to_text(SATB.of_grid(window))


def test_windows_without_a_melody_or_without_other_voices_make_no_example():
    score = chorale(bars=6)
    notes, bars = score.notes, score.notes["onset"] // (2 * BAR)
    silent = ((bars == 0) & (notes["track"] == 0)) | ((bars == 1) & (notes["track"] > 0))
    [example] = KIND.examples(piece(score.with_notes(notes[~silent])))
    assert example == list(KIND.examples(piece(score)))[2]


def test_the_soprano_costs_nothing():
    [step] = KIND.objectives
    vocabulary = default()
    targets = vocabulary.encode_events("satb", SATB.encode(chorale(bars=1)))
    example = {"inputs": targets[:3], "targets": targets}
    weighted = step(example, np.random.default_rng(0), {"inputs": 64, "targets": 128}, vocabulary)
    assert weighted[LOSS_WEIGHTS].dtype == np.float32
    assert weighted[LOSS_WEIGHTS].tolist() == [0, 1, 1, 1] * 16
    assert LOSS_WEIGHTS not in example
    halved = step({**example, LOSS_WEIGHTS: np.full(64, 0.5, np.float32)}, np.random.default_rng(0), {}, vocabulary)
    assert halved[LOSS_WEIGHTS].tolist() == [0, 0.5, 0.5, 0.5] * 16
    assert objectives.from_config(step.to_config()) == step


def test_a_melody_of_one_s_own_gets_its_three_voices_and_stays():
    melody = tune([67, 69, 0, 71, 72, 72, 74, 0, 76, 60], name="flute")
    prompts, given = KIND.prompts(melody), KIND.given(melody)
    assert [len(words) for words in given] == [128, 32]
    grid = to_grid(melody)
    assert prompts[1] == "harmonise chorale: " + SATB.to_text(SATB.of_grid(grid[32:, :1]))
    assert np.array_equal(np.concatenate(given).reshape(-1, 4)[:, 0], SATB.of_grid(grid[:, :1]))
    assert (np.concatenate(given).reshape(-1, 4)[:, 1:] == -1).all()

    chord = np.array([5, 24, 19, 12], np.int32)
    answers = [np.where(words < 0, np.tile(chord, len(words) // 4), words) for words in given]
    answer = KIND.music(melody, answers)
    assert answer.repairs == 0
    assert np.array_equal(to_grid(answer.score)[:, 0], grid[:, 0])
    assert (to_grid(answer.score)[:, 1:] == chord[1:] + 36).all()
    assert {int(track) for track in answer.score.notes["track"][answer.is_new]} == {1, 2, 3}
    assert len(answer.prompt.notes) == 7  # of the melody's eight, one repeats the pitch before it


def test_answers_that_are_too_short_or_too_long_fit_their_windows():
    melody = tune([67] * 12)
    answers = [np.array([31, 20], np.int32), np.zeros(500, np.int32)]
    answer = KIND.music(melody, answers)
    grid = to_grid(answer.score)
    assert grid.shape == (48, 4)
    assert grid[0].tolist() == [67, 56, -1, -1]
    assert (grid[1:32, 1:] == -1).all()
    assert (grid[32:, 1:] == 36).all()
    assert answer.repairs == 126


def test_the_track_called_soprano_is_the_melody_or_else_the_first():
    named = chorale(bars=1)
    swapped = dataclasses.replace(named, track_names=("Alto", "Soprano", "Tenor", "Bass"))
    assert KIND.prompts(named)[0].split()[2] == "Cell_72"
    assert KIND.prompts(swapped)[0].split()[2] == "Cell_67"
    drums = named.notes[:8].copy()
    drums["program"] = DRUMS
    behind = named.notes.copy()
    behind["track"] += 1
    beaten = dataclasses.replace(named, notes=np.append(drums, behind), track_names=())
    assert KIND.prompts(beaten) == KIND.prompts(named)
    with pytest.raises(MidiError, match="no notes to harmonise"):
        KIND.prompts(named.with_notes(drums))
    lower = named.with_notes(named.notes[named.notes["track"] >= 2])
    assert KIND.prompts(lower)[0].split()[2] == "Cell_60"


@pytest.mark.parametrize(
    ("score", "reason"),
    [
        (NOTHING, "no notes to harmonise"),
        (Score(QUARTER, np.repeat(tune([60, 62]).notes, 2)), None),  # the same note twice is no chord
    ],
)
def test_what_can_be_asked(score, reason):
    if reason is None:
        assert len(KIND.prompts(score)) == 1
    else:
        with pytest.raises(MidiError, match=reason):
            KIND.prompts(score)
    chord = tune([60]).notes.repeat(2)
    chord["pitch"][1] = 64
    with pytest.raises(MidiError, match="pitches 60 and 64 at once: give each voice a track of its own"):
        KIND.prompts(Score(QUARTER, chord))


def test_settings_that_cannot_be():
    with pytest.raises(DataError, match="the words must be satb's, not remi's"):
        Harmonise("chorale", "remi")
    with pytest.raises(DataError, match=r"16 words \(a quarter\) or more"):
        Harmonise("chorale", words=15)
