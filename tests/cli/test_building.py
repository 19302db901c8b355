"""What is printed of corpora: what was left out of one, and those whose weights may be given away."""

from __future__ import annotations

import json
import os
from pathlib import Path

import tiny_models

from t5music.cli import building
from t5music.corpora import catalogue
from t5music.corpora.sources import folder
from t5music.music import midi


def test_a_folder_s_report_names_every_file_that_is_left_out(tmp_path: Path, monkeypatch, capsys):
    """Several files of one reason are printed as one line, which says where all of them stand."""
    monkeypatch.setenv("T5MUSIC_DATA", str(tmp_path / "data"))
    midi.write(tiny_models.band(), tmp_path / "music" / "good.mid")
    names = ["a.mid", os.fsdecode(b"Caf\xe9.mid"), "empty.mid"]
    for name in names:
        (tmp_path / "music" / name).write_bytes(b"" if name == "empty.mid" else b"<html>")
    corpus = folder.corpus(tmp_path / "music", "mine")
    report = building.build_corpus(corpus, source=str(tmp_path / "music"), workers=1)
    assert sorted(report["skipped"]) == [r"Caf\xe9.mid", "a.mid", "empty.mid"]
    *_, page, empty, place = capsys.readouterr().out.splitlines()
    assert page.startswith("  2 left out: not a standard MIDI file but a web page")
    assert empty == "  1 left out: the file is empty (for example empty.mid)"
    assert place.startswith("  all 3 by name, each with its reason: 'skipped' in ")
    assert json.loads(Path(place.partition("'skipped' in ")[2]).read_text("utf-8"))["skipped"] == report["skipped"]


def test_only_free_music_is_listed_where_weights_are_to_be_given_away(capsys):
    building.list_corpora(permissive=True)
    lines = capsys.readouterr().out.splitlines()
    names = {line for line in lines if line and not line.startswith(" ")}
    made_here = {f"synthetic_{language}" for language in ("random", "zipf", "nested", "flat")}
    assert names == {"openscore_lieder", "openscore_string_quartets", "pdmx", *made_here}
    for name in names:
        assert f"  weights: may be given away: {catalogue.get(name).permissive}" in lines
