"""Scores to and from note-seq's `NoteSequence`, the protocol buffer of the Magenta world.

A NoteSequence places everything in seconds; a Score in ticks. The tempo map takes one to the other, so going there
and back changes no tick. What a NoteSequence has no place for, and so comes back in another spelling: a key signature
is the pitch class of its tonic, so keys of six and seven signs come back as the ones that sound the same with six
sharps or with five.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from t5music.errors import ConfigError, MidiError
from t5music.music.midi.writer import SUSTAIN_PEDAL, possible
from t5music.music.score import DEFAULT_TEMPO, DRUMS, KEY, METER, NOTE, PEDAL, TEMPO, Score, pedal_spans

if TYPE_CHECKING:
    import note_seq

STANDARD_TICKS = 220  # per quarter: note-seq's own choice for sequences that state none (constants.STANDARD_PPQ)
LONGEST_SECONDS = 1e6  # eleven days; whatever lies beyond is not music
MAJOR, MINOR = 0, 1  # NoteSequence.KeySignature.Mode
# By how many fifths a mode's key signature differs from that of the major key on the same tonic, by its number in
# NoteSequence.KeySignature.Mode: minor, not specified, mixolydian, dorian, phrygian, lydian, locrian.
MODE_FIFTHS = {MAJOR: 0, MINOR: -3, 2: 0, 3: -1, 4: -2, 5: -4, 6: 1, 7: -5}


def to_note_sequence(score: Score) -> note_seq.NoteSequence:
    """Returns the score as a NoteSequence as `note_seq.midi_file_to_note_sequence` lays one out.

    A track is an `instrument`, with its name in `instrument_infos`; pedals are control changes 64 for every program
    of their track.

    Raises:
        ConfigError: note-seq is not installed.
    """
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="pydub")  # it looks for ffmpeg, which nobody here needs
            from note_seq.protobuf import music_pb2
    except ImportError as error:
        raise ConfigError(f"a NoteSequence needs note-seq ({error}): pip install 't5music[data]'") from None
    sequence = music_pb2.NoteSequence(ticks_per_quarter=score.ticks_per_quarter, total_time=score.duration_seconds)
    sequence.source_info.encoding_type = music_pb2.NoteSequence.SourceInfo.MIDI
    for time, (_, microseconds) in _timed(score, score.tempos):
        sequence.tempos.add(time=time, qpm=60e6 / microseconds)
    for time, (_, numerator, denominator) in _timed(score, score.meters):
        sequence.time_signatures.add(time=time, numerator=numerator, denominator=denominator)
    for time, (_, fifths, minor) in _timed(score, score.keys):
        tonic = (7 * fifths + (9 if minor else 0)) % 12
        sequence.key_signatures.add(time=time, key=tonic, mode=MINOR if minor else MAJOR)
    for track, name in enumerate(score.track_names):
        sequence.instrument_infos.add(instrument=track, name=name)

    ends = score.seconds(score.notes["onset"] + score.notes["duration"]).tolist()
    for (start, row), end in zip(_timed(score, score.notes, "onset"), ends, strict=True):
        _, _, pitch, velocity, program, track = row
        sequence.notes.add(
            start_time=start,
            end_time=end,
            pitch=pitch,
            velocity=velocity,
            instrument=track,
            program=program % DRUMS,
            is_drum=program == DRUMS,
        )
    for track, program in np.unique(score.notes[["track", "program"]]).tolist():
        pedals = score.pedals[score.pedals["track"] == track]
        times = score.seconds(np.stack([pedals["onset"], pedals["onset"] + pedals["duration"]], axis=1))
        for time, value in zip(times.ravel().tolist(), [127, 0] * len(pedals), strict=True):
            sequence.control_changes.add(
                time=time,
                control_number=SUSTAIN_PEDAL,
                control_value=value,
                instrument=track,
                program=program % DRUMS,
                is_drum=program == DRUMS,
            )
    return sequence


def _timed(score: Score, array: NDArray, field: str = "tick") -> Iterable[tuple[float, tuple]]:
    """Pairs of seconds and the fields of each row."""
    return zip(score.seconds(array[field]).tolist(), array.tolist(), strict=True)


def from_note_sequence(sequence: note_seq.NoteSequence) -> Score:
    """Returns a NoteSequence's notes, tempi, meters, keys and sustain pedals as a Score.

    Times go to the nearest tick of the sequence's own resolution (220 a quarter where it states none). Each
    `instrument` becomes a track. Meters, keys and pedals with impossible values are dropped, as in reading MIDI.

    Raises:
        MidiError: a note or a tempo with an impossible value.
    """
    resolution = sequence.ticks_per_quarter or STANDARD_TICKS
    grid = Score(resolution, np.empty(0, NOTE), tempos=_tempos(sequence, resolution))

    def changes(rows: Iterable[tuple[float, int, int]], dtype: np.dtype) -> NDArray:
        rows = [row for row in rows if 0 <= row[0] <= LONGEST_SECONDS]
        array = np.empty(len(rows), dtype)
        array["tick"] = grid.ticks(np.array([row[0] for row in rows]))
        for index, field in enumerate(array.dtype.names[1:], 1):
            array[field] = np.clip([row[index] for row in rows], -1000, 1000)  # beyond all that is possible
        return array[possible(array)]

    pedals = [
        change
        for change in sequence.control_changes
        if change.control_number == SUSTAIN_PEDAL and 0 <= change.time <= LONGEST_SECONDS
    ]
    names = {info.instrument: info.name for info in sequence.instrument_infos}
    instruments = sorted({event.instrument for events in (sequence.notes, pedals) for event in events} | set(names))
    track = {instrument: index for index, instrument in enumerate(instruments)}
    notes = _notes(sequence, grid, track)
    end = int((notes["onset"] + notes["duration"]).max(initial=0))

    spans = [np.empty(0, PEDAL)]
    for instrument in sorted({change.instrument for change in pedals}):
        movements = sorted((c.time, c.control_value) for c in pedals if c.instrument == instrument)
        times, values = np.array(movements).T
        spans.append(pedal_spans(grid.ticks(times), values >= 64, track[instrument], end))
    return replace(
        grid,
        notes=notes,
        meters=changes(((m.time, m.numerator, m.denominator) for m in sequence.time_signatures), METER),
        keys=changes(((k.time, _fifths(k.key, k.mode), k.mode == MINOR) for k in sequence.key_signatures), KEY),
        pedals=np.concatenate(spans),
        track_names=tuple(names.get(instrument, "") for instrument in instruments),
    )


def _tempos(sequence: note_seq.NoteSequence, resolution: int) -> NDArray:
    """The tempo map (TEMPO): each tempo's tick follows from the tempi before it."""
    rows = []
    tick, last, microseconds = 0, 0.0, DEFAULT_TEMPO
    for tempo in sorted(sequence.tempos, key=lambda tempo: tempo.time):
        if not (0 < tempo.qpm < math.inf and 0 <= tempo.time <= LONGEST_SECONDS):
            raise MidiError(f"a NoteSequence has the tempo {tempo.qpm} at {tempo.time} seconds")
        tick += round((tempo.time - last) * 1e6 * resolution / microseconds)
        last, microseconds = tempo.time, max(1, round(60e6 / tempo.qpm))
        rows.append((tick, microseconds))
    return np.array(rows, TEMPO)


def _notes(sequence: note_seq.NoteSequence, grid: Score, track: dict[int, int]) -> NDArray:
    """The notes (NOTE), their seconds turned to ticks by the tempo map of `grid`."""
    count = len(sequence.notes)
    times = np.array([(note.start_time, note.end_time) for note in sequence.notes]).reshape(count, 2)
    values = np.array(
        [(n.pitch, n.velocity, DRUMS if n.is_drum else n.program, track[n.instrument]) for n in sequence.notes],
        np.int64,
    ).reshape(count, 4)
    starts, ends = times.T
    possible_times = (starts >= 0) & (ends >= starts) & (ends <= LONGEST_SECONDS)  # false for nan, too
    possible_values = ((values >= [0, 1, 0, 0]) & (values <= [127, 127, DRUMS, 32767])).all(axis=1)
    wrong = np.flatnonzero(~(possible_times & possible_values))
    if len(wrong):
        note = " ".join(str(sequence.notes[int(wrong[0])]).split())
        raise MidiError(f"a NoteSequence has an impossible note: {note}")
    notes = np.empty(count, NOTE)
    notes["onset"] = grid.ticks(starts)
    notes["duration"] = grid.ticks(ends) - notes["onset"]
    for column, field in enumerate(("pitch", "velocity", "program", "track")):
        notes[field] = values[:, column]
    return notes


def _fifths(tonic: int, mode: int) -> int:
    """Sharps (flats below zero) in the key signature of a mode on a tonic's pitch class, from -5 to 6."""
    fifths = (7 * tonic + MODE_FIFTHS.get(mode, 0)) % 12
    return fifths - 12 if fifths > 6 else fifths
