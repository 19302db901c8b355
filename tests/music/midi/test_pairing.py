"""Which note-off ends which note: no missing event costs more than its own note, and what is guessed is told."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from midi_files import control, file_of, merged, mido_file, music, off, on

from t5music.music import midi

FIELDS = ["onset", "duration", "pitch"]


def read(*tracks: list) -> tuple[list[tuple], tuple[str, ...]]:
    """Onset, duration and pitch of the notes of a file with these tracks, and what was mended."""
    reading = midi.read_mended(mido_file(*tracks), require_notes=False)
    return reading.score.notes[FIELDS].tolist(), reading.mended


def test_overlapping_notes_that_are_all_ended_end_in_the_order_they_began():
    notes, mended = read([on(0, 60), on(5, 60), off(8, 60), on(12, 60), off(20, 60), off(30, 60)])
    assert notes == [(0, 8, 60), (5, 15, 60), (12, 18, 60)]
    assert mended == ()


def test_a_missing_note_off_costs_its_own_note_alone():
    track = [on(0, 60), on(960, 60), off(1440, 60), on(1920, 60), off(2400, 60), on(2880, 60), off(3360, 60)]
    notes, mended = read(track)
    assert notes == [(0, 960, 60), (960, 480, 60), (1920, 480, 60), (2880, 480, 60)]
    assert mended == ("notes without an end: 1",)


@pytest.mark.parametrize(
    ("track", "expected", "mended"),
    [
        ([on(0, 60), on(9, 62), off(3000, 62)], [(0, 1920, 60), (9, 2991, 62)], 1),  # a whole note at most
        ([on(0, 60), on(9, 62), off(30, 62)], [(0, 30, 60), (9, 21, 62)], 1),  # until the file ends
        ([on(0, 60), on(0, 60), off(30, 60)], [(0, 30, 60), (0, 30, 60)], 1),  # a doubled note-on
        ([on(0, 60), off(9, 60), on(9, 60)], [(0, 9, 60)], 1),  # struck as the file ends: no time is left
        ([on(0, 60), on(20, 60), on(50, 60), off(60, 60)], [(0, 20, 60), (20, 30, 60), (50, 10, 60)], 2),
    ],
)
def test_notes_without_a_note_off(track, expected, mended):
    assert read(track) == (expected, (f"notes without an end: {mended}",))


def test_a_note_without_a_note_off_ends_with_all_notes_of_its_channel():
    track = [on(0, 60), control(30, 0, number=123), on(40, 60), off(50, 60), on(90, 62), off(95, 62)]
    assert read(track) == ([(0, 30, 60), (40, 10, 60), (90, 5, 62)], ())
    track = [on(0, 60), on(9, 60), off(19, 60), control(30, 0, number=123), on(40, 60), off(50, 60)]
    assert read(track) == ([(0, 9, 60), (9, 10, 60), (40, 10, 60)], ("notes without an end: 1",))


def test_note_offs_without_a_note_are_told():
    track = [off(0, 60), on(10, 60), off(20, 60), off(20, 60), off(25, 60), on(30, 60), off(40, 60)]
    assert read(track) == ([(10, 10, 60), (30, 10, 60)], ("note-offs without a note: 3",))


def test_notes_of_no_length_are_told():
    assert read([on(10, 60), off(10, 60), on(10, 62), off(20, 62)]) == (
        [(10, 1, 60), (10, 10, 62)],
        ("notes of no length: 1",),
    )


@st.composite
def tunes(draw: st.DrawFn) -> list[tuple[int, int, int]]:
    """Notes (onset, end, pitch) of few keys, none of which is struck again before it is let go."""
    notes = []
    for pitch in (60, 61, 62):
        ticks = sorted(draw(st.sets(st.integers(0, 400), min_size=2, max_size=16)))
        notes += [(a, b, pitch) for a, b in zip(ticks[::2], ticks[1::2], strict=False)]
    return notes


@given(tunes(), st.data())
@settings(deadline=None, max_examples=200)
def test_missing_note_offs_cost_their_own_notes_alone(tune, data):
    lost = data.draw(st.sets(st.integers(0, max(len(tune) - 1, 0)), max_size=4)) if tune else set()
    events = [on(start, pitch) for start, _, pitch in tune]
    events += [off(end, pitch) for number, (_, end, pitch) in enumerate(tune) if number not in lost]
    notes, mended = read(events)
    whole = {(start, end - start, pitch) for number, (start, end, pitch) in enumerate(tune) if number not in lost}
    assert whole <= set(notes)
    assert mended == ((f"notes without an end: {len(lost)}",) if lost else ())
    for onset, duration, pitch in set(notes) - whole:
        assert (onset, pitch) in {(tune[number][0], tune[number][2]) for number in lost}
        assert duration <= min(
            [start - onset for start, _, key in tune if key == pitch and start > onset], default=1920
        )


@given(tunes(), st.data())
@settings(deadline=None, max_examples=100)
def test_missing_note_ons_cost_their_own_notes_alone(tune, data):
    lost = data.draw(st.sets(st.integers(0, max(len(tune) - 1, 0)), max_size=4)) if tune else set()
    events = [on(start, pitch) for number, (start, _, pitch) in enumerate(tune) if number not in lost]
    events += [off(end, pitch) for _, end, pitch in tune]
    notes, mended = read(events)
    assert set(notes) == {
        (start, end - start, pitch) for number, (start, end, pitch) in enumerate(tune) if number not in lost
    }
    assert mended == ((f"note-offs without a note: {len(lost)}",) if lost else ())


strikes = st.lists(st.tuples(st.integers(0, 30), st.booleans(), st.sampled_from([64, 80])), max_size=24)


@given(st.lists(strikes, min_size=1, max_size=3))
@settings(deadline=None, max_examples=200)
def test_pairing_against_a_plain_implementation(tracks):
    """Matched like brackets, and then first in, first out: written once more as one would by hand."""
    data = mido_file(*[
        [on(tick, 60, velocity) if is_on else off(tick, 60) for tick, is_on, velocity in track]
        for track in tracks
    ])  # fmt: skip
    played = sorted((row for track in tracks for row in sorted(track, key=lambda row: row[0])), key=lambda row: row[0])
    open_notes: list[int] = []
    surplus = set()
    for number, (_, is_on, _) in enumerate(played):
        if is_on:
            open_notes.append(number)
        elif open_notes:
            open_notes.pop()  # like brackets: the last one opened is closed
        else:
            surplus.add(number)
    lost = set(open_notes)
    ons = [number for number, row in enumerate(played) if row[1] and number not in lost]
    offs = [number for number, row in enumerate(played) if not row[1] and number not in surplus]
    expected = Counter()
    for struck, ended in zip(ons, offs, strict=True):
        expected[played[struck][0], max(played[ended][0] - played[struck][0], 1), played[struck][2]] += 1
    for number in lost:
        tick = played[number][0]
        until = min([row[0] for row in played[number:] if row[0] > tick], default=played[-1][0])
        if until > tick:
            expected[tick, until - tick, played[number][2]] += 1
    reading = midi.read_mended(data, require_notes=False)
    assert Counter(reading.score.notes[["onset", "duration", "velocity"]].tolist()) == expected
    told = dict(line.split(": ") for line in reading.mended)
    assert (int(told.get("notes without an end", 0)), int(told.get("note-offs without a note", 0))) == (
        len(lost),
        len(surplus),
    )
    assert music(reading.score) == music(midi.read(merged(data), require_notes=False))


def test_a_million_note_ons_of_one_key_are_paired_in_linear_time():
    body = b"\x00\x90\x3c\x40" + b"\x01\x3c\x40" * 300_000 + b"\x01\x3c\x00" * 100_000
    reading = midi.read_mended(file_of(body + b"\x00\xff\x2f\x00", division=32767))
    assert reading.mended == ("notes without an end: 200001",)
    assert len(reading.score.notes) == 300_001
