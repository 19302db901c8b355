"""Music Transformer's words: the list itself, note-seq's order of events, the pedal, velocities."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from strategies import scores

from t5music.music import encodings, midi
from t5music.music.note_sequence import to_note_sequence
from t5music.music.score import DRUMS, NOTE, PEDAL, Score

# What note-seq's dependency pydub says when it is imported.
pytestmark = [
    pytest.mark.filterwarnings("ignore:'audioop' is deprecated:DeprecationWarning:pydub"),
    pytest.mark.filterwarnings("ignore:Couldn't find ffmpeg:RuntimeWarning:pydub"),
]
PERFORMANCE = encodings.get("performance")


def piano(rows, **rest) -> Score:
    """Rows of (onset, duration, pitch, velocity) in milliseconds."""
    return Score(500, np.array([(*row, 0, 0) for row in rows], NOTE), **rest)


def text_of(score: Score) -> str:
    return PERFORMANCE.to_text(PERFORMANCE.encode(score))


def note_seq_events(score: Score) -> np.ndarray:
    """The event ids that note-seq's own PerformanceOneHotEncoding gives for the score's pitched notes."""
    note_seq = pytest.importorskip("note_seq")
    from note_seq import performance_lib, sequences_lib

    score = score.sustained()
    sequence = to_note_sequence(score.with_notes(score.notes[score.notes["program"] != DRUMS]))
    quantized = sequences_lib.quantize_note_sequence_absolute(sequence, 100)
    performance = performance_lib.Performance(quantized, num_velocity_bins=32, max_shift_steps=100)
    encoding = note_seq.PerformanceOneHotEncoding(num_velocity_bins=32, max_shift_steps=100)
    return np.array([encoding.encode_event(event) for event in performance], np.int32)


def test_the_388_words():
    words = PERFORMANCE.words
    assert len(words) == 388
    assert [words[i] for i in (0, 127, 128, 255, 256, 355, 356, 387)] == [
        *("NOTE_ON_0", "NOTE_ON_127", "NOTE_OFF_0", "NOTE_OFF_127"),
        *("TIME_SHIFT_1", "TIME_SHIFT_100", "VELOCITY_1", "VELOCITY_32"),
    ]
    assert PERFORMANCE.is_note.tolist() == [word.startswith("NOTE_ON") for word in words]


def test_golden_two_bars():
    score = piano([(0, 500, 60, 80), (0, 1000, 64, 80), (500, 500, 67, 100), (3250, 750, 72, 100)])
    assert text_of(score) == (
        "VELOCITY_20 NOTE_ON_60 NOTE_ON_64 TIME_SHIFT_50 NOTE_OFF_60 VELOCITY_25 NOTE_ON_67 TIME_SHIFT_50 NOTE_OFF_64 "
        "NOTE_OFF_67 TIME_SHIFT_100 TIME_SHIFT_100 TIME_SHIFT_25 NOTE_ON_72 TIME_SHIFT_75 NOTE_OFF_72"
    )
    decoded = PERFORMANCE.decode(PERFORMANCE.encode(score)).score
    assert decoded.ticks_per_quarter == 5000  # 100 ticks a step
    assert decoded.notes.tolist() == [
        (0, 5000, 60, 78, 0, 0),
        (0, 10_000, 64, 78, 0, 0),
        (5000, 5000, 67, 98, 0, 0),
        (32_500, 7500, 72, 98, 0, 0),
    ]
    assert decoded.track_names == ("Acoustic Grand Piano",)


def test_golden_of_the_pedal_and_of_percussion():
    notes = [(0, 100, 60, 80, 0, 0), (0, 100, 38, 80, DRUMS, 1), (500, 100, 62, 80, 5, 2)]
    score = Score(500, np.array(notes, NOTE), pedals=np.array([(50, 800, 0)], PEDAL))
    assert text_of(score) == (
        "VELOCITY_20 NOTE_ON_60 TIME_SHIFT_50 NOTE_ON_62 TIME_SHIFT_10 NOTE_OFF_62 TIME_SHIFT_25 NOTE_OFF_60"
    )


def test_order_within_a_step_is_kept():
    exact = piano([(2, 100, 67, 80), (0, 100, 72, 80), (1, 50, 60, 80)])  # 72 first, then 60, then 67
    text = "VELOCITY_20 NOTE_ON_72 NOTE_ON_60 NOTE_ON_67 TIME_SHIFT_5 NOTE_OFF_60 TIME_SHIFT_5 NOTE_OFF_72 NOTE_OFF_67"
    assert text_of(exact) == text
    decoded = PERFORMANCE.decode(PERFORMANCE.encode(exact)).score
    assert decoded.notes[["onset", "pitch"]].tolist() == [(0, 72), (1, 60), (1, 67)]  # a tick is 0.1 ms
    assert text_of(decoded) == text


def test_half_a_step_rounds_up_and_a_note_lasts_a_step():
    assert text_of(piano([(5, 1, 60, 1)])) == "TIME_SHIFT_1 VELOCITY_1 NOTE_ON_60 TIME_SHIFT_1 NOTE_OFF_60"
    assert text_of(piano([(4, 10, 60, 1)])) == "VELOCITY_1 NOTE_ON_60 TIME_SHIFT_1 NOTE_OFF_60"


def test_velocity_bins():
    for velocity in range(1, 128):
        score = PERFORMANCE.decode(PERFORMANCE.encode(piano([(0, 100, 60, velocity)]))).score
        assert abs(int(score.notes["velocity"][0]) - velocity) <= 2


def test_unisons_end_first_in_first_out():
    score = piano([(0, 1000, 60, 80), (200, 300, 60, 80)])
    decoded = PERFORMANCE.decode(PERFORMANCE.encode(score))
    assert decoded.repairs == 0
    assert decoded.score.notes[["onset", "duration"]].tolist() == [(0, 5000), (2000, 8000)]


@pytest.mark.parametrize(
    ("text", "repairs", "notes"),
    [
        ("NOTE_OFF_60", 1, []),
        ("VELOCITY_9 NOTE_ON_60 NOTE_OFF_60", 1, []),
        ("VELOCITY_9 NOTE_ON_60 TIME_SHIFT_3", 1, [(0, 300, 60, 34)]),
        ("NOTE_ON_60 TIME_SHIFT_3 NOTE_OFF_60", 1, [(0, 300, 60, 78)]),
        ("NOTE_OFF_60 VELOCITY_9 NOTE_ON_60 TIME_SHIFT_3 NOTE_OFF_60 NOTE_OFF_60", 2, [(0, 300, 60, 34)]),
        ("VELOCITY_9 VELOCITY_1 NOTE_ON_60 TIME_SHIFT_1 TIME_SHIFT_2 NOTE_OFF_60", 0, [(0, 300, 60, 2)]),
    ],
)
def test_repairs(text, repairs, notes):
    decoded = PERFORMANCE.decode(PERFORMANCE.from_text(text))
    assert decoded.repairs == repairs
    assert decoded.score.notes[["onset", "duration", "pitch", "velocity"]].tolist() == notes


def test_segments_restate_the_velocity_and_leave_out_the_ends_of_earlier_notes():
    bars = [(0, 4000, 40, 50), *((500 * i, 400, 60 + i, 100) for i in range(8))]
    events = PERFORMANCE.encode(piano(bars))
    segments = [PERFORMANCE.to_text(piece) for piece in PERFORMANCE.segments(events, 20)]
    assert segments[0].startswith("VELOCITY_13 NOTE_ON_40 VELOCITY_25 NOTE_ON_60")
    assert segments[1].startswith("TIME_SHIFT_40 TIME_SHIFT_10 VELOCITY_25 NOTE_ON_65 ")
    assert "NOTE_OFF_40" not in " ".join(segments)
    assert all(len(segment.split()) <= 20 for segment in segments)
    assert np.array_equal(np.concatenate(PERFORMANCE.chunks(events, 20)), events)


@settings(deadline=None, max_examples=60)
@given(scores(min_notes=1, last_onset=1_000, longest=400))
def test_notes_move_no_more_than_stated(score):
    decoded = PERFORMANCE.decode(PERFORMANCE.encode(score)).score
    score = score.sustained()
    notes = score.notes[score.notes["program"] != DRUMS]
    assert len(decoded.notes) == len(notes)

    def edges(score, notes, ends):  # sorted: which onset goes with which end changes where unisons overlap
        seconds = score.seconds(notes["onset"] + (notes["duration"] if ends else 0))
        return np.array(sorted(zip(notes["pitch"].tolist(), seconds, strict=True))).reshape(-1, 2)

    for ends, bound in ((False, 0.005 + 0.0001 * 24), (True, 0.015)):
        before, after = edges(score, notes, ends), edges(decoded, decoded.notes, ends)
        assert np.array_equal(before[:, 0], after[:, 0])
        assert (np.abs(before[:, 1] - after[:, 1]) <= bound + 1e-9).all()


def test_note_seq_gives_the_same_events():
    rng = np.random.default_rng(3)
    rows = [
        (int(onset), int(rng.integers(1, 900)), 36 + 3 * index % 60, int(rng.integers(1, 128)))
        for index, onset in enumerate(np.sort(rng.integers(0, 20_000, 200)))
    ]
    starts: dict[int, int] = {}
    for index in reversed(range(len(rows))):  # a key is released before it is struck again
        onset, duration, pitch, velocity = rows[index]
        rows[index] = (onset, max(1, min(duration, starts.get(pitch, 10**9) - onset)), pitch, velocity)
        starts[pitch] = onset
    score = piano(rows, pedals=np.array([(900, 3000, 0), (8000, 500, 0)], PEDAL))
    assert np.array_equal(PERFORMANCE.encode(score), note_seq_events(score))


@settings(deadline=None, max_examples=60)
@given(scores(min_notes=1, last_onset=1_000, longest=400))
def test_note_seq_gives_the_same_events_in_each_step(score):
    ours, theirs = PERFORMANCE.encode(score), note_seq_events(score)
    kept = (ours < 128) | (ours > 255)
    # Where notes of one pitch overlap, the note-offs of a step may change places.
    assert np.array_equal(ours[kept], theirs[kept])
    step = PERFORMANCE.times(ours)[:-1]
    assert np.array_equal(ours[np.lexsort((ours, step))], theirs[np.lexsort((theirs, step))])


@pytest.mark.data
@pytest.mark.parametrize(
    ("archive", "pattern"),
    [("classical_piano", "ecompetition_subset/**/*.mid*"), ("pianist8", "midi/**/*.mid")],
)
def test_note_seq_gives_the_same_events_for_real_piano_music(real_music, archive, pattern):
    paths = sorted(real_music(archive).glob(pattern))
    for path in paths[:: len(paths) // 8][:8]:
        score = midi.read(path)
        assert np.array_equal(PERFORMANCE.encode(score), note_seq_events(score)), path
