"""Standard MIDI files to Scores (`read`) and back (`write`, `to_bytes`: see midi_writer).

`read` takes a file apart (midi_chunks), parses it with symusic where the file is as the standard has it (midi_strict),
and takes over symusic's arrays, exact to the tick. Any other file is read byte by byte (midi_tolerant). What no player
could play is mended or refused, and what was mended is told by `read_mended`. For every score that MIDI can hold at all

    read(to_bytes(score)) == representable(score)

and every score that `read` returns is its own `representable`: reading, writing and reading again changes nothing.
"""

from __future__ import annotations

import os
import re
from typing import NamedTuple

import numpy as np
import symusic
from numpy.typing import NDArray

from t5music.errors import MidiError
from t5music.files import open_regular, printable_name
from t5music.music.midi import chunks as midi_chunks
from t5music.music.midi import conformance, tolerant_reader
from t5music.music.midi.chunks import Chunks, Limits
from t5music.music.midi.writer import SUSTAIN_PEDAL, last_at_each_tick, possible, representable, to_bytes, write
from t5music.music.score import DRUMS, KEY, METER, NOTE, PEDAL, TEMPO, Score, pedal_spans

__all__ = [
    "MAX_BYTES",
    "MAX_NOTES",
    "MAX_QUARTERS",
    "MAX_TRACKS",
    "Reading",
    "read",
    "read_mended",
    "representable",
    "to_bytes",
    "write",
]

# What `read` takes by default. The largest of 13,000 files from the web and from corpora had 0.85 MB, 128 tracks,
# 51,000 notes and 175,000 quarter notes (a stray event at its end).
MAX_BYTES = 16 * 2**20
MAX_TRACKS = 1024
MAX_NOTES = 1_000_000
MAX_QUARTERS = 1_000_000

STABLE_SORT = 24  # events; up to here symusic keeps the order of those at one tick
NOTE_COLUMNS = {"onset": "time", "duration": "duration", "pitch": "pitch", "velocity": "velocity"}  # ours: symusic's
TEMPO_EVENT = re.compile(rb"\xff\x51\x03([\x00-\xff]{3})")


class Reading(NamedTuple):
    """What a file was read as.

    Attributes:
      score: the music.
      mended: what in the file was not as it should be, each as "what: how many" or as a phrase; empty for most files.
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

    A track of the score is one (channel, program) of one track of the file, named like the latter; all percussion
    (channel 10) has the program DRUMS. Tracks without notes are left out. A note belongs to the program in force at
    its onset; of overlapping notes of one pitch and channel the first one struck ends first. The patterns of a file
    of type 2 are played one after another. Under SMPTE division, which counts parts of seconds, a "quarter note" is a
    second.

    Always so: a note of no length gets one tick; a note never ended and a tempo, meter or key signature with an
    impossible value are dropped; of several tempi, meters or keys at one tick the last one is kept; a sustain pedal
    still down at the end is lifted with the last note. How damage is mended: see midi_chunks and midi_tolerant.

    Args:
      source: path of the file, or its bytes.
      name: what to call it in errors; by default its path.
      require_notes: whether a file without a single note is an error.
      max_bytes, max_tracks, max_notes, max_quarters: a file beyond any of them is refused before memory is spent on
        it: its size, the tracks of the file and those of the score (at most 32767), the notes, and when the last
        note ends, in quarter notes.

    Raises:
      MidiError: "FILE: what is wrong", for every file that cannot be read.
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
    """Reads a file as `read` does, and says what was mended, such as "data bytes above 127: 3" or "RIFF wrapper".

    Notes without an end are counted only in files that symusic does not read.
    """
    if isinstance(source, (bytes, bytearray, memoryview)):
        name, data = name or "MIDI data", bytes(source)
    else:
        name = name or printable_name(source)
        data = _load(source, name, max_bytes)
    if len(data) > max_bytes:
        raise MidiError(f"{name}: larger than {max_bytes} bytes, too large for a MIDI file")
    limits = Limits(min(max_tracks, np.iinfo(np.int16).max), max_notes, max_quarters)
    chunks = midi_chunks.parse(data, name, limits)
    reading = _by_symusic(chunks, name, limits) if _is_for_symusic(chunks) else None
    if reading is None:
        score, mended = tolerant_reader.read(chunks, name, limits)
        reading = Reading(score, (*chunks.mended, *mended))
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
        raise MidiError(f"{name!r}: not a file name: {error}") from None


def _is_for_symusic(chunks: Chunks) -> bool:
    """Whether symusic reads the file, and reads it right."""
    if not chunks.regular or chunks.microseconds or (chunks.kind == 2 and len(chunks.tracks) > 1):
        return False
    return conformance.conforms(chunks.data, chunks.tracks)


def _by_symusic(chunks: Chunks, name: str, limits: Limits) -> Reading | None:
    """Takes over symusic's arrays. Returns None where it refuses the file or what it says cannot be taken over.

    symusic counts in 31 bits, and in long lists it does not keep the order of tempi, meters or keys at one tick.
    """
    try:
        parsed = symusic.Score.from_midi(chunks.data)
    except Exception:  # RuntimeError for most damage; whatever else a parser of untrusted bytes may raise
        return None
    if parsed.note_num() > limits.notes:
        raise MidiError(f"{name}: has {parsed.note_num()} notes, more than {limits.notes}")
    tracks = [track for track in parsed.tracks if len(track.notes)]
    if len(tracks) > limits.tracks:
        raise MidiError(f"{name}: has {len(tracks)} tracks, more than {limits.tracks}")
    counts = [len(track.notes) for track in tracks]
    notes = np.empty(sum(counts), NOTE)
    if tracks:
        columns = [track.notes.numpy() for track in tracks]
        for ours, theirs in NOTE_COLUMNS.items():
            notes[ours] = np.concatenate([column[theirs] for column in columns])
        notes["program"] = np.repeat([DRUMS if track.is_drum else track.program for track in tracks], counts)
        notes["track"] = np.repeat(np.arange(len(tracks)), counts)
    notes["duration"] = np.maximum(notes["duration"], 1)
    end = int((notes["onset"] + notes["duration"]).max(initial=0))
    lists = (
        (parsed.tempos, TEMPO, {"microseconds": "mspq"}),
        (parsed.time_signatures, METER, {"numerator": "numerator", "denominator": "denominator"}),
        (parsed.key_signatures, KEY, {"fifths": "key", "minor": "tonality"}),
    )
    changes = [found for row in lists if (found := _changes(*row, chunks)) is not None]
    if notes["onset"].min(initial=0) < 0 or len(changes) < len(lists):
        return None
    limits.check_end(end, chunks.ticks_per_quarter, name)
    impossible = sum(len(row[0]) - len(found) for row, found in zip(lists, changes, strict=True))
    tempos, meters, keys = map(last_at_each_tick, changes)
    pedals = [spans for index, track in enumerate(tracks) if len(spans := _pedals(track, index, end))]
    score = Score(
        ticks_per_quarter=chunks.ticks_per_quarter,
        notes=notes,
        tempos=tempos,
        meters=meters,
        keys=keys,
        pedals=np.concatenate(pedals) if pedals else np.empty(0, PEDAL),
        track_names=tuple(track.name for track in tracks),
    )
    mended = [f"impossible tempi, meters or keys: {impossible}"] if impossible else []
    return Reading(score, (*chunks.mended, *mended))


def _changes(
    events: symusic.types.GeneralTempoList, dtype: np.dtype, columns: dict[str, str], chunks: Chunks
) -> NDArray | None:
    """A symusic list of tempi, meters or keys as our array, without impossible values, in the order of time.

    Returns None where symusic does not tell which change at one tick was the last, or counts below zero.
    """
    if not len(events):
        return np.empty(0, dtype)
    found = events.numpy()
    array = np.empty(len(found["time"]), dtype)
    array["tick"] = found["time"]
    for ours, theirs in columns.items():
        array[ours] = found[theirs]
    if array["tick"].min() < 0:
        return None
    if len(array) > STABLE_SORT:
        again = array["tick"][1:] == array["tick"][:-1]
        if (again & (array[1:] != array[:-1])).any() and not _put_in_order(array, chunks):
            return None
    valid = possible(array)
    if dtype == KEY:
        valid &= found["tonality"] <= 1
    return array[valid]


def _put_in_order(array: NDArray, chunks: Chunks) -> bool:
    """Puts tempi at one tick in the order of the file, where the bytes tell it: where all are in one track.

    In long lists symusic loses that order, in 12 of 938 files of classical piano music.
    """
    if array.dtype != TEMPO:
        return False
    tempos = [found for track in chunks.tracks if (found := TEMPO_EVENT.findall(chunks.data, *track))]
    values = np.array([int.from_bytes(value, "big") for found in tempos for value in found])
    if len(tempos) != 1 or not np.array_equal(np.sort(values), np.sort(array["microseconds"])):
        return False
    array["microseconds"] = values
    return True


def _pedals(track: symusic.types.Track, index: int, end: int) -> NDArray:
    """The spans (PEDAL [spans]) in which the sustain pedal of a track is down, from its controllers.

    symusic's own list of pedals begins with a pedal that nobody pressed where a file lifts it first.
    """
    if not len(track.controls):
        return np.empty(0, PEDAL)
    controls = track.controls.numpy()
    sustain = (controls["number"] == SUSTAIN_PEDAL) & (controls["time"] >= 0)
    if not sustain.any():
        return np.empty(0, PEDAL)
    return pedal_spans(controls["time"][sustain], controls["value"][sustain] >= 64, index, end)
