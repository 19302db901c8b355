"""piano-midi.de's files, in the layout of the repository that collects them."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from small_music import entries_of, pieces_of, splits_of, write_files

from t5music.corpora.sources.piano_midi_de import PIANO_MIDI_DE
from t5music.errors import DataError

TABLE = (
    "composer,title,year,midi,duration\n"
    "Schubert,Piano_Sonata_D_850_1,1825,midis/Schubert/sonata_D850_1.mid,10\n"
    "Albeniz,Espana_Opus_165_Tango,1890,midis/Albeniz/alb_esp2.mid,10\n"
    "Albeniz,Espana_Opus_165_Prelude,1890,midis/Albeniz/alb_esp1.mid,10\n"
    "Christmas,Fantasia,,midis/Christmas/bk_xmas1.mid,10\n"
)
FILES = ("midis/Albeniz/alb_esp1.mid", "midis/Albeniz/alb_esp2.mid", "midis/Christmas/bk_xmas1.mid",
         "midis/Schubert/sonata_d850_1.mid")  # fmt: skip


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = write_files(tmp_path / "ClassicalPianoMIDI-dataset-x", *FILES)
    (folder / "metadata.csv").write_text(TABLE, "utf-8")
    return folder


def test_labels_and_groups(root: Path):
    pieces = pieces_of(PIANO_MIDI_DE, root.parent)
    assert tuple(pieces) == FILES, "the last by its own name, not the table's"
    tango = pieces["midis/Albeniz/alb_esp2.mid"]
    assert tango.labels == {"composer": "Albeniz", "title": "Espana Opus 165 Tango", "year": "1890"}
    assert [piece.group for piece in pieces.values()] == ["Albeniz, 1890", "Albeniz, 1890", "", "Schubert, 1825"]
    assert splits_of(pieces) == {None: 4}


def test_a_table_without_files_to_its_names(root: Path):
    (root / "metadata.csv").write_text("composer,title,year\nBach,Fugue,1722\n", "utf-8")
    with pytest.raises(DataError, match=r"metadata\.csv: no column 'midi'"):
        entries_of(PIANO_MIDI_DE, root)


@pytest.mark.data
def test_real_files(real_music):
    folder = real_music("classical_piano") / "piano_midi_de"
    with open(folder / "manifest.csv", encoding="utf-8") as table:
        files = {row["file"]: row["composer"] for row in csv.DictReader(table)}
    entries = entries_of(PIANO_MIDI_DE, folder)
    assert len(files) == PIANO_MIDI_DE.files
    assert {name: entry.labels["composer"] for name, entry in entries.items()} == files
    assert all(entry.path.is_file() for entry in entries.values())
    works: dict[str, set[str]] = {}
    for name, entry in entries.items():
        if name.rpartition("_")[2] in ("1.mid", "2.mid", "3.mid", "4.mid"):  # movements
            works.setdefault(name.rpartition("_")[0], set()).add(entry.group)
    assert len(works) > 30
    assert all(len(groups) == 1 for groups in works.values())
