"""Labels of pieces: inputs -> targets, and that the inputs do not tell them."""

from __future__ import annotations

import csv
import dataclasses
import re
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_scores import NOTHING, chorale, piece, tune

from t5music.corpora.base import Piece
from t5music.data import examples
from t5music.data.examples import Classify, ClassifyKey, ClassifyMeter, ClassifyPrintedKey, ClassifyStyle
from t5music.errors import DataError, MidiError
from t5music.music import midi
from t5music.music.keys import KEYS, key_index
from t5music.music.printed_keys import printed_key
from t5music.music.score import KEY, METER, NOTE, TEMPO, Score

STYLE = ClassifyStyle(
    "style", ("folk", "pop"), "remi", corpora=("jigs", "reels", "hits"), styles=("folk", "folk", "pop")
)
MADE = [Classify("composer", ("bach", "landini"), "remi"), ClassifyKey(), ClassifyMeter(), STYLE]
LABELS = {"composer": "bach", "key": "C major", "corpus": "hits"}


@pytest.mark.parametrize("kind", MADE, ids=lambda kind: kind.kind)
def test_every_kind_comes_back_from_its_config_and_refuses_what_it_cannot_say(kind: Classify):
    assert examples.from_config(examples.to_config(kind)) == kind
    assert list(kind.examples(piece(chorale(16), **LABELS)))
    assert not list(kind.examples(piece(NOTHING, **LABELS)))
    endless = np.array([(0, 1, 60, 80, 0, 0), (1_000_000, 1, 60, 80, 0, 0)], NOTE)  # 250,000 bars
    with pytest.raises(MidiError, match="bars"):
        list(kind.examples(piece(Score(1, endless, meters=np.array([(0, 4, 4)], METER)), **LABELS)))


def test_a_label_is_asked_of_segments_and_unknown_values_are_left_out():
    kind = Classify("composer", ("bach", "landini"), "remi", words=64, segments=2)
    made = list(kind.examples(piece(chorale(), composer="bach")))
    assert [example.targets for example in made] == ["bach", "bach"]
    assert made[0].inputs.startswith("classify composer: Bar TimeSig_4/4 Pos_0 ")
    assert [example.inputs for example in made] == kind.prompts(chorale())
    assert not list(kind.examples(piece(chorale(), composer="")))
    assert not list(kind.examples(piece(chorale(), composer="ciconia")))
    with pytest.raises(DataError, match="at least two"):
        Classify("composer", ("bach",), "remi")


def test_segments_of_so_many_notes():
    """As MIDI-BERT's: from the bar of the first note on, without velocities; an end of too few notes is left out."""
    score = tune([60, 62, 64, 65, 67, 69, 71])
    kind = Classify("composer", ("bach", "landini"), "remi", segments=None, notes=3, fewest=2, bare=True)
    made = [example.inputs for example in kind.examples(piece(score, composer="bach"))]
    assert made == kind.prompts(score) == [
        "classify composer: Bar TimeSig_4/4 Pos_0 Tempo_120 Pitch_60 Duration_12 Pos_12 Pitch_62 Duration_12 "
        "Pos_24 Pitch_64 Duration_12",
        "classify composer: Bar TimeSig_4/4 Pos_0 Tempo_120 Pos_36 Pitch_65 Duration_12 Bar TimeSig_4/4 "
        "Pos_0 Pitch_67 Duration_12 Pos_12 Pitch_69 Duration_12",
    ]  # fmt: skip
    one = dataclasses.replace(kind, segments=1)
    assert one.prompts(score) == made[:1]
    whole = dataclasses.replace(kind, fewest=1, bare=False)
    assert [prompt.count("Pitch_") for prompt in whole.prompts(score)] == [3, 3, 1]
    assert "Velocity_" in whole.prompts(score)[0]


def test_music_with_too_few_notes_to_learn_from_can_be_asked_about():
    kind = Classify("composer", ("bach", "landini"), "remi", notes=512, fewest=256)
    assert not list(kind.examples(piece(tune([60, 62]), composer="bach")))
    assert [prompt.count("Pitch_") for prompt in kind.prompts(tune([60, 62]))] == [2]
    assert kind.prompts(NOTHING) == []


def test_notes_go_with_remi_and_their_numbers_with_each_other():
    for more in ({"notes": 5}, {"bare": True}):
        with pytest.raises(DataError, match="go with remi, not with performance"):
            Classify("composer", ("bach", "landini"), "performance", **more)
    for more in ({"notes": 0}, {"notes": 4, "fewest": 5}):
        with pytest.raises(DataError, match="no more than it has"):
            Classify("composer", ("bach", "landini"), "remi", **more)
    config = examples.to_config(MADE[0])
    before = {name: config[name] for name in set(config) - {"notes", "fewest", "bare"}}
    assert examples.from_config(before) == MADE[0]  # as stores and checkpoints have it that were made without


# -------------------------------------------------------------------------------------------------------------- key


def test_names_of_keys():
    assert len(set(KEYS)) == 24
    assert [key_index(key) for key in KEYS] == list(range(24))
    assert [key_index(name) for name in ("G", "Am", "F#m", "B- minor", "Bbmin", "Cb")] == [7, 21, 18, 22, 22, 11]
    assert {key_index(name) for name in ("", "Ador", "H", "D mix", "none", "GM", "am")} == {None}


def test_key_moves_with_the_music():
    """`classify key`: all twelve transpositions of a phrase in D minor."""
    phrase = tune([62, 65, 69, 74, 73, 74, 69, 62])
    made = list(ClassifyKey(versions=12).examples(piece(phrase, key="D minor")))
    assert len(made) == len({example.inputs for example in made}) == 12
    for example in made:
        prompt, words = example.inputs.split(": ")
        assert prompt == "classify key"
        pitches = [int(pitch) for pitch in re.findall(r"Pitch_(\d+)", words)]
        assert KEYS[12 + pitches[0] % 12] == example.targets  # the phrase begins with its tonic
        assert np.diff(pitches).tolist() == [3, 4, 5, -1, 1, -5, -7]


@settings(max_examples=20, deadline=None)
@given(st.integers(-6, 6), st.sampled_from(KEYS))
def test_the_key_of_the_file_cannot_be_told_from_the_inputs(interval: int, key: str):
    """A piece moved by its editor, and called by its new key, makes the same examples but for an octave."""

    def made(moved: int) -> Counter[tuple[str, str]]:
        new = KEYS[(key_index(key) + moved) % 12 + key_index(key) // 12 * 12]
        found = ClassifyKey(versions=12).examples(piece(tune([60, 64, 67, 71, 72, 65]).transpose(moved), key=new))
        return Counter(
            (re.sub(r"Pitch_(\d+)", lambda pitch: f"Pitch_{int(pitch[1]) % 12}", example.inputs), example.targets)
            for example in found
        )

    assert made(interval) == made(0)


def test_the_key_is_that_of_the_beginning():
    phrase = dataclasses.replace(tune([60] * 16), keys=np.array([(0, 1, False), (4 * 480, -3, True)], KEY))
    assert {e.inputs.count("Pitch_") for e in ClassifyKey().examples(piece(phrase, key="G major"))} == {4}
    assert not list(ClassifyKey().examples(piece(phrase)))  # signatures are not believed
    assert not list(ClassifyKey().examples(piece(phrase, key="A dorian")))  # no place among the 24 keys


def printed(pitches: list[int], *signatures: tuple[int, int, bool]) -> Score:
    """A tune with key signatures: (tick, sharps, minor) each."""
    return dataclasses.replace(tune(pitches), keys=np.array(list(signatures), KEY))


@given(st.integers(-7, 7), st.booleans())
def test_a_printed_key_is_that_of_signature_and_end(sharps: int, minor: bool):
    tonic = (7 * sharps + 9 * minor) % 12
    score = printed([60, 62, 60 + tonic], (0, sharps, minor), (480, sharps, minor))
    assert printed_key(score) == tonic + 12 * minor
    answers = {example.targets for example in ClassifyPrintedKey(versions=12).examples(piece(score))}
    assert answers == set(KEYS[12 * minor : 12 * minor + 12])


@pytest.mark.parametrize(
    "score",
    [
        tune([60, 64, 60]),  # no signature
        printed([60, 64, 62], (0, 0, False)),  # D dorian
        printed([60, 64, 60], (0, 0, True)),  # says A minor and ends in C major
        printed([60, 64, 60], (0, 0, False), (480, 1, False)),
        dataclasses.replace(NOTHING, keys=np.array([(0, 0, False)], KEY)),
    ],
)
def test_what_signature_and_end_do_not_agree_on_is_no_printed_key(score: Score):
    assert printed_key(score) is None
    assert not list(ClassifyPrintedKey().examples(piece(score, key="C major")))


def test_the_end_is_the_lowest_note_that_sounds_at_the_last_onset():
    """A suspension over the bass A, whose third comes late: A minor without a word of it in the signature."""
    notes = np.array([(0, 960, 60, 80, 0, 0), (960, 960, 45, 80, 0, 1), (1440, 480, 60, 80, 0, 0)], NOTE)
    score = Score(480, notes, keys=np.array([(0, 0, False)], KEY))
    assert KEYS[printed_key(score)] == "A minor"


def test_intervals_that_leave_the_encoding_s_pitches_are_passed_over():
    made = list(ClassifyKey(versions=12).examples(piece(tune([2, 7, 11]), key="G major")))
    assert sorted(example.targets for example in made) == sorted(KEYS[(7 + i) % 12] for i in range(-2, 6))


# ------------------------------------------------------------------------------------------------------------ meter


def jig(numerator: int, denominator: int, tempo: int = 500_000) -> Score:
    """48 eighths, in bars as stated."""
    notes = np.array([(n * 240, 240, 60 + n % 6, 80, 0, 0) for n in range(48)], NOTE)
    meters, tempos = np.array([(0, numerator, denominator)], METER), np.array([(0, tempo)], TEMPO)
    return Score(480, notes, meters=meters, tempos=tempos)


@pytest.mark.parametrize("stated", [(6, 8), (3, 4), (4, 4), (2, 2)])
def test_the_same_notes_in_another_meter_and_tempo_make_the_same_inputs(stated: tuple[int, int]):
    """`classify meter`: nothing of bars and tempo is left in the words."""
    [example] = ClassifyMeter().examples(piece(jig(*stated, tempo=300_000 + 1000 * stated[0])))
    [other] = ClassifyMeter().examples(piece(jig(9, 8)))
    assert example.targets == f"{stated[0]}/{stated[1]}"
    assert example.inputs == other.inputs
    assert example.inputs.startswith("classify meter: Bar TimeSig_12/4 Pos_0 Tempo_120 ")
    assert set(re.findall(r"(?:TimeSig|Tempo)_\S+", example.inputs)) == {"TimeSig_12/4", "Tempo_120"}
    assert example.inputs.count("Pitch_") == 48


def test_the_bar_line_falls_anywhere_on_the_grid():
    firsts = set()
    for number in range(200):
        [example] = ClassifyMeter().examples(Piece(str(number), jig(6, 8)))
        firsts.add(re.search(r"(Pos_\d+) (?:Tempo_120 )?Program", example.inputs)[1])
    assert firsts == {f"Pos_{6 * eighth}" for eighth in range(24)}


def test_each_meter_is_asked_of_its_own_music():
    score = dataclasses.replace(jig(2, 4), meters=np.array([(0, 2, 4), (8 * 480, 3, 4), (20 * 480, 7, 8)], METER))
    made = list(ClassifyMeter().examples(piece(score)))
    assert [(e.targets, e.inputs.count("Pitch_")) for e in made] == [("2/4", 16), ("3/4", 24)]  # 7/8 is no answer
    assert not list(ClassifyMeter(shortest=5).examples(piece(score)))
    assert not list(ClassifyMeter().examples(piece(dataclasses.replace(score, meters=np.empty(0, METER)))))
    [prompt] = ClassifyMeter().prompts(jig(6, 8))
    assert "12/4" in prompt
    assert "6/8" not in prompt


# ------------------------------------------------------------------------------------------------------------ style


def test_style_is_that_of_the_corpus_and_only_notes_are_seen():
    """`classify style`: neither instruments nor velocities, tempi, meters or percussion are in the words."""
    played = tune([60, 64, 67], program=0)
    drums = np.array([(0, 10, 36, 127, 128, 1)], NOTE)
    other = tune([60, 64, 67], program=40)
    loud = other.notes.copy()
    loud["velocity"] = [1, 64, 127]
    made_up = dataclasses.replace(
        other,
        notes=np.concatenate([loud, drums]),
        tempos=np.array([(0, 777_777)], TEMPO),
        meters=np.array([(0, 3, 8)], METER),
    )
    [folk] = STYLE.examples(piece(played, corpus="reels"))
    [pop] = STYLE.examples(piece(made_up, corpus="hits"))
    assert (folk.targets, pop.targets) == ("folk", "pop")
    assert folk.inputs == pop.inputs
    assert folk.inputs.startswith("classify style: Bar TimeSig_12/4 Pos_0 Tempo_120 Program_0 Velocity_16 Pitch_60 ")
    assert not list(STYLE.examples(piece(played, corpus="waltzes")))
    assert not list(STYLE.examples(piece(played)))


def test_styles_must_fit_their_corpora():
    with pytest.raises(DataError, match="do not fit"):
        ClassifyStyle("style", ("folk", "pop"), "remi", corpora=("jigs",), styles=("folk",))
    with pytest.raises(DataError, match="2 corpora"):
        ClassifyStyle("style", ("folk", "pop"), "remi", corpora=("jigs", "hits"), styles=("folk",))


# ------------------------------------------------------------------------------------------------------- real music


@pytest.mark.data
@pytest.mark.parametrize(("archive", "label"), [("emopia", "emotion"), ("pianist8", "composer")])
def test_every_real_piece_is_asked_for_its_label(real_music, archive: str, label: str):
    root = real_music(archive)
    rows = list(csv.DictReader((root / "manifest.csv").read_text("utf-8").splitlines()))[::40]
    values = tuple(sorted({row[label] for row in rows}))
    kind = Classify(label, values, "remi", words=480, segments=3)
    asked: Counter[str] = Counter()
    for row in rows:
        made = list(kind.examples(Piece(row["file"], midi.read(root / row["file"]), {label: row[label]})))
        assert 1 <= len(made) <= 3
        assert {example.targets for example in made} == {row[label]}
        asked[row[label]] += 1
    assert asked == Counter(row[label] for row in rows)


@pytest.mark.data
def test_meters_of_real_tunes_are_those_of_their_abc(real_music):
    root = real_music("nottingham")
    for tune_set in ("jigs", "waltzes", "slip"):
        tunes = re.split(r"(?m)^(?=X:)", (root / "ABC_cleaned" / f"{tune_set}.abc").read_text("utf-8"))[1:]
        for text in tunes[:12]:
            number = re.match(r"X:\s*(\d+)", text)[1]
            score = midi.read(root / "MIDI" / f"{tune_set}{number}.mid")
            stated = set(re.findall(r"(?m)^M:\s*(\S+)", text))
            assert {example.targets for example in ClassifyMeter().examples(piece(score))} <= stated
