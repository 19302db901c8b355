"""Reading music21's corpus: against music21's own MIDI files, and what is left out."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import mido
import numpy as np
import pytest

from t5music.corpora import catalogue
from t5music.corpora.base import Entry, Piece, Skipped
from t5music.corpora.sources import music21_corpus
from t5music.music.score import NOTE, Score

converter = pytest.importorskip("music21.converter")

VOICES = ("soprano", "alto", "tenor", "bass")


@pytest.fixture(scope="module")
def root() -> Path:
    return music21_corpus.corpus_root()


def entry(path: Path, **labels: str) -> Entry:
    return Entry(path.name, path, labels)


def in_quarters(score: Score) -> list[tuple[float, float, int]]:
    """(onset from the first note, duration, pitch), sorted; times rounded to 1/96 quarter."""
    scale = 96 / score.ticks_per_quarter
    onsets = np.rint((score.notes["onset"] - score.notes["onset"].min()) * scale).tolist()
    durations = np.rint(score.notes["duration"] * scale).tolist()
    return sorted(zip(onsets, durations, score.notes["pitch"].tolist(), strict=True))


def read_by_track(path: Path) -> Score:
    """A MIDI file as mido reads it, each track for itself: parts in unison may share a channel here."""
    file = mido.MidiFile(path)
    notes = []
    for track in file.tracks:
        tick, sounding = 0, defaultdict(list)
        for message in track:
            tick += message.time
            if message.type == "note_on" and message.velocity:
                sounding[message.channel, message.note].append(tick)
            elif message.type in ("note_on", "note_off"):
                onset = sounding[message.channel, message.note].pop(0)
                notes.append((onset, tick - onset, message.note, 80, 0, 0))
    return Score(file.ticks_per_beat, np.array(notes, NOTE))


@pytest.mark.parametrize(
    "name",
    [
        "bach/bwv268.mxl",
        "bach/bwv10.7.mxl",
        "trecento/PMFC_23_16-Kyrie Apt 16.xml",  # an octave clef
        "trecento/PMFC_12_3-Gloria Gherardello.xml",
    ],
)
def test_notes_are_those_of_music21s_own_midi(root: Path, tmp_path: Path, name: str):
    stream = converter.parse(root / name, forceSource=True, storePickle=False)
    stream.write("midi", tmp_path / "oracle.mid")
    score = music21_corpus.to_score(stream, 52)
    assert in_quarters(score) == in_quarters(read_by_track(tmp_path / "oracle.mid"))


def test_an_upbeat_ends_its_bar(root: Path):
    [piece] = catalogue.get("bach_chorales").read(entry(root / "bach/bwv269.mxl", composer="bach"))
    assert isinstance(piece, Piece)
    quarter = piece.score.ticks_per_quarter
    assert piece.score.meters.tolist() == [(0, 3, 4)]
    assert piece.score.notes["onset"].min() == 2 * quarter  # a chorale in 3/4 that begins on the third beat
    assert piece.score.track_names == ("Soprano", "Alto", "Tenor", "Bass")
    assert piece.labels == {"composer": "bach"}


def test_a_chorale_with_horns_keeps_its_voices(root: Path):
    stream = converter.parse(root / "bach/bwv190.7-inst.mxl", forceSource=True, storePickle=False)
    assert len(stream.parts) > 4
    assert music21_corpus.to_score(stream, 52, VOICES).track_names == ("Soprano", "Alto", "Tenor", "Bass")


def test_what_reserves_rights_is_left_out(root: Path):
    palestrina = sorted((root / "palestrina").glob("*.krn"))
    assert all(music21_corpus.reserves_rights(path) for path in palestrina[::100])
    trecento = sorted((root / "trecento").glob("*.xml"))
    reserved = [path for path in trecento if music21_corpus.reserves_rights(path)]
    assert 0 < len(reserved) < len(trecento) / 4
    skipped = list(catalogue.get("trecento").read(entry(reserved[0])))
    assert skipped == [Skipped(reserved[0].name, "its text reserves rights")]
    assert not music21_corpus.reserves_rights(root / "bach/bwv269.mxl")


def test_an_unreadable_file_is_skipped_with_its_reason(tmp_path: Path):
    path = tmp_path / "broken.xml"
    path.write_text("<score-partwise><part>")
    [skipped] = catalogue.get("trecento").read(entry(path))
    assert isinstance(skipped, Skipped)
    assert skipped.reason.startswith("music21 cannot read it: ")


def test_entries_are_the_files_of_the_pattern(root: Path):
    entries = catalogue.get("bach_chorales").entries(root)
    assert len(entries) == 408
    assert entries[0].id.startswith("bach/bwv")
    assert all(entry.path.is_file() and entry.labels == {"composer": "bach"} for entry in entries)
