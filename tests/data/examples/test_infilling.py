"""`infill STYLE: ...`: the gap, and what is put into it."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_scores import BAR, chorale, piece, sounding, tune

from t5music.data.examples import Infill
from t5music.errors import ConfigError, MidiError
from t5music.music import encodings
from t5music.music.score import TEMPO

ENCODINGS = ["remi", "performance", "tx1"]
GAP = "<extra_id_0>"


def trio(bars: int = 12):
    """Three voices that tx1 can play as well."""
    score = chorale(bars)
    return score.with_notes(score.notes[score.notes["track"] < 3])


def put(kind: Infill, score, answer: str):
    """The music that an answer in text makes."""
    encoding = encodings.get(kind.encoding)
    return kind.music(score, [encoding.from_text(answer.removeprefix(f"{GAP} "))])


def test_what_is_asked_and_answered_to_the_letter():
    [example] = Infill("folk", "remi").examples(piece(tune([69, 0, 0, 0, 71, 0, 0, 0, 72])))
    assert example.inputs == (
        "infill folk: Bar TimeSig_4/4 Pos_0 Tempo_120 Program_40 Velocity_20 Pitch_69 Duration_12 "
        "<extra_id_0> Bar TimeSig_4/4 Pos_0 Program_40 Velocity_20 Pitch_72 Duration_12"
    )
    assert example.targets == "<extra_id_0> Bar TimeSig_4/4 Pos_0 Program_40 Velocity_20 Pitch_71 Duration_12"


def test_by_a_clock_the_gap_is_from_instant_to_instant():
    [example] = Infill("nes", "tx1").examples(piece(tune([69, 71, 72])))
    assert example == (
        "infill nes: P1_NOTEON_69 WT_22000 <extra_id_0> P1_NOTEON_72 WT_22000 P1_NOTEOFF",
        "<extra_id_0> P1_NOTEON_71 WT_22000",
    )


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_past_gap_and_future_are_the_chunk_again(encoding: str):
    score = trio()
    kind = Infill("x", encoding, words=96)
    made = list(kind.examples(piece(score)))
    assert len(made) > 1
    words = []
    for example in made:
        past, future = example.inputs.removeprefix("infill x: ").split(f" {GAP} ")
        gap = example.targets.removeprefix(f"{GAP} ")
        words += [past, gap, future]
        assert len(f"{past} {gap} {future}".split()) <= 96
        assert 16 <= len(gap.split()) <= 48
    assert encodings.get(encoding).encode(score).tolist()[: len(" ".join(words).split())] == (
        encodings.get(encoding).from_text(" ".join(words)).tolist()
    )


def test_too_little_to_have_a_gap_makes_no_example():
    assert list(Infill("x", "remi").examples(piece(tune([60] * 8)))) == []  # two bars
    pauses = tune([60, 0, 0, 0, *[0] * 4, 62])
    assert list(Infill("x", "remi").examples(piece(pauses))) == []  # nothing but a rest in the gap
    with pytest.raises(MidiError, match="too short"):
        Infill("x", "remi").prompts(tune([60] * 8))


@pytest.mark.parametrize("region", [None, (0.0, 3.0), (4.0, 8.0), (21.0, 24.0)])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_what_was_there_put_back_is_the_music_again(encoding: str, region: tuple[float, float] | None):
    score = trio()
    kind = Infill("x", encoding, region=region)
    codec = encodings.get(encoding)
    events, first, last = kind._gap(score)
    music = put(kind, score, codec.to_text(events[first:last]))
    assert music.score == codec.decode(events).score
    assert music.repairs == 0
    assert len(music.prompt.notes) == len(score.notes) - codec.is_note[events[first:last]].sum()


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_prompt_shows_what_is_around_the_region(encoding: str):
    [prompt] = Infill("x", encoding, words=120, region=(8.0, 12.0)).prompts(trio())
    past, future = prompt.removeprefix("infill x: ").split(f" {GAP} ")
    assert 20 <= len(past.split()) <= 60
    assert 20 <= len(future.split()) <= 60
    [prompt] = Infill("x", "remi", words=120, region=(0.0, 2.0)).prompts(trio())
    assert prompt.startswith(f"infill x: {GAP} Bar ")
    [prompt] = Infill("x", "remi", words=120, region=(22.0, 24.0)).prompts(trio())
    assert prompt.endswith(GAP)


def test_a_region_must_be_one():
    with pytest.raises(ConfigError, match="begin before end"):
        Infill("x", "remi", region=(3.0, 1.0))
    with pytest.raises(
        MidiError, match=r"from 0.0 to 24.0 s \(bars 1 to 12\) has too many notes .* from 0.0 to 14.0 s"
    ):
        Infill("x", "remi", region=(0.0, 24.0)).prompts(trio())


def test_a_bar_of_too_many_words_is_refused():
    crowded = trio(3)
    bar = crowded.notes[(crowded.notes["onset"] >= BAR) & (crowded.notes["onset"] < 2 * BAR)]
    many = np.concatenate([bar] * 12)
    many["pitch"] = 20 + np.arange(len(many))
    crowded = crowded.with_notes(np.concatenate([crowded.notes, many]))
    with pytest.raises(MidiError, match=r"from 2.0 to 4.0 s \(bar 2\) has too many notes"):
        Infill("x", "remi", words=64).prompts(crowded)
    for example in Infill("x", "remi", words=64).examples(piece(crowded)):
        assert len(example.inputs.split()) < 70


def test_bars_that_the_answer_lacks_are_empty_and_those_too_many_left_out():
    score = trio(6)
    kind = Infill("x", "remi", region=(4.0, 8.0))  # bars 2 and 3
    around = {note for note in sounding(score) if not 8 <= note[0] < 16}
    one_bar = "Bar TimeSig_3/4 Pos_0 Program_52 Velocity_20 Pitch_80 Duration_12"
    assert sounding(put(kind, score, one_bar).score) == around | {(8.0, 1.0, 80)}
    four = put(kind, score, " ".join([one_bar] * 4)).score
    assert sounding(four) == around | {(8.0, 1.0, 80), (12.0, 1.0, 80)}
    assert four.meters["tick"].tolist() == [0]  # the bars keep their meter
    assert sounding(put(kind, score, "").score) == around


def test_by_a_clock_an_answer_lasts_as_long_as_the_gap():
    score = tune([60, 62, 64, 65, 67, 69])
    kind = Infill("x", "performance", region=(1.0, 2.0))
    around = {note for note in sounding(score) if not 2 <= note[0] < 4}
    for answer, added in {
        "NOTE_OFF_62 NOTE_ON_64 TIME_SHIFT_50 NOTE_OFF_64 NOTE_ON_65 TIME_SHIFT_50": {(2, 1, 64), (3, 1, 65)},
        "NOTE_OFF_62 ": set(),
        "NOTE_OFF_62 TIME_SHIFT_25 NOTE_ON_80 TIME_SHIFT_25 NOTE_OFF_80": {(2.5, 0.5, 80)},
        "NOTE_OFF_62 NOTE_ON_80 TIME_SHIFT_90": {(2, 2, 80)},  # it would ring for ever
        "NOTE_OFF_62 TIME_SHIFT_100 NOTE_ON_80 TIME_SHIFT_100": set(),
        "NOTE_OFF_62 VELOCITY_32 NOTE_ON_67 TIME_SHIFT_50": {(2, 2, 67)},  # of the pitch of the note to come
    }.items():
        music = put(kind, score, answer)
        assert sounding(music.score) == around | added, answer
        later = music.score.notes[music.score.notes["onset"] >= music.score.ticks(2.0)]
        assert set(later["velocity"]) == {78}
    # A note that the answer should have ended rings on to the gap's end, no further.
    assert sounding(put(kind, score, "").score) == around - {(1, 1, 62)} | {(1, 3, 62)}


def test_the_tempo_after_the_gap_is_what_it_was():
    score = dataclasses.replace(trio(6), tempos=np.array([(0, 500_000), (2 * BAR, 1_000_000)], TEMPO))
    kind = Infill("x", "remi", region=(4.0, 12.0))
    music = put(kind, score, "Bar TimeSig_4/4 Pos_0 Tempo_60 Program_52 Velocity_20 Pitch_80 Duration_12")
    assert music.score.tempos["microseconds"].tolist() == [500_000, 1_000_000]
    music = put(kind, score, "Bar TimeSig_4/4 Pos_0 Program_52 Velocity_20 Pitch_80 Duration_12")
    assert music.score.tempos["tick"].tolist() == [0, 4 * BAR]
    assert music.score.tempos["microseconds"].tolist() == [500_000, 1_000_000]


@settings(max_examples=60)
@given(st.data())
def test_whatever_is_put_in_what_follows_stays(data: st.DataObject):
    """Random words in place of random music: the notes outside of the gap keep their onsets and pitches."""
    encoding = encodings.get(data.draw(st.sampled_from(["performance", "tx1"])))
    score = trio(6)
    begin = data.draw(st.floats(0, 10))
    events, first, last = Infill("x", encoding.name, words=2000, region=(begin, begin + 1.5))._gap(score)
    answer = np.array(data.draw(st.lists(st.integers(0, len(encoding.words) - 1), max_size=30)), np.int32)
    patched = encoding.replace(events, first, last, answer)
    start, end = encoding.times(events)[[first, last]]

    def outside(score) -> set[tuple[float, int]]:
        seconds = score.seconds(score.notes["onset"])
        kept = (seconds < start - 1e-5) | (seconds > end - 1e-5)  # tx1 counts in 44,100ths of a second
        return {(round(float(s), 2), int(p)) for s, p in zip(seconds[kept], score.notes["pitch"][kept], strict=True)}

    assert outside(encoding.decode(patched).score) == outside(encoding.decode(events).score)
    assert encoding.times(patched)[-1] == pytest.approx(encoding.times(events)[-1])


@settings(max_examples=60)
@given(st.data())
def test_whatever_is_put_in_bars_stay_where_they_are(data: st.DataObject):
    remi = encodings.get("remi")
    events, first, last = Infill("x", "remi", region=(4.0, 8.0))._gap(trio(6))
    answer = np.array(data.draw(st.lists(st.integers(0, len(remi.words) - 1), max_size=30)), np.int32)
    patched = remi.replace(events, first, last, answer)
    bar = remi.ids["Bar"]
    assert (patched == bar).sum() == (events == bar).sum()
    assert patched[:first].tolist() == events[:first].tolist()
    follows = len(events) - last
    assert patched[-follows + 5 :].tolist() == events[last + 5 :].tolist()  # but for the tempo, said again
