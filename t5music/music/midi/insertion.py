"""Insertion: new notes put into somebody's MIDI file, whose events stay byte for byte.

New notes go to tracks of their own behind the file's, one for each instrument, on channels that keep them playable (see
`channel_use`). The file's own tracks stay as they are. If notes are taken away, their note-ons and note-offs are cut
out, and only the delta time after each is written anew (see `track_events`).

What cannot stay byte for byte, and is told: a file of type 0 becomes one of type 1; the patterns of a file of type 2
are put one after another in a file of type 1, as `read` plays them; a wrapper (RIFF) is left out; tracks that are not
as the standard has them are written anew, with every event that could be read. An SMPTE division stays.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from t5music.errors import MidiError
from t5music.music.instruments import instrument_name
from t5music.music.midi import chunks as midi_chunks
from t5music.music.midi import repair, variable_length
from t5music.music.midi.channel_use import ChannelUse, Strike
from t5music.music.midi.chunks import Chunks
from t5music.music.midi.limits import Limits
from t5music.music.midi.track_events import END_OF_TRACK, TrackEvent, read_track, without
from t5music.music.midi.writer import DRUM_CHANNEL, END_OF_TICKS, track_chunk
from t5music.music.score import DRUMS, PEDAL

HARMLESS = ("RIFF wrapper", "bytes before the header", "bytes after the last track")  # the tracks are not touched by it
MAX_FILE_TRACKS = 0xFFFF


class Removal(NamedTuple):
    """Which of the file's notes are taken away: those that begin from `first` up to `last`, in ticks, `last` left out.

    Attributes:
        first: the first tick.
        last: the tick after the last one.
        drums: whether percussion (channel 10) is taken away, too.
        spared: NOTE [notes], of the score that `read` gives; these stay. None for none.
    """

    first: int
    last: int
    drums: bool = True
    spared: NDArray | None = None


class Inserted(NamedTuple):
    """A file with new notes.

    Attributes:
        data: its bytes.
        names: of the new tracks.
        remarks: what did not stay byte for byte, and what was done to keep the new notes playable; a sentence each.
        notes: NOTE [notes], the new notes as they were written; `track` counts the new tracks.
    """

    data: bytes
    names: list[str]
    remarks: list[str]
    notes: NDArray


def insert(data: bytes, notes: NDArray, *, label: str, removal: Removal | None = None, name: str = "") -> Inserted:
    """Puts notes into a file.

    Args:
        data: the bytes of a file that `read` can read.
        notes: NOTE [notes], in ticks of the score that `read` gives; a track for each program, whatever their tracks.
        label: what the new tracks are called: "LABEL: INSTRUMENT".
        removal: which notes of the file are taken away; none if None.
        name: what to call the file in errors and remarks.

    Raises:
        MidiError: a file that cannot be read, or that has as many tracks as a file can hold.
    """
    chunks = midi_chunks.parse(data, name, Limits())
    bodies, tracks, remarks, untouched = _tracks(chunks, name)
    use = ChannelUse(bodies, tracks)
    if removal is not None:
        strikes = [
            strike
            for strike in use.strikes
            if removal.first <= strike.onset < removal.last and (removal.drums or strike.channel != DRUM_CHANNEL)
        ]
        strikes = _not_spared(strikes, removal.spared)
        use.forget(strikes)
        gone = {event for strike in strikes for event in (strike.on, strike.off) if event is not None}
        for track, events in enumerate(tracks):
            numbers = {number for of_track, number in gone if of_track == track}
            if numbers:
                bodies[track] = without(bodies[track], events, numbers)
                untouched = False
    names, new_chunks, written = _new_tracks(use, notes, label, remarks)
    if chunks.kind == 0 and new_chunks:
        remarks.append(f"{name} is of type 0: it becomes type 1, with all of its events in the first track")
    count = len(bodies) + len(new_chunks)
    if count > MAX_FILE_TRACKS:
        raise MidiError(f"{name}: has {len(bodies)} tracks, and a MIDI file has no room for more")
    header = b"MThd\0\0\0\x06" + b"".join(
        value.to_bytes(2, "big") for value in (1 if new_chunks or chunks.kind == 2 else chunks.kind, count)
    )
    header += chunks.data[12:14]
    end = chunks.tracks[-1][1] if chunks.tracks else 14
    if untouched:  # with whatever other chunks there are
        body, rest = chunks.data[14:end], chunks.data[end:]
    else:
        body, rest = b"".join(b"MTrk" + len(body).to_bytes(4, "big") + body for body in bodies), b""
    return Inserted(header + body + b"".join(new_chunks) + rest, names, remarks, written)


def _not_spared(strikes: list[Strike], spared: NDArray | None) -> list[Strike]:
    """The strikes that are not among the notes to spare; of several that begin alike, the one with its end stays."""
    if spared is None:
        return strikes
    ends: defaultdict[tuple[int, int, bool], list[int]] = defaultdict(list)
    for note in spared:
        begin = int(note["onset"])
        ends[begin, int(note["pitch"]), int(note["program"]) == DRUMS].append(begin + int(note["duration"]))
    alike: defaultdict[tuple[int, int, bool], list[Strike]] = defaultdict(list)
    for strike in strikes:
        alike[strike.onset, strike.key, strike.channel == DRUM_CHANNEL].append(strike)
    removed: list[Strike] = []
    for place, candidates in alike.items():
        for end in ends[place]:
            if candidates:
                candidates.remove(min(candidates, key=lambda strike: abs(strike.end - end)))
        removed += candidates
    return removed


def _tracks(chunks: Chunks, name: str) -> tuple[list[bytes], list[Sequence[TrackEvent]], list[str], bool]:
    """The bytes of each track, its events, what must be said of them, and whether they stand as in the file."""
    bodies = [chunks.data[begin:end] for begin, end in chunks.tracks]
    tracks = [read_track(body) for body in bodies]
    remarks = []
    reasons = [reason for reason in chunks.mended if not reason.startswith(HARMLESS)]
    if any(reason.startswith(HARMLESS[:2]) for reason in chunks.mended):
        remarks.append(f"{name}: what stands around the MIDI in the file is left out")
    damaged = [number for number, events in enumerate(tracks, 1) if events is None]
    if damaged:
        reasons.append(f"events of track {', '.join(map(str, damaged[:8]))}")
        mended: Counter[str] = Counter()
        whole = repair.repaired(bodies, [events is not None for events in tracks], mended, name)
        for number in damaged:
            body = whole[number - 1]
            events = read_track(body)
            bodies[number - 1] = body if events is not None else body + b"\0" + END_OF_TRACK
    if reasons:
        remarks.append(
            f"{name} is not as the standard has it ({'; '.join(reasons)}): it is written anew with every event that "
            "could be read"
        )
    if chunks.kind == 2:
        begin = 0
        for number, body in enumerate(bodies):
            events = read_track(body) or []
            if events:
                bodies[number] = variable_length.encode(begin + events[0].delta) + body[events[0].data :]
                begin += events[-1].tick
        remarks.append(f"{name} is of type 2: its patterns are put one after another in a file of type 1")
    events_of: list[Sequence[TrackEvent]] = [read_track(body) or [] for body in bodies]
    return bodies, events_of, remarks, not reasons and chunks.kind != 2


def _new_tracks(
    use: ChannelUse, notes: NDArray, label: str, remarks: list[str]
) -> tuple[list[str], list[bytes], NDArray]:
    """The names and the bytes of the new tracks, and the notes on them."""
    notes = notes[np.lexsort((notes["pitch"], notes["onset"]))].copy()
    late = notes["onset"] + notes["duration"] >= END_OF_TICKS
    if late.any():
        remarks.append(f"{late.sum()} new notes are later than a MIDI file can say and are left out")
        notes = notes[~late]
    names: list[str] = []
    chunks: list[bytes] = []
    parts = [notes[:0]]
    left_out = 0
    for program in np.unique(notes["program"]).tolist():
        part = notes[notes["program"] == program]
        last = int((part["onset"] + part["duration"]).max())
        channel = use.channel_for(program, int(part["onset"][0]), last)
        fitting = use.fitted(part, channel.number)
        left_out += len(part) - len(fitting)
        if not len(fitting):
            continue
        if channel.remark:
            remarks.append(channel.remark)
        fitting["track"] = len(names)
        names.append(f"{label}: {instrument_name(program)}")
        no_pedals = np.empty(0, PEDAL)
        chunks.append(track_chunk(names[-1], channel.number, fitting, no_pedals, channel.setup, channel.setup_tick))
        parts.append(fitting)
    if left_out:
        remarks.append(f"{left_out} new notes are left out: their keys sound already on the same channel")
    return names, chunks, np.concatenate(parts)
