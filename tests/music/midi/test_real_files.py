"""Reading and writing real files, beside readers we did not write. What is compared never leaves the test."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from midi_files import file_of, merged, mido_notes, music, sane, score_or_reason, sounding_seconds

from t5music.music import midi
from t5music.music.midi import chunks, repair
from t5music.music.midi.limits import Limits
from t5music.music.score import Score

pytestmark = pytest.mark.data

ARCHIVES = [
    "classical_piano", "hard_midi", "jazz_piano", "jsb_chorales", "multitrack_extra", "nes_nsf2midi", "nottingham",
    "pianist8", "pop909", "web_midi_multitrack",
]  # fmt: skip
FOLDERS = [
    ("jsb_chorales", "bach370_midi", 20),
    ("nes_nsf2midi", "midi", 20),
    ("nottingham", "MIDI", 60),
    ("classical_piano", "piano_midi_de", 40),
    ("multitrack_extra", "midi", 100),
]
# Files in which running status goes on after a SysEx, and the notes in them. Nothing is left over when these are paired: no
# note-on without its note-off, which is more than symusic (3,096 and 2,603 notes), mido and music21 say.
RUNNING_STATUS_AFTER_SYSEX = {"My Old FlameGM.mid": 3107, "OverTheRainbowXG.MID": 2628, "Whilewereyoung.mid": 4001}


# Where we do not read what mido(clip=True) reads, and why.
NOT_AS_MIDO = {
    "test-2-tracks-type-2.mid": "two patterns, which its own text says 'must play sequentially'; mido lays them over",
    "zero-ticks-per-beat.mid": "refused: no time has a meaning; mido finds no notes in it",
    "negative-ticks-per-beat.mid": "refused: 0xFFFF is one frame a second of 255 ticks; mido finds no notes in it",
}
NOT_AS_TYPE_0: list[str] = []


def midi_paths(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".mid", ".midi"))


def slowly(data: bytes) -> Score | str:
    """What is read, or why not, when every event has first been read and written anew, byte by byte."""
    parts = chunks.parse(data, "test", Limits())
    bodies = [parts.data[start:end] for start, end in parts.tracks]
    tracks = repair.repaired(bodies, [False] * len(bodies), Counter(), "test")
    return score_or_reason(file_of(*tracks, division=int.from_bytes(parts.data[12:14], "big"), kind=parts.kind))


@pytest.mark.parametrize(("archive", "folder", "step"), FOLDERS)
def test_real_files_survive_writing(real_music, archive, folder, step):
    paths = midi_paths(real_music(archive) / folder)[::step]
    assert len(paths) > 5
    for path in paths:
        score = midi.read(path, require_notes=False)
        assert midi.representable(score) == score
        assert midi.read(midi.to_bytes(score), require_notes=False) == score, path


@pytest.mark.parametrize(("archive", "folder", "step"), FOLDERS)
def test_type_1_is_read_as_the_same_events_in_type_0(real_music, archive, folder, step):
    assert differing(midi_paths(real_music(archive) / folder)[1::step]) == []


def differing(paths: list[Path]) -> list[str]:
    """The files that are not read as the same events in one track are, or not as byte by byte."""
    names = []
    for path in paths:
        data = path.read_bytes()
        read = score_or_reason(path)
        if isinstance(read, str) or path.name in NOT_AS_MIDO:
            continue
        try:
            one = midi.read(merged(data), require_notes=False)
        except Exception:  # what mido raises where it cannot read the file, or write what it read
            one = None
        if (one is not None and music(read) != music(one)) or slowly(data) != read:
            names.append(path.name)
    return names


@pytest.mark.slow
@pytest.mark.parametrize("archive", ARCHIVES)
def test_whole_archives_are_read_as_type_0(real_music, archive):
    assert set(differing(midi_paths(real_music(archive)))) <= set(NOT_AS_TYPE_0)


def test_all_pedals_of_classical_piano_sound(real_music):
    """Mostly they are in the track of one hand or of neither: of 337 files, 172 had no pedal when tracks were read apart."""
    paths = midi_paths(real_music("classical_piano") / "piano_midi_de")[::30]
    apart = together = 0.0
    for path in paths:
        read = midi.read(path)
        apart += sounding_seconds(read)
        together += sounding_seconds(midi.read(merged(path.read_bytes())))
    assert apart == pytest.approx(together, rel=1e-12)
    assert apart > 1.3 * sum(float(np.diff(score_spans(path), axis=0).sum()) for path in paths)


def score_spans(path: Path) -> np.ndarray:
    """[2, notes]: seconds at which the keys of a file are struck and let go."""
    score = midi.read(path)
    return np.stack([score.seconds(score.notes["onset"]), score.seconds(score.notes["onset"] + score.notes["duration"])])


def test_running_status_after_sysex_in_real_files(real_music):
    folder = real_music("jazz_piano") / "midi"
    for name, notes in RUNNING_STATUS_AFTER_SYSEX.items():
        reading = midi.read_mended(folder / name)
        assert len(reading.score.notes) == notes, name
        assert not any("note" in line for line in reading.mended), name


def compare_with_mido(paths: list[Path]) -> Counter:
    """Makes sure that of each file at least mido's notes are read. Returns how many files each reader reads."""
    found: Counter = Counter()
    for path in paths:
        reading, theirs = score_or_reason(path), mido_notes(path.read_bytes())
        if isinstance(reading, str):
            assert reading.startswith(f"{path}: ")
            assert "\n" not in reading
            assert theirs is None or path.name in NOT_AS_MIDO, path
            found["refused"] += 1
            continue
        assert sane(reading)
        assert midi.read(midi.to_bytes(reading), require_notes=False) == reading
        found["read"] += 1
        if theirs is None:
            found["more than mido"] += 1
        elif path.name not in NOT_AS_MIDO:
            assert theirs == Counter(reading.notes[["onset", "duration", "pitch", "velocity"]].tolist()), path
            found["same notes as mido"] += 1
    return found


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        (range(20_000), {"read": 187, "refused": 4, "same notes as mido": 178, "more than mido": 8}),
        pytest.param(
            range(20_000, 10**9), {"read": 40, "refused": 1, "same notes as mido": 40}, marks=pytest.mark.slow
        ),
    ],
)
def test_hard_files(real_music, sizes, expected):
    """Test files of a dozen MIDI libraries: all music in them is read, and the same as by mido."""
    folder = real_music("hard_midi")
    with open(folder / "manifest.csv", newline="") as file:
        paths = [folder / row["file"] for row in csv.DictReader(file) if int(row["bytes"]) in sizes]
    assert compare_with_mido(paths) == expected


@pytest.mark.slow
def test_web_files_that_symusic_refuses(real_music):
    """111 files of the web: 63 are no MIDI files, one is empty; of the others, mido reads 33 and we read all."""
    folder = real_music("web_midi_multitrack")
    with open(folder / "manifest.csv", newline="") as file:
        paths = [folder / row["file"] for row in csv.DictReader(file) if row["parses"] == "0"]
    assert len(paths) == 111
    found = compare_with_mido(paths)
    assert found == {"read": 50, "refused": 61, "same notes as mido": 33, "more than mido": 17}
    for path in paths:
        reading = score_or_reason(path)
        if isinstance(reading, str):
            assert "not a standard MIDI file but " in reading or "the file is empty" in reading
            assert b"MThd" not in path.read_bytes()
        else:
            assert midi.read_mended(path).mended, path
