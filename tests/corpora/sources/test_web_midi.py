"""The MIDI Archive: labels from sites and pages."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from small_music import entries_of, pieces_of, write_files

from t5music.corpora.sources.web_midi import GENRES, PLATFORMS, SITES, WEB_MIDI

PAGES = {
    "laurasmidiheaven/Classmidi.htm": '<p><a href="/assets/laurasmidiheaven/midi/air.mid">Air on the\n G String</a>',
    "laurasmidiheaven/VideoGms.htm": '<a href="/assets/laurasmidiheaven/midi/Castle%20Walls.mid"><b>Castle</b> 1</a>',
    "laurasmidiheaven/VideoGms2.htm": '<a name="x">no link</a><a href="/assets/laurasmidiheaven/midi/zelda.mid">'
    '<img src="z.gif"></a><a href="/assets/laurasmidiheaven/midi/zelda.mid">Overworld</a>',
    "laurasmidiheaven/VideoGms5kl.htm": '<a href="/assets/laurasmidiheaven/midi/kings.MID">King\'s Quest</a>',
    "mahamidi/mahamidi": '<a href="/assets/mahamidi/midi/dance.mid">The Dance of Maya</a><a href="m.html">home</a>',
}
MUSIC = {
    "laurasmidiheaven/air.mid": ("classical", "", "Air on the G String"),
    "laurasmidiheaven/Castle Walls.mid": ("videogame", "NES", "Castle 1"),
    "laurasmidiheaven/kings.mid": ("videogame", "PC", "King's Quest"),
    "laurasmidiheaven/unknown.MID": ("", "", ""),
    "laurasmidiheaven/zelda.mid": ("videogame", "SNES", "Overworld"),
    "mahamidi/dance.mid": ("jazz_fusion", "", "The Dance of Maya"),
    "sankey/BWV772.MID": ("baroque", "", ""),
}


def labels(found) -> dict[str, tuple[str, str, str]]:
    return {name: tuple(item.labels[of] for of in ("genre", "platform", "title")) for name, item in found.items()}


def test_labels_from_sites_and_pages(tmp_path: Path):
    source = tmp_path / "midi-archive-x" / "src"
    write_files(source / "assets", *(f"{site}/midi/{file}" for site, file in (name.split("/") for name in MUSIC)))
    for name, text in PAGES.items():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text(f"---\nlayout: layout.njk\n---\n<html>{text}</html>")
    (source / "assets/mahamidi/midi/readme.txt").touch()
    (source / "mahamidi/dance.mid").write_text("---\nfront matter\n---")  # the pages' folders hold no music
    pieces = pieces_of(WEB_MIDI, tmp_path)
    assert labels(pieces) == MUSIC
    assert {piece.split for piece in pieces.values()} == {None}
    assert pieces["sankey/BWV772.MID"].labels["site"] == "sankey"


def test_a_copy_with_a_table(tmp_path: Path):
    write_files(tmp_path / "midi", "laurasmidiheaven/zelda.mid", "vietvet/apache.mid")
    (tmp_path / "manifest.csv").write_text(
        "file,site,page,title\n"
        "midi/laurasmidiheaven/zelda.mid,laurasmidiheaven,laurasmidiheaven/VideoGms2.htm,Overworld\n"
        "midi/vietvet/apache.mid,vietvet,,\n"
    )
    assert labels(entries_of(WEB_MIDI, tmp_path)) == {
        "laurasmidiheaven/zelda.mid": ("videogame", "SNES", "Overworld"),
        "vietvet/apache.mid": ("pop_rock", "", ""),
    }


@pytest.mark.data
def test_real_files(real_music):
    entries = entries_of(WEB_MIDI, real_music("web_midi_multitrack"))
    genres = Counter(entry.labels["genre"] for entry in entries.values())
    assert set(genres) == {*GENRES, ""}
    assert genres[""] == 24
    assert {entry.labels["platform"] for entry in entries.values()} == {*PLATFORMS, ""}
    assert {entry.labels["site"] for entry in entries.values()} == set(SITES)
