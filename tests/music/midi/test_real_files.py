"""Reading and writing real files, beside readers we did not write. What is compared never leaves the test."""

from __future__ import annotations

import csv
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from midi_files import merged, mido_notes, music, sane, score_or_reason, sounding_seconds

from t5music.music import midi

pytestmark = pytest.mark.data

ARCHIVES = [
    "classical_piano",
    "emopia",
    "hard_midi",
    "jazz_piano",
    "jsb_chorales",
    "multitrack_extra",
    "nes_nsf2midi",
    "nottingham",
    "pianist8",
    "pop909",
    "web_midi_multitrack",
]
FOLDERS = [
    ("jsb_chorales", "bach370_midi", 20),
    ("nes_nsf2midi", "midi", 20),
    ("nottingham", "MIDI", 60),
    ("classical_piano", "piano_midi_de", 40),
    ("multitrack_extra", "midi", 100),
]
# Files that symusic alone reads as music that is not in them, and the notes that are. Nothing is left over when these
# are paired: no note-on without its note-off, which is more than symusic (3,096 and 2,603 notes), mido and music21 say.
RUNNING_STATUS_AFTER_SYSEX = {"My Old FlameGM.mid": 3107, "OverTheRainbowXG.MID": 2628, "Whilewereyoung.mid": 4001}


def midi_paths(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".mid", ".midi"))


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
    assert read_otherwise_in_type_0(midi_paths(real_music(archive) / folder)[1 :: 2 * step]) == []


@pytest.mark.slow
@pytest.mark.parametrize("archive", ARCHIVES)
def test_whole_archives_are_read_as_type_0(real_music, archive):
    assert read_otherwise_in_type_0(midi_paths(real_music(archive))) == []


def read_otherwise_in_type_0(paths: list[Path]) -> list[str]:
    """The files that are read otherwise when mido has merged their tracks to one; without those that mido cannot.

    Of 3,619 files of all archives, 306 while each track was read by itself, 226 of them of piano-midi.de; now none.
    """
    names = []
    for path in paths:
        score = score_or_reason(path)
        if isinstance(score, str) or path.name in {*NOT_AS_MIDO, *RUNNING_STATUS_AFTER_SYSEX}:
            continue
        try:
            one_track = merged(path.read_bytes())
        except Exception:  # whatever mido raises where it cannot read a file, or write what it read
            continue
        if music(score) != music(midi.read(one_track, require_notes=False)):
            names.append(path.name)
    return names


def test_pedals_in_the_other_hand_s_track_are_heard(real_music):
    """Of the 337 files of piano-midi.de, 172 had no pedal while each track was read by itself; now 3.

    They sound for 363,693 seconds, all notes together, and did for 310,849.
    """
    paths = midi_paths(real_music("classical_piano") / "piano_midi_de")[::40]
    scores = [midi.read(path) for path in paths]
    one_track = [midi.read(merged(path.read_bytes())) for path in paths]
    seconds = sum(map(sounding_seconds, scores))
    assert seconds == pytest.approx(sum(map(sounding_seconds, one_track)), rel=1e-12)
    assert seconds > 1.3 * sum(sounding_seconds(replace(score, pedals=score.pedals[:0])) for score in scores)


def test_running_status_after_sysex_in_real_files(real_music):
    folder = real_music("jazz_piano") / "midi"
    for name, notes in RUNNING_STATUS_AFTER_SYSEX.items():
        reading = midi.read_mended(folder / name)
        assert len(reading.score.notes) == notes, name
        told = {line.rpartition(":")[0] for line in reading.mended}
        assert told <= {"pedals never lifted", "notes of no length"}, name


# Where we do not read what mido(clip=True) reads, and why.
NOT_AS_MIDO = {
    "test-2-tracks-type-2.mid": "two patterns, which its own text says 'must play sequentially'; mido lays them over",
    "zero-ticks-per-beat.mid": "refused: no time has a meaning; mido finds no notes in it",
    "negative-ticks-per-beat.mid": "refused: 0xFFFF is one frame a second of 255 ticks; mido finds no notes in it",
}


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
