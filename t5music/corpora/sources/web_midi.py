"""MIDI files of thirteen sites of the 1990s' web: many instruments, many hands, as Lakh's are.

The MIDI Archive keeps each site's files in `src/assets/<site>/midi` and its pages in `src/<site>` (what is called .mid
there is no music). What a site or one of its pages is about gives the genre and, of games, the platform; the text of
the link to a file is its title.
"""

from __future__ import annotations

import html.parser
import posixpath
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

from t5music.corpora.base import Corpus, Download, Entry
from t5music.corpora.listing import MIDI_SUFFIXES
from t5music.corpora.tables import music_files, read_csv, spaced

# What the sites hold. Of LAURA it depends on the page.
LAURA = "laurasmidiheaven"
SITES = {
    "aol_israelmidi": "israeli",
    "botproductions": "choral",
    "christian": "christian",
    "elephanttalk": "prog_rock",
    "emusic": "early_music",
    "halhkmusic": "operetta",
    "irishmidifiles": "irish_folk",
    LAURA: "",
    "mahamidi": "jazz_fusion",
    "perso": "early_music",
    "prairiefrontier": "pop_mixed",
    "sankey": "baroque",  # John Sankey at the harpsichord: Bach
    "vietvet": "pop_rock",
}
CLASSICAL, GAMES = "classical", "videogame"
GENRES = tuple(sorted({*filter(None, SITES.values()), CLASSICAL, GAMES}))
PLATFORMS = ("Game Boy", "Genesis", "N64", "NES", "PC", "PlayStation", "SNES")
_CONSOLES = {"VideoGms": "NES", "VideoGms2": "SNES", "VideoGms3": "N64", "VideoGms4": "PlayStation",
             "VideoGms6": "Genesis", "VideoGms7": "Game Boy"}  # fmt: skip
_TABLE = "manifest.csv"  # of a copy that has its files below `midi/<site>`: file, site, page, title


def entries(root: Path) -> list[Entry]:
    """Every file of every site, of the repository's folder or of a copy with a table of its files."""
    if (root / _TABLE).is_file():
        rows = read_csv(root / _TABLE, ("file", "site", "page", "title"))
        listing = [
            _entry(row["file"].removeprefix("midi/"), root / row["file"], row["site"], row["page"], row["title"])
            for row in rows
        ]
    else:
        listing = [entry for site in SITES for entry in _of_site(root / "src", site)]
    return sorted(listing, key=lambda entry: entry.id)


def _of_site(source: Path, site: str) -> Iterator[Entry]:
    links = _links(source / site)
    for path in music_files(source / "assets" / site / "midi", "*"):
        if path.suffix.lower() in MIDI_SUFFIXES:
            yield _entry(f"{site}/{path.name}", path, site, *links.get(path.name.lower(), ("", "")))


def _entry(name: str, path: Path, site: str, page: str, title: str) -> Entry:
    genre, platform = SITES.get(site, ""), ""
    if site == LAURA:
        stem = posixpath.splitext(posixpath.basename(page))[0]
        genre = CLASSICAL if stem == "Classmidi" else GAMES if stem.startswith("VideoGms") else ""
        if genre == GAMES:
            platform = _CONSOLES.get(stem, "PC")  # page 5 is those of games for computers, by their letters
    return Entry(name, path, {"genre": genre, "platform": platform, "title": spaced(title), "site": site})


def _links(folder: Path) -> dict[str, tuple[str, str]]:
    """What a site's pages link to, in lower case -> the page that does first, and its words for it."""
    links: dict[str, tuple[str, str]] = {}
    pages = (path for path in folder.glob("*") if path.suffix.lower() not in MIDI_SUFFIXES and path.is_file())
    for page in sorted(pages):
        reader = _Links()
        reader.feed(page.read_text("utf-8", "replace"))
        for target, text in reader.links:
            name = posixpath.basename(urllib.parse.unquote(target)).lower()
            if not links.get(name, ("", ""))[1]:  # a picture may be a link too, and say nothing
                links[name] = (page.name, text)
    return links


class _Links(html.parser.HTMLParser):
    """The links of a page, and the text of each."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[tuple[str, str]] = []
        self._target: str | None = None
        self._text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self._target, self._text = dict(attrs).get("href"), []

    def handle_data(self, data: str) -> None:
        if self._target:
            self._text.append(data)

    def handle_endtag(self, tag: str) -> None:
        if tag == "a" and self._target:
            self.links.append((self._target, " ".join("".join(self._text).split())))
            self._target = None


_COMMIT = "2ac7e93783c9a628cde25fee81634f7c396d76ce"
_REPOSITORY = "https://github.com/reubenson/midi-archive"
WEB_MIDI = Corpus(
    name="web_midi",
    title="The MIDI Archive: files of thirteen sites of the 1990s' web, of many kinds of music",
    licence="unknown, the files are of many hands; the repository is MIT",
    source=_REPOSITORY,
    citation="Reuben Son, The MIDI Archive, 2023",
    entries=entries,
    downloads=(Download(f"{_REPOSITORY}/archive/{_COMMIT}.zip", file="web_midi.zip"),),
    layout=f"*/{LAURA}/*",
    labels={"genre": GENRES, "platform": PLATFORMS, "title": (), "site": tuple(SITES)},
    hours=126,
    files=3098,
)

CORPORA = (WEB_MIDI,)
