"""What goes on for too long to be music, or to be written: refused alone, by name; and what is too late left out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from midi_files import END_OF_TRACK, ONE_NOTE, file_of

from t5music.errors import MidiError
from t5music.music import encodings, midi
from t5music.music.midi import variable_length
from t5music.music.score import NOTE, Score

LAST_TICK = 2**28 - 1


def wait(ticks: int) -> bytes:
    """A meta event without a meaning, after so many ticks."""
    return variable_length.encode(ticks) + b"\xff\x7f\x00"


def late(ticks: int, events: bytes = ONE_NOTE) -> bytes:
    """Events that begin at a tick, in pieces that a delta time can hold."""
    return wait(ticks // 2) + wait(ticks - ticks // 2) + events


@pytest.mark.parametrize("division", [1, 24, 480, 960, 1024, 32767])
def test_what_ends_beyond_the_last_tick_is_refused_by_name(division):
    data = file_of(ONE_NOTE + late(LAST_TICK - 10) + END_OF_TRACK, division=division)
    with pytest.raises(MidiError, match=r"\Aa file: (its notes go on|has \d+ bars|lasts \S+ hours)"):
        midi.read(data, name="a file", max_quarters=2**29)
    with pytest.raises(
        MidiError, match=r"\Aa file: its notes go on beyond tick 268435455, the last that a MIDI file can hold\Z"
    ):
        midi.read(file_of(ONE_NOTE + late(LAST_TICK) + END_OF_TRACK, division=32767), name="a file")


def test_what_ends_at_the_last_tick_can_be_read_and_written():
    data = file_of(late(LAST_TICK - 32) + END_OF_TRACK, division=32767)
    score = midi.read(data)
    assert score.end_tick <= LAST_TICK
    assert midi.read(midi.to_bytes(score)) == score


@pytest.mark.parametrize(
    ("late_event", "line"),
    [
        (b"\x00\xff\x51\x03\x07\xa1\x21", "tempi, meters or keys too late to be written: 1"),
        (b"\x00\xff\x58\x04\x03\x02\x18\x08", "tempi, meters or keys too late to be written: 1"),
        (b"\x00\xff\x59\x02\x01\x00", "tempi, meters or keys too late to be written: 1"),
        (b"\x00\xb0\x40\x7f\x10\xb0\x40\x00", "pedals too late to be written: 1"),
    ],
)
def test_what_else_is_too_late_is_left_out_and_told(late_event, line):
    for tick in (LAST_TICK + 1, 2**31, 2**33, 2**40):
        waits = wait(2**28 - 1) * (tick // (2**28 - 1)) + wait(tick % (2**28 - 1))
        reading = midi.read_mended(file_of(ONE_NOTE + waits + late_event + END_OF_TRACK))
        assert reading.mended == (line,)
        assert midi.read(midi.to_bytes(reading.score)) == reading.score


def test_a_pedal_lifted_too_late_is_lifted_with_the_last_note():
    body = b"\x00\xb0\x40\x7f" + ONE_NOTE + wait(2**28 - 1) + b"\x10\xb0\x40\x00" + END_OF_TRACK
    reading = midi.read_mended(file_of(body))
    assert reading.score.pedals.tolist() == [(0, 16, 0)]
    assert reading.mended == ("pedals never lifted: 1",)


@given(
    st.lists(
        st.tuples(
            st.integers(0, 2**28 - 1),
            st.sampled_from([ONE_NOTE, b"\x00\xb0\x40\x7f", b"\x00\xff\x51\x03\x07\xa1\x21"]),
        ),
        max_size=4,
    ),
    st.integers(1, 32767),
)  # fmt: skip
@settings(deadline=None, max_examples=150)
def test_what_is_read_can_be_written_and_said(events, division):
    data = file_of(
        ONE_NOTE + b"".join(wait(ticks) + event for ticks, event in events) + END_OF_TRACK, division=division
    )
    try:
        score = midi.read(data, name="a file")
    except MidiError as error:
        reason = str(error)
        assert reason.startswith("a file: ")
        return
    assert midi.read(midi.to_bytes(score)) == score
    for name in ("performance", "remi"):
        try:
            encodings.get(name).encode(score)
        except MidiError as error:  # longer than the encoding takes
            reason = str(error)
            assert "takes at most" in reason


def test_twenty_thousand_bars_and_twelve_hours_are_refused():
    bars = file_of(ONE_NOTE + late(20_000 * 4 * 480, b"\x00\x90\x3c\x40\x10\x80\x3c\x40") + END_OF_TRACK)
    with pytest.raises(MidiError, match=r"\Asong\.mid: has 20001 bars, more than 10000: "):
        midi.read(bars, name="song.mid")
    silence = file_of(b"\x00\xff\x51\x03\xff\xff\xff" + ONE_NOTE + late(480 * 2575) + END_OF_TRACK)
    with pytest.raises(MidiError, match=r"\Asong\.mid: lasts 12\.0 hours, more than 6: "):
        midi.read(silence, name="song.mid")
    short_bars = file_of(b"\x00\xff\x58\x04\x01\x05\x18\x08" + ONE_NOTE + late(480 * 1300) + END_OF_TRACK)
    with pytest.raises(MidiError, match=r"\Asong\.mid: has 10401 bars, more than 10000: "):
        midi.read(short_bars, name="song.mid")
    allowed = file_of(ONE_NOTE + late(9_999 * 4 * 480) + END_OF_TRACK)
    assert len(midi.read(allowed).bars()[0]) == 10_000


def test_bars_are_counted_without_making_them():
    notes = [(0, 10**12, 60, 64, 0, 0)]
    assert Score(1, np.array(notes, NOTE)).bar_count == 10**12 // 4


def test_too_many_spans_of_pedals_are_refused():
    programs = b"".join(b"\x00\xc0" + bytes([number]) + ONE_NOTE for number in range(100))
    presses = b"\x01\xb0\x40\x7f\x01\xb0\x40\x00" * 200
    data = file_of(programs + presses + END_OF_TRACK)
    assert len(midi.read(data).pedals) == 20_000
    with pytest.raises(MidiError, match="its tracks have more than 10000 spans of the sustain pedal"):
        midi.read(data, max_notes=10_000)
