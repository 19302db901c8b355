"""MIDI files for tests, byte by byte or as mido writes them, and what holds of every score read from one."""

from __future__ import annotations

import io
import struct
from collections import Counter
from pathlib import Path

import mido
import numpy as np

from t5music.errors import MidiError
from t5music.music import midi
from t5music.music.score import DRUMS, Score

END_OF_TRACK = b"\x00\xff\x2f\x00"
ONE_NOTE = b"\x00\x90\x3c\x40\x10\x80\x3c\x40"


def file_of(*tracks: bytes, division: int = 480, kind: int = 1) -> bytes:
    """A MIDI file from the bytes of its tracks' events."""
    chunks = (b"MTrk" + struct.pack(">I", len(track)) + track for track in tracks)
    return b"MThd" + struct.pack(">IHHH", 6, kind, len(tracks), division) + b"".join(chunks)


def mido_file(*tracks: list[tuple[int, mido.Message]], division: int = 480, kind: int = 1) -> bytes:
    """A MIDI file as mido writes it, from (tick, message) of each track, in any order of the ticks."""
    file = mido.MidiFile(type=kind, ticks_per_beat=division)
    for events in tracks:
        track, last = mido.MidiTrack(), 0
        for tick, message in sorted(events, key=lambda event: event[0]):
            track.append(message.copy(time=tick - last))
            last = tick
        file.tracks.append(track)
    return _saved(file)


def merged(data: bytes) -> bytes:
    """The events of a file of type 1 in one track, as mido merges them: the same music as type 0."""
    file = mido.MidiFile(file=io.BytesIO(data), clip=True)
    one = mido.MidiFile(type=0, ticks_per_beat=file.ticks_per_beat)
    one.tracks.append(mido.merge_tracks(file.tracks))
    return _saved(one)


def _saved(file: mido.MidiFile) -> bytes:
    buffer = io.BytesIO()
    file.save(file=buffer)
    return buffer.getvalue()


def music(score: Score) -> tuple:
    """What of a score does not depend on how its events are dealt to tracks: to be compared with that of another."""
    fields = ["onset", "duration", "pitch", "velocity", "program"]
    program_of = dict(score.notes[["track", "program"]].tolist())
    pedals = {(program_of[track], onset, duration) for onset, duration, track in score.pedals.tolist()}
    changes = [array.tolist() for array in (score.tempos, score.meters, score.keys)]
    return score.ticks_per_quarter, Counter(score.notes[fields].tolist()), pedals, changes


def sounding_seconds(score: Score) -> float:
    """Seconds for which the notes sound, all together, with the sustain pedal."""
    notes = score.sustained().notes
    return float((score.seconds(notes["onset"] + notes["duration"]) - score.seconds(notes["onset"])).sum())


def on(tick: int, pitch: int, velocity: int = 64, channel: int = 0) -> tuple[int, mido.Message]:
    return tick, mido.Message("note_on", note=pitch, velocity=velocity, channel=channel)


def off(tick: int, pitch: int, channel: int = 0) -> tuple[int, mido.Message]:
    return tick, mido.Message("note_off", note=pitch, channel=channel)


def control(tick: int, value: int, channel: int = 0, number: int = 64) -> tuple[int, mido.Message]:
    return tick, mido.Message("control_change", control=number, value=value, channel=channel)


def program(tick: int, number: int, channel: int = 0) -> tuple[int, mido.Message]:
    return tick, mido.Message("program_change", program=number, channel=channel)


def port(number: int) -> tuple[int, mido.MetaMessage]:
    return 0, mido.MetaMessage("midi_port", port=number)


def sysex(tick: int, data: str) -> tuple[int, mido.Message]:
    """A SysEx from its bytes in hexadecimal, without F0 and F7."""
    return tick, mido.Message("sysex", data=bytes.fromhex(data))


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
        and len(midi.to_bytes(score)) > 0
    )
