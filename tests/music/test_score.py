from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import any_scores, scores

from t5music.errors import MidiError
from t5music.music import midi
from t5music.music.score import DRUMS, KEY, METER, NOTE, PEDAL, TEMPO, Score, pedal_spans


def score_of(*notes: tuple, resolution: int = 480, **fields) -> Score:
    """A score from (onset, duration, pitch, velocity, program, track)."""
    return Score(resolution, np.array(list(notes), NOTE), **fields)


# ------------------------------------------------------------------------------------------------------ construction


@given(any_scores(), st.randoms(use_true_random=False))
@settings(deadline=None)
def test_scores_with_the_same_notes_are_equal_in_whatever_order_these_came(score, random):
    order = list(range(len(score.notes)))
    random.shuffle(order)
    pedal_order = list(range(len(score.pedals)))
    random.shuffle(pedal_order)
    assert replace(score, notes=score.notes[order], pedals=score.pedals[pedal_order]) == score


def test_the_arrays_are_the_scores_own_and_cannot_be_written():
    notes = np.array([(0, 1, 60, 64, 0, 0)], NOTE)
    score = Score(480, notes)
    notes["pitch"] = 1
    assert score.notes["pitch"].tolist() == [60]
    with pytest.raises(ValueError, match="read-only"):
        score.notes["pitch"] = 1


def test_every_track_has_a_name():
    score = score_of((0, 1, 60, 64, 0, 2), track_names=("bass",))
    assert score.track_names == ("bass", "", "")
    assert score_of(pedals=np.array([(0, 1, 1)], PEDAL)).track_names == ("", "")


def test_a_score_without_ticks_is_refused():
    with pytest.raises(MidiError, match="ticks per quarter must be positive, not 0"):
        score_of(resolution=0)


@pytest.mark.parametrize("field", ["ticks_per_quarter", "notes", "tempos", "meters", "keys", "pedals", "track_names"])
def test_equality_looks_at_every_field(field):
    score = score_of((0, 1, 60, 64, 0, 0))
    other = {
        "ticks_per_quarter": 481,
        "notes": np.array([(0, 1, 60, 65, 0, 0)], NOTE),
        "tempos": np.array([(0, 1)], TEMPO),
        "meters": np.array([(0, 3, 4)], METER),
        "keys": np.array([(0, 1, False)], KEY),
        "pedals": np.array([(0, 1, 0)], PEDAL),
        "track_names": ("x",),
    }
    assert score != replace(score, **{field: other[field]})
    assert score == replace(score)


# -------------------------------------------------------------------------------------------------------------- time


def test_seconds_follow_the_tempo_map():
    tempos = np.array([(480, 1_000_000), (960, 250_000), (960, 2_000_000)], TEMPO)
    score = score_of((0, 1440, 60, 64, 0, 0), tempos=tempos)
    # the default half second, then one second, then two seconds a quarter: the last of the two tempi at tick 960
    assert score.seconds(np.array([0, 240, 480, 960, 1440])).tolist() == [0.0, 0.25, 0.5, 1.5, 3.5]
    assert score.duration_seconds == 3.5
    assert score.ticks(np.array([0.0, 0.25, 0.5, 1.5, 3.5])).tolist() == [0, 240, 480, 960, 1440]


@given(scores(), st.lists(st.integers(0, 50_000), max_size=20))
@settings(deadline=None)
def test_ticks_undo_seconds(score, ticks):
    assert score.ticks(score.seconds(np.array(ticks))).tolist() == ticks


@given(scores(), st.lists(st.integers(0, 50_000), min_size=2, max_size=20))
@settings(deadline=None)
def test_seconds_never_go_back(score, ticks):
    seconds = score.seconds(np.array(sorted(ticks)))
    assert seconds[0] >= 0
    assert (np.diff(seconds) >= 0).all()


@given(scores(), st.integers(0, 5_000))
@settings(deadline=None)
def test_seconds_are_the_sum_over_ticks_of_their_tempo(score, tick):
    changes = dict(score.tempos.tolist())
    microseconds, total = 500_000, 0
    for now in range(tick):
        microseconds = changes.get(now, microseconds)
        total += microseconds
    assert score.seconds(tick) == pytest.approx(total / (1e6 * score.ticks_per_quarter), rel=1e-12)


# -------------------------------------------------------------------------------------------------------------- bars


def test_bars_of_changing_meters():
    meters = np.array([(0, 3, 4), (2880, 6, 8), (5000, 2, 4)], METER)
    starts, kinds = score_of((0, 6000, 60, 64, 0, 0), meters=meters).bars()
    assert starts.tolist() == [0, 1440, 2880, 4320, 5000, 5960]  # the bar at 4320 is cut short by the meter at 5000
    assert kinds.tolist() == [[3, 4], [3, 4], [6, 8], [6, 8], [2, 4], [2, 4]]
    assert (starts.dtype, kinds.dtype) == (np.int64, np.int16)


def test_bars_are_of_four_quarters_until_a_meter_is_stated():
    starts, kinds = score_of((0, 4800, 60, 64, 0, 0), meters=np.array([(2000, 3, 4)], METER)).bars()
    assert starts.tolist() == [0, 1920, 2000, 3440]
    assert kinds.tolist() == [[4, 4], [4, 4], [3, 4], [3, 4]]


def test_bars_end_with_the_music():
    meters = np.array([(10**12, 1, 128)], METER)
    assert score_of((0, 100, 60, 64, 0, 0), meters=meters).bars()[0].tolist() == [0]
    assert score_of().bars()[0].tolist() == [0]
    assert score_of((0, 1920, 60, 64, 0, 0)).bars()[0].tolist() == [0]  # nothing begins at the last bar's end
    assert score_of((0, 1921, 60, 64, 0, 0)).bars()[0].tolist() == [0, 1920]


@given(scores())
@settings(deadline=None)
def test_bars_are_as_long_as_their_meter_or_cut_by_the_next(score):
    starts, kinds = score.bars()
    assert starts[0] == 0
    lengths = np.maximum(1, kinds[:, 0].astype(int) * 4 * score.ticks_per_quarter // kinds[:, 1])
    gaps = np.diff(starts)
    assert (gaps > 0).all()
    changed = np.isin(starts[1:], score.meters["tick"])
    assert (gaps[~changed] == lengths[:-1][~changed]).all()
    assert (gaps[changed] <= lengths[:-1][changed]).all()
    assert starts[-1] < max(score.end_tick, 1) <= starts[-1] + lengths[-1]


# ------------------------------------------------------------------------------------------------------ new from old


def test_transposing_leaves_percussion_alone():
    score = score_of((0, 1, 60, 64, 0, 0), (0, 1, 36, 64, DRUMS, 1))
    assert score.transpose(-5).notes["pitch"].tolist() == [55, 36]
    assert score.transpose(7).transpose(-7) == score


@pytest.mark.parametrize("semitones", [68, -61, 40_000, -(10**9)])
def test_transposing_out_of_range_is_refused(semitones):
    with pytest.raises(MidiError, match=f"transposing by {semitones} moves a note out of MIDI's range"):
        score_of((0, 1, 60, 64, 0, 0)).transpose(semitones)


def test_crop_keeps_what_begins_in_the_span_and_what_is_in_force():
    score = score_of(
        (0, 480, 60, 64, 0, 0),
        (480, 960, 62, 64, 0, 0),
        (900, 100, 64, 64, 0, 0),
        (960, 100, 65, 64, 0, 0),
        tempos=np.array([(0, 400_000), (100, 300_000), (500, 200_000), (960, 100_000)], TEMPO),
        meters=np.array([(0, 3, 4), (480, 2, 4)], METER),
        keys=np.array([(700, 2, True)], KEY),
        pedals=np.array([(0, 100, 0), (200, 400, 0), (900, 500, 0)], PEDAL),
    )
    cropped = score.crop(480, 960)
    assert cropped.notes[["onset", "duration", "pitch"]].tolist() == [(0, 480, 62), (420, 60, 64)]
    assert cropped.tempos.tolist() == [(0, 300_000), (20, 200_000)]
    assert cropped.meters.tolist() == [(0, 2, 4)]
    assert cropped.keys.tolist() == [(220, 2, True)]
    assert cropped.pedals.tolist() == [(0, 120, 0), (420, 60, 0)]


@given(scores(), st.integers(0, 5_000), st.integers(0, 5_000))
@settings(deadline=None)
def test_a_crop_sounds_when_the_whole_did(score, start, length):
    cropped = score.crop(start, start + length)
    begun = score.notes[(score.notes["onset"] >= start) & (score.notes["onset"] < start + length)]
    whole = score.seconds(begun["onset"]) - score.seconds(start)
    np.testing.assert_allclose(np.sort(cropped.seconds(cropped.notes["onset"])), np.sort(whole), atol=1e-9)
    assert cropped.end_tick <= length


@given(scores())
@settings(deadline=None)
def test_the_crop_of_everything_is_everything(score):
    end = 10**6
    whole = score.crop(0, end)
    assert whole.notes.tolist() == score.notes.tolist()
    assert whole == score


# ------------------------------------------------------------------------------------------------------------ pedals


def test_pedal_spans():
    ticks = np.array([0, 10, 20, 30, 30, 40, 50])
    down = np.array([False, True, True, False, True, True, False])
    assert pedal_spans(ticks, down, 3, end=100).tolist() == [(10, 20, 3), (30, 20, 3)]
    assert pedal_spans(ticks[:6], down[:6], 0, end=100).tolist() == [(10, 20, 0), (30, 70, 0)]
    assert pedal_spans(ticks[:2], down[:2], 0, end=10).tolist() == []  # never lifted, but after the end
    assert pedal_spans(ticks[:0], down[:0], 0, end=10).tolist() == []


def test_a_pedal_holds_notes_until_it_is_lifted_or_they_are_struck_again():
    score = score_of(
        (0, 10, 60, 64, 0, 0),  # ends before the pedal: as played
        (0, 20, 62, 64, 0, 0),  # ends as the pedal is pressed: held
        (30, 10, 64, 64, 0, 0),  # held
        (30, 10, 65, 64, 0, 0),  # held until struck again
        (50, 10, 65, 64, 0, 0),  # held
        (90, 40, 67, 64, 0, 0),  # longer than the pedal: as played
        (30, 10, 40, 64, DRUMS, 0),  # percussion: as played
        (30, 10, 64, 64, 0, 1),  # another track: as played
        pedals=np.array([(20, 80, 0)], PEDAL),
    )
    sustained = score.sustained()
    ends = {(n["onset"], n["pitch"], n["track"]): n["onset"] + n["duration"] for n in sustained.notes}
    assert ends == {
        (0, 60, 0): 10,
        (0, 62, 0): 100,
        (30, 64, 0): 100,
        (30, 65, 0): 50,
        (50, 65, 0): 100,
        (90, 67, 0): 130,
        (30, 40, 0): 40,
        (30, 64, 1): 40,
    }
    assert len(sustained.pedals) == 0
    assert sustained.sustained() == sustained


@given(scores())
@settings(deadline=None)
def test_sustaining_only_lengthens_up_to_a_lift(score):
    sustained = score.sustained().notes
    same = ["onset", "pitch", "velocity", "program", "track"]
    assert sorted(sustained[same].tolist()) == sorted(score.notes[same].tolist())
    assert sustained["duration"].sum() >= score.notes["duration"].sum()
    ends = set((score.notes["onset"] + score.notes["duration"]).tolist())
    lifts = set((score.pedals["onset"] + score.pedals["duration"]).tolist())
    onsets = set(score.notes["onset"].tolist())
    assert set((sustained["onset"] + sustained["duration"]).tolist()) <= ends | lifts | onsets


@pytest.mark.data
@pytest.mark.filterwarnings("ignore:'audioop' is deprecated:DeprecationWarning:pydub")
@pytest.mark.filterwarnings("ignore:Couldn't find ffmpeg:RuntimeWarning:pydub")
def test_sustaining_agrees_with_note_seq_on_recorded_piano(real_music):
    note_seq = pytest.importorskip("note_seq")
    from t5music.music.note_sequence import to_note_sequence

    folder = real_music("classical_piano") / "ecompetition_subset"
    compared = 0
    for path in sorted(folder.rglob("*.mid"))[:60:20]:
        score = midi.read(path)
        ours = to_note_sequence(score.sustained()).notes
        theirs = note_seq.apply_sustain_control_changes(to_note_sequence(score)).notes
        assert len(score.pedals) > 50
        # note_seq ends a note that is still held down where its pitch is struck again (and the first of two struck at
        # once for good), and puts lifts after presses of the same instant: leave out notes that overlap another of
        # their pitch, and pedals that touch.
        touching = np.isin(score.pedals["onset"], score.pedals["onset"] + score.pedals["duration"]).any()
        assert not touching
        plain = ~overlapping(score)
        ends = {(round(n.start_time, 6), n.pitch): n.end_time for n in theirs}
        for note, keep in zip(ours, plain, strict=True):
            if keep:
                assert note.end_time == pytest.approx(ends[round(note.start_time, 6), note.pitch], abs=1e-6)
                compared += 1
    assert compared > 5_000


def overlapping(score: Score) -> np.ndarray:
    """Which notes sound while another of their pitch and track does (bool, in the order of the notes)."""
    notes = score.notes
    order = np.lexsort((notes["onset"], notes["pitch"], notes["track"]))
    first, second = notes[order[:-1]], notes[order[1:]]
    same = (first["track"] == second["track"]) & (first["pitch"] == second["pitch"])
    over = same & (second["onset"] < first["onset"] + first["duration"])
    found = np.zeros(len(notes), bool)
    found[order[:-1]] |= over
    found[order[1:]] |= over
    return found


def test_sustaining_ten_thousand_notes_is_quick():
    rng = np.random.default_rng(0)
    notes = np.empty(10_000, NOTE)
    notes["onset"], notes["duration"] = rng.integers(0, 500_000, len(notes)), rng.integers(1, 400, len(notes))
    notes["pitch"], notes["velocity"], notes["program"], notes["track"] = rng.integers(30, 90, len(notes)), 64, 0, 0
    pedals = np.empty(2_000, PEDAL)
    pedals["onset"], pedals["duration"], pedals["track"] = np.arange(2_000) * 250, 200, 0
    score = Score(480, notes, pedals=pedals)
    best = float("inf")
    for _ in range(5):
        start = time.perf_counter()
        score.sustained()
        best = min(best, time.perf_counter() - start)
    assert best < 0.1  # about 0.01 on an idle core
