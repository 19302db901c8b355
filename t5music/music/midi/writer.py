"""Scores to standard MIDI files: what such a file can hold, and its bytes.

The bytes depend on the score alone. They are laid out here because neither of our libraries gives what is wanted:
symusic hands out channels by the number of the track, so that from the sixteenth track on different instruments share
one (in 3 of 97 files of the web); mido takes eight times as long (18 ms against 2.2 ms for 2,200 notes).
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from t5music import files
from t5music.errors import MidiError
from t5music.music.midi import variable_length
from t5music.music.score import DRUMS, METER, TEMPO, Score

END_OF_TICKS = 2**28  # a MIDI delta time has 28 bits; every time in a file that we write stays below
WAIT_BYTES = 4  # so a delta time has four bytes at most
DRUM_CHANNEL = 9
MELODIC_CHANNELS = [channel for channel in range(16) if channel != DRUM_CHANNEL]
SUSTAIN_PEDAL = 64  # the controller; its values from 64 on mean down


def representable(score: Score) -> Score:
    """The score as a MIDI file can hold it: what `write` writes and what `read` gives back.

    - A track that holds several programs becomes one track each, in the order of the programs, with the same name and
      the same pedals; tracks without notes are left out, with their pedals.
    - Every note lasts at least one tick. Among the notes of one track and pitch the n-th to begin is the n-th to end,
      so overlaps of one pitch keep their onsets, velocities and ends, but not which of these belong together.
    - Pedals of a track that overlap become one; a pedal lifted at once is none.
    - Of several tempi, meters or keys at one tick the last one is kept.
    - Characters that UTF-8 cannot hold (lone surrogates) in a name become U+FFFD.

    Raises:
        MidiError: where a value has no place in MIDI at all: a resolution above 32767, times below zero or from 2^28
            on, pitches outside 0..127, velocities outside 1..127, programs outside 0..128 (DRUMS), tempi outside
            1..2^24-1 microseconds, meters outside 1..255 over a power of two up to 128, keys beyond 7 signs.
    """
    notes, pedals = score.notes.copy(), score.pedals[score.pedals["duration"] > 0]
    notes["duration"] = np.maximum(notes["duration"], 1)
    _refuse_what_midi_lacks(score, notes)

    parts, track = np.unique(notes["track"] * np.int64(DRUMS + 1) + notes["program"], return_inverse=True)
    if len(parts) > np.iinfo(np.int16).max:
        raise MidiError(f"{len(parts)} tracks are more than a MIDI file can hold")
    old_track = parts // (DRUMS + 1)
    notes["track"] = track
    ends = notes["onset"] + notes["duration"]
    begin_order = np.lexsort((notes["velocity"], notes["duration"], notes["onset"], notes["pitch"], track))
    end_order = np.lexsort((ends, notes["pitch"], track))
    notes["duration"][begin_order] = ends[end_order] - notes["onset"][begin_order]

    pedal, part = np.nonzero(pedals["track"][:, None] == old_track[None, :])
    pedals = pedals[pedal]
    pedals["track"] = part
    return replace(
        score,
        notes=notes,
        tempos=last_at_each_tick(score.tempos),
        meters=last_at_each_tick(score.meters),
        keys=last_at_each_tick(score.keys),
        pedals=_united(pedals),
        track_names=tuple(
            score.track_names[index].encode("utf-16", "surrogatepass").decode("utf-16", "replace")
            for index in old_track
        ),
    )


def possible(array: NDArray) -> NDArray:
    """Where the values of tempi, meters or keys are such that MIDI can hold them and music can have them."""
    if array.dtype == TEMPO:
        return (array["microseconds"] > 0) & (array["microseconds"] < 2**24)
    if array.dtype == METER:
        numerator, denominator = array["numerator"], array["denominator"]
        power_of_two = (denominator > 0) & (denominator & (denominator - 1) == 0)
        return (numerator > 0) & (numerator < 256) & power_of_two & (denominator <= 128)
    return np.abs(array["fifths"]) <= 7


def last_at_each_tick(array: NDArray) -> NDArray:
    return array[np.append(array["tick"][1:] != array["tick"][:-1], True)] if len(array) else array


def _refuse_what_midi_lacks(score: Score, notes: NDArray) -> None:
    if score.ticks_per_quarter > 0x7FFF:
        raise MidiError(f"{score.ticks_per_quarter} ticks per quarter note are more than MIDI's 32767")
    for field, low, high in (("pitch", 0, 127), ("velocity", 1, 127), ("program", 0, DRUMS), ("track", 0, 0x7FFF)):
        wrong = (notes[field] < low) | (notes[field] > high)
        if wrong.any():
            raise MidiError(f"a note has the {field} {notes[field][wrong][0]}, outside MIDI's {low}..{high}")
    for kind, changes in (("tempo", score.tempos), ("meter", score.meters), ("key", score.keys)):
        wrong = ~possible(changes)
        if wrong.any():
            raise MidiError(f"MIDI cannot hold the {kind} {changes[wrong][0].tolist()[1:]}")
    ticks = [array["tick"] for array in (score.tempos, score.meters, score.keys)]
    for spans in (notes, score.pedals):
        ticks += [spans["onset"], spans["onset"] + spans["duration"]]
    times = np.concatenate(ticks)
    if (times < 0).any() or (times >= END_OF_TICKS).any() or (score.notes["duration"] < 0).any():
        raise MidiError(f"times must be from 0 to {END_OF_TICKS - 1} ticks to be written to MIDI")


def _united(pedals: NDArray) -> NDArray:
    """Pedals of which those that overlap within a track are one; where one begins as another ends both stay."""
    pedals = pedals[np.lexsort((pedals["onset"], pedals["track"]))]
    if not len(pedals):
        return pedals
    shift = pedals["track"] * np.int64(2 * END_OF_TICKS)  # sets the tracks apart on one time line
    onsets = pedals["onset"] + shift
    lifts = np.maximum.accumulate(onsets + pedals["duration"])
    first = np.append(True, onsets[1:] >= lifts[:-1])
    united = pedals[first]
    united["duration"] = lifts[np.append(first[1:], True)] - onsets[first]
    return united


def write(score: Score, path: str | os.PathLike[str]) -> None:
    """Writes a type 1 MIDI file, whole or not at all.

    Raises MidiError as `representable` does, and DataError where the file system refuses.
    """
    files.write_bytes(path, to_bytes(score))


def to_bytes(score: Score) -> bytes:
    """The bytes of a type 1 MIDI file that holds `representable(score)`.

    The first track of the file has the tempi, meters and keys; each further one is a track of the score. Percussion
    is on channel 10. Each other track has a channel of its own while the 15 suffice; beyond, tracks of one program
    share a channel, and beyond 15 programs those channels are shared. Tracks that share a channel are on ports (meta
    event 21) of their own: as a channel has one program and one pedal, they would be mixed up otherwise.
    """
    score = representable(score)
    programs = np.zeros(len(score.track_names), np.int64)
    programs[score.notes["track"]] = score.notes["program"]
    chunks = [_chunk(_timed(_conductor_events(score)))]
    tracks_on: Counter[int] = Counter()
    for track, (name, program, channel) in enumerate(
        zip(score.track_names, programs.tolist(), _channels(programs), strict=True)
    ):
        setup = []
        if port := tracks_on[channel]:
            setup.append(_meta(0x21, port.to_bytes(1 if port < 2**8 else 2, "big")))
        tracks_on[channel] += 1
        if program != DRUMS:
            setup.append(bytes([0xC0 | channel, program]))
        notes = score.notes[score.notes["track"] == track]
        pedals = score.pedals[score.pedals["track"] == track]
        chunks.append(track_chunk(name, channel, notes, pedals, setup))
    header = b"".join(value.to_bytes(2, "big") for value in (1, len(chunks), score.ticks_per_quarter))
    return b"MThd" + len(header).to_bytes(4, "big") + header + b"".join(chunks)


def _channels(programs: NDArray) -> list[int]:
    """The MIDI channel of each track, from the tracks' programs."""
    melodic = [program for program in programs.tolist() if program != DRUMS]
    if len(melodic) <= len(MELODIC_CHANNELS):
        free = iter(MELODIC_CHANNELS)
        return [DRUM_CHANNEL if program == DRUMS else next(free) for program in programs.tolist()]
    rank = {program: index for index, program in enumerate(dict.fromkeys(melodic))}
    return [
        DRUM_CHANNEL if program == DRUMS else MELODIC_CHANNELS[rank[program] % len(MELODIC_CHANNELS)]
        for program in programs.tolist()
    ]


def _conductor_events(score: Score) -> list[tuple[int, bytes]]:
    """Tempi, meters and keys as (tick, bytes), in the order of time."""
    events = [(tick, _meta(0x51, tempo.to_bytes(3, "big"))) for tick, tempo in score.tempos.tolist()]
    for tick, numerator, denominator in score.meters.tolist():
        # 24 MIDI clocks to a click of the metronome and 8 thirty-second notes to a quarter: the standard's defaults
        events.append((tick, _meta(0x58, bytes([numerator, denominator.bit_length() - 1, 24, 8]))))
    for tick, fifths, minor in score.keys.tolist():
        events.append((tick, _meta(0x59, bytes([fifths % 256, minor]))))
    return sorted(events, key=lambda event: event[0])


def track_chunk(
    name: str, channel: int, notes: NDArray, pedals: NDArray, setup: Sequence[bytes], setup_tick: int = 0
) -> bytes:
    """The bytes of one track, its header included.

    Args:
        name: of the track; none is written where it is empty.
        channel: 0..15.
        notes: NOTE [notes], as MIDI can hold them (see `representable`), none before `setup_tick`.
        pedals: PEDAL [pedals], likewise.
        setup: messages that come before all notes, such as the program change.
        setup_tick: when they come.
    """
    head = [(0, _meta(0x03, name.encode()))] if name else []
    timed = _timed([*head, *((setup_tick, message) for message in setup)])
    return _chunk(timed + _channel_events(notes, pedals, channel, setup_tick if setup else 0))


def _channel_events(notes: NDArray, pedals: NDArray, channel: int, since: int) -> bytes:
    """Notes and pedals of one track, each with its wait, in the order of time from the tick `since`.

    At one tick pedals are lifted before they are pressed again, notes end before others begin, and pedals come
    before notes, so that a pedal pressed as a note ends holds it.
    """
    groups = (
        (pedals["onset"] + pedals["duration"], 0xB0, SUSTAIN_PEDAL, 0),
        (pedals["onset"], 0xB0, SUSTAIN_PEDAL, 127),
        (notes["onset"] + notes["duration"], 0x80, notes["pitch"], 0),
        (notes["onset"], 0x90, notes["pitch"], notes["velocity"]),
    )
    ticks = np.concatenate([group[0] for group in groups])
    messages = np.empty((len(ticks), WAIT_BYTES + 3), np.uint8)
    start = 0
    for when, status, first, second in groups:
        part = messages[start : start + len(when), WAIT_BYTES:]
        start += len(when)
        part[:, 0], part[:, 1], part[:, 2] = status | channel, first, second
    order = np.argsort(ticks, kind="stable")
    messages = messages[order]
    waits = np.diff(ticks[order], prepend=since)[:, None]
    shifts = 7 * np.arange(WAIT_BYTES - 1, -1, -1)
    used = (waits >> shifts > 0) | (shifts == 0)  # leading zeros are left out
    messages[:, :WAIT_BYTES] = waits >> shifts & 0x7F | np.where(shifts > 0, 0x80, 0)
    is_written = np.ones(messages.shape, bool)
    is_written[:, :WAIT_BYTES] = used
    return messages[is_written].tobytes()


def _meta(kind: int, data: bytes) -> bytes:
    return bytes([0xFF, kind]) + variable_length.encode(len(data)) + data


def _timed(events: Iterable[tuple[int, bytes]]) -> bytes:
    """Events (tick, bytes), in the order of time, each with its wait."""
    body, last = bytearray(), 0
    for tick, data in events:
        body += variable_length.encode(tick - last) + data
        last = tick
    return bytes(body)


def _chunk(body: bytes) -> bytes:
    """A track of the file: its events and its end."""
    body += b"\x00" + _meta(0x2F, b"")
    return b"MTrk" + len(body).to_bytes(4, "big") + body
