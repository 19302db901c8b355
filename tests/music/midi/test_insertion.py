"""New notes put into files, whose own events stay as they are."""

from __future__ import annotations

import io

import mido
import mido_files
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from t5music.errors import MidiError
from t5music.music import midi
from t5music.music.midi.insertion import Removal, insert
from t5music.music.midi.track_events import read_track, without
from t5music.music.score import DRUMS, NOTE

LABEL = "t5music continue"


def notes_of(*rows: tuple[int, int, int, int]) -> np.ndarray:
    """NOTE from (onset, duration, pitch, program)."""
    return np.array([(onset, length, pitch, 70, program, 0) for onset, length, pitch, program in rows], NOTE)


def file_events(inserted: bytes, count: int):
    """The events of the file's tracks, and those of the new ones."""
    tracks = mido_files.events(inserted)
    return tracks[:count], tracks[count:]


@given(
    seed=st.integers(0, 10_000),
    parts=st.integers(1, 17),
    kind=st.sampled_from([0, 1]),
    resolution=st.sampled_from([24, 96, 480]),
    rows=st.lists(
        st.tuples(st.integers(0, 9000), st.integers(1, 900), st.integers(0, 127), st.sampled_from([0, 40, 73, DRUMS])),
        max_size=20,
    ),
    region=st.none() | st.tuples(st.integers(0, 5000), st.integers(1, 5000)),
)
@settings(max_examples=60, deadline=None)
def test_the_files_events_stay(seed, parts, kind, resolution, rows, region):
    data = mido_files.drawn_file(seed, bars=2, parts=min(parts, 15), kind=kind, resolution=resolution)
    removal = None if region is None else Removal(region[0], region[0] + region[1])
    inserted = insert(data, notes_of(*rows), label=LABEL, removal=removal, name="song.mid")
    before = mido_files.events(data)
    tracks, new = file_events(inserted.data, len(before))
    score = midi.read(data)
    onsets = score.notes["onset"]
    replaced = 0 if removal is None else int(((onsets >= removal.first) & (onsets < removal.last)).sum())
    gone = sum((old - now).total() for old, now in zip(before, tracks, strict=True))
    assert gone == 2 * replaced  # a note-on and a note-off each
    assert all(not now - old for old, now in zip(before, tracks, strict=True))
    for old, now in zip(before, tracks, strict=True):
        for tick, message in old - now:
            assert message.startswith(("note_on", "note_off"))
            if message.startswith("note_on"):
                assert removal.first <= tick < removal.last
    assert mido_files.stuck_notes(inserted.data) == 0
    assert len(new) == len(inserted.names)
    reading = midi.read_mended(inserted.data, require_notes=False)
    assert reading.mended == ()
    if not inserted.remarks:
        strikes = {(onset, pitch) for onset, _, pitch, _, _, _ in inserted.notes.tolist()}
        assert strikes <= {(onset, pitch) for onset, _, pitch, *_ in reading.score.notes.tolist()}
    if removal is None and kind == 1:
        assert inserted.data[14 : len(data)] == data[14:]


def test_new_tracks_are_named_and_on_free_channels():
    data = mido_files.drawn_file(0, parts=3)
    inserted = insert(data, notes_of((9000, 100, 60, 73), (9000, 100, 38, DRUMS), (9100, 50, 64, 0)), label=LABEL)
    assert inserted.names == [f"{LABEL}: Acoustic Grand Piano", f"{LABEL}: Flute", f"{LABEL}: Drums"]
    assert inserted.remarks == []
    tracks = mido.MidiFile(file=io.BytesIO(inserted.data)).tracks
    assert [track.name for track in tracks[-3:]] == inserted.names
    used = {message.channel for track in tracks[:-3] for message in track if not message.is_meta}
    channels = [{message.channel for message in track if not message.is_meta} for track in tracks[-3:]]
    assert channels[2] == {9}
    assert not (channels[0] | channels[1]) & used
    assert channels[0] != channels[1]


def full_file() -> bytes:
    """A file that uses all channels, each with a program of its own, for two bars."""
    tracks = []
    for channel in range(16):
        track = [(0, mido.Message("program_change", channel=channel, program=8 * channel))]
        track.append((0, mido.Message("note_on", channel=channel, note=60, velocity=60)))
        track.append((3840, mido.Message("note_off", channel=channel, note=60)))
        tracks.append(track)
    return mido_files.to_bytes(tracks)


@pytest.mark.parametrize(
    ("onset", "program", "remark"),
    [
        (4000, 73, "which the music needs no more"),  # nothing is played any more
        (100, 24, "Acoustic Guitar (nylon) plays on channel 4 as well"),
        (100, 73, "sounds as"),
    ],
)
def test_without_a_free_channel_it_is_said_what_was_done(onset, program, remark):
    inserted = insert(full_file(), notes_of((onset, 100, 64, program)), label=LABEL)
    assert len(inserted.remarks) == 1
    assert remark in inserted.remarks[0]
    assert len(inserted.notes) == 1
    [note] = [note for note in midi.read(inserted.data).notes.tolist() if note[2] == 64]
    assert note[:2] == (onset, 100)
    assert (note[4] == program) == ("sounds as" not in remark)


def test_a_key_that_sounds_on_a_shared_channel_is_not_struck_again():
    inserted = insert(full_file(), notes_of((100, 50, 60, 24), (300, 50, 62, 24)), label=LABEL)
    assert [note[2] for note in inserted.notes.tolist()] == [62]
    assert any("1 new notes are left out" in remark for remark in inserted.remarks)
    before = midi.read(full_file()).notes
    after = midi.read(inserted.data).notes
    assert len(after) == len(before) + 1
    assert set(before[["onset", "duration", "pitch", "program"]].tolist()) <= set(
        after[["onset", "duration", "pitch", "program"]].tolist()
    )


@pytest.mark.parametrize(
    "end",
    [
        *(mido.Message("control_change", channel=9, control=number) for number in (120, 123, 127)),
        mido.Message("sysex", data=bytes.fromhex("7E7F0901")),  # a reset to General MIDI
    ],
    ids=str,
)
def test_new_notes_end_before_the_file_ends_all_notes(end: mido.Message):
    file = mido.MidiFile(type=0)
    strike = [mido.Message("note_on", channel=9, note=36), mido.Message("note_off", channel=9, note=36, time=10)]
    file.tracks.append(mido.MidiTrack([*strike, end.copy(time=190), *strike]))
    buffer = io.BytesIO()
    file.save(file=buffer)
    new = notes_of((100, 200, 40, DRUMS), (199, 50, 41, DRUMS), (200, 50, 42, DRUMS))
    inserted = insert(buffer.getvalue(), new, label=LABEL)
    assert inserted.notes[["onset", "duration", "pitch"]].tolist() == [(100, 99, 40), (200, 50, 42)]
    reading = midi.read_mended(inserted.data)
    assert reading.mended == ()
    assert len(reading.score.notes) == 4


@given(
    st.lists(st.tuples(st.integers(1, 4), st.sampled_from([60, 61]), st.booleans()), min_size=2, max_size=24),
    st.integers(0, 40),
    st.integers(1, 40),
)
@settings(max_examples=200, deadline=None)
def test_notes_that_are_left_are_read_as_before(strokes, first, length):
    """However they overlap: the note-off that is cut out is that of the note that is."""
    track, open_keys = mido.MidiTrack(), {60: 0, 61: 0}
    for delta, key, is_on in strokes:
        is_on = is_on or not open_keys[key]
        open_keys[key] += 1 if is_on else -1
        track.append(mido.Message("note_on" if is_on else "note_off", note=key, velocity=50, time=delta))
    track += [mido.Message("note_off", note=key, time=1) for key, count in open_keys.items() for _ in range(count)]
    buffer = io.BytesIO()
    mido.MidiFile(type=0, tracks=[track]).save(file=buffer)
    notes = midi.read(buffer.getvalue()).notes
    nothing = notes_of()
    result = insert(buffer.getvalue(), nothing, label=LABEL, removal=Removal(first, first + length))
    left = notes[(notes["onset"] < first) | (notes["onset"] >= first + length)]
    assert midi.read(result.data, require_notes=False).notes.tolist() == left.tolist()


def test_a_missing_note_off_takes_no_others():
    track = [(0, mido.Message("note_on", note=60, velocity=50))]
    for start in (480, 960, 1440):
        track.append((start, mido.Message("note_on", note=60, velocity=60)))
        track.append((start + 200, mido.Message("note_off", note=60)))
    data = mido_files.to_bytes([track])
    inserted = insert(data, notes_of(), label=LABEL, removal=Removal(960, 1000))
    [before], [after] = mido_files.events(data), mido_files.events(inserted.data)
    assert sorted(tick for tick, _ in before - after) == [960, 1160]


@pytest.mark.parametrize("wrapper", ["riff", "text before"])
def test_what_stands_around_is_left_out_and_told(wrapper):
    data = mido_files.drawn_file(1)
    if wrapper == "riff":
        body = b"RMIDdata" + len(data).to_bytes(4, "little") + data
        wrapped = b"RIFF" + len(body).to_bytes(4, "little") + body
    else:
        wrapped = b"some text\n" + data
    inserted = insert(wrapped, notes_of((20_000, 100, 60, 0)), label=LABEL, name="song.mid")
    assert inserted.data[14 : len(data)] == data[14:]
    assert inserted.remarks == ["song.mid: what stands around the MIDI in the file is left out"]


def test_an_smpte_division_stays():
    data = mido_files.drawn_file(2)
    data = data[:12] + bytes([256 - 25, 40]) + data[14:]
    inserted = insert(data, notes_of((20_000, 100, 60, 0)), label=LABEL)
    assert inserted.data[12 : len(data)] == data[12:]
    assert midi.read(inserted.data).seconds(20_000) == 20.0


def test_patterns_of_type_2_follow_one_another():
    data = mido_files.drawn_file(3, bars=2, parts=3)
    data = data[:9] + b"\x02" + data[10:]
    score = midi.read(data)
    inserted = insert(data, notes_of((score.end_tick, 100, 60, 0)), label=LABEL, name="song.mid")
    assert "type 2" in inserted.remarks[0]
    after = midi.read(inserted.data)
    assert inserted.data[9] == 1
    keys = ["onset", "duration", "pitch", "velocity"]
    assert set(score.notes[keys].tolist()) < set(after.notes[keys].tolist())


def test_damaged_tracks_are_written_anew_and_told():
    data = mido_files.drawn_file(4, bars=2, parts=3)
    for damaged in (data[:-30], data.replace(b"\xff\x2f\x00", b"", 1)):
        score = midi.read(damaged)
        inserted = insert(damaged, notes_of((20_000, 100, 60, 0)), label=LABEL, name="song.mid")
        assert "song.mid is not as the standard has it" in inserted.remarks[0]
        after = midi.read(inserted.data).notes
        keys = ["onset", "pitch", "velocity", "program"]
        assert set(score.notes[keys].tolist()) < set(after[keys].tolist())
        mido.MidiFile(file=io.BytesIO(inserted.data))
    with pytest.raises(MidiError):
        insert(b"nothing", notes_of(), label=LABEL, name="song.mid")


def test_events_cut_out_leave_the_others_where_they_were():
    data = mido_files.drawn_file(5, bars=2, parts=2)
    begin = data.index(b"MTrk", 20) + 8
    body = data[begin : begin + int.from_bytes(data[begin - 4 : begin], "big")]
    events = read_track(body)
    assert events is not None
    assert without(body, events, set()) == body
    rng = np.random.default_rng(0)
    for _ in range(20):
        removed = set(rng.choice(len(events) - 1, 9, replace=False).tolist())
        left = read_track(without(body, events, removed))
        assert left is not None
        assert [(event.tick, event.status) for event in left] == [
            (event.tick, event.status) for number, event in enumerate(events) if number not in removed
        ]
    assert read_track(body[:-4]) is None
    assert read_track(b"\x00\x40\x40") is None
