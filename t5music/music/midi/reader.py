"""Reading: standard MIDI files to Scores.

`read` takes a file apart (`chunks`), reads the events of its tracks (`events`), what they say of channels (`channels`,
`pairing`) and of tempi, meters and keys (`changes`), and lays the Score out. What no player could play is mended or
refused; what was left out, moved or guessed is told by `read_mended` (see `mended`). For every score that MIDI can hold
at all, and that is not too long to be music,

    read(to_bytes(score)) == representable(score)

and every score that `read` returns is its own `representable`: reading, writing and reading again changes nothing.
"""

from __future__ import annotations

import codecs
import os
from collections import Counter
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from t5music.errors import MidiError
from t5music.files import open_regular, printable_name
from t5music.music.midi import chunks as midi_chunks
from t5music.music.midi import limits as midi_limits
from t5music.music.midi import mended as mended_lines
from t5music.music.midi.changes import read_changes
from t5music.music.midi.channels import ChannelNotes, ChannelPedals, read_channels
from t5music.music.midi.events import TRACK_NAME, Events, read_events
from t5music.music.midi.limits import MAX_BYTES, MAX_NOTES, MAX_QUARTERS, MAX_TRACKS, Limits
from t5music.music.midi.writer import END_OF_TICKS
from t5music.music.score import DRUMS, NOTE, PEDAL, Score

READING_RULES = (
    2  # raised whenever the same bytes are read as another score; corpora built by older rules are built anew
)


class Reading(NamedTuple):
    """What a file was read as.

    Attributes:
        score: the music.
        mended: what was not as it should be, and what was left out, moved or guessed, each as "kind: how many" or as a
            kind alone (see `mended`); empty for most files.
    """

    score: Score
    mended: tuple[str, ...]


def read(
    source: str | os.PathLike[str] | bytes,
    *,
    name: str | None = None,
    require_notes: bool = True,
    max_bytes: int = MAX_BYTES,
    max_tracks: int = MAX_TRACKS,
    max_notes: int = MAX_NOTES,
    max_quarters: int = MAX_QUARTERS,
) -> Score:
    """Reads a standard MIDI file, also within a RIFF wrapper, and also one that is damaged but could be played.

    A file of type 1 is read as if its events stood in one track: programs, pedals and note-offs belong to the channel,
    not to the track that states them (see `channels`), and so does the rule by which notes end (see `pairing`). A track
    of the score is one program of one channel in one track of the file, named like the latter, with the pedals of its
    channel; all percussion has the program DRUMS. Tracks without notes are left out. A note belongs to the program in
    force at its onset. The patterns of a file of type 2 are played one after another. Under SMPTE division, which
    counts parts of seconds, a "quarter note" is a second.

    Always so: a note of no length gets one tick; a tempo, meter or key signature with an impossible value is left out;
    of several at one tick the last one is kept; a sustain pedal still down at the end is lifted with the last note. How
    damage is mended: see `chunks` and `repair`.

    Args:
        source: path of the file, or its bytes.
        name: what to call it in errors; by default its path.
        require_notes: whether a file without a single note is an error.
        max_bytes: size beyond which a file is refused, before memory is spent on it; so with the next three.
        max_tracks: tracks of the file and of the score, at most 32767.
        max_notes: notes, and spans of the pedals of all tracks.
        max_quarters: quarter notes until the last note ends.

    Returns:
        The score, which `to_bytes` can write.

    Raises:
        MidiError: "FILE: what is wrong", for every file that cannot be read, and for one that goes on for too long
            to be music (see `limits`).
    """
    return read_mended(
        source,
        name=name,
        require_notes=require_notes,
        max_bytes=max_bytes,
        max_tracks=max_tracks,
        max_notes=max_notes,
        max_quarters=max_quarters,
    ).score


def read_mended(
    source: str | os.PathLike[str] | bytes,
    *,
    name: str | None = None,
    require_notes: bool = True,
    max_bytes: int = MAX_BYTES,
    max_tracks: int = MAX_TRACKS,
    max_notes: int = MAX_NOTES,
    max_quarters: int = MAX_QUARTERS,
) -> Reading:
    """Reads a file as `read` does, and says what was mended, such as "data bytes above 127: 3" or "RIFF wrapper"."""
    if isinstance(source, (bytes, bytearray, memoryview)):
        name, data = name or "MIDI data", bytes(source)
    else:
        name = name or printable_name(source)
        data = _load(source, name, max_bytes)
    if len(data) > max_bytes:
        raise MidiError(f"{name}: larger than {max_bytes} bytes, too large for a MIDI file")
    limits = Limits(min(max_tracks, np.iinfo(np.int16).max), max_notes, max_quarters)
    reading = _read(data, name, limits)
    if require_notes and not len(reading.score.notes):
        mended_text = f" ({'; '.join(reading.mended)})" if reading.mended else ""
        raise MidiError(f"{name}: no notes in it{mended_text}")
    return reading


def _load(path: str | os.PathLike[str], name: str, max_bytes: int) -> bytes:
    """Returns the bytes of a file, at most one more than `max_bytes`."""
    try:
        with open_regular(path) as file:
            return file.read(max_bytes + 1)
    except FileNotFoundError:
        raise MidiError(f"{name}: no such file") from None
    except IsADirectoryError:
        raise MidiError(f"{name}: is a folder, not a MIDI file") from None
    except OSError as error:
        raise MidiError(f"{name}: cannot be read: {error.strerror or error}") from None
    except ValueError as error:  # a path with a NUL in it
        raise MidiError(f"'{name}': not a file name: {error}") from None


def _read(data: bytes, name: str, limits: Limits) -> Reading:
    chunks = midi_chunks.parse(data, name, limits)
    mended: Counter[str] = Counter()
    events = read_events(chunks, mended, limits, name)
    notes, pedals = read_channels(events, chunks.kind == 2, chunks.ticks_per_quarter, mended, name)
    end = int(notes.ends.max(initial=0))
    midi_limits.check_end(end, chunks.ticks_per_quarter, limits, name)
    changes = read_changes(events, chunks.microseconds, mended)
    tracks, channels, of_note = _parts(notes)
    if len(tracks) > limits.tracks:
        raise MidiError(f"{name}: has more than {limits.tracks} tracks")
    titles = _titles(events, len(chunks.tracks))
    score = Score(
        ticks_per_quarter=chunks.ticks_per_quarter,
        notes=_note_rows(notes, of_note),
        tempos=changes.tempos,
        meters=changes.meters,
        keys=changes.keys,
        pedals=_pedal_rows(pedals, channels, end, mended, limits, name),
        track_names=tuple(titles[track] for track in tracks.tolist()),
    )
    midi_limits.check_length(score, name)
    if chunks.kind == 2 and len(chunks.tracks) > 1:
        mended["patterns played one after another"] = len(chunks.tracks)
    return Reading(score, (*chunks.mended, *mended_lines.lines(mended)))


def _parts(notes: ChannelNotes) -> tuple[NDArray, NDArray, NDArray]:
    """The tracks of the score: the track of the file and the channel of each, and the one of each note (all int64)."""
    channels, of_note = np.arange(16), notes.channels
    if of_note.max(initial=0) > 15:
        channels, of_note = np.unique(of_note, return_inverse=True)
    keys = (notes.tracks * len(channels) + of_note) << 8 | notes.programs
    in_order = np.sort(keys)
    parts = in_order[np.append(True, in_order[1:] != in_order[:-1])[: len(in_order)]]
    places = parts >> 8
    return places // len(channels), channels[places % len(channels)], parts.searchsorted(keys)


def _note_rows(notes: ChannelNotes, tracks: NDArray) -> NDArray:
    rows = np.empty(len(tracks), NOTE)
    rows["onset"], rows["duration"] = notes.onsets, notes.ends - notes.onsets
    rows["pitch"], rows["velocity"] = notes.pitches, notes.velocities
    rows["program"], rows["track"] = np.where(notes.programs & 1, DRUMS, notes.programs >> 1), tracks
    return rows


def _pedal_rows(
    pedals: ChannelPedals, channels: NDArray, end: int, mended: Counter[str], limits: Limits, name: str
) -> NDArray:
    """The pedals (PEDAL) of the score's tracks, given the channel of each. A pedal never lifted is lifted at `end`."""
    if not len(pedals.onsets):
        return np.empty(0, PEDAL)
    spans = pedals.onsets < END_OF_TICKS
    lifted = pedals.ends < END_OF_TICKS
    mended["pedals too late to be written"] += int(np.count_nonzero(~spans))
    spans &= lifted | (pedals.onsets < end)
    mended["pedals never lifted"] += int(np.count_nonzero(spans & ~lifted))
    ends = np.where(lifted, pedals.ends, end)
    spans &= ends > pedals.onsets
    of_channel, onsets, ends = pedals.channels[spans], pedals.onsets[spans], ends[spans]
    first, stop = (np.searchsorted(of_channel, channels, side=side) for side in ("left", "right"))
    counts = stop - first
    if counts.sum() > limits.notes:
        raise MidiError(f"{name}: its tracks have more than {limits.notes} spans of the sustain pedal")
    which = np.arange(counts.sum()) + np.repeat(first - np.cumsum(counts) + counts, counts)
    rows = np.empty(len(which), PEDAL)
    rows["onset"], rows["duration"] = onsets[which], (ends - onsets)[which]
    rows["track"] = np.repeat(np.arange(len(channels)), counts)
    return rows


def _titles(events: Events, tracks: int) -> list[str]:
    """The name of each track of the file: the last one that it states."""
    titles = [""] * tracks
    for event, kind, data in events.blobs:
        if kind == TRACK_NAME:
            titles[events.tracks[event]] = _text(data)
    return titles


def _text(title: bytes) -> str:
    """A name, with U+FFFD for each sequence that is not UTF-8: the byte that begins it and those that continue it."""
    return title.decode(errors="t5music.one_mark")


def _one_mark(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)
    after = error.start + 1
    if 0xC0 <= error.object[error.start] < 0xF8:
        while after < len(error.object) and error.object[after] & 0xC0 == 0x80:
            after += 1
    return "\ufffd", after


codecs.register_error("t5music.one_mark", _one_mark)
