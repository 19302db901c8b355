"""Music alone, and music adapted to the NES."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from small_scores import chorale, piece, tune

from t5music.data import examples
from t5music.errors import MidiError
from t5music.music import encodings
from t5music.music.nes import adapter
from t5music.music.score import METER


def test_pieces_have_no_inputs_and_hold_every_note():
    score = chorale()
    made = list(examples.Pieces("remi", words=64).examples(piece(score)))
    assert {example.inputs for example in made} == {""}
    words = [word for example in made for word in example.targets.split()]
    assert sum(word.startswith("Pitch_") for word in words) == len(score.notes)


def test_a_tune_becomes_three_ensembles_one_for_each_voice():
    made = list(examples.Ensembles().examples(piece(tune([60, 62] * 8))))
    assert sorted(example.targets.split()[0] for example in made) == ["P1_NOTEON_60", "P2_NOTEON_60", "TR_NOTEON_60"]
    assert {example.inputs for example in made} == {""}
    # a quarter at tempo 120 is 22,050 samples; the nearest wait is 22,000
    assert all("_NOTEON_60 WT_22000 " in example.targets for example in made)


def test_ensembles_are_the_adapters_and_depend_on_the_piece_alone():
    score = chorale()
    kind = examples.Ensembles(limit=5)
    texts = [example.targets for example in kind.examples(piece(score))]
    tx1 = encodings.get("tx1")
    assert len(texts) == 5
    notes = {len(tx1.decode(tx1.from_text(text)).score.notes) for text in texts}
    assert notes <= {len(made.notes) for made in adapter.ensembles(score, seed=0, limit=100)}
    other = dataclasses.replace(piece(score), id="another")
    assert [example.targets for example in kind.examples(other)] != texts


def test_songs_are_whole_pieces_without_the_waits_around_them():
    score = tune([0, 0, *[60, 62, 64] * 200, 0, 0], program=80, name="p1")
    ends = np.array([(0, 4, 4), (score.end_tick + 4800, 1, 1)], METER)  # NES-MDB's sign: a wait after the last note
    [example] = examples.Songs().examples(piece(dataclasses.replace(score, meters=ends)))
    words = example.targets.split()
    assert example.inputs == ""
    assert (words[0], words[-1]) == ("P1_NOTEON_60", "P1_NOTEOFF")
    assert len(words) == 600 * 2 + 1  # a note and a wait, and the end of the last one
    assert examples.from_config(examples.to_config(examples.Songs(9))) == examples.Songs(9)
    [segment, *_] = examples.Pieces("tx1").examples(piece(score))
    assert segment.targets.split()[:2] == ["WT_44000", "P1_NOTEON_60"]


@pytest.mark.parametrize(("notes", "there"), [(3, False), (4, True)])
def test_songs_of_fewer_than_eight_events_are_left_out(notes: int, there: bool):
    made = list(examples.Songs().examples(piece(tune([60, 62, 64, 65][:notes]))))
    assert [len(example.targets.split()) for example in made] == [2 * notes + 1] * there


def test_what_lakhnes_leaves_out_makes_no_ensemble():
    with pytest.raises(MidiError, match=r"lasts 1\.0 s"):
        list(examples.Ensembles().examples(piece(tune([60, 62]))))
    chord = chorale(4)
    chord = chord.with_notes(np.concatenate([chord.notes, chord.transpose(1).notes]))
    with pytest.raises(MidiError, match="no monophonic track"):
        list(examples.Ensembles().examples(piece(chord)))
