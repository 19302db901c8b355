"""ADL Piano MIDI, in the layout of its archive."""

from __future__ import annotations

from pathlib import Path

from small_music import pieces_of, write_files

from t5music.corpora.sources.adl_piano import ADL_PIANO


def test_labels_are_the_folders(tmp_path: Path):
    write_files(
        tmp_path,
        "adl-piano-midi/Classical/Japanese Classical/Michiru Oshima/Beaming Sunlight.mid",
        "adl-piano-midi/Soul/R&B/Rihanna/Te_Amo.mid",
    )
    noise = tmp_path / "__MACOSX/adl-piano-midi/Soul/R&B/Rihanna/._Te_Amo.mid"
    noise.parent.mkdir(parents=True)
    noise.touch()
    pieces = pieces_of(ADL_PIANO, tmp_path)
    assert {name: tuple(piece.labels.values()) for name, piece in pieces.items()} == {
        "Classical/Japanese Classical/Michiru Oshima/Beaming Sunlight": (
            "Classical",
            "Japanese Classical",
            "Michiru Oshima",
            "Beaming Sunlight",
        ),
        "Soul/R&B/Rihanna/Te_Amo": ("Soul", "R&B", "Rihanna", "Te Amo"),
    }
    assert {piece.split for piece in pieces.values()} == {None}
