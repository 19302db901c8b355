"""Standard MIDI files to Scores (`read`) and back (`write`, `to_bytes`: see midi_writer).

`read` parses with symusic and takes over its arrays, exact to the tick; what no player could play is mended or
refused. For every score that MIDI can hold at all

    read(to_bytes(score)) == representable(score)

and every score that `read` returns is its own `representable`: reading, writing and reading again changes nothing.
"""

from __future__ import annotations

import os

import numpy as np
import symusic
from numpy.typing import NDArray

from t5music.errors import MidiError
from t5music.music.midi_writer import SUSTAIN_PEDAL, last_at_each_tick, possible, representable, to_bytes, write
from t5music.music.score import DRUMS, KEY, METER, NOTE, PEDAL, TEMPO, Score, pedal_spans

__all__ = ["MAX_BYTES", "MAX_NOTES", "MAX_QUARTERS", "MAX_TRACKS", "read", "representable", "to_bytes", "write"]

# What `read` takes by default. The largest of 13,000 files from the web and from corpora had 0.85 MB, 128 tracks,
# 51,000 notes and 175,000 quarter notes (a stray event at its end).
MAX_BYTES = 16 * 2**20
MAX_TRACKS = 1024
MAX_NOTES = 1_000_000
MAX_QUARTERS = 1_000_000


def read(
    source: str | os.PathLike[str] | bytes,
    *,
    name: str | None = None,
    require_notes: bool = True,
    max_bytes: int = MAX_BYTES,
    max_tracks: int = MAX_TRACKS,
    max_notes: int = MAX_NOTES,
) -> Score:
    """Reads a standard MIDI file of type 0, 1 or 2 with a resolution in ticks per quarter note.

    A track of the score is one (channel, program) of one track of the file, named like the latter; all percussion
    (channel 10) has the program DRUMS. Tracks without notes are left out. A note belongs to the program in force at
    its onset; of overlapping notes of one pitch and channel the first one struck ends first.

    Mended: a note of no length gets one tick; a note never ended and a tempo, meter or key signature with an
    impossible value are dropped; of several tempi, meters or keys at one tick the last one is kept; a sustain pedal
    still down at the end is lifted with the last note.

    Args:
      source: path of the file, or its bytes.
      name: what to call it in errors; by default its path.
      require_notes: whether a file without a single note is an error.
      max_bytes, max_tracks, max_notes: a file beyond any of them is refused before memory is spent on it.

    Raises:
      MidiError: "FILE: what is wrong", for every file that cannot be read or goes on for more than MAX_QUARTERS.
    """
    if isinstance(source, (bytes, bytearray, memoryview)):
        name, data = name or "MIDI data", bytes(source)
    else:
        name = name or os.fspath(source)
        data = _load(source, name, max_bytes)
    if len(data) > max_bytes:
        raise MidiError(f"{name}: larger than {max_bytes} bytes, too large for a MIDI file")
    parsed = _parse(data, name)
    if len(parsed.tracks) > max_tracks:
        raise MidiError(f"{name}: has {len(parsed.tracks)} tracks, more than {max_tracks}")
    if parsed.note_num() > max_notes:
        raise MidiError(f"{name}: has {parsed.note_num()} notes, more than {max_notes}")
    score = _to_score(parsed, name)
    if require_notes and not len(score.notes):
        raise MidiError(f"{name}: no notes in it")
    return score


def _load(path: str | os.PathLike[str], name: str, max_bytes: int) -> bytes:
    """Returns the bytes of a file, at most one more than `max_bytes`."""
    try:
        with open(path, "rb") as file:
            return file.read(max_bytes + 1)
    except FileNotFoundError:
        raise MidiError(f"{name}: no such file") from None
    except IsADirectoryError:
        raise MidiError(f"{name}: is a folder, not a MIDI file") from None
    except OSError as error:
        raise MidiError(f"{name}: cannot be read: {error.strerror or error}") from None
    except ValueError as error:  # a path with a NUL in it
        raise MidiError(f"{name!r}: not a file name: {error}") from None


def _parse(data: bytes, name: str) -> symusic.types.Score:
    """symusic's view of the bytes: the one place that decides which files are readable at all."""
    if not data:
        raise MidiError(f"{name}: the file is empty")
    if not data.startswith(b"MThd"):
        start = data[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
        kind = "a web page" if start.startswith(b"<") else "a RIFF file" if start.startswith(b"riff") else "other data"
        raise MidiError(f"{name}: not a standard MIDI file but {kind}: it does not begin with MThd")
    try:
        return symusic.Score.from_midi(data)
    except Exception as error:  # RuntimeError for most damage; whatever else a parser of untrusted bytes may raise
        reason = " ".join(str(error).removeprefix("MiniMidi: ").removesuffix(": iostream error").split())
        if reason.startswith("Get "):  # symusic's words for a data byte with its high bit set
            reason = f"a data byte above 127 ({reason.removeprefix('Get ')})"
        raise MidiError(f"{name}: damaged MIDI file: {reason}") from None


def _to_score(parsed: symusic.types.Score, name: str) -> Score:
    """Takes over symusic's arrays, and mends or refuses what its reader lets through."""
    resolution = int(parsed.ticks_per_quarter)
    if resolution <= 0:
        raise MidiError(f"{name}: damaged MIDI file: zero ticks per quarter note")
    tracks = [track for track in parsed.tracks if len(track.notes)]
    notes = np.empty(sum(len(track.notes) for track in tracks), NOTE)
    start = 0
    for index, track in enumerate(tracks):
        columns = track.notes.numpy()
        part = notes[start : start + len(track.notes)]
        start += len(part)
        part["onset"], part["duration"] = columns["time"], columns["duration"]
        part["pitch"], part["velocity"] = columns["pitch"], columns["velocity"]
        part["program"], part["track"] = DRUMS if track.is_drum else track.program, index
    ends = notes["onset"] + notes["duration"]
    if (notes["onset"] < 0).any() or (notes["duration"] < 0).any() or ends.max(initial=0) > MAX_QUARTERS * resolution:
        raise MidiError(f"{name}: its notes go on for more than {MAX_QUARTERS} quarter notes")
    notes["duration"] = np.maximum(notes["duration"], 1)
    end = int((notes["onset"] + notes["duration"]).max(initial=0))
    pedals = [_pedals(track, index, end) for index, track in enumerate(tracks)]
    return Score(
        ticks_per_quarter=resolution,
        notes=notes,
        tempos=_changes(parsed.tempos, TEMPO, {"microseconds": "mspq"}),
        meters=_changes(parsed.time_signatures, METER, {"numerator": "numerator", "denominator": "denominator"}),
        keys=_changes(parsed.key_signatures, KEY, {"fifths": "key", "minor": "tonality"}),
        pedals=np.concatenate(pedals) if pedals else np.empty(0, PEDAL),
        track_names=tuple(track.name for track in tracks),
    )


def _changes(events: symusic.types.GeneralTempoList, dtype: np.dtype, columns: dict[str, str]) -> NDArray:
    """A symusic list of tempi, meters or keys as our array, without impossible values and with one change a tick.

    symusic does not keep the order of events at one tick in long lists (1 of 12,335 real files suffers from it).
    """
    found = events.numpy()
    array = np.empty(len(found["time"]), dtype)
    array["tick"] = found["time"]
    for ours, theirs in columns.items():
        array[ours] = found[theirs]
    valid = (array["tick"] >= 0) & possible(array)
    if dtype == KEY:
        valid &= found["tonality"] <= 1
    return last_at_each_tick(array[valid])


def _pedals(track: symusic.types.Track, index: int, end: int) -> NDArray:
    """The spans (PEDAL [spans]) in which the sustain pedal of a track is down, from its controllers.

    symusic's own list of pedals begins with a pedal that nobody pressed where a file lifts it first.
    """
    controls = track.controls.numpy()
    sustain = (controls["number"] == SUSTAIN_PEDAL) & (controls["time"] >= 0)
    return pedal_spans(controls["time"][sustain], controls["value"][sustain] >= 64, index, end)
