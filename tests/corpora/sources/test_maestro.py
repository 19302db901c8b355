"""MAESTRO, in the layout of its archive."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_music import entries_of, pieces_of, skipped, splits_of, write_files

from t5music.corpora.sources.maestro import MAESTRO
from t5music.errors import DataError

HEAD = "canonical_composer,canonical_title,split,year,midi_filename,audio_filename,duration\n"
ROWS = (
    "Alban Berg,Sonata Op. 1,train,2018,2018/MIDI-b.midi,2018/MIDI-b.wav,698.66116\n"
    "Alban Berg,Sonata Op. 1,train,2008,2008/MIDI-a.midi,2008/MIDI-a.wav,759.518471\n"
    'Alexander Scriabin,"3 Etudes, Op. 65",validation,2006,2006/MIDI-c.midi,2006/MIDI-c.wav,397.857508\n'
    "Franz Schubert / Franz Liszt,Ständchen,test,2006,2006/MIDI-d.midi,2006/MIDI-d.wav,300.0\n"
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = write_files(tmp_path / "maestro-v3.0.0", "2018/MIDI-b.midi", "2008/MIDI-a.midi", "2006/MIDI-c.midi",
                         "2006/MIDI-d.midi")  # fmt: skip
    (folder / "maestro-v3.0.0.csv").write_text(HEAD + ROWS, "utf-8")
    return tmp_path


def test_labels_splits_and_groups(root: Path):
    pieces = pieces_of(MAESTRO, root)
    assert list(pieces) == ["2006/MIDI-c.midi", "2006/MIDI-d.midi", "2008/MIDI-a.midi", "2018/MIDI-b.midi"]
    assert splits_of(pieces) == {"test": 1, "train": 2, "validation": 1}
    assert pieces["2006/MIDI-c.midi"].labels == {
        "composer": "Alexander Scriabin",
        "title": "3 Etudes, Op. 65",
        "year": "2006",
        "duration": "397.857508",
    }
    assert pieces["2018/MIDI-b.midi"].group == pieces["2008/MIDI-a.midi"].group == "Alban Berg: Sonata Op. 1"


def test_a_file_that_is_listed_and_not_there_is_skipped(root: Path):
    (root / "maestro-v3.0.0/2018/MIDI-b.midi").unlink()
    assert skipped(MAESTRO, entries_of(MAESTRO, root)["2018/MIDI-b.midi"]) == "no such file"


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (HEAD.replace("split,", "") + ROWS, r"maestro-v3\.0\.0\.csv: no column 'split'"),
        (HEAD + ROWS.replace("validation", "held out"), r"maestro-v3\.0\.0\.csv, 2006/MIDI-c\.midi: split 'held out'"),
        (HEAD + "Alban Berg,Sonata\n", "line 2: nothing in column 'split'"),
    ],
)
def test_a_damaged_table(root: Path, table: str, message: str):
    (root / "maestro-v3.0.0/maestro-v3.0.0.csv").write_text(table, "utf-8")
    with pytest.raises(DataError, match=message):
        entries_of(MAESTRO, root)


def test_no_table(tmp_path: Path):
    with pytest.raises(DataError, match=r"no table maestro-v\*\.csv"):
        MAESTRO.entries(tmp_path)
