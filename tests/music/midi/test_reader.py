from __future__ import annotations

import io
import os

import mido
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from midi_files import (
    END_OF_TRACK,
    ONE_NOTE,
    control,
    file_of,
    mido_file,
    off,
    on,
    program,
    sane,
    score_or_reason,
)
from strategies import any_scores

from t5music.errors import MidiError
from t5music.music import midi
from t5music.music.score import DRUMS


def test_reads_a_file_of_another_writer():
    data = mido_file(
        [
            (0, mido.MetaMessage("set_tempo", tempo=500_001)),
            (0, mido.MetaMessage("time_signature", numerator=3, denominator=8)),
            (0, mido.MetaMessage("key_signature", key="F#m")),
            (960, mido.MetaMessage("set_tempo", tempo=333_333)),
        ],
        [
            (0, mido.MetaMessage("track_name", name="right hand")),
            program(0, 6),
            control(5, 127),
            on(10, 60, 100),
            on(10, 64, 90),
            off(20, 64),
            control(30, 63),
            (40, mido.Message("note_on", note=60, velocity=0)),
        ],
        [on(7, 36, 1, channel=9), off(9, 36, channel=9)],
        division=96,
    )
    score = midi.read(data)
    assert score.ticks_per_quarter == 96
    assert score.notes.tolist() == [(7, 2, 36, 1, DRUMS, 1), (10, 30, 60, 100, 6, 0), (10, 10, 64, 90, 6, 0)]
    assert score.tempos.tolist() == [(0, 500_001), (960, 333_333)]
    assert score.meters.tolist() == [(0, 3, 8)]
    assert score.keys.tolist() == [(0, 3, True)]
    assert score.pedals.tolist() == [(5, 25, 0)]
    assert score.track_names == ("right hand", "")


def test_type_0_is_taken_apart_by_channel_and_program():
    data = mido_file(
        [
            (0, mido.MetaMessage("track_name", name="all")),
            program(0, 80, 0),
            program(0, 38, 2),
            on(0, 60, channel=0),
            on(0, 40, channel=2),
            off(10, 60, channel=0),
            off(10, 40, channel=2),
            program(10, 81, 0),
            on(10, 62, channel=0),
            off(20, 62, channel=0),
        ],
        kind=0,
    )
    score = midi.read(data)
    assert score.notes[["onset", "pitch", "program", "track"]].tolist() == [
        (0, 60, 80, 0),
        (0, 40, 38, 2),
        (10, 62, 81, 1),
    ]
    assert score.track_names == ("all",) * 3


def test_a_note_keeps_the_program_it_began_with():
    score = midi.read(mido_file([program(0, 5), on(0, 60), program(5, 7), off(10, 60), on(10, 62), off(20, 62)]))
    assert score.notes[["pitch", "program"]].tolist() == [(60, 5), (62, 7)]


def test_overlaps_of_one_pitch_end_in_the_order_they_began():
    score = midi.read(mido_file([on(0, 60, 10), on(5, 60, 20), off(8, 60), off(30, 60)]))
    assert score.notes[["onset", "duration", "velocity"]].tolist() == [(0, 8, 10), (5, 25, 20)]


def test_what_is_mended():
    data = file_of(
        b"\x00\xff\x51\x03\x00\x00\x00"  # a tempo of no time
        b"\x00\xff\x51\x03\x07\xa1\x20"
        b"\x00\xff\x51\x03\x07\xa1\x21"  # the last tempo of one tick
        b"\x00\xff\x58\x04\x00\x02\x18\x08"  # a meter of no beats
        b"\x00\xff\x58\x04\x03\x09\x18\x08"  # a meter of 512th notes
        b"\x01\xff\x58\x04\x03\x03\x18\x08"
        b"\x00\xff\x59\x02\x20\x00"  # a key of 32 sharps
        b"\x00\xff\x59\x02\x00\x05"  # a mode that is neither major nor minor
        b"\x01\xff\x59\x02\xf9\x01" + END_OF_TRACK,
        b"\x00\x90\x3c\x40\x00\x80\x3c\x40"  # a note of no length
        b"\x05\x90\x3e\x40"  # a note never ended
        b"\x05\x90\x40\x40\x05\x80\x40\x40" + END_OF_TRACK,
        b"\x00\xff\x03\x05words" + END_OF_TRACK,
    )
    score = midi.read(data)
    assert score.notes[["onset", "duration", "pitch"]].tolist() == [(0, 1, 60), (5, 10, 62), (10, 5, 64)]
    assert score.tempos.tolist() == [(0, 500_001)]
    assert score.meters.tolist() == [(1, 3, 8)]
    assert score.keys.tolist() == [(2, -7, True)]
    assert score.track_names == ("",)
    assert midi.read_mended(data) == (
        score,
        (
            "notes without an end: 1",
            "notes of no length: 1",
            "impossible tempi, meters or keys: 5",
            "tempi, meters or keys replaced at one tick: 1",
        ),
    )


def test_pedals_that_are_never_pressed_or_never_lifted():
    lifted_first = [control(3, 0, 3), on(10, 60, channel=3), off(20, 60, channel=3)]
    never_lifted = [control(12, 64, 4), on(10, 62, channel=4), control(12, 100, 4), off(30, 62, channel=4)]
    other_controller = [control(1, 127, 5, number=66), on(10, 64, channel=5), off(20, 64, channel=5)]
    never_lifted.sort(key=lambda event: event[0])
    reading = midi.read_mended(mido_file(lifted_first, never_lifted, other_controller))
    assert reading.score.pedals.tolist() == [(12, 18, 1)]
    assert reading.mended == ("pedals never lifted: 1",)


def test_what_lies_beyond_the_last_tick_is_left_out():
    far = b"\xff\xff\xff\x7f\xb0\x07\x00" * 9
    score = midi.read(
        file_of(
            far + b"\x00\xff\x51\x03\x07\xa1\x21" + END_OF_TRACK,
            b"\x00\xb0\x40\x7f" + ONE_NOTE + far + b"\x00\xb0\x40\x00",
        )
    )
    assert score.pedals.tolist() == [(0, 16, 0)]
    assert len(score.tempos) == 0


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "the file is empty"),
        (b"\n<!DOCTYPE html><html>", "not a standard MIDI file but a web page: there is no MIDI header in it"),
        (b"RIFF\x10\0\0\0WAVEdata", "not a standard MIDI file but a RIFF file: there is no MIDI header in it"),
        (
            b"SMF2CLIP\0\x40\x1e\0\0\x40\0\0",
            "not a standard MIDI file but a MIDI 2.0 clip file: there is no MIDI header",
        ),
        (b"SMF2CON1\0\0\0\0", "not a standard MIDI file but a MIDI 2.0 container file: there is no MIDI header in it"),
        (b"FORM\0\0\0\x0eXDIRINFO", "not a standard MIDI file but an IFF file, as XMI is: there is no MIDI header"),
        (b"MUS\x1a\0\0", "not a standard MIDI file but a DOOM MUS file: there is no MIDI header in it"),
        (b"\xef\xbb\xbfX:1\r\nK:C", "not a standard MIDI file but ABC notation: there is no MIDI header in it"),
        (b"XMF_2.00\0\0\0\2", "not a standard MIDI file but an XMF container file: there is no MIDI header in it"),
        (b"Finale(R) PC 2.0 Copyright\0", "not a standard MIDI file but a Finale score: there is no MIDI header"),
        (b"(SRL)\r\nA Bunch of Thyme", "not a standard MIDI file but plain text: there is no MIDI header in it"),
        (bytes(range(256)), "not a standard MIDI file but other data: there is no MIDI header in it"),
        (b"MThd", "damaged MIDI file: it ends within its header"),
        (b"MThd\0\0\0\x02\0\0MTrk\0\0\0\x04\0\xff\x2f\0", "damaged MIDI file: a header of 2 bytes, too short to hold"),
        (file_of(ONE_NOTE + END_OF_TRACK, division=0), "damaged MIDI file: zero ticks per quarter note"),
        (file_of(ONE_NOTE + END_OF_TRACK, division=0xFFFF), "damaged MIDI file: its division, 0xFFFF, is neither"),
        (file_of(ONE_NOTE + END_OF_TRACK, division=0xE700), "damaged MIDI file: its division, 0xE700, is neither"),
        (
            file_of(b"\x00\x90\xc0\xc1" * 9 + END_OF_TRACK),
            "damaged MIDI file: 18 of the 40 bytes that could be read are not",
        ),
        (file_of(END_OF_TRACK), "no notes in it"),
        (file_of(b"\x00\xff\x03\x02hi\x00\x90\x3c\x40" + END_OF_TRACK), "no notes in it"),
        (file_of(b"\x00\x90\x3c\x40"), r"no notes in it \(tracks without an end: 1; notes without an end: 1\)"),
        (file_of(b"\xff\xff\xff\x7f" * 9 + ONE_NOTE, division=1), r"no notes in it \(tracks without an end: 1\)"),
        (
            file_of(b"\xff\xff\xff\x7f\xb0\x07\x00" * 9 + ONE_NOTE + END_OF_TRACK),
            "its notes go on for more than 1000000 quarter notes",
        ),
        (
            file_of(b"\xff\xff\xff\x7f\xb0\x07\x00" * 16 + b"\x10\xb0\x07\x00" + ONE_NOTE + END_OF_TRACK),
            "its notes go on for more than 1000000 quarter notes",  # which begin at 2^32, so at 0 for a 32-bit counter
        ),
        (
            file_of(b"\xff\xff\x7f\xb0\x07\x00" * 2000 + ONE_NOTE + END_OF_TRACK),
            "its notes go on for more than 1000000 quarter notes",
        ),
    ],
)
def test_unreadable_files_are_one_line_errors(tmp_path, data, reason):
    path = tmp_path / "tune.mid"
    path.write_bytes(data)
    for source, name in ((path, str(path)), (str(path), str(path)), (data, "MIDI data")):
        with pytest.raises(MidiError, match=rf"\A{name}: {reason}.*\Z") as error:
            midi.read(source)
        assert "\n" not in str(error.value)
        assert error.value.__cause__ is None
    with pytest.raises(MidiError, match=rf"\Atune 7: {reason}"):
        midi.read(data, name="tune 7")


def test_a_file_without_notes_is_read_on_demand():
    data = file_of(b"\x00\xff\x51\x03\x07\xa1\x21" + END_OF_TRACK)
    score = midi.read(data, require_notes=False)
    assert len(score.notes) == 0
    assert score.tempos.tolist() == [(0, 500_001)]
    nothing = midi.read_mended(file_of() + b"\0\xf7\0\xf8\0\xf1\0\0", require_notes=False)
    assert (len(nothing.score.notes), nothing.mended) == (0, ("bytes after the last track: 8",))


def test_files_that_cannot_be_opened(tmp_path):
    with pytest.raises(MidiError, match=r"missing\.mid: no such file\Z"):
        midi.read(tmp_path / "missing.mid")
    with pytest.raises(MidiError, match=r": is a folder, not a MIDI file\Z"):
        midi.read(tmp_path)
    with pytest.raises(MidiError, match=r"\A'a\\x00b': not a file name"):
        midi.read("a\0b")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(MidiError, match=r"file/tune\.mid: cannot be read: Not a directory\Z"):
        midi.read(tmp_path / "file" / "tune.mid")


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is unreadable to root")
def test_a_file_without_permission(tmp_path):
    path = tmp_path / "tune.mid"
    path.write_bytes(file_of(ONE_NOTE + END_OF_TRACK))
    path.chmod(0)
    with pytest.raises(MidiError, match=r"tune\.mid: cannot be read: Permission denied\Z"):
        midi.read(path)


@pytest.mark.parametrize(
    ("limit", "reason"),
    [
        ({"max_bytes": 40}, "larger than 40 bytes"),
        ({"max_tracks": 1}, "has more than 1 tracks"),
        ({"max_notes": 3}, "has more than 3 notes"),
        ({"max_quarters": 0}, "its notes go on for more than 0 quarter notes"),
    ],
)
def test_limits(tmp_path, limit, reason):
    data = file_of(ONE_NOTE * 2 + END_OF_TRACK, ONE_NOTE * 2 + END_OF_TRACK)
    path = tmp_path / "tune.mid"
    path.write_bytes(data)
    for source in (data, path):
        with pytest.raises(MidiError, match=reason):
            midi.read(source, **limit)
        within = {name: len(data) if name == "max_bytes" else value + 1 for name, value in limit.items()}
        assert len(midi.read(source, **within).notes) == 4


@given(
    st.lists(
        st.lists(st.tuples(st.integers(0, 300), st.one_of(st.none(), st.integers(1, 2**24 - 1))), max_size=40),
        min_size=1,
        max_size=3,
    ),
    st.integers(1, 32767),
)
@settings(deadline=None, max_examples=100)
def test_time_passes_as_in_mido(tracks, division):
    """Tempi in any track, also several at one tick: mido plays the file and says when it strikes each note."""
    events = []
    for track in tracks:
        messages = [
            (tick, mido.MetaMessage("set_tempo", tempo=tempo) if tempo else mido.Message("note_on", note=60))
            for tick, tempo in track
        ]
        events.append([*sorted(messages, key=lambda event: event[0]), *[off(400, 60)] * len(track)])
    data = mido_file(*events, division=division)
    seconds, struck = 0.0, []
    for message in mido.MidiFile(file=io.BytesIO(data)):
        seconds += message.time
        if message.type == "note_on":
            struck.append(seconds)
    score = midi.read(data, require_notes=False)
    assert score.seconds(score.notes["onset"]).tolist() == pytest.approx(struck, rel=1e-9, abs=1e-12)


@given(any_scores(), st.data())
@settings(deadline=None, max_examples=250)
def test_damaged_bytes_are_read_as_music_or_refused(score, data):
    content = bytearray(midi.to_bytes(score))
    for _ in range(data.draw(st.integers(1, 8))):
        place = data.draw(st.integers(0, len(content) - 1))
        match data.draw(st.sampled_from(["set", "set", "cut", "insert"])):
            case "set":
                content[place] = data.draw(st.integers(0, 255))
            case "cut":
                del content[place : place + data.draw(st.integers(1, 6))]
            case "insert":
                content[place:place] = data.draw(st.binary(min_size=1, max_size=6))
        if not content:
            break
    read = score_or_reason(bytes(content))
    if isinstance(read, str):
        assert read.startswith("MIDI data: ")
        assert "\n" not in read
    else:
        assert sane(read)
        assert len(read.bars()[0]) >= 1
