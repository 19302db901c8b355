"""remi: literal pieces, the grid, meters that have no word, what a note loses, repairs, cutting."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from strategies import any_scores, scores

from t5music.errors import MidiError
from t5music.music import encodings, midi
from t5music.music.encodings.remi import grid
from t5music.music.score import DRUMS, METER, NOTE, PEDAL, TEMPO, Score

REMI = encodings.get("remi")
START = "Bar TimeSig_4/4 Pos_0 Tempo_120 Program_0 Velocity_20"


def score_of(rows, *, resolution=480, meters=(), tempos=(), **rest) -> Score:
    """Rows of (onset, duration, pitch), piano of velocity 80, or (onset, duration, pitch, velocity, program)."""
    notes = [(*row, 80, 0, 0) if len(row) == 3 else (*row, 0) for row in rows]
    changes = {"meters": np.array(list(meters), METER), "tempos": np.array(list(tempos), TEMPO)}
    return Score(resolution, np.array(notes, NOTE), **changes, **rest)


def text_of(score: Score) -> str:
    return REMI.to_text(REMI.encode(score))


def decoded(text: str) -> list[tuple[int, int, int]]:
    """(onset, duration, pitch) in ticks of 480 a quarter."""
    return REMI.decode(REMI.from_text(text)).score.notes[["onset", "duration", "pitch"]].tolist()


# -------------------------------------------------------------------------------------------------------------- golden


def test_the_words():
    kinds = [word.split("_")[0] for word in REMI.words]
    counts = {kind: kinds.count(kind) for kind in dict.fromkeys(kinds)}
    assert counts == {
        "Bar": 1,
        "TimeSig": 69,
        "Pos": 144,
        "Tempo": 101,
        "Program": 128,
        "Velocity": 32,
        "Pitch": 128,
        "Drum": 128,
        "Duration": 72,
    }
    for word in ("TimeSig_12/4", "TimeSig_16/32", "TimeSig_3/1", "Pos_143", "Velocity_32", "Tempo_320", "Duration_384"):
        assert word in REMI.ids
    for word in ("TimeSig_13/4", "TimeSig_4/1", "Pos_144", "Velocity_0", "Program_128", "Tempo_41", "Duration_25"):
        assert word not in REMI.ids
    begins = [word for word, note in zip(REMI.words, REMI.is_note, strict=True) if note]
    assert begins == [f"{kind}_{number}" for kind in ("Pitch", "Drum") for number in range(128)]


GOLDEN = (
    "Bar TimeSig_4/4 Pos_0 Tempo_120 Program_0 Velocity_20 Pitch_60 Duration_12 Pitch_64 Duration_12 Program_33 "
    "Pitch_40 Duration_24 Velocity_25 Drum_36 Pos_42 Program_0 Pitch_72 Duration_6 "
    "Bar TimeSig_3/4 Pos_0 Tempo_100 Program_0 Velocity_20 Pitch_67 Duration_24 Pos_12 Velocity_25 Drum_38"
)


def test_golden_two_bars():
    rows = [
        (0, 480, 64, 80, 0),
        (0, 480, 60, 80, 0),
        (0, 60, 36, 100, DRUMS),
        (0, 960, 40, 80, 33),
        (1680, 240, 72, 100, 0),
        (1920, 960, 67, 80, 0),
        (2400, 60, 38, 100, DRUMS),
    ]
    score = score_of(rows, meters=[(0, 4, 4), (1920, 3, 4)], tempos=[(0, 500_000), (1920, 600_000)])
    assert text_of(score) == GOLDEN


def test_golden_decoding():
    score, repairs = REMI.decode(REMI.from_text(GOLDEN))
    assert repairs == 0
    assert score.ticks_per_quarter == 480
    assert score.track_names == ("Acoustic Grand Piano", "Electric Bass (finger)", "Drums")
    assert score.tempos.tolist() == [(0, 500_000), (1920, 600_000)]
    assert score.meters.tolist() == [(0, 4, 4), (1920, 3, 4)]
    assert score.notes.tolist() == [
        (0, 480, 60, 78, 0, 0),
        (0, 480, 64, 78, 0, 0),
        (0, 960, 40, 78, 33, 1),
        (0, 40, 36, 98, DRUMS, 2),
        (1680, 240, 72, 98, 0, 0),
        (1920, 960, 67, 78, 0, 0),
        (2400, 40, 38, 98, DRUMS, 2),
    ]


def test_empty_bars_and_the_last_bar():
    score = score_of([(2 * 1920 + 480, 4 * 1920, 60)])
    assert text_of(score) == (
        "Bar TimeSig_4/4 Pos_0 Tempo_120 Bar TimeSig_4/4 Bar TimeSig_4/4 Pos_12 Program_0 Velocity_20 "
        "Pitch_60 Duration_192"
    )


def test_pedals_and_keys_are_left_out():
    assert text_of(score_of([(0, 480, 60)], pedals=np.array([(0, 1920, 0)], PEDAL))) == f"{START} Pitch_60 Duration_12"


# ---------------------------------------------------------------------------------------------------------------- grid


@pytest.mark.parametrize(
    ("onset", "words"),
    [
        (19, "Pos_0 Tempo_120 Program_0 Velocity_20 Pitch_60"),
        (20, "Pos_0 Tempo_120 Pos_1 Program_0 Velocity_20 Pitch_60"),  # half way: the later one
        (1899, "Pos_0 Tempo_120 Pos_47 Program_0 Velocity_20 Pitch_60"),
        (1900, "Pos_0 Tempo_120 Bar TimeSig_4/4 Pos_0 Program_0 Velocity_20 Pitch_60"),  # over the bar line
    ],
)
def test_onsets_go_to_the_nearest_position(onset, words):
    assert text_of(score_of([(onset, 480, 60)])) == f"Bar TimeSig_4/4 {words} Duration_12"


def test_durations():
    every = np.arange(1, 385)
    nearest = grid.DURATIONS[grid.nearest_index(every, grid.DURATIONS)]
    assert np.array_equal(nearest[:24], every[:24])
    assert np.max(np.abs(nearest - every) / every) <= 0.04
    for ticks, word in ((1, 1), (40, 1), (59, 1), (60, 2), (960, 24), (1000, 26), (384 * 40, 384), (10**6, 384)):
        assert text_of(score_of([(0, ticks, 60)])) == f"{START} Pitch_60 Duration_{word}"


def test_tempi():
    every = np.linspace(20, 320, 10_000)
    nearest = grid.TEMPI[grid.nearest_index(every, grid.TEMPI)]
    assert np.max(np.abs(nearest / every - 1)) <= 0.025
    for tempo, word in ((120, 120), (5, 20), (600, 320), (99.2, 100), (90, 90), (206, 208)):
        text = text_of(score_of([(0, 480, 60)], tempos=[(0, round(60e6 / tempo))]))
        assert text.split()[3] == f"Tempo_{word}"


def test_tempo_words_only_where_the_nearest_tempo_changes():
    wobble = [(40 * i, round(60e6 / (120 + 0.4 * (i % 2)))) for i in range(40)]
    steps = [(1600, 400_000), (1610, 600_000), (1620, 300_000), (1640, 302_000), (9999, 1_000_000)]
    text = text_of(score_of([(0, 480, 60), (1680, 240, 62)], tempos=wobble + steps))
    assert text == (f"{START} Pitch_60 Duration_12 Pos_40 Tempo_100 Pos_41 Tempo_200 Pos_42 Pitch_62 Duration_6")


def test_notes_of_one_key_follow_one_another():
    held = [(0, 960, 60), (240, 240, 60)]  # struck again while it sounds: the second one lasts as the first would have
    assert text_of(score_of(held)) == f"{START} Pitch_60 Duration_6 Pos_6 Pitch_60 Duration_18"
    together = [(0, 240, 60, 80, 0), (0, 480, 60, 40, 0), (0, 480, 60, 80, 0)]  # the longest, of those the loudest
    assert text_of(score_of(together)) == f"{START} Pitch_60 Duration_12"
    others = [(0, 960, 60, 80, 0), (240, 240, 60, 80, 1)]  # another instrument is another key
    assert decoded(text_of(score_of(others))) == [(0, 960, 60), (240, 240, 60)]
    close = [(0, 1000, 60), (1000, 40, 60)]  # 25 positions: 26 is the nearest, but would run into the next note
    assert decoded(text_of(score_of(close))) == [(0, 960, 60), (1000, 40, 60)]


# -------------------------------------------------------------------------------------------------------------- meters


@pytest.mark.parametrize(
    ("units", "meter", "words"),
    [
        (32, (4, 4), ["4/4"]),
        (24, (6, 8), ["6/8"]),
        (48, (24, 16), ["12/8"]),  # the same length, the nearest denominator
        (32, (8, 8), ["8/8"]),
        (96, (24, 8), ["12/4"]),
        (128, (16, 4), ["12/4", "4/4"]),
        (160, (5, 1), ["12/4", "2/1"]),
        (24, (4, 4), ["3/4"]),  # cut short
        (20, (4, 4), ["5/8"]),
        (17, (4, 4), ["2/4", "1/32"]),
        (95, (12, 4), ["11/4", "7/32"]),
        (3, (3, 32), ["3/32"]),
        (1, (1, 64), ["1/32"]),
    ],
)
def test_meters_of(units, meter, words):
    found = [grid.METERS[index] for index in grid.meters_of(units, *meter)]
    assert [f"{numerator}/{denominator}" for numerator, denominator in found] == words
    assert sum(numerator * 32 // denominator for numerator, denominator in found) == units


def test_every_length_has_meters():
    for units in range(1, 400):
        for denominator in (1, 4, 32, 3):
            found = grid.meters_of(units, 7, denominator)
            assert sum(grid.METER_UNITS[list(found)]) == units


def test_a_bar_cut_short_gets_the_meter_of_its_length():
    score = score_of([(0, 480, 60), (1440, 480, 62)], meters=[(0, 4, 4), (1440, 4, 4)])
    assert text_of(score) == (
        "Bar TimeSig_3/4 Pos_0 Tempo_120 Program_0 Velocity_20 Pitch_60 Duration_12 "
        "Bar TimeSig_4/4 Pos_0 Program_0 Velocity_20 Pitch_62 Duration_12"
    )


def test_an_odd_bar_moves_no_note():
    rows = [(0, 480, 60), (1010, 480, 62), (1010 + 1920, 480, 64)]
    score = score_of(rows, meters=[(0, 4, 4), (1010, 4, 4)])  # 1010 ticks are nearest to 17 notes of 1/32
    text = text_of(score)
    assert [word for word in text.split() if word.startswith("TimeSig")] == [
        *("TimeSig_2/4", "TimeSig_1/32", "TimeSig_4/4", "TimeSig_4/4")
    ]
    assert decoded(text) == [(0, 480, 60), (1020, 480, 62), (1020 + 1920, 480, 64)]


def test_meters_of_odd_thirty_seconds_end_between_positions():
    rows = [(60 * i, 60, 60) for i in range(6)]
    score = score_of(rows, meters=[(0, 1, 32)])
    assert text_of(score).count("Bar TimeSig_1/32 Pos_0") == 6
    assert [onset for onset, _, _ in decoded(text_of(score))] == [60 * i for i in range(6)]
    close = score_of([(40, 20, 60), (60, 60, 60)], meters=[(0, 1, 32)])
    assert REMI.decode(REMI.encode(close)).repairs == 0
    assert decoded(text_of(close)) == [(40, 20, 60), (60, 80, 60)]


def test_meters_after_the_last_onset_do_not_count():
    score = score_of([(0, 480, 60)], meters=[(0, 3, 4), (720, 1, 1), (2**40, 5, 4)])
    assert text_of(score).startswith("Bar TimeSig_3/4 Pos_0")
    with pytest.raises(MidiError, match=r"has \d+ bars and remi takes at most 20000: crop it"):
        REMI.encode(score_of([(0, 480, 60), (2**40, 480, 60)]))
    with pytest.raises(MidiError, match=r"has 30002 bars and remi takes"):
        REMI.encode(score_of([(0, 480, 60), (15_000 * 16 * 480, 480, 60)], meters=[(0, 16, 4)]))


# --------------------------------------------------------------------------------------------------------- what is lost


def check_losses(score: Score) -> None:
    """Every onset is there, within 1/24 quarter; so is every bar line up to the last onset, within 1/16 quarter."""
    out, repairs = REMI.decode(REMI.encode(score))
    assert repairs == 0

    def keys(score):
        """(program, pitch) and onset in quarters of every note, those of one key in order."""
        notes = score.notes
        order = np.lexsort((notes["onset"], notes["pitch"], notes["program"]))
        key = notes["program"].astype(int) * 128 + notes["pitch"]
        return key[order], notes["onset"][order] / score.ticks_per_quarter, notes[order]

    key, onset, notes = keys(score)
    out_key, out_onset, out_notes = keys(out)
    assert set(key.tolist()) == set(out_key.tolist())
    ends = onset + notes["duration"] / score.ticks_per_quarter
    out_ends = out_onset + out_notes["duration"] / out.ticks_per_quarter
    for one in np.unique(key):
        mine, theirs = key == one, out_key == one
        apart = np.abs(onset[mine][:, None] - out_onset[theirs][None, :])
        assert apart.min(axis=1).max() <= 1 / 24 + 1e-9
        assert apart.min(axis=0).max() <= 1 / 24 + 1e-9
        alone = mine.sum() == theirs.sum() == 1
        length = (ends - onset)[mine][0]
        if alone and one < DRUMS * 128 and length <= 32:
            # Both ends may move by 1/24 before the duration, which has then grown by 1/12 at most, is coarsened.
            assert abs(ends[mine][0] - out_ends[theirs][0]) <= max(1 / 8, 1 / 24 + 0.04 * (length + 1 / 12))
            assert abs(int(notes["velocity"][mine][0]) - int(out_notes["velocity"][theirs][0])) <= 2
    lines = score.bars()[0]
    lines = lines[lines <= score.notes["onset"].max()] / score.ticks_per_quarter
    out_lines = out.bars()[0] / out.ticks_per_quarter
    assert np.abs(lines[:, None] - out_lines[None, :]).min(axis=1).max() <= 1 / 16 + 1e-9


@settings(deadline=None, max_examples=100)
@given(scores(min_notes=1, last_onset=1_000))
def test_notes_move_no_more_than_stated(score):
    check_losses(score)


@settings(deadline=None, max_examples=100)
@given(any_scores().filter(lambda score: len(score.notes)))
def test_notes_of_odd_scores_move_no_more_than_stated(score):
    check_losses(score)


@pytest.mark.data
def test_notes_of_real_music_move_no_more_than_stated(real_music):
    paths = sorted(real_music("web_midi_multitrack").glob("midi/**/*.mid"))
    done = 0
    for path in paths[:: len(paths) // 30][:30]:
        try:
            score = midi.read(path)
        except MidiError:
            continue
        check_losses(score)
        done += 1
    assert done > 20


# ------------------------------------------------------------------------------------------------------------ decoding


@pytest.mark.parametrize(
    ("text", "repairs", "notes"),
    [
        (f"{START} Pitch_60 Pitch_62 Duration_6", 1, [(0, 240, 62)]),  # a Pitch without Duration
        (f"{START} Pitch_60 Duration_6 Duration_9", 1, [(0, 240, 60)]),
        (f"{START} Program_7 Pitch_60 Duration_6", 2, [(0, 240, 60)]),  # Program_0 Velocity_20 with no note
        (f"{START} Velocity_7 Pitch_60 Duration_6", 2, [(0, 240, 60)]),
        (f"{START} TimeSig_3/4 Pitch_60 Duration_6", 3, [(0, 240, 60)]),  # and Program and Velocity lead nowhere
        ("Bar TimeSig_4/4 Pos_0 Tempo_120 Pitch_60 Duration_6", 2, [(0, 240, 60)]),
        ("Bar TimeSig_4/4 Pos_0 Program_0 Velocity_1 Pitch_60 Duration_6", 1, [(0, 240, 60)]),  # no Tempo
        ("Bar TimeSig_4/4 Tempo_90 Program_0 Velocity_1 Pitch_60 Duration_6", 2, [(0, 240, 60)]),  # and no position
        ("Bar Pos_0 Tempo_120 Program_0 Velocity_1 Pitch_60 Duration_6", 1, [(0, 240, 60)]),
        ("Pos_12 Program_0 Velocity_1 Pitch_60 Duration_6", 2, [(480, 240, 60)]),  # no Bar, no Tempo
        (f"{START} Pitch_60 Duration_6 Pos_48 Pitch_62 Duration_6", 1, [(0, 240, 60), (1920, 240, 62)]),
        (f"{START} Pitch_60 Duration_6 Pos_9 Pos_6 Drum_38", 1, [(0, 240, 60), (240, 40, 38)]),
        (f"{START} Pitch_60 Duration_6 Pitch_60 Duration_9", 1, [(0, 360, 60)]),
        (f"{START} Pitch_60 Duration_6 Pos_3 Pitch_60 Duration_1", 1, [(0, 120, 60), (120, 120, 60)]),
        (f"{START} Drum_36 Program_3 Velocity_9 Drum_38", 0, [(0, 40, 36), (0, 40, 38)]),
    ],
)
def test_repairs(text, repairs, notes):
    assert REMI.decode(REMI.from_text(text)).repairs == repairs
    assert decoded(text) == notes


def test_bars_after_the_limit_are_dropped():
    bars = "Bar TimeSig_12/4 " * 20_001 + "Pos_0 Program_0 Velocity_1 Pitch_60 Duration_6"
    assert REMI.decode(REMI.from_text(f"{START} Pitch_60 Duration_6 {bars}")).repairs == 2 * 2 + 5
    times = REMI.times(REMI.from_text(bars))
    assert times[-1] == times[2 * 20_000] == 20_000 * 6.0


# ------------------------------------------------------------------------------------------------------------- cutting


def test_segments_begin_at_a_bar_and_say_the_tempo():
    rows = [(0, 240, 60), (1920, 240, 60), (3840 + 480, 240, 60), (3 * 1920, 240, 60)]
    events = REMI.encode(score_of(rows, tempos=[(0, 500_000), (1680, 400_000), (4320, 600_000)]))
    assert [REMI.to_text(piece) for piece in REMI.segments(events, 20)] == [
        "Bar TimeSig_4/4 Pos_0 Tempo_120 Program_0 Velocity_20 Pitch_60 Duration_6 Pos_42 Tempo_150 "
        "Bar TimeSig_4/4 Pos_0 Program_0 Velocity_20 Pitch_60 Duration_6",
        "Bar TimeSig_4/4 Pos_0 Tempo_150 Pos_12 Tempo_100 Program_0 Velocity_20 Pitch_60 Duration_6 "
        "Bar TimeSig_4/4 Pos_0 Program_0 Velocity_20 Pitch_60 Duration_6",
    ]
    assert [REMI.to_text(piece) for piece in REMI.segments(events, 16)][2] == (
        "Bar TimeSig_4/4 Pos_0 Tempo_100 Program_0 Velocity_20 Pitch_60 Duration_6"
    )


def test_a_bar_that_is_too_long_is_cut_inside():
    rows = [(0, 240, 60 + i, 80, 5) for i in range(6)] + [(480, 240, 60 + i, 80, 5) for i in range(6)]
    events = REMI.encode(score_of([*rows, (480, 40, 38, 80, DRUMS), (1920, 240, 60, 80, 5)]))
    pieces = REMI.segments(events, 16)
    texts = [REMI.to_text(piece) for piece in pieces]
    head = "Bar TimeSig_4/4 Pos_0 Tempo_120"
    assert texts == [
        f"{head} Program_5 Velocity_20 " + " ".join(f"Pitch_{60 + i} Duration_6" for i in range(5)),
        f"{head} Program_5 Velocity_20 Pitch_65 Duration_6 Pos_12 "
        + " ".join(f"Pitch_{60 + i} Duration_6" for i in range(3)),
        f"{head} Pos_12 Program_5 Velocity_20 "
        + " ".join(f"Pitch_{60 + i} Duration_6" for i in range(3, 6))
        + " Drum_38",
        f"{head} Program_5 Velocity_20 Pitch_60 Duration_6",
    ]


def test_split_bars():
    events = REMI.encode(score_of([(1920 * i, 480, 60 + i) for i in range(5)]))
    for bars in range(7):
        prompt, rest = REMI.split_bars(events, bars)
        assert (prompt == 0).sum() == min(bars, 5)
        assert np.array_equal(np.concatenate([prompt, rest]), events)
    prompt, rest = REMI.split_seconds(events, 4.9)  # bars last 2 s
    assert (prompt == 0).sum() == 2
    assert (REMI.split_seconds(events, 0)[0] == 0).sum() == 1
    assert len(REMI.split_seconds(events, 60)[1]) == 0


def test_times_follow_the_tempo():
    tempos = [(0, 500_000), (960, 1_000_000)]
    events = REMI.encode(score_of([(0, 480, 60), (1440, 480, 62), (1920, 960, 64)], tempos=tempos))
    times = REMI.times(events)
    assert times[:-1][REMI.is_note[events]].tolist() == [0, 2, 3]
    assert times[-1] == 7  # the end of the second bar
