"""SymphonyNet, in the layout of its archive."""

from __future__ import annotations

from pathlib import Path

from small_music import pieces_of, write_files

from t5music.corpora.sources.symphonynet import SYMPHONYNET


def test_composer_title_and_the_movements_of_a_work(tmp_path: Path):
    write_files(
        tmp_path / "SymphonyNet_Dataset",
        "classical/beethoven_symphony_9_1_(c)cvikl.mid",
        "classical/beethoven_symphony_9_2_(c)cvikl.mid",
        "classical/altnikol_befiehl_du_deine_wege_(c)icking-archive.mid",
        "contemporary/film/Some Theme.mid",
    )
    pieces = pieces_of(SYMPHONYNET, tmp_path)
    assert {name: tuple(piece.labels.values()) for name, piece in pieces.items()} == {
        "classical/beethoven_symphony_9_1_(c)cvikl": ("classical", "beethoven", "beethoven symphony 9 1"),
        "classical/beethoven_symphony_9_2_(c)cvikl": ("classical", "beethoven", "beethoven symphony 9 2"),
        "classical/altnikol_befiehl_du_deine_wege_(c)icking-archive": (
            "classical", "altnikol", "altnikol befiehl du deine wege",
        ),
        "contemporary/film/Some Theme": ("contemporary", "", "Some Theme"),
    }  # fmt: skip
    assert len({piece.group for piece in pieces.values()}) == 3, "the movements of a symphony together"
