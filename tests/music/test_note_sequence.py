from __future__ import annotations

import math
import sys
from dataclasses import replace

import mido
import numpy as np
import pytest
from hypothesis import given, settings
from strategies import scores

from t5music.errors import ConfigError, MidiError
from t5music.music import midi
from t5music.music.note_sequence import from_note_sequence, to_note_sequence
from t5music.music.score import DRUMS, KEY, METER, NOTE, PEDAL, TEMPO, Score

# note-seq 0.0.5 imports pydub, which imports audioop and looks for ffmpeg; to_note_sequence itself is silent about both
pytestmark = [
    pytest.mark.filterwarnings("ignore:'audioop' is deprecated:DeprecationWarning:pydub"),
    pytest.mark.filterwarnings("ignore:Couldn't find ffmpeg:RuntimeWarning:pydub"),
]


@pytest.fixture
def note_seq():
    return pytest.importorskip("note_seq")


SCORE = Score(
    480,
    np.array([(0, 480, 60, 100, 5, 0), (960, 480, 64, 1, 5, 0), (0, 1, 36, 127, DRUMS, 1)], NOTE),
    tempos=np.array([(0, 600_000), (960, 400_000)], TEMPO),
    meters=np.array([(960, 6, 8)], METER),
    keys=np.array([(0, -3, False), (960, -3, True)], KEY),
    pedals=np.array([(480, 480, 0)], PEDAL),
    track_names=("piano", ""),
)


def test_a_note_sequence_literally(note_seq):
    expected = note_seq.NoteSequence(ticks_per_quarter=480, total_time=1.6)
    expected.source_info.encoding_type = note_seq.NoteSequence.SourceInfo.MIDI
    expected.tempos.add(time=0, qpm=100)
    expected.tempos.add(time=1.2, qpm=150)
    expected.time_signatures.add(time=1.2, numerator=6, denominator=8)
    expected.key_signatures.add(time=0, key=3, mode=0)  # E flat major
    expected.key_signatures.add(time=1.2, key=0, mode=1)  # C minor
    expected.instrument_infos.add(instrument=0, name="piano")
    expected.instrument_infos.add(instrument=1, name="")
    expected.notes.add(start_time=0, end_time=0.6, pitch=60, velocity=100, program=5, instrument=0)
    expected.notes.add(start_time=0, end_time=0.00125, pitch=36, velocity=127, is_drum=True, instrument=1)
    expected.notes.add(start_time=1.2, end_time=1.6, pitch=64, velocity=1, program=5, instrument=0)
    for time, value in ((0.6, 127), (1.2, 0)):
        expected.control_changes.add(time=time, control_number=64, control_value=value, program=5, instrument=0)
    assert to_note_sequence(SCORE) == expected


def test_there_and_back(note_seq):
    assert from_note_sequence(to_note_sequence(SCORE)) == SCORE


@pytest.mark.usefixtures("note_seq")
@given(scores())
@settings(deadline=None, max_examples=200)
def test_there_and_back_changes_no_tick(score):
    keys = score.keys.copy()
    for theirs, ours in ((-7, 5), (7, -5), (-6, 6)):  # C flat is B, C sharp is D flat, G flat is F sharp
        keys["fifths"][score.keys["fifths"] == theirs] = ours
    assert from_note_sequence(to_note_sequence(score)) == replace(score, keys=keys)


@pytest.mark.usefixtures("note_seq")
@given(scores(max_notes=8))
@settings(deadline=None, max_examples=100)
def test_note_seq_can_write_it_as_midi_and_we_read_the_same_notes(score):
    """Through pretty_midi's writer and back: what note-seq keeps is kept."""
    import note_seq

    notes = score.notes
    first = np.unique(notes[["track", "pitch"]], return_index=True)[1]  # it cuts overlaps of one pitch its own way
    score = replace(score, notes=notes[first], meters=score.meters[:0], keys=score.keys[:0])
    sequence = to_note_sequence(score)
    theirs = note_seq.midi_io.midi_to_note_sequence(note_seq.note_sequence_to_pretty_midi(sequence))
    ours = from_note_sequence(theirs)
    fields = ["onset", "duration", "pitch", "velocity", "program"]
    assert sorted(ours.notes[fields].tolist()) == sorted(score.notes[fields].tolist())


def test_a_sequence_that_was_never_midi(note_seq):
    sequence = note_seq.NoteSequence()
    sequence.notes.add(start_time=0.5, end_time=1.0, pitch=60, velocity=80, instrument=7)
    sequence.notes.add(start_time=0.0, end_time=0.5, pitch=62, velocity=80, instrument=2, program=3)
    for time, number, value in ((0.25, 64, 64), (0.5, 66, 0), (0.75, 64, 63)):
        sequence.control_changes.add(time=time, control_number=number, control_value=value, instrument=7)
    score = from_note_sequence(sequence)
    assert score.ticks_per_quarter == 220
    assert score.pedals.tolist() == [(110, 220, 1)]
    assert score.notes.tolist() == [(0, 220, 62, 80, 3, 0), (220, 220, 60, 80, 0, 1)]
    assert score.track_names == ("", "")
    assert from_note_sequence(note_seq.NoteSequence()) == Score(220, np.empty(0, NOTE))


@pytest.mark.parametrize(
    ("tonic", "mode", "fifths", "minor"),
    [
        ("A", "MINOR", 0, True),
        ("F_SHARP", "MAJOR", 6, False),
        ("D_FLAT", "MAJOR", -5, False),
        ("D", "DORIAN", 0, False),
        ("E", "PHRYGIAN", 0, False),
        ("F", "LYDIAN", 0, False),
        ("D", "MIXOLYDIAN", 1, False),
        ("B", "LOCRIAN", 0, False),
        ("G", "NOT_SPECIFIED", 1, False),
    ],
)
def test_key_signatures_of_every_mode(note_seq, tonic, mode, fifths, minor):
    kinds = note_seq.NoteSequence.KeySignature
    sequence = note_seq.NoteSequence()
    sequence.key_signatures.add(key=kinds.Key.Value(tonic), mode=kinds.Mode.Value(mode))
    assert from_note_sequence(sequence).keys.tolist() == [(0, fifths, minor)]


def test_what_is_no_music_is_dropped_or_refused(note_seq):
    sequence = note_seq.NoteSequence()
    sequence.time_signatures.add(time=0, numerator=3, denominator=0)
    sequence.time_signatures.add(time=0, numerator=-(2**31), denominator=4)
    sequence.time_signatures.add(time=math.nan, numerator=4, denominator=4)
    sequence.control_changes.add(time=math.inf, control_number=64, control_value=127)
    assert from_note_sequence(sequence) == Score(220, np.empty(0, NOTE))
    good = {"start_time": 0, "end_time": 1, "pitch": 60, "velocity": 80}
    for wrong in (
        {"velocity": 0},
        {"pitch": 128},
        {"pitch": -1},
        {"program": 129},
        {"start_time": -1.0},
        {"start_time": 2.0},
        {"end_time": math.nan},
        {"end_time": math.inf},
    ):
        sequence = note_seq.NoteSequence()
        sequence.notes.add(**good)
        sequence.notes.add(**(good | wrong))
        with pytest.raises(MidiError, match=r"\Aa NoteSequence has an impossible note: .*\Z"):
            from_note_sequence(sequence)
    for qpm, time in ((0, 0), (-1, 0), (math.inf, 0), (120, -1), (120, math.nan)):
        sequence = note_seq.NoteSequence()
        sequence.tempos.add(qpm=qpm, time=time)
        with pytest.raises(MidiError, match="a NoteSequence has the tempo"):
            from_note_sequence(sequence)


def test_without_note_seq_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "note_seq", None)
    monkeypatch.setitem(sys.modules, "note_seq.protobuf", None)
    with pytest.raises(ConfigError, match=r"needs note-seq .*: pip install 't5music\[data\]'\Z"):
        to_note_sequence(SCORE)


@pytest.mark.data
@pytest.mark.filterwarnings("ignore:Tempo, Key or Time signature change events found:RuntimeWarning:pretty_midi")
@pytest.mark.parametrize(
    ("archive", "folder", "step"),
    [
        ("jsb_chorales", "bach370_midi", 60),
        ("nes_nsf2midi", "midi", 80),
        ("nottingham", "MIDI", 400),
        ("classical_piano", "piano_midi_de", 60),
        ("pop909", "POP909", 300),
    ],
)
def test_real_files_are_what_note_seq_reads(note_seq, real_music, archive, folder, step):
    """Onsets, ends, pitches, velocities, programs, percussion, meters and keys, to a microsecond.

    Left out: files in which something was mended, notes that All Notes Off ends (pretty_midi drops them), and notes
    that overlap another of their program and pitch, where pretty_midi ends all of a track's at the first note-off, and
    none of another track's. Its own doing are a tempo and a meter at the start where the file has none, and equal tempi
    in a row made one.
    """
    compared = 0
    for path in sorted((real_music(archive) / folder).rglob("*.mid"))[::step]:
        reading = midi.read_mended(path, require_notes=False)
        if reading.mended:
            continue
        score = reading.score
        ours, theirs = to_note_sequence(score), note_seq.midi_file_to_note_sequence(str(path))
        assert ours.ticks_per_quarter == theirs.ticks_per_quarter
        dropped = len(ours.notes) - len(theirs.notes)  # by pretty_midi: what All Notes Off ends
        assert dropped == 0 or (0 < dropped <= 4 and ends_all_notes(path))
        left, right = rows(ours)[~overlapping(score)], rows(theirs)
        partners: dict[tuple, list] = {}
        for row in right:
            partners.setdefault(tuple(row[:4]), []).append(row[4:])
        distances = [
            np.abs(np.array(partners.get(tuple(row[:4]), [(np.inf, np.inf)])) - row[4:]).max(axis=1).min()
            for row in left
        ]
        assert np.count_nonzero(np.array(distances) >= 1e-6) <= dropped
        compared += len(left)
        assert last_at_each_time(ours.time_signatures) == last_at_each_time(theirs.time_signatures)
        assert last_at_each_time(ours.key_signatures) == last_at_each_time(theirs.key_signatures)
    assert compared > 1_000


def ends_all_notes(path) -> bool:
    """Whether a file has a message that ends all notes of a channel (controllers 120 and 123 to 127)."""
    messages = (message for track in mido.MidiFile(path).tracks for message in track)
    return any(message.type == "control_change" and message.control in (120, *range(123, 128)) for message in messages)


def rows(sequence) -> np.ndarray:
    """[notes, (is_drum, program, pitch, velocity, onset, end)]"""
    return np.array(
        [
            (n.is_drum, 0 if n.is_drum else n.program, n.pitch, n.velocity, n.start_time, n.end_time)
            for n in sequence.notes
        ]
    ).reshape(-1, 6)


def overlapping(score: Score) -> np.ndarray:
    """Which notes overlap another of their program and pitch (bool, in the order of the notes)."""
    notes = score.notes
    ends = notes["onset"] + notes["duration"]
    overlaps = np.zeros(len(notes), bool)
    for where in np.unique(notes[["program", "pitch"]]):
        alike = np.flatnonzero((notes["program"] == where["program"]) & (notes["pitch"] == where["pitch"]))
        alike = alike[np.argsort(notes["onset"][alike], kind="stable")]
        begun, over = notes["onset"][alike], np.maximum.accumulate(ends[alike])
        overlaps[alike[1:][begun[1:] < over[:-1]]] = True
        overlaps[alike[:-1][begun[1:] < ends[alike][:-1]]] = True
    return overlaps


def last_at_each_time(changes) -> dict[float, tuple]:
    """The values of meters or keys, the last one at each time (to 10 microseconds)."""
    return {round(c.time, 5): tuple(value for field, value in c.ListFields() if field.name != "time") for c in changes}
