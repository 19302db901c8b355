"""`accompany STYLE: ...`: chorales, songs and folk tunes."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from small_scores import BAR, NOTHING, QUARTER, chorale, piece, sounding, tune

from t5music.data.examples import Accompany
from t5music.errors import DataError, MidiError
from t5music.music import encodings
from t5music.music.score import NOTE, Score

REMI = encodings.get("remi")
CHORALE = Accompany("chorale", "remi", part=("soprano",), bars=2)


def song() -> Score:
    """POP909's three tracks: a melody in bars 2 and 4, a bridge in bar 3, the piano throughout; all of one program."""
    notes = [(bar * BAR + beat * QUARTER, QUARTER, 72, 80, 0, 0) for bar in (1, 3) for beat in range(4)]
    notes += [(2 * BAR, BAR, 67, 80, 0, 1)]
    notes += [(bar * BAR, BAR, 48 + bar, 80, 0, 2) for bar in range(4)]
    return Score(QUARTER, np.array(notes, NOTE), track_names=("MELODY", "BRIDGE", "PIANO"))


def answers(kind: Accompany, score: Score) -> list[np.ndarray]:
    """The true answers of a score."""
    return [REMI.from_text(example.targets) for example in kind.examples(piece(score))]


def test_what_is_asked_and_answered_to_the_letter():
    score = chorale(1)
    [example] = Accompany("chorale", "remi", part=("soprano", "alto"), answer=("bass",)).examples(piece(score))
    assert example.inputs == (
        "accompany chorale: Bar TimeSig_4/4 Pos_0 Tempo_120 Program_52 Velocity_20 Pitch_67 Duration_24 Pitch_72 "
        "Duration_12 Pos_12 Pitch_73 Duration_12 Pos_24 Pitch_67 Duration_24 Pitch_74 Duration_12 Pos_36 Pitch_75 "
        "Duration_12"
    )
    assert example.targets == (
        "Bar TimeSig_4/4 Pos_0 Tempo_120 Program_52 Velocity_20 Pitch_48 Duration_24 Pos_24 Pitch_48 Duration_24"
    )


def test_splits_the_given_part_from_the_others():
    made = list(CHORALE.examples(piece(chorale())))
    assert len(made) == 4
    given = made[0].inputs.removeprefix("accompany chorale: ")
    assert [word for word in given.split() if word.startswith("Pitch_")][:4] == [f"Pitch_{72 + b}" for b in range(4)]
    assert "Pitch_72" not in made[0].targets
    assert sum(word.startswith("Pitch_") for word in made[0].targets.split()) == 2 * 2 * 3


def test_of_a_song_the_piano_accompanies_the_melody_where_there_is_one():
    kind = Accompany("pop", "remi", part=("melody",), answer=("piano",), bars=1)
    made = list(kind.examples(piece(song())))
    assert len(made) == 2
    assert ["Pitch_49" in made[0].targets, "Pitch_51" in made[1].targets] == [True, True]
    assert not any("Pitch_67" in example.inputs + example.targets for example in made)  # the bridge
    everything = Accompany("pop", "remi", part=("melody",), bars=4)
    [example] = everything.examples(piece(song()))
    assert "Pitch_67" in example.targets


def test_a_piece_without_the_named_parts_makes_no_example():
    assert list(CHORALE.examples(piece(tune([60] * 8)))) == []
    assert list(Accompany("folk", "remi", part=("melody",)).examples(piece(tune([60] * 8)))) == []  # nobody else
    assert list(Accompany("pop", "remi", ("melody",), answer=("drums",)).examples(piece(song()))) == []


@pytest.mark.parametrize(
    ("kind", "score"),
    [
        (CHORALE, chorale(5)),
        (Accompany("chorale", "remi", ("soprano", "bass"), bars=3, answer=("alto", "tenor")), chorale(4)),
        (Accompany("pop", "remi", ("melody",), bars=1, answer=("piano",)), song()),
        (Accompany("pop", "remi", ("melody", "bridge"), bars=4), song()),
    ],
)
def test_the_true_answers_give_the_music_again(kind: Accompany, score: Score):
    names = [name.lower() for name in score.track_names]
    given = [names.index(name) for name in kind.part]
    wanted = [names.index(name) for name in kind.answer or set(names) - set(kind.part)]
    assert len(kind.prompts(score)) == len(list(kind.examples(piece(score))))
    music = kind.music(score, answers(kind, score))
    covered = {note for note in sounding(score, wanted)}
    if kind.bars == 1:  # windows without melody are not accompanied
        covered = {note for note in covered if note[0] in (4.0, 12.0)}
    assert sounding(music.prompt) == sounding(score, given)
    assert sounding(music.score) == sounding(score, given) | covered
    assert music.repairs == 0


def test_a_prompt_is_asked_as_in_training():
    made = [example.inputs for example in CHORALE.examples(piece(chorale(5)))]
    assert CHORALE.prompts(chorale(5)) == made
    first = dataclasses.replace(chorale(5), track_names=("Voice",) * 4)  # no names: the first track is given
    assert CHORALE.prompts(first) == made


def test_an_answer_ends_with_its_window_and_has_a_track_for_each_program():
    score = chorale(4)
    bar = "Bar TimeSig_4/4 Pos_0 Tempo_120 Program_{} Velocity_20 Pitch_40 Duration_12"
    organ, long = bar.format(19), " ".join([bar.format(32)] * 5)
    music = CHORALE.music(score, [REMI.from_text(long), REMI.from_text(organ)])
    assert sounding(music.score) == sounding(music.prompt) | {(0, 1, 40), (4, 1, 40), (8, 1, 40)}
    assert len(music.score.track_names) == 3
    tracks = {int(note["program"]): int(note["track"]) for note in music.score.notes}
    assert tracks == {52: 0, 19: 1, 32: 2}


def test_it_needs_bars_and_notes():
    with pytest.raises(DataError, match="has no bars"):
        Accompany("nes", "tx1", part=("p1",))
    with pytest.raises(MidiError, match="no notes"):
        CHORALE.prompts(NOTHING)
