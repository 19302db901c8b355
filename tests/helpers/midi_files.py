"""MIDI files for tests, byte by byte or as mido writes them, and what holds of every score read from one."""

from __future__ import annotations

import io
import struct
from collections import Counter, defaultdict
from pathlib import Path

import mido
import numpy as np

from t5music.errors import MidiError
from t5music.music import midi
from t5music.music.midi.system_exclusive import Reset, effect
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
    has_ports = any(message.type == "midi_port" and message.port for track in file.tracks for message in track)
    tracks = [_with_ports(track) for track in file.tracks] if has_ports else file.tracks
    one.tracks.append(mido.merge_tracks(tracks))
    return _saved(one)


def _with_ports(track: mido.MidiTrack) -> mido.MidiTrack:
    """The port before each event: a track has its own, which would not survive the merging."""
    port, messages = 0, []
    for message in track:
        port = message.port if message.type == "midi_port" else port
        messages += [mido.MetaMessage("midi_port", port=port, time=message.time), message.copy(time=0)]
    return mido.MidiTrack(messages)


def mido_notes(data: bytes) -> Counter | None:
    """The notes of a file (onset, duration, pitch, velocity) by mido's events and the rule of `pairing`, done by hand.

    None where mido refuses the file.
    """
    try:
        file = mido.MidiFile(file=io.BytesIO(data), clip=True)
    except Exception:  # mido raises whatever its parsing of damaged bytes raises
        return None
    events = []
    for track in file.tracks:
        tick = port = 0
        for message in track:
            tick += message.time
            port = message.port if message.type == "midi_port" else port
            events.append((tick, port, message))
    events.sort(key=lambda event: event[0])  # stable: at one tick the tracks one after another
    keys: defaultdict[tuple, list[list]] = defaultdict(lambda: [[]])  # of each key its events between ends of all notes
    for tick, port, message in events:
        if message.type in ("note_on", "note_off"):
            velocity = message.velocity if message.type == "note_on" else 0
            keys[port, message.channel, message.note][-1].append((tick, velocity))
            continue
        ends_all = message.type == "control_change" and message.control in (120, 123, 124, 125, 126, 127)
        is_reset = message.type == "sysex" and isinstance(effect(bytes(message.data)), Reset)
        if ends_all or is_reset:
            for key, spans in keys.items():
                if key[0] == port and (is_reset or key[1] == message.channel):
                    spans[-1].append((tick, None))
                    spans.append([])
    notes: Counter = Counter()
    for (_, _, pitch), spans in keys.items():
        for span in spans:
            for onset, end, velocity in _paired(span, 4 * file.ticks_per_beat, events[-1][0]):
                notes[onset, max(end - onset, 1), pitch, velocity] += 1
    return notes


def _paired(span: list[tuple], longest: int, file_end: int) -> list[tuple]:
    """Onset, end and velocity of the notes of one key: brackets that close, then first in, first out."""
    all_off = span.pop()[0] if span and span[-1][1] is None else None
    opened: list[int] = []
    surplus = set()
    for number, (_, velocity) in enumerate(span):
        if velocity:
            opened.append(number)
        elif opened:
            opened.pop()
        else:
            surplus.add(number)
    ons = [number for number, (_, velocity) in enumerate(span) if velocity and number not in opened]
    offs = [number for number, (_, velocity) in enumerate(span) if not velocity and number not in surplus]
    notes = [(span[a][0], span[b][0], span[a][1]) for a, b in zip(ons, offs, strict=True)]
    for number in opened:
        tick, velocity = span[number]
        limit = all_off if all_off is not None else min(tick + longest, file_end)
        end = min([limit, *(other for other, _ in span[number:] if other > tick)])
        if end > tick or end == all_off:
            notes.append((tick, end, velocity))
    return notes


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
