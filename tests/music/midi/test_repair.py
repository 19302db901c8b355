"""What is not as the standard has it: mended, and told. And that the fast way reads nothing as the slow way does not."""

from __future__ import annotations

import struct
import tracemalloc
from collections import Counter

import mido
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from midi_files import END_OF_TRACK, ONE_NOTE, file_of, mido_file, mido_notes, off, on, score_or_reason
from strategies import any_scores

from t5music.errors import MidiError
from t5music.music import midi
from t5music.music.midi import chunks, repair, variable_length
from t5music.music.midi.limits import Limits
from t5music.music.score import DRUMS, Score

HEADER = b"MThd\0\0\0\x06\0\x01\0\x01\x01\xe0"
TRACK = b"MTrk\0\0\0\x0c" + ONE_NOTE + END_OF_TRACK
TEMPO = b"\x00\xff\x51\x03\x07\xa1\x21"


def slowly(data: bytes) -> Score | str:
    """What is read, or why not, when every event has first been read and written anew, byte by byte."""
    parts = chunks.parse(data, "test", Limits())
    bodies = [parts.data[start:end] for start, end in parts.tracks]
    try:
        tracks = repair.repaired(bodies, [False] * len(bodies), Counter(), "MIDI data")
    except MidiError as error:
        return str(error)
    division = int.from_bytes(parts.data[12:14], "big")
    return score_or_reason(file_of(*tracks, division=division, kind=parts.kind))


def notes_of(data: bytes) -> list[tuple]:
    """Onset, duration and pitch of each note, as `midi.read` reads them."""
    return midi.read(data, require_notes=False).notes[["onset", "duration", "pitch"]].tolist()


# ----------------------------------------------------------------------------------------------- one music, two ways


@st.composite
def events(draw: st.DrawFn) -> bytes:
    """The events of a track, each legal, in bytes: notes that overlap and never end, pedals, programs, running status,
    tempi, meters and keys possible and not, several at a tick, SysEx, texts that are no UTF-8."""
    channels, few = st.sampled_from([0, 1, 9, 15]), st.integers(0, 127)
    pitch = st.integers(60, 62)
    messages = st.one_of(
        st.tuples(st.just(0x90), channels, pitch, few),
        st.tuples(st.just(0x90), channels, pitch, st.just(0)),
        st.tuples(st.just(0x80), channels, pitch, few),
        st.tuples(st.just(0xB0), channels, st.just(64), few),
        st.tuples(st.sampled_from([0xA0, 0xB0, 0xE0]), channels, few, few),
        st.tuples(st.sampled_from([0xC0, 0xD0]), channels, st.integers(0, 2)),
    )
    metas = st.one_of(
        st.tuples(st.just(0x51), st.binary(min_size=3, max_size=3)),
        st.tuples(st.just(0x58), st.tuples(few, st.integers(0, 7)).map(lambda meter: bytes([*meter, 24, 8]))),
        st.tuples(st.just(0x59), st.binary(min_size=2, max_size=2)),
        st.tuples(st.sampled_from([0x01, 0x03, 0x06, 0x20, 0x54, 0x7F]), st.binary(max_size=140)),
    )
    sysex = st.binary(max_size=130).map(lambda data: (0xF0, bytes(byte & 0x7F for byte in data) + b"\xf7"))
    deltas = st.one_of(st.integers(0, 3), st.integers(0, 3), st.sampled_from([127, 128, 16383, 16384, 2**21 - 1]))
    track, running = b"", -1
    for delta, event in draw(st.lists(st.tuples(deltas, st.one_of(messages, messages, metas, sysex)), max_size=30)):
        track += variable_length.encode(delta)
        if event[0] == 0xF0:
            track += b"\xf0" + variable_length.encode(len(event[1])) + event[1]
            running = -1
        elif event[0] < 0x80:
            track += bytes([0xFF, event[0]]) + variable_length.encode(len(event[1])) + event[1]
        else:
            status = event[0] | event[1]
            track += bytes(event[2:]) if status == running and draw(st.booleans()) else bytes([status, *event[2:]])
            running = status
    return track + END_OF_TRACK


@given(st.lists(events(), min_size=1, max_size=4), st.sampled_from([0, 1, 2]))
@settings(deadline=None, max_examples=150)
def test_both_ways_read_the_same_from_legal_files(tracks, kind):
    data = file_of(*tracks, kind=kind)
    assert score_or_reason(data) == slowly(data)


@given(any_scores())
@settings(deadline=None, max_examples=100)
def test_both_ways_read_the_same_from_what_is_written(score):
    assert slowly(midi.to_bytes(score)) == midi.representable(score)


PIECES = [bytes([byte]) for byte in b"\x00\x10\x3c\x40\x7f\x80\x81\x90\xb0\xc0\xd0\xe0\xf0\xf7\xff\x2f\x51\x03\x02"]


@given(st.lists(st.one_of(st.sampled_from([*PIECES, ONE_NOTE, END_OF_TRACK]), st.binary(max_size=3)), max_size=40))
@settings(deadline=None, max_examples=400)
def test_both_ways_read_the_same_from_any_bytes(pieces):
    data = file_of(b"".join(pieces))
    assert score_or_reason(data) == slowly(data)


@given(st.binary(max_size=12))
@settings(deadline=None, max_examples=300)
def test_names_that_are_not_utf_8(title):
    """As mojibake is commonly shown: one mark for each sequence that is none, not for each byte."""
    data = file_of(b"\x00\xff\x03" + bytes([len(title)]) + title + ONE_NOTE + END_OF_TRACK)
    (name,) = midi.read(data).track_names
    assert name == slowly(data).track_names[0]
    try:
        assert name == title.decode()
    except UnicodeDecodeError:
        assert "\ufffd" in name
        assert name.encode().replace("\ufffd".encode(), b"").isascii() or len(name) <= len(title)


@pytest.mark.parametrize("size", [0, 1, 127, 128, 129, 16383, 16384, 70_000])
@pytest.mark.parametrize("kind", [b"\xff\x01", b"\xff\x03", b"\xff\x7f", b"\xff\x60", b"\xf0", b"\xf7"])
def test_data_of_any_length_are_passed_over(kind, size):
    """Whatever looks like events in them."""
    for content in (b"\x00\x90\x3c\x40", b"\xff\xf0\xf7", b"\x80", b"\x00"):
        blob = (content * size)[:size]
        body = b"\x00" + kind + variable_length.encode(size) + blob + ONE_NOTE + b"\x00" + kind + variable_length.encode(size) + blob
        data = file_of(body + SECOND_NOTE + END_OF_TRACK, ONE_NOTE + END_OF_TRACK)
        assert sorted(notes_of(data)) == [(0, 16, 60), (0, 16, 60), (16, 16, 64)]
        assert midi.read_mended(data).mended == ()


@pytest.mark.parametrize("delta", [0, 127, 128, 14_336, 14_337, 14_463, 16_256, 16_303, 16_383, 2_097_151, 2**28 - 1])
def test_delta_times_that_look_like_other_events(delta):
    """Of which F0, and FF with a kind, begin with bytes that a delta time may have."""
    for event in (b"\x90\x3c\x40", b"\x3c\x40"):
        track = b"\x00\x90\x40\x40" + variable_length.encode(delta) + event + b"\x10\x80\x3c\x00\x00\x80\x40\x00"
        notes = [(0, delta + 16, 64), (delta, 16, 60)]
        if delta + 16 < 2**28:
            assert notes_of(file_of(track + END_OF_TRACK, division=32767)) == sorted(notes)


@pytest.mark.parametrize("split", [False, True])
def test_the_last_of_many_tempi_at_a_tick_holds(split):
    """symusic's sort of more than 24 of them does not keep their order."""
    tempos = [
        (tick, mido.MetaMessage("set_tempo", tempo=400_000 + 7 * tick + turn))
        for tick in range(30)
        for turn in (2, 3, 1)
    ]
    tracks = [tempos[::2], tempos[1::2]] if split else [tempos]
    score = midi.read(mido_file(*tracks, [on(0, 60), off(40, 60)]))
    last = {tick: message.tempo for track in tracks for tick, message in track}
    assert score.tempos.tolist() == sorted(last.items())


# ------------------------------------------------------------------------------------------------- what some readers misread

SECOND_NOTE = b"\x00\x90\x40\x40\x10\x80\x40\x40"
ODD = [
    ("escape", b"\x00\xf7\x03\x90\x3c\x40" + ONE_NOTE),
    (
        "escape that looks like the end of a SysEx",
        b"\x00\x90\x3c\x40\x10\x3c\x00\xf0\x05\x3c\x00\x81\x01\xf7\x01\x01" + SECOND_NOTE,
    ),
    ("running status after SysEx", b"\x00\x90\x3c\x40\x10\xf0\x03\x7e\x7f\xf7\x00\x3c\x00" + SECOND_NOTE),
    (
        "running status after SysEx and text",
        b"\x00\x90\x3c\x40\x10\xf0\x01\xf7\x00\xff\x01\x01a\x00\x3c\x00" + SECOND_NOTE,
    ),
    (
        "running status after SysEx and long text",
        b"\x00\x90\x3c\x40\x10\xf0\x01\xf7\x00\xff\x01\x81\x00"
        + bytes(128)
        + b"\x00\xff\x01\x00\x00\x3c\x00"
        + SECOND_NOTE,
    ),
    (
        "running status after SysEx and many texts",
        b"\x00\x90\x3c\x40\x10\xf0\x01\xf7" + (b"\x00\xff\x01\x20" + bytes(32)) * 12 + b"\x00\x3c\x00" + SECOND_NOTE,
    ),
    ("running status after long SysEx", b"\x00\x90\x3c\x40\x10\xf0\x81\x00" + bytes(127) + b"\xf7\x00\x3c\x00"),
    ("running status after song position", b"\x00\x90\x3c\x40\x10\xf2\x00\x00\x00\x3c\x00" + SECOND_NOTE),
    ("running status after clock", b"\x00\x90\x3c\x40\x10\xf8\x00\x3c\x00" + SECOND_NOTE),
    ("tempo of two bytes", b"\x00\xff\x51\x02\x07\xa1" + ONE_NOTE),
    ("meter of one byte", b"\x00\xff\x58\x01\x03" + ONE_NOTE),
    ("meter beyond bytes", b"\x00\xff\x58\x04\x03\x22\x18\x08" + ONE_NOTE),
    ("key of one byte", b"\x00\xff\x59\x01\x03" + ONE_NOTE),
    ("delta time of five bytes", b"\x00\x90\x3c\x40\x80\x80\x80\x80\x10\x80\x3c\x40"),
]


@pytest.mark.parametrize("track", [track for _, track in ODD], ids=[name for name, _ in ODD])
def test_what_some_readers_misread(track):
    data = file_of(track + END_OF_TRACK)
    assert notes_of(data)[0] == (0, 16, 60)
    assert len(notes_of(data)) == 1 + (SECOND_NOTE in track)
    score = midi.read(data)
    assert score == slowly(data)
    assert len(score.tempos) == len(score.meters) == len(score.keys) == 0


# --------------------------------------------------------------------------------------------------------- mended, told


@pytest.mark.parametrize(
    ("data", "mended"),
    [
        (HEADER + TRACK, ()),
        (b"RIFF" + struct.pack("<I", 52) + b"RMIDdata" + struct.pack("<I", 34) + HEADER + TRACK, ("RIFF wrapper",)),
        (b"RIFF" + struct.pack("<I", 60) + b"RMIDdata" + struct.pack("<I", 34) + HEADER + TRACK + b"LIST\4\0\0\0INFO",
         ("RIFF wrapper",)),
        (b"HTTP/1.0 200 OK\r\n\r\n" + HEADER + TRACK, ("bytes before the header: 19",)),
        (bytes(128) + HEADER + TRACK, ("bytes before the header: 128",)),
        (b"MThd\0\0\0\x08\0\x01\0\x01\x01\xe0ab" + TRACK, ("bytes in the header: 8",)),
        (b"MThd\0\0\0\0\0\x01\0\x01\x01\xe0" + TRACK, ("bytes in the header: 0",)),
        (b"MThd\xff\xff\xff\xff\0\x01\0\x01\x01\xe0" + TRACK, ("bytes in the header: 4294967295",)),
        (file_of(ONE_NOTE + END_OF_TRACK, kind=7), ("unknown file type: 7",)),
        (HEADER[:11] + b"\x03\x01\xe0" + TRACK, ("tracks missing: 2",)),
        (HEADER + TRACK + TRACK, ("tracks not announced, left out: 1",)),
        (HEADER[:11] + b"\x00\x01\xe0" + TRACK, ()),
        (HEADER + TRACK + HEADER + TRACK, ("bytes after the last track: 34",)),
        (HEADER + TRACK + b"\r\n", ("bytes after the last track: 2",)),
        (HEADER + TRACK + b"\0\xf7\0\xf8\0\xff\x51\x02", ("bytes after the last track: 8",)),
        (HEADER + TRACK + b"XFIH\0\0\0\x02ab", ()),
        (HEADER + b"junk\0\0\0\x02ab" + TRACK, ()),
        (HEADER + b"\0\0" + TRACK, ("bytes between tracks: 2",)),
        (HEADER + TRACK[:7] + b"\xff" + TRACK[8:], ("track lengths wrong: 1",)),
        (HEADER + TRACK[:4] + b"\xff" + TRACK[5:], ("track lengths wrong: 1",)),
        (HEADER + TRACK[:7] + b"\x00" + TRACK[8:], ("track lengths wrong: 1",)),
        (HEADER + TRACK[:7] + b"\x05" + TRACK[8:], ("track lengths wrong: 1",)),
        (HEADER + TRACK[:-1], ("track lengths wrong: 1",)),
        (HEADER + TRACK[:-4], ("track lengths wrong: 1", "tracks without an end: 1")),
        (file_of(ONE_NOTE), ("tracks without an end: 1",)),
        (file_of(ONE_NOTE + b"\x00\x90\x40"), ("tracks without an end: 1",)),
        (file_of(ONE_NOTE + b"\x00\xff\x03\x7fabc"), ("tracks without an end: 1",)),
        (file_of(ONE_NOTE + b"\x00\xf0\x7fabc"), ("tracks without an end: 1",)),
        (file_of(ONE_NOTE + END_OF_TRACK + bytes(5)), ("bytes after the end of a track: 5",)),
        (file_of(ONE_NOTE + b"\x00\x90\x40\x40" + END_OF_TRACK + b"\0"),
         ("bytes after the end of a track: 1", "notes without an end: 1")),
        (file_of(b"\x00\xb0\x07\x80" + ONE_NOTE + END_OF_TRACK), ("data bytes above 127: 1",)),
        (file_of(b"\x00\xc0\xff" + ONE_NOTE + END_OF_TRACK + bytes(9)),
         ("data bytes above 127: 1", "bytes after the end of a track: 9")),
        (file_of(b"\x00\x40" + ONE_NOTE + b"\x00\xff\x01\x05words" + END_OF_TRACK), ("stray data bytes: 2",)),
        (file_of(b"\x00\xf8\x00\xfe" + TEMPO + ONE_NOTE + END_OF_TRACK + b"\0"),
         ("system messages: 2", "bytes after the end of a track: 1")),
        (file_of(b"\x00\xf4\x00\xf1\x7f" + TEMPO + ONE_NOTE + END_OF_TRACK), ("system messages: 2",)),
        (file_of(b"\x80\x80\x80\x80\x00\xb0\x07\x00" + ONE_NOTE + END_OF_TRACK), ("numbers of more than 28 bits: 1",)),
        (file_of(b"\x00\xff\x51\x01\x07" + ONE_NOTE + END_OF_TRACK), ("impossible tempi, meters or keys: 1",)),
        (file_of(b"\x00\xff\x51\x03\0\0\0" + ONE_NOTE + END_OF_TRACK), ("impossible tempi, meters or keys: 1",)),
    ],
)  # fmt: skip
def test_what_is_mended_is_told(data, mended):
    reading = midi.read_mended(data)
    assert reading.mended == mended
    assert reading.score.notes[["onset", "duration", "pitch"]].tolist() == [(0, 16, 60)]
    assert reading.score.ticks_per_quarter == 480
    assert midi.read(data) == reading.score


def test_a_wrong_length_in_the_middle_costs_no_other_track():
    middle = b"MTrk\0\0\0\x0c\x00\x90\x40\x40\x10\x80\x40\x40" + END_OF_TRACK
    for length in (0, 5, 11, 13, 30, 10**9):
        data = HEADER[:11] + b"\x03\x01\xe0" + TRACK + middle[:4] + struct.pack(">I", length) + middle[8:] + TRACK
        assert notes_of(data) == [(0, 16, 60), (0, 16, 64), (0, 16, 60)], length
        assert midi.read_mended(data).mended == ("track lengths wrong: 1",)


@given(any_scores(), st.data())
@settings(deadline=None, max_examples=150)
def test_data_bytes_above_127_are_read_as_mido_clips_them(score, data):
    content = bytearray(midi.to_bytes(score))
    start = content.find(b"MTrk", 15)
    for _ in range(data.draw(st.integers(0, 3))):
        at = data.draw(st.integers(start, len(content) - 1)) if start > 0 else 0
        if at > start + 8 and content[at - 1] & 0xF0 in (0x80, 0x90, 0xB0):  # most likely a first data byte
            content[at] |= 0x80
    theirs = mido_notes(bytes(content))
    ours = score_or_reason(bytes(content))
    if isinstance(ours, str):
        assert "are not as they should be" in ours
    else:
        struck = Counter(ours.notes[["onset", "duration", "pitch", "velocity"]].tolist())
        assert theirs is None or theirs == struck


# ------------------------------------------------------------------------------------------------------- SMPTE, type 2


@pytest.mark.parametrize("ticks", [1, 4, 40, 80, 100, 255])
@pytest.mark.parametrize(("frames", "rate"), [(24, 24.0), (25, 25.0), (29, 30_000 / 1001), (30, 30.0)])
def test_smpte_division_counts_parts_of_seconds(frames, rate, ticks):
    events = b"\x00\xff\x51\x03\x01\x00\x00\x83\x00\x90\x3c\x40\x84\x07\x80\x3c\x40" + END_OF_TRACK
    reading = midi.read_mended(file_of(events, division=(256 - frames) << 8 | ticks))
    score = reading.score
    assert score.seconds(score.notes["onset"][0]) == pytest.approx(384 / (rate * ticks), rel=1e-14)
    assert score.duration_seconds == pytest.approx((384 + 519) / (rate * ticks), rel=1e-14)
    assert reading.mended == ("tempi under SMPTE division: 1",)
    assert midi.read(midi.to_bytes(score)) == score


def test_patterns_of_type_2_are_played_one_after_another():
    """As RP-001 has it; jazz-soft's test file of type 2 says that its two scales 'must play sequentially'."""
    quick, waltz = b"\x00\xff\x51\x03\x01\x00\x00", b"\x00\xff\x58\x04\x03\x02\x18\x08"
    first = waltz + b"\x10\xff\x51\x03\x02\x00\x00" + ONE_NOTE + b"\x20\xff\x2f\x00"  # 32 ticks of silence at its end
    second = ONE_NOTE + END_OF_TRACK
    third = quick + ONE_NOTE + END_OF_TRACK
    reading = midi.read_mended(file_of(first, second, third, kind=2))
    score = reading.score
    assert score.notes[["onset", "duration", "track"]].tolist() == [(16, 16, 0), (64, 16, 1), (80, 16, 2)]
    assert score.tempos.tolist() == [(16, 0x20000), (64, 500_000), (80, 0x10000)]
    assert score.meters.tolist() == [(0, 3, 4), (64, 4, 4)]
    assert reading.mended == ("patterns played one after another: 3",)
    alone = midi.read_mended(file_of(third, kind=2))
    assert alone == (midi.read(file_of(third, kind=0)), ())


# --------------------------------------------------------------------------------------------------------------- limits


@pytest.mark.parametrize(
    "data",
    [
        HEADER[:10] + b"\xff\xff\x7f\xff" + b"MTrk\xff\xff\xff\xff" + ONE_NOTE,
        file_of(b"\x00\xff\x01\xff\xff\xff\x7f", ONE_NOTE),
        file_of(b"\x00\xf0\xff\xff\xff\x7f", ONE_NOTE),
        b"RIFF\xff\xff\xff\xffRMIDdata\xff\xff\xff\xff" + HEADER + TRACK,
        file_of(b"\xff" * 60 + b"\x6f" + ONE_NOTE[1:], ONE_NOTE + END_OF_TRACK, division=32767),
    ],
)
def test_a_file_that_claims_much_costs_little(data):
    midi.read(file_of(ONE_NOTE + END_OF_TRACK + b"\0"))  # what is loaded once
    tracemalloc.start()
    assert len(midi.read(data).notes) in (1, 2)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 200_000


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (file_of(b"\x00\x90\x3c\x40" * 200_000), "has more than 1000 notes"),
        (file_of(*[b""] * 3000), "has more than 100 tracks"),
        (HEADER + b"junk\0\0\0\0" * 3000 + TRACK, "has more than 100 chunks that are not among its tracks"),
        (HEADER + TRACK + b"MTrk\0\0\0\0" * 3000, "has more than 100 chunks that are not among its tracks"),
        (file_of(b"".join(bytes([0, 0xC0, program, 0, 0x90, 60, 9, 0, 60, 0]) for program in range(120)) + b"\0"),
         "has more than 100 tracks"),
        (file_of(b"\x83\xff\xff\x7f\x90\x3c\x40\x00\x80\x3c\x40"), "its notes go on for more than 100 quarter notes"),
    ],
)  # fmt: skip
def test_limits_hold_before_memory_is_spent(data, reason):
    limits = {"max_tracks": 100, "max_notes": 1000, "max_quarters": 100}
    tracemalloc.start()
    with pytest.raises(MidiError, match=rf"\Aa file: {reason}\Z"):
        midi.read(data, name="a file", **limits)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3 * len(data) + 200_000


def test_drums_of_several_kits_are_tracks_of_their_own():
    track = b"\x00\xc9\x08\x00\x99\x24\x40\x10\x24\x00\x00\xc9\x19\x00\x99\x26\x40\x10\x26\x00" + END_OF_TRACK
    for data in (file_of(track), file_of(track + b"\0")):
        score = midi.read(data)
        assert score.notes[["pitch", "program", "track"]].tolist() == [(36, DRUMS, 0), (38, DRUMS, 1)]


@given(st.lists(events(), min_size=1, max_size=3))
@settings(deadline=None, max_examples=80)
def test_what_is_told_does_not_depend_on_the_way(tracks):
    """One byte after its end sends a file the slow way."""
    quick, slow = file_of(*tracks), file_of(*tracks[:-1], tracks[-1] + b"\0")
    assert score_or_reason(quick) == score_or_reason(slow)
    if isinstance(score_or_reason(quick), Score):
        told = [midi.read_mended(data, require_notes=False).mended for data in (quick, slow)]
        assert sorted(told[1]) == sorted([*told[0], "bytes after the end of a track: 1"])
