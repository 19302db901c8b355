"""Labels of notes: one word for each note of the input, and back onto the notes."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_scores import NOTHING, piece
from strategies import scores

from t5music.data import examples
from t5music.data.examples import LabelNotes
from t5music.data.vocabulary import DYNAMICS, ROLES, default
from t5music.errors import DataError, MidiError
from t5music.music import midi
from t5music.music.note_classes import skyline
from t5music.music.score import DRUMS, NOTE, PEDAL, Score

MELODY, VELOCITY = LabelNotes("melody"), LabelNotes("velocity")
TRACKS = ("MELODY", "BRIDGE", "PIANO")
M, B, A = ROLES


def song(*notes: tuple[int, int, int, int, int]) -> Score:
    """Notes (onset and duration in quarters, pitch, velocity, track) of a song in POP909's tracks."""
    rows = [
        (onset * 480, duration * 480, pitch, velocity, 0, track) for onset, duration, pitch, velocity, track in notes
    ]
    return Score(480, np.array(rows, NOTE), track_names=TRACKS)


SONG = song((0, 4, 48, 50, 2), (0, 1, 72, 100, 0), (1, 1, 74, 90, 0), (1, 1, 67, 70, 1), (2, 2, 76, 110, 0))


def test_extract_melody():
    [example] = MELODY.examples(piece(SONG))
    assert example.inputs == (
        "extract melody: Bar TimeSig_4/4 Pos_0 Tempo_120 Pitch_48 Duration_48 Pitch_72 Duration_12 "
        "Pos_12 Pitch_67 Duration_12 Pitch_74 Duration_12 Pos_24 Pitch_76 Duration_24"
    )
    assert example.targets == f"{A} {M} {B} {M} {M}"


def test_predict_velocity():
    [example] = VELOCITY.examples(piece(SONG))
    assert example.inputs == MELODY.prompts(SONG)[0].replace("extract melody", "predict velocity")
    assert example.targets == "Dynamic_mp Dynamic_ff Dynamic_mf Dynamic_f Dynamic_ff"


def test_every_one_of_several_notes_of_one_pitch_has_its_words():
    """A melody that the piano doubles, longer and shorter; notes that nothing tells apart come in the labels' order."""
    doubled = song((0, 2, 60, 80, 2), (0, 1, 60, 90, 0), (0, 1, 64, 80, 2), (2, 1, 60, 80, 2), (2, 1, 60, 90, 0))
    [example] = MELODY.examples(piece(doubled))
    assert example.inputs.endswith(
        "Pos_0 Tempo_120 Pitch_60 Duration_24 Pitch_64 Duration_12 Pitch_60 Duration_12 "
        "Pos_24 Pitch_60 Duration_12 Pitch_60 Duration_12"
    )
    assert example.targets == f"{A} {A} {M} {M} {A}"


def test_chunks_of_so_many_notes():
    """As MIDI-BERT cuts them: by onset, track and pitch, in the middle of a bar; the words are remi's."""
    late = np.array([(5 * 1920 + 480, 480, 60, 80, 0, 2)], NOTE)
    score = Score(480, np.concatenate([SONG.notes, late]), track_names=TRACKS)
    made = list(LabelNotes("melody", notes=2).examples(piece(score)))
    assert [example.inputs.removeprefix("extract melody: ") for example in made] == [
        "Bar TimeSig_4/4 Pos_0 Tempo_120 Pitch_48 Duration_48 Pitch_72 Duration_12",
        "Bar TimeSig_4/4 Pos_0 Tempo_120 Pos_12 Pitch_67 Duration_12 Pitch_74 Duration_12",
        "Bar TimeSig_4/4 Pos_0 Tempo_120 Pos_24 Pitch_76 Duration_24 "
        + "Bar TimeSig_4/4 " * 5
        + "Pos_12 Pitch_60 Duration_12",
    ]
    assert [example.targets for example in made] == [f"{A} {M}", f"{B} {M}", f"{M} {A}"]
    [*_, last] = LabelNotes("melody", notes=5).examples(piece(score))
    assert last.inputs == (
        "extract melody: Bar TimeSig_4/4 Pos_0 Tempo_120 Pos_12 Pitch_60 Duration_12"  # no bars of rest before it
    )


def test_by_track_what_begins_together_is_melody_bridge_accompaniment():
    kind = LabelNotes("melody", order="track")
    [example] = kind.examples(piece(SONG))
    assert example.inputs == (
        "extract melody: Bar TimeSig_4/4 Pos_0 Tempo_120 Pitch_72 Duration_12 Pitch_48 Duration_48 "
        "Pos_12 Pitch_74 Duration_12 Pitch_67 Duration_12 Pos_24 Pitch_76 Duration_24"
    )
    assert example.targets == f"{M} {A} {M} {B} {M}"
    doubled = song((0, 2, 60, 80, 2), (0, 1, 60, 90, 0), (0, 1, 64, 80, 2), (0, 1, 55, 80, 2))
    [example] = kind.examples(piece(doubled))
    assert re.findall(r"Pitch_\d+", example.inputs) == ["Pitch_60", "Pitch_55", "Pitch_60", "Pitch_64"]
    assert example.targets == f"{M} {A} {A} {A}"


def test_answers_are_one_id_a_note():
    [example] = MELODY.examples(piece(SONG))
    vocabulary = default()
    inputs, targets = vocabulary.encode(example.inputs), vocabulary.encode(example.targets)
    assert vocabulary.is_note[inputs].sum() == len(targets) == len(SONG.notes)
    for kind in (MELODY, VELOCITY):
        assert all(len(vocabulary.encode(word)) == 1 for word in kind.values)


def test_config_and_what_is_refused():
    for kind in (MELODY, VELOCITY):
        assert examples.from_config(examples.to_config(kind)) == kind
        with pytest.raises(MidiError, match="no pitched notes"):
            kind.prompts(NOTHING)
    with pytest.raises(DataError, match="did you mean 'melody'"):
        LabelNotes("melodie")
    with pytest.raises(DataError, match="must be remi's"):
        LabelNotes("melody", "performance")
    with pytest.raises(DataError, match="at least 1 note, not 0"):
        LabelNotes("melody", notes=0)
    with pytest.raises(DataError, match="by pitch or track, not by channel"):
        LabelNotes("melody", order="channel")
    before = {name: value for name, value in examples.to_config(MELODY).items() if name not in ("notes", "order")}
    assert examples.from_config(before) == MELODY  # as stores and checkpoints have it that were made without


def test_pieces_without_such_labels_are_refused():
    other = Score(480, SONG.notes, track_names=("MELODY", "BRIDGE", "Cello"))
    with pytest.raises(MidiError, match="'Cello' is none of POP909's"):
        list(MELODY.examples(piece(other)))
    notes = SONG.notes.copy()
    notes["velocity"] = 80  # printed music
    with pytest.raises(MidiError, match="one velocity"):
        list(VELOCITY.examples(piece(SONG.with_notes(notes))))


@settings(max_examples=50, deadline=None)
@given(
    scores(max_notes=16, max_tracks=3),
    st.sampled_from([16, 24, 480]),
    st.sampled_from([None, 1, 5]),
    st.sampled_from(["pitch", "track"]),
    st.data(),
)
def test_answers_find_their_notes(score: Score, words: int, notes: int | None, order: str, data: st.DataObject):
    """As many note words as answers in every window; together each pitched note once; and back on the same notes."""
    kind = LabelNotes("velocity", words=words, notes=notes, order=order)
    pitched = score.notes["program"] != DRUMS
    if len(np.unique(score.notes["velocity"])) < 2:
        with pytest.raises(MidiError, match="one velocity"):
            list(kind.examples(piece(score)))
        return
    made = list(kind.examples(piece(score)))
    for example in made:
        prompt, text = example.inputs.split(": ")
        assert prompt == "predict velocity"
        assert len(re.findall(r"\bPitch_", text)) == len(example.targets.split())
        assert not re.search("Velocity|Program|Drum", text)
        assert len(text.split()) <= words if notes is None else len(example.targets.split()) <= notes
    if not made:
        assert not pitched.any()
        return
    assert sum(len(example.targets.split()) for example in made) == pitched.sum()
    truth = np.where(pitched, np.searchsorted([32, 48, 64, 80, 96], score.notes["velocity"], side="right"), -1)
    found = kind.classes(score, [example.targets for example in made])
    if [example.inputs for example in made] == kind.prompts(score):
        # Notes that nothing tells apart may change places: pitch by pitch the classes are the same.
        for pitch in np.unique(score.notes["pitch"]):
            mine = score.notes["pitch"] == pitch
            assert sorted(found[mine]) == sorted(truth[mine])
    cut = data.draw(st.integers(0, len(made[0].targets.split()) - 1))
    answers = [" ".join(made[0].targets.split()[:cut]), *("nonsense" for _ in made[1:])]
    assert (kind.classes(score, answers) >= 0).sum() == cut
    with pytest.raises(DataError, match="answers to"):
        kind.classes(score, [*answers, ""])


def test_labels_on_the_notes():
    drums = np.array([(0, 100, 36, 100, DRUMS, 1)], NOTE)
    merged = SONG.notes.copy()
    merged["track"] = 0
    pedals = np.array([(0, 480, 0)], PEDAL)
    score = Score(480, np.concatenate([merged, drums]), pedals=pedals, track_names=("piano", "drums"))
    [example] = MELODY.examples(piece(SONG))
    classes = MELODY.classes(score, [example.targets])
    assert classes.tolist() == [2, 0, -1, 1, 0, 0]  # by onset, track, pitch; the third one is the drum
    labelled = MELODY.labelled(score, classes)
    assert labelled.track_names == TRACKS
    assert labelled.notes["pitch"][labelled.notes["track"] == 0].tolist() == [72, 74, 76]
    assert labelled.notes["program"][labelled.notes["pitch"] == 36].tolist() == [DRUMS]
    assert labelled.pedals["track"].tolist() == [0, 1, 2]

    [example] = VELOCITY.examples(piece(SONG))
    loud = VELOCITY.labelled(score, VELOCITY.classes(score, [example.targets]))
    assert loud.notes["velocity"].tolist() == [56, 112, 100, 72, 88, 112]  # the drum keeps its own
    assert [DYNAMICS[i] for i in VELOCITY._truth(loud)[:2]] == example.targets.split()[:2]


# ------------------------------------------------------------------------------------------------------- real music


@pytest.mark.data
def test_pop909_s_answers_are_its_tracks(real_music):
    """Every note of POP909 is asked for, and the shares are those of the tracks: 20.2, 16.1 and 63.7 %."""
    root = real_music("pop909")
    paths = sorted(root.glob("POP909/*/*.mid"))[::30]
    roles: Counter[str] = Counter()
    tracks: Counter[str] = Counter()
    for path in paths:
        score = midi.read(path)
        tracks.update(np.array(score.track_names)[score.notes["track"]].tolist())
        for example in MELODY.examples(piece(score)):
            assert len(example.inputs.split()) <= 482
            roles.update(example.targets.split())
    assert [roles[role] for role in ROLES] == [tracks[track] for track in TRACKS]
    shares = np.array([roles[role] for role in ROLES]) / roles.total()
    np.testing.assert_allclose(shares, [0.202, 0.161, 0.637], atol=0.03)


@pytest.mark.data
def test_the_skyline_finds_most_of_pop909_s_melody_and_goes_on_tracks(real_music):
    root = real_music("pop909")
    right, notes = 0, 0
    for path in sorted(root.glob("POP909/*/*.mid"))[::90]:
        score = midi.read(path)
        [*prompts] = MELODY.prompts(score)
        top = skyline(score)
        labelled = MELODY.labelled(score, top)
        assert (labelled.notes["track"] == 0).sum() == (top == 0).sum()
        names = np.array(score.track_names)[score.notes["track"]]
        right += int(((top == 0) == (names == "MELODY")).sum())
        notes += len(names)
        assert sum(prompt.count(" Pitch_") for prompt in prompts) == len(score.notes)
    assert right / notes > 0.7
