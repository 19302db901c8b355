"""MIDI files of one's own, made with mido: pan, volume, bends, lyrics, pedals, tempo maps, tracks of one program.

What was there can be compared with what came out: `events(data)` gives, of each track, (absolute tick, message).
"""

from __future__ import annotations

import io
from collections import Counter

import mido
import numpy as np

Timed = list[tuple[int, mido.Message | mido.MetaMessage]]


def to_bytes(tracks: list[Timed], kind: int = 1, ticks_per_beat: int = 480) -> bytes:
    """The bytes of a file with these messages."""
    file = mido.MidiFile(type=kind, ticks_per_beat=ticks_per_beat)
    for messages in tracks:
        track, last = mido.MidiTrack(), 0
        for tick, message in sorted(messages, key=lambda timed: timed[0]):
            track.append(message.copy(time=tick - last))
            last = tick
        track.append(mido.MetaMessage("end_of_track", time=0))
        file.tracks.append(track)
    content = io.BytesIO()
    file.save(file=content)
    return content.getvalue()


def events(data: bytes) -> list[Counter]:
    """Of each track, how often it has which (absolute tick, message); ends of tracks are left out."""
    tracks = []
    for track in mido.MidiFile(file=io.BytesIO(data)).tracks:
        tick, counts = 0, Counter()
        for message in track:
            tick += message.time
            if message.type != "end_of_track":
                counts[tick, str(message.copy(time=0))] += 1
        tracks.append(counts)
    return tracks


def drawn_file(
    seed: int, *, bars: int = 8, parts: int = 4, kind: int = 1, resolution: int = 480, pitched_programs: tuple = (0, 40)
) -> bytes:
    """A file of 4/4 with everything that a sequencer writes: `parts` tracks, some of one program, and drums."""
    rng = np.random.default_rng(seed)
    end = 4 * resolution * bars
    conductor: Timed = [(0, mido.MetaMessage("time_signature", numerator=4, denominator=4))]
    conductor += [(0, mido.MetaMessage("key_signature", key="Eb"))]
    conductor += [(0, mido.MetaMessage("track_name", name="Song"))]
    for tick in range(0, end, max(1, end // 70)):
        conductor.append((tick, mido.MetaMessage("set_tempo", tempo=int(rng.integers(400_000, 700_000)))))
    tracks = [conductor]
    for part in range(parts):
        channel = 9 if part == parts - 1 else part if part < 9 else part + 1
        track: Timed = [(0, mido.MetaMessage("track_name", name=f"part {part}"))]
        if channel != 9:
            program = int(pitched_programs[part % len(pitched_programs)])
            track.append((0, mido.Message("program_change", channel=channel, program=program)))
        for control, value in ((7, 90), (10, int(rng.integers(128)))):
            track.append((0, mido.Message("control_change", channel=channel, control=control, value=value)))
        for bar in range(bars):
            tick = 4 * resolution * bar
            track.append((tick, mido.MetaMessage("lyrics", text=f"la{bar}")))
            track.append((tick + 7, mido.Message("pitchwheel", channel=channel, pitch=int(rng.integers(-8192, 8191)))))
            for pedal, offset in ((127, 3), (0, 2 * resolution)):
                track.append((tick + offset, mido.Message("control_change", channel=channel, control=64, value=pedal)))
            for beat in range(4):
                start = tick + beat * resolution + int(rng.integers(0, resolution // 8))
                length = int(rng.integers(resolution // 4, resolution // 2))
                pitch = 38 if channel == 9 else int(rng.integers(40, 80))
                velocity = int(rng.integers(1, 128))
                track.append((start, mido.Message("note_on", channel=channel, note=pitch, velocity=velocity)))
                track.append((start + length, mido.Message("note_off", channel=channel, note=pitch, velocity=64)))
        tracks.append(track)
    if kind == 0:
        tracks = [[timed for track in tracks for timed in track]]
    return to_bytes(tracks, kind, resolution)


def stuck_notes(data: bytes) -> int:
    """How many notes sound on when everything has been played."""
    sounding: Counter = Counter()
    for message in mido.merge_tracks(mido.MidiFile(file=io.BytesIO(data)).tracks):
        if message.type == "note_on" and message.velocity:
            sounding[message.channel, message.note] += 1
        elif message.type in ("note_on", "note_off") and sounding[message.channel, message.note]:
            sounding[message.channel, message.note] -= 1
    return sum(sounding.values())
