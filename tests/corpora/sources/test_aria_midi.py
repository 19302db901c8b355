"""Aria-MIDI, in the layout of its archives."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from small_music import entries_of, pieces_of, write_files

from t5music.corpora.sources.aria_midi import CORPORA
from t5music.errors import DataError

UNIQUE = CORPORA[-1]
METADATA = {
    "12": {"metadata": {"genre": "classical", "composer": "chopin", "opus": 28, "piece_number": 4}, "audio_scores": {}},
    "13": {"metadata": {"genre": ["classical", "jazz"], "composer": "Chopin", "opus": "28", "piece_number": "4"}},
    "14": {"metadata": {"genre": None, "performer": "Ann"}},
    "15": {},
}


@pytest.fixture
def unique(tmp_path: Path) -> Path:
    folder = tmp_path / "aria-midi-v1-unique-ext"
    names = ("aa/000012_0", "aa/000012_1", "aa/000013_0", "ab/000014_0", "ab/000015_2", "ab/000016_0", "ab/notes_x")
    write_files(folder / "data", *(f"{name}.mid" for name in names))
    (folder / "metadata.json").write_text(json.dumps(METADATA))
    return tmp_path


def test_labels_are_those_of_the_recording(unique: Path):
    pieces = pieces_of(UNIQUE, unique)
    assert {name: tuple(piece.labels.values()) for name, piece in pieces.items()} == {
        "000012_0": ("classical", "chopin", ""),
        "000012_1": ("classical", "chopin", ""),
        "000013_0": ("classical", "Chopin", ""),
        "000014_0": ("", "", "Ann"),
        "000015_2": ("", "", ""),
        "000016_0": ("", "", ""),
    }


def test_recordings_of_one_work_and_parts_of_one_recording_are_together(unique: Path):
    groups = {name: entry.group for name, entry in entries_of(UNIQUE, unique).items()}
    assert groups["000012_0"] == groups["000012_1"] == groups["000013_0"] == "work chopin 28 4"
    assert (groups["000014_0"], groups["000015_2"]) == ("recording 14", "recording 15")


@pytest.mark.parametrize("content", [None, "[]", "{"])
def test_it_needs_its_table(unique: Path, content: str | None):
    path = unique / "aria-midi-v1-unique-ext" / "metadata.json"
    path.unlink() if content is None else path.write_text(content)
    with pytest.raises(DataError, match=r"metadata\.json"):
        entries_of(UNIQUE, unique)


def test_sizes_and_addresses_are_those_of_the_readme():
    assert [corpus.files for corpus in CORPORA] == [820_944, 371_053, 32_522]
    assert [corpus.downloads[0].name for corpus in CORPORA] == [
        f"aria-midi-v1-{subset}-ext.tar.gz" for subset in ("pruned", "deduped", "unique")
    ]
    assert not any(corpus.permissive for corpus in CORPORA)
