"""GiantMIDI-Piano, in the layout of its archive."""

from __future__ import annotations

from pathlib import Path

from small_music import pieces_of, write_files

from t5music.corpora.sources.giantmidi import GIANTMIDI


def test_composer_title_and_recording(tmp_path: Path):
    write_files(
        tmp_path / "midis",
        "Aaron, Michael, Piano Course, V8WvKK-1b2c.mid",
        "Abel, Frederic, Lola Polka, Op.1, SLNJF0uiqRw.mid",
        "Abel, Frederic, Lola Polka, Op.1, _-NJF0uiqRw.mid",
        "Anonymous, , Rondo, 0123456789a.mid",
        "no such name.mid",
    )
    pieces = pieces_of(GIANTMIDI, tmp_path)
    assert [tuple(piece.labels.values()) for piece in pieces.values()] == [
        ("Michael Aaron", "Piano Course", "V8WvKK-1b2c"),
        ("Frederic Abel", "Lola Polka, Op.1", "SLNJF0uiqRw"),
        ("Frederic Abel", "Lola Polka, Op.1", "_-NJF0uiqRw"),
        ("Anonymous", "Rondo", "0123456789a"),
    ]
    assert len({piece.group for piece in pieces.values()}) == 3, "recordings of one work together"
