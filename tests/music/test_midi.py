from __future__ import annotations

import csv
import io
import os
import random
import struct
from collections import Counter, defaultdict, deque
from dataclasses import replace
from pathlib import Path

import mido
import numpy as np
import pytest
import symusic
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import any_scores, scores

from t5music.errors import DataError, MidiError
from t5music.music import midi
from t5music.music.score import DRUMS, KEY, METER, NOTE, PEDAL, TEMPO, Score

END_OF_TRACK = b"\x00\xff\x2f\x00"
ONE_NOTE = b"\x00\x90\x3c\x40\x10\x80\x3c\x40"


def file_of(*tracks: bytes, division: int = 480, kind: int = 1) -> bytes:
    """A MIDI file from the bytes of its tracks' events."""
    chunks = (b"MTrk" + struct.pack(">I", len(track)) + track for track in tracks)
    return b"MThd" + struct.pack(">IHHH", 6, kind, len(tracks), division) + b"".join(chunks)


def mido_file(*tracks: list[tuple[int, mido.Message]], division: int = 480, kind: int = 1) -> bytes:
    """A MIDI file as mido writes it, from (tick, message)."""
    file = mido.MidiFile(type=kind, ticks_per_beat=division)
    for events in tracks:
        track, last = mido.MidiTrack(), 0
        for tick, message in events:
            track.append(message.copy(time=tick - last))
            last = tick
        file.tracks.append(track)
    buffer = io.BytesIO()
    file.save(file=buffer)
    return buffer.getvalue()


def on(tick: int, pitch: int, velocity: int = 64, channel: int = 0) -> tuple[int, mido.Message]:
    return tick, mido.Message("note_on", note=pitch, velocity=velocity, channel=channel)


def off(tick: int, pitch: int, channel: int = 0) -> tuple[int, mido.Message]:
    return tick, mido.Message("note_off", note=pitch, channel=channel)


def control(tick: int, value: int, channel: int = 0, number: int = 64) -> tuple[int, mido.Message]:
    return tick, mido.Message("control_change", control=number, value=value, channel=channel)


def program(tick: int, number: int, channel: int = 0) -> tuple[int, mido.Message]:
    return tick, mido.Message("program_change", program=number, channel=channel)


# ----------------------------------------------------------------------------------------------------------- reading


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
    assert score.notes[["onset", "duration", "pitch"]].tolist() == [(0, 1, 60), (10, 5, 64)]
    assert score.tempos.tolist() == [(0, 500_001)]
    assert score.meters.tolist() == [(1, 3, 8)]
    assert score.keys.tolist() == [(2, -7, True)]
    assert score.track_names == ("",)


def test_pedals_that_are_never_pressed_or_never_lifted():
    lifted_first = [control(3, 0, 3), on(10, 60, channel=3), off(20, 60, channel=3)]
    never_lifted = [control(12, 64, 4), on(10, 62, channel=4), control(12, 100, 4), off(30, 62, channel=4)]
    other_controller = [control(1, 127, 5, number=66), on(10, 64, channel=5), off(20, 64, channel=5)]
    never_lifted.sort(key=lambda event: event[0])
    score = midi.read(mido_file(lifted_first, never_lifted, other_controller))
    assert score.pedals.tolist() == [(12, 18, 1)]


def test_what_lies_beyond_31_bits_of_ticks_is_left_out():
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
        (b"\n<!DOCTYPE html><html>", "not a standard MIDI file but a web page: it does not begin with MThd"),
        (b"RIFF\x10\0\0\0RMIDdata", "not a standard MIDI file but a RIFF file: it does not begin with MThd"),
        (bytes(range(256)), "not a standard MIDI file but other data: it does not begin with MThd"),
        (b"MThd", "damaged MIDI file: .*less than 14"),
        (file_of(ONE_NOTE + END_OF_TRACK)[:-3], "damaged MIDI file: Invalid chunk length"),
        (file_of(ONE_NOTE + b"\x00\xff\x03\x7fabc"), "damaged MIDI file: Unexpected EOF"),
        (file_of(b"\x00\x90\x3c\xc0\x10\x80\x3c\x40"), r"damaged MIDI file: a data byte above 127 \(velocity=192\)"),
        (file_of(ONE_NOTE + END_OF_TRACK, division=0), "damaged MIDI file: zero ticks per quarter note"),
        (
            file_of(ONE_NOTE + END_OF_TRACK, division=0xE728),
            "damaged MIDI file: Division type is not ticks per quarter",
        ),
        (file_of(ONE_NOTE + END_OF_TRACK, kind=7), "damaged MIDI file: .*format"),
        (file_of(END_OF_TRACK), "no notes in it"),
        (file_of(b"\x00\xff\x03\x02hi\x00\x90\x3c\x40" + END_OF_TRACK), "no notes in it"),
        (file_of(b"\xff\xff\xff\x7f" * 9 + ONE_NOTE, division=1), "damaged MIDI file"),
        (
            file_of(b"\xff\xff\xff\x7f\xb0\x07\x00" * 9 + ONE_NOTE + END_OF_TRACK),
            "its notes go on for more than 1000000 quarter notes",
        ),
        (
            file_of(b"\xff\xff\xff\x7f\xb0\x07\x00" * 2 + ONE_NOTE + END_OF_TRACK),
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
        ({"max_tracks": 1}, "has 2 tracks, more than 1"),
        ({"max_notes": 3}, "has 4 notes, more than 3"),
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


def score_or_reason(source: bytes | Path) -> Score | str:
    try:
        return midi.read(source, require_notes=False)
    except MidiError as error:
        return str(error)


def sane(score: Score) -> bool:
    notes, pedals = score.notes, score.pedals
    return bool(
        (notes["onset"] >= 0).all()
        and (notes["duration"] >= 1).all()
        and ((notes["pitch"] >= 0) & (notes["pitch"] <= 127)).all()
        and ((notes["velocity"] >= 1) & (notes["velocity"] <= 127)).all()
        and ((notes["program"] >= 0) & (notes["program"] <= DRUMS)).all()
        and ((score.tempos["microseconds"] > 0) & (score.tempos["tick"] >= 0)).all()
        and ((score.meters["numerator"] > 0) & (score.meters["denominator"] > 0)).all()
        and (np.abs(score.keys["fifths"]) <= 7).all()
        and (pedals["duration"] > 0).all()
        and np.isfinite(score.duration_seconds)
    )


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


# ----------------------------------------------------------------------------------------------------------- writing


@given(any_scores())
@settings(deadline=None, max_examples=250)
def test_what_is_written_is_what_is_read(score):
    held = midi.representable(score)
    assert midi.read(midi.to_bytes(score), require_notes=False) == held
    assert midi.representable(held) == held


@given(scores())
@settings(deadline=None, max_examples=150)
def test_scores_without_overlaps_of_one_pitch_survive_as_they_are(score):
    seen: set[tuple[int, int]] = set()
    kept = []
    for index, note in enumerate(score.notes):  # of one pitch and track, only the first note
        where = (int(note["track"]), int(note["pitch"]))
        kept += [] if where in seen else [index]
        seen.add(where)
    score = replace(score, notes=score.notes[kept])
    assert midi.representable(score) == score
    assert midi.read(midi.to_bytes(score), require_notes=False) == score


@given(any_scores())
@settings(deadline=None, max_examples=200)
def test_representable_keeps_what_it_says(score):
    held = midi.representable(score)

    def events(score: Score, times: np.ndarray) -> Counter:
        names = [score.track_names[track] for track in score.notes["track"]]
        names = [name.encode("utf-16", "surrogatepass").decode("utf-16", "replace") for name in names]
        columns = (names, score.notes["program"].tolist(), score.notes["pitch"].tolist(), times.tolist())
        return Counter(zip(*columns, strict=True))

    lengths = np.maximum(score.notes["duration"], 1)
    assert events(score, score.notes["onset"]) == events(held, held.notes["onset"])
    assert events(score, score.notes["onset"] + lengths) == events(held, held.notes["onset"] + held.notes["duration"])
    struck = ["onset", "pitch", "velocity", "program"]
    assert sorted(score.notes[struck].tolist()) == sorted(held.notes[struck].tolist())
    for track in range(len(held.track_names)):
        notes = held.notes[held.notes["track"] == track]
        assert len(set(notes["program"].tolist())) == 1
        for pitch in set(notes["pitch"].tolist()):
            own = notes[notes["pitch"] == pitch]
            assert (np.diff(own["onset"] + own["duration"]) >= 0).all()  # first begun, first ended

    def down(score: Score, track: int) -> list[bool]:
        """Whether the track's pedal is down, at each tick of the strategy's."""
        ticks, pedals = np.arange(101)[:, None], score.pedals[score.pedals["track"] == track]
        held = (pedals["onset"] <= ticks) & (ticks < pedals["onset"] + pedals["duration"])
        return held.any(axis=1).tolist()

    for new, (old, _) in enumerate(sorted(set(score.notes[["track", "program"]].tolist()))):
        assert down(held, new) == down(score, old)


def test_pedals_that_overlap_are_one_and_pedals_that_touch_are_two():
    pedals = np.array([(0, 10, 0), (10, 10, 0), (15, 10, 0), (16, 2, 0), (30, 0, 0), (5, 10, 1)], PEDAL)
    notes = np.array([(0, 1, 60, 64, 0, 0), (0, 1, 60, 64, 0, 1)], NOTE)
    held = midi.representable(Score(480, notes, pedals=pedals))
    assert held.pedals.tolist() == [(0, 10, 0), (5, 10, 1), (10, 15, 0)]
    assert midi.read(midi.to_bytes(held)) == held


def test_the_bytes_of_a_small_score():
    score = Score(
        96,
        np.array([(0, 96, 60, 100, 5, 0), (96, 200, 60, 1, 5, 0), (0, 1, 36, 127, DRUMS, 1)], NOTE),
        tempos=np.array([(0, 500_000)], TEMPO),
        meters=np.array([(0, 6, 8)], METER),
        keys=np.array([(96, -2, True)], KEY),
        pedals=np.array([(10, 86, 0)], PEDAL),
        track_names=("é", ""),
    )
    assert midi.to_bytes(score).hex(" ").split("4d 54 ") == [
        "",
        "68 64 00 00 00 06 00 01 00 03 00 60 ",
        "72 6b 00 00 00 19 00 ff 51 03 07 a1 20 00 ff 58 04 06 03 18 08 60 ff 59 02 fe 01 00 ff 2f 00 ",
        "72 6b 00 00 00 26 00 ff 03 02 c3 a9 00 c0 05 00 90 3c 64 0a b0 40 7f 56 b0 40 00 00 80 3c 00 00 90 3c 01"
        " 81 48 80 3c 00 00 ff 2f 00 ",
        "72 6b 00 00 00 0c 00 99 24 7f 01 89 24 00 00 ff 2f 00",
    ]


@given(any_scores())
@settings(deadline=None, max_examples=150)
def test_mido_reads_the_same_music(score):
    """An independent reader, and one that knows nothing of which note-off belongs to which note-on but their order."""
    held = midi.representable(score)
    file = mido.MidiFile(file=io.BytesIO(midi.to_bytes(score)), charset="utf-8")
    assert (file.type, file.ticks_per_beat) == (1, score.ticks_per_quarter)
    assert len(file.tracks) == 1 + len(held.track_names)
    found, tempos, meters = [], [], []
    for index, track in enumerate(file.tracks, -1):
        assert track[-1].type == "end_of_track"
        open_notes: dict[int, deque] = defaultdict(deque)
        tick, program, channels = 0, 0, set()
        for message in track:
            tick += message.time
            match message.type:
                case "track_name":
                    assert message.name == held.track_names[index]
                case "program_change":
                    program = message.program
                case "note_on":
                    open_notes[message.note].append((tick, message.velocity))
                    channels.add(message.channel)
                case "note_off":
                    onset, velocity = open_notes[message.note].popleft()
                    drums = message.channel == 9
                    found.append((onset, tick - onset, message.note, velocity, DRUMS if drums else program, index))
                case "set_tempo":
                    tempos.append((tick, message.tempo))
                case "time_signature":
                    meters.append((tick, message.numerator, message.denominator))
        assert len(channels) == (index >= 0)
        assert not any(open_notes.values())
    assert sorted(found) == sorted(held.notes.tolist())
    assert tempos == held.tempos.tolist()
    assert meters == held.meters.tolist()


@pytest.mark.parametrize("tracks", [15, 16, 40])
def test_instruments_do_not_share_channels_while_these_suffice(tracks):
    programs = [track % 14 for track in range(tracks)]
    notes = [(0, 10, 60, 64, program, track) for track, program in enumerate(programs)]
    notes.append((0, 10, 36, 64, DRUMS, tracks))
    file = mido.MidiFile(file=io.BytesIO(midi.to_bytes(Score(480, np.array(notes, NOTE)))))
    changes = [message for track in file.tracks for message in track if message.type == "program_change"]
    assert [change.program for change in changes] == programs
    assert 9 not in {change.channel for change in changes}
    assert len({(change.channel, change.program) for change in changes}) == len({change.channel for change in changes})
    if tracks == 15:
        assert len({change.channel for change in changes}) == 15


def test_more_than_fifteen_instruments_are_written_all_the_same():
    notes = np.array([(0, 10, 60, 64, program, program) for program in range(128)], NOTE)
    score = Score(480, notes)
    assert midi.read(midi.to_bytes(score)) == score


def one_note(**fields) -> Score:
    note = {"onset": 0, "duration": 1, "pitch": 60, "velocity": 64, "program": 0, "track": 0}
    return Score(480, np.array([tuple((note | fields).values())], NOTE))


@pytest.mark.parametrize(
    ("score", "reason"),
    [
        (one_note(pitch=128), r"a note has the pitch 128, outside MIDI's 0\.\.127"),
        (one_note(pitch=-1), r"a note has the pitch -1, outside MIDI's 0\.\.127"),
        (one_note(velocity=0), r"a note has the velocity 0, outside MIDI's 1\.\.127"),
        (one_note(program=129), r"a note has the program 129, outside MIDI's 0\.\.128"),
        (one_note(track=-1), r"a note has the track -1"),
        (one_note(onset=-1), r"times must be from 0 to 268435455 ticks"),
        (one_note(onset=2**28), r"times must be from 0 to 268435455 ticks"),
        (one_note(onset=2**28 - 1, duration=1), r"times must be from 0 to 268435455 ticks"),
        (one_note(duration=-1), r"times must be from 0 to 268435455 ticks"),
        (replace(one_note(), ticks_per_quarter=32768), "32768 ticks per quarter note are more than MIDI's 32767"),
        (replace(one_note(), tempos=np.array([(0, 2**24)], TEMPO)), r"MIDI cannot hold the tempo \(16777216,\)"),
        (replace(one_note(), tempos=np.array([(0, 0)], TEMPO)), r"MIDI cannot hold the tempo \(0,\)"),
        (replace(one_note(), meters=np.array([(0, 3, 3)], METER)), r"MIDI cannot hold the meter \(3, 3\)"),
        (replace(one_note(), meters=np.array([(0, 1, 256)], METER)), r"MIDI cannot hold the meter \(1, 256\)"),
        (replace(one_note(), meters=np.array([(0, 256, 4)], METER)), r"MIDI cannot hold the meter \(256, 4\)"),
        (replace(one_note(), keys=np.array([(0, 8, False)], KEY)), r"MIDI cannot hold the key \(8, False\)"),
    ],
)
def test_what_midi_has_no_place_for_is_refused(tmp_path, score, reason):
    with pytest.raises(MidiError, match=reason):
        midi.write(score, tmp_path / "tune.mid")
    assert list(tmp_path.iterdir()) == []


def test_writing_is_whole_or_not_at_all(tmp_path):
    path = tmp_path / "new folder" / "tune.mid"
    midi.write(one_note(), path)
    assert path.read_bytes() == midi.to_bytes(one_note())
    assert [entry.name for entry in path.parent.iterdir()] == ["tune.mid"]
    with pytest.raises(DataError, match="cannot write"):
        midi.write(one_note(), path / "tune.mid")
    assert path.read_bytes() == midi.to_bytes(one_note())


# -------------------------------------------------------------------------------------------------------- real music


@pytest.mark.data
@pytest.mark.parametrize(
    ("archive", "folder", "step"),
    [
        ("jsb_chorales", "bach370_midi", 20),
        ("nes_nsf2midi", "midi", 20),
        ("nottingham", "MIDI", 60),
        ("classical_piano", "piano_midi_de", 40),
        ("multitrack_extra", "midi", 100),
    ],
)
def test_real_files_survive_writing(real_music, archive, folder, step):
    paths = sorted((real_music(archive) / folder).rglob("*.mid"))[::step]
    assert len(paths) > 5
    for path in paths:
        score = midi.read(path, require_notes=False)
        assert midi.representable(score) == score
        assert midi.read(midi.to_bytes(score), require_notes=False) == score, path


@pytest.mark.data
def test_hard_files_are_read_as_other_readers_do_or_refused(real_music):
    folder = real_music("hard_midi")
    with open(folder / "manifest.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    compared = refused = 0
    for row in rows:
        path = folder / row["file"]
        score = score_or_reason(path)
        if isinstance(score, str):
            assert score.startswith(f"{path}: ")
            assert "\n" not in score
            refused += 1
            continue
        assert sane(score)
        assert midi.read(midi.to_bytes(score), require_notes=False) == score
        if row["mido"] == row["pretty_midi"] == row["symusic"]:  # "ok <notes>"
            assert f"ok {len(score.notes)}" == row["mido"], path
            compared += 1
    assert compared > 100
    assert refused <= 12


@pytest.mark.data
def test_ticks_of_real_files_are_symusics(real_music):
    """Nothing is lost or moved between symusic's objects, one by one, and the arrays."""
    paths = sorted((real_music("jazz_piano") / "midi").rglob("*.mid"))
    for path in random.Random(0).sample(paths, 10):
        theirs = symusic.Score(path)
        rows = [
            (note.time, max(note.duration, 1), note.pitch, note.velocity, DRUMS if track.is_drum else track.program)
            for track in theirs.tracks
            for note in track.notes
        ]
        fields = ["onset", "duration", "pitch", "velocity", "program"]
        assert sorted(midi.read(path).notes[fields].tolist()) == sorted(rows)
