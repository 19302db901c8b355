"""VGMIDI, in the layout of its repository."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_music import entries_of, skipped, splits_of, write_files

from t5music.corpora.base import Piece
from t5music.corpora.sources.vgmidi import VGMIDI
from t5music.errors import DataError

PIECE = "Banjo-Kazooie,N64,Banjo-Kazooie,Boggys Igloo"
PHRASE = "Banjo-Kazooie_N64_Banjo-Kazooie_Boggys Igloo"
LABELLED = "id,series,console,game,piece,midi,valence,arousal\n" + "".join(
    f"{number},{PIECE},labelled/phrases/{PHRASE}_{number}.mid,{valence},{arousal}\n"
    for number, (valence, arousal) in enumerate([(1, 1), (-1, 1), (-1, -1), (1, -1), (1, 1)])
)
UNLABELLED = (
    "id,series,console,game,piece,midi,pdf\n"
    "9,Banjo-Kazooie,N64,Banjo-Kazooie,Boggys Igloo,data_clean/midi/whole.mid,data_clean/pdf/whole.pdf\n"
    "7,Ace Attorney,DS,Apollo Justice,Court Begins,data_clean/midi/court.mid,data_clean/pdf/court.pdf\n"
)


@pytest.fixture(params=["labelled/phrases", "phrases"], ids=["repository", "unpacked archives"])
def root(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    write_files(tmp_path, *(f"{request.param}/{PHRASE}_{number}.mid" for number in range(4)), "midi/whole.mid",
                "midi/court.mid")  # fmt: skip
    (tmp_path / "__MACOSX").mkdir()
    (tmp_path / "__MACOSX" / "whole.mid").touch()
    (tmp_path / "vgmidi_labelled.csv").write_text(LABELLED)
    (tmp_path / "vgmidi_unlabelled.csv").write_text(UNLABELLED)
    return tmp_path


def test_emotions_are_quadrants_and_phrases_of_one_piece_a_group(root: Path):
    entries = entries_of(VGMIDI, root)
    assert len(entries) == 7
    assert [entry.labels["emotion"] for entry in entries.values()] == ["Q1", "Q2", "Q3", "Q4", "Q1", "", ""]
    assert entries[f"labelled/{PHRASE}_1"].labels == {
        "series": "Banjo-Kazooie", "console": "N64", "game": "Banjo-Kazooie", "title": "Boggys Igloo",
        "valence": "-1", "arousal": "1", "emotion": "Q2",
    }  # fmt: skip
    assert [entry.group for entry in entries.values()].count("Banjo-Kazooie, Banjo-Kazooie: Boggys Igloo") == 6
    assert splits_of(entries) == {None: 7}
    read = [item for entry in entries.values() for item in VGMIDI.read(entry)]
    assert [isinstance(item, Piece) for item in read] == [True] * 4 + [False] + [True] * 2
    assert skipped(VGMIDI, entries[f"labelled/{PHRASE}_4"]) == "no such file"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("labelled", LABELLED.replace("valence", "joy"), r"vgmidi_labelled\.csv: no column 'valence'"),
        ("labelled", LABELLED.replace(",1,1\n", ",high,1\n"), r"valence 'high' or arousal '1' is no number"),
        ("unlabelled", UNLABELLED.replace("midi,pdf", "file,pdf"), r"vgmidi_unlabelled\.csv: no column 'midi'"),
    ],
)
def test_damaged_tables(root: Path, name: str, text: str, message: str):
    (root / f"vgmidi_{name}.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        entries_of(VGMIDI, root)


def test_a_missing_table(root: Path):
    (root / "vgmidi_unlabelled.csv").unlink()
    with pytest.raises(DataError, match=r"vgmidi_unlabelled\.csv: no such file"):
        entries_of(VGMIDI, root)
