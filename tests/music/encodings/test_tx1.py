"""LakhNES's words: the list itself, the order of events, waits, voices."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from t5music.errors import MidiError
from t5music.music import encodings
from t5music.music.score import DRUMS, METER, NOTE, PEDAL, TEMPO, Score

TX1 = encodings.get("tx1")
QUARTER = 22_050  # ticks and samples, at tempo 120


def nes(rows, **rest) -> Score:
    """Rows of (voice, onset, duration, pitch), in samples."""
    voices = ("p1", "p2", "tr", "no")
    programs = (80, 81, 38, DRUMS)
    notes = [(on, last, pitch, 15, programs[voices.index(v)], voices.index(v)) for v, on, last, pitch in rows]
    return Score(QUARTER, np.array(notes, NOTE), track_names=voices, **rest)


def test_the_630_words():
    words = TX1.words
    assert len(words) == 630
    waits = [int(word.removeprefix("WT_")) for word in words if word.startswith("WT_")]
    assert len(waits) == 370
    assert waits == sorted(waits)
    assert [waits.count(n) for n in (0, 1, 99, 100, 101, 110, 990, 1000, 1010, 1100)] == [0, 1, 1, 1, 0, 1, 1, 1, 0, 1]
    assert [waits.count(n) for n in (9_900, 10_000, 10_100, 11_000, 99_000, 100_000)] == [1, 1, 0, 1, 1, 1]
    assert words[370:373] == ("P1_NOTEOFF", "P1_NOTEON_33", "P1_NOTEON_34")
    for voice, low, high in (("P1", 33, 108), ("P2", 33, 108), ("TR", 21, 108), ("NO", 1, 16)):
        mine = [word for word in words if word.startswith(voice)]
        assert mine == [f"{voice}_NOTEOFF", *(f"{voice}_NOTEON_{pitch}" for pitch in range(low, high + 1))]
    assert [word for word, note in zip(words, TX1.is_note, strict=True) if note] == [w for w in words if "NOTEON" in w]


def test_golden_two_bars():
    score = nes(
        [
            ("p1", 0, QUARTER, 76),
            ("p1", QUARTER, QUARTER, 77),  # follows at once: no NOTEOFF between
            ("p2", 0, 2 * QUARTER, 64),
            ("tr", 0, QUARTER, 40),
            ("tr", 4 * QUARTER, QUARTER, 45),
            ("no", 0, 100, 3),
            ("no", 4 * QUARTER, 735, 16),
        ]
    )
    text = TX1.to_text(TX1.encode(score))
    assert text == (
        "P1_NOTEON_76 P2_NOTEON_64 TR_NOTEON_40 NO_NOTEON_3 WT_100 NO_NOTEOFF WT_22000 P1_NOTEON_77 TR_NOTEOFF "
        "WT_22000 P1_NOTEOFF P2_NOTEOFF WT_44000 TR_NOTEON_45 NO_NOTEON_16 WT_740 NO_NOTEOFF WT_21000 TR_NOTEOFF"
    )


def test_golden_decoding():
    text = "WT_7 P1_NOTEON_60 WT_100 P1_NOTEON_62 NO_NOTEON_9 WT_1000 P1_NOTEOFF NO_NOTEOFF WT_5000"
    score, repairs = TX1.decode(TX1.from_text(text))
    assert repairs == 0
    assert score.notes.tolist() == [
        (7, 100, 60, 100, 80, 0),
        (107, 1000, 62, 100, 80, 0),
        (107, 1000, 9, 100, DRUMS, 3),
    ]
    assert score.track_names == ("p1", "p2", "tr", "no")
    assert score.ticks_per_quarter == 22_050
    assert score.tempos.tolist() == [(0, 500_000)]
    assert score.meters.tolist() == [(0, 4, 4), (6107, 1, 1)]  # NES-MDB's sign for the end of the song
    assert TX1.to_text(TX1.encode(score)) == text


@pytest.mark.parametrize(
    ("samples", "words"),
    [
        (1, "WT_1"),
        (104, "WT_100"),
        (105, "WT_110"),  # half way: up, as LakhNES rounds
        (735, "WT_740"),  # a frame of the NES
        (1049, "WT_1000"),
        (1050, "WT_1100"),
        (10_499, "WT_10000"),
        (10_500, "WT_11000"),
        (99_500, "WT_100000"),
        (100_000, "WT_100000"),
        (100_001, "WT_100000 WT_1"),
        (230_444, "WT_100000 WT_100000 WT_30000"),
    ],
)
def test_waits_snap_to_the_nearest_word(samples, words):
    text = TX1.to_text(TX1.encode(nes([("tr", samples, 50, 60)])))
    assert text == f"{words} TR_NOTEON_60 WT_50 TR_NOTEOFF"


def test_every_wait_gets_the_nearest_word():
    waits = np.arange(1, 100_001)
    words = np.array([int(word[3:]) for word in TX1.words if word.startswith("WT_")])
    order = np.argmin(np.abs(words[::-1, None] - waits[None, ::7]), axis=0)  # the greater one first
    starts = np.cumsum(waits[::7] + 1)  # one note of one sample each; the first WT is the wait to it
    score = nes([("p1", int(start) - 1, 1, 60) for start in starts[:200]])
    got = [word for word in TX1.to_text(TX1.encode(score)).split() if word.startswith("WT_")]
    assert got[::2] == [f"WT_{wait}" for wait in words[::-1][order][:200]]
    worst = np.max(np.abs(words[::-1][order] - waits[::7]) / waits[::7])
    assert worst <= 5 / 105


def test_voices_of_other_scores():
    rows = [(0, 100, 60, 90, 0, 1), (0, 100, 50, 90, 33, 4), (0, 100, 38, 90, DRUMS, 2), (200, 9, 42, 90, DRUMS, 5)]
    score = Score(22_050, np.array(rows, NOTE), track_names=("", "lead", "", "", "bass", ""))
    assert TX1.to_text(TX1.encode(score)) == (
        "P1_NOTEON_60 P2_NOTEON_50 NO_NOTEON_7 WT_100 P1_NOTEOFF P2_NOTEOFF NO_NOTEOFF WT_100 NO_NOTEON_11 WT_9 "
        "NO_NOTEOFF"
    )
    kit = [(100 * i, 50, pitch, 90, DRUMS, 0) for i, pitch in enumerate(range(36, 52))]
    words = TX1.to_text(TX1.encode(Score(22_050, np.array(kit, NOTE)))).split()
    assert sorted(word for word in words if "NOTEON" in word) == sorted(f"NO_NOTEON_{n}" for n in range(1, 17))


def test_a_voice_is_monophonic():
    cut = nes([("p1", 0, 100, 60), ("p1", 40, 10, 62)])
    assert TX1.to_text(TX1.encode(cut)) == "P1_NOTEON_60 WT_40 P1_NOTEON_62 WT_10 P1_NOTEOFF"
    doubled = nes([("p1", 0, 100, 60), ("p1", 0, 70, 60)])
    assert TX1.to_text(TX1.encode(doubled)) == "P1_NOTEON_60 WT_100 P1_NOTEOFF"
    hits = nes([("no", 0, 100, 9), ("no", 0, 70, 4)])
    assert TX1.to_text(TX1.encode(hits)) == "NO_NOTEON_4 WT_70 NO_NOTEOFF"
    with pytest.raises(MidiError, match=r"P2 begins pitches 60 and 64 at once, 0\.50 s from the start.*keep one note"):
        TX1.encode(nes([("p2", QUARTER, 100, 64), ("p2", QUARTER, 100, 60)]))


def test_what_does_not_fit_is_refused():
    with pytest.raises(MidiError, match=r"P1 plays 33\.\.108 and this piece has 30 there: transpose"):
        TX1.encode(nes([("p1", 0, 100, 30)]))
    with pytest.raises(MidiError, match=r"NO plays 1\.\.16 and this piece has 38 there"):
        TX1.encode(nes([("no", 0, 100, 38)]))
    rows = [(0, 100, 60, 90, 0, track) for track in range(4)]
    with pytest.raises(MidiError, match=r"three pitched voices .* has 4 pitched tracks: keep at most three"):
        TX1.encode(Score(480, np.array(rows, NOTE), track_names=("Soprano", "Alto", "Tenor", "Bass")))


def test_tempo_is_played_and_the_pedal_is_not():
    tempos = np.array([(0, 500_000), (480, 1_000_000)], TEMPO)
    notes = np.array([(480, 48, 60, 90, 0, 0)], NOTE)
    score = Score(480, notes, tempos=tempos, pedals=np.array([(0, 900, 0)], PEDAL))
    assert TX1.to_text(TX1.encode(score)) == "WT_22000 P1_NOTEON_60 WT_4400 P1_NOTEOFF"


def test_only_a_meter_of_one_to_one_at_the_end_says_how_long_the_song_is():
    rows = [("p1", 0, 100, 60)]
    for numerator, tick, text in ((1, 1100, " WT_1000"), (3, 1100, ""), (1, 50, ""), (1, 100, "")):
        score = nes(rows, meters=np.array([(0, 4, 4), (tick, numerator, 1)], METER))
        assert TX1.to_text(TX1.encode(score)) == "P1_NOTEON_60 WT_100 P1_NOTEOFF" + text


@pytest.mark.parametrize(
    ("text", "repairs", "notes"),
    [
        ("P1_NOTEOFF", 1, []),  # nothing to end
        ("P1_NOTEON_60 P1_NOTEOFF WT_5", 1, []),  # no length
        ("P1_NOTEON_60 P1_NOTEON_62 WT_5 P1_NOTEOFF", 1, [(0, 5, 62)]),
        ("P1_NOTEON_60 WT_5", 1, [(0, 5, 60)]),  # never ended
        ("P1_NOTEON_60", 1, []),
        ("P1_NOTEON_60 WT_5 P1_NOTEOFF WT_2 P1_NOTEOFF", 1, [(0, 5, 60)]),
        ("NO_NOTEON_3 P1_NOTEON_60 WT_5 WT_6 NO_NOTEOFF P1_NOTEOFF", 0, [(0, 11, 60), (0, 11, 3)]),  # order is free
    ],
)
def test_repairs(text, repairs, notes):
    decoded = TX1.decode(TX1.from_text(text))
    assert decoded.repairs == repairs
    assert [(int(n["onset"]), int(n["duration"]), int(n["pitch"])) for n in decoded.score.notes] == notes


def test_events_after_ninety_minutes_are_dropped():
    waits = ["WT_100000"] * 2_381  # 238,100,000 samples; the limit is 238,140,000
    late = TX1.from_text(" ".join(["P1_NOTEON_60", *waits, "P1_NOTEON_62", "WT_40000", "P1_NOTEOFF", "WT_1", "WT_1"]))
    decoded = TX1.decode(late)
    assert decoded.repairs == 2
    assert decoded.score.notes["duration"].tolist() == [238_100_000, 40_000]


def test_segments_leave_out_the_ends_of_earlier_notes():
    text = " ".join(f"P1_NOTEON_{60 + i} WT_100" for i in range(12)) + " P1_NOTEOFF WT_50"
    long = "TR_NOTEON_40 " + text + " TR_NOTEOFF"
    events = TX1.from_text(long)
    segments = [TX1.to_text(piece) for piece in TX1.segments(events, 16)]
    assert segments == [
        "TR_NOTEON_40 " + " ".join(f"P1_NOTEON_{60 + i} WT_100" for i in range(7)) + " P1_NOTEON_67",
        "WT_100 " + " ".join(f"P1_NOTEON_{68 + i} WT_100" for i in range(4)) + " P1_NOTEOFF WT_50",
    ]
    assert " ".join(TX1.to_text(piece) for piece in TX1.chunks(events, 16)) == long


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.tuples(st.sampled_from(["p1", "p2", "tr", "no"]), st.integers(0, 300_000), st.integers(1, 200_000)),
        min_size=1,
        max_size=20,
        unique_by=lambda row: row[:2],
    )
)
def test_clock_drifts_no_more_than_stated(rows):
    score = nes([(voice, on, last, 8 if voice == "no" else 60) for voice, on, last in rows])
    decoded = TX1.decode(TX1.encode(score)).score
    for voice in range(4):
        before = score.notes[score.notes["track"] == voice]["onset"]
        after = decoded.notes[decoded.notes["track"] == voice]["onset"]
        assert (np.abs(before - after) <= 5 / 105 * before).all()
