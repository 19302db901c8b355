"""Engraving: a score as sheet music, SVG or PDF. Verovio sets it, from the MusicXML that t5music writes.

Verovio is the [score] extra, and so is Matplotlib: Verovio draws SVG, and pages of PDF are drawn from that
(`engraved_pdf`).
"""

from __future__ import annotations

import os
import re
import threading
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from t5music import figures
from t5music.errors import ConfigError, MidiError
from t5music.files import printable_name
from t5music.music import musicxml
from t5music.music.score import Score
from t5music.storage import path_of

SUFFIXES = SVG, PDF = (".svg", ".pdf")
PAGE_WIDTH, PAGE_HEIGHT = 2100, 2970  # A4 in tenths of a millimetre, Verovio's units
MAX_BARS = 2_000  # about a minute's work
_SEED = 1  # of the ids in the SVG, so that the same music is the same picture
_OPTIONS = {
    "pageWidth": PAGE_WIDTH,
    "pageHeight": PAGE_HEIGHT,
    "scale": 100,
    "footer": "none",
    "header": "none",
    "svgViewBox": True,
    "smuflTextFont": "none",
    "xmlIdSeed": _SEED,
}
# Of the metronome marks that we write, all of them in quarters.
_METRONOME = re.compile(r'<tspan font-family="Leipzig" font-size="\d+px">[\ue000-\uf8ff]')
_HEIGHT = re.compile(rf'viewBox="0 0 {PAGE_WIDTH} (\d+)"')
_LOCK = threading.Lock()  # Verovio keeps its resources in one place for all threads


def is_picture(path: str | os.PathLike[str]) -> bool:
    """Whether a file is called like sheet music as a picture."""
    return path_of(path).suffix.lower() in SUFFIXES


def is_installed() -> bool:
    """Whether Verovio can be imported."""
    return find_spec("verovio") is not None


def require_writable(path: str | os.PathLike[str], flag: str) -> None:
    """Raises ConfigError where Verovio is not installed or, for a PDF, Matplotlib."""
    as_pdf = path_of(path).suffix.lower() == PDF
    if not is_installed() or (as_pdf and not figures.can_draw()):
        need, other = ("Verovio and Matplotlib", ".svg or .musicxml") if as_pdf else ("Verovio", ".musicxml")
        if is_installed():
            need, other = "Matplotlib", ".svg"
        raise ConfigError(
            f"{flag} {printable_name(path)}: this sheet music needs {need}: pip install 't5music[score]', or name "
            f"a {other} file"
        )


def pages(score: Score, *, cropped: bool = False) -> list[str]:
    """The pages of a score, an SVG document each: A4, or `cropped` to the height of what is on them.

    Raises:
        ConfigError: Verovio is not installed.
        MidiError: music that cannot be written as a score, or of more than MAX_BARS.
    """
    require_writable("score.svg", "the score")
    with _LOCK:
        toolkit = _loaded(score, {**_OPTIONS, "adjustPageHeight": cropped})
        return [_at_home(toolkit.renderToSVG(number)) for number in range(1, toolkit.getPageCount() + 1)]


def to_bytes(score: Score, path: str | os.PathLike[str]) -> bytes:
    """The bytes of a picture of this name: PDF in pages, or SVG, whose pages stand below each other.

    Raises:
        ConfigError: Verovio is not installed, or the name is of no picture.
        MidiError: as `pages`.
    """
    suffix = path_of(path).suffix.lower()
    require_writable(path, "--output")
    if suffix == PDF:
        from t5music.music import engraved_pdf  # Matplotlib takes a while

        return engraved_pdf.to_bytes(pages(score))
    if suffix != SVG:
        raise ConfigError(f"--output {printable_name(path)}: sheet music is written as {', '.join(SUFFIXES)}")
    return one_svg(pages(score, cropped=True)).encode()


def one_svg(documents: list[str]) -> str:
    """Pages below each other in one SVG document."""
    parts, height = [], 0
    for document in documents:
        size = int(_HEIGHT.search(document)[1])  # type: ignore[index] # Verovio's pages have a viewBox
        parts.append(document.replace("<svg ", f'<svg y="{height}" width="{PAGE_WIDTH}" height="{size}" ', 1))
        height += size
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{PAGE_WIDTH / 10:g}mm" height="{height / 10:g}mm" '
        f'viewBox="0 0 {PAGE_WIDTH} {height}"><rect width="{PAGE_WIDTH}" height="{height}" fill="#ffffff"/>'
        + "".join(parts)
        + "</svg>\n"
    )


def _loaded(score: Score, options: dict[str, Any]) -> Any:
    """Verovio with a score in it."""
    import verovio

    if score.bar_count > MAX_BARS:
        raise MidiError(f"the score has {score.bar_count:,} bars: sheet music is made of at most {MAX_BARS:,}; cut it")
    document = musicxml.to_bytes(score).decode()
    verovio.enableLog(verovio.LOG_OFF)
    # Each thread has a path of its own to Verovio's fonts, and importing sets that of one thread.
    verovio.setDefaultResourcePath(str(Path(verovio.__file__).parent / "data"))
    toolkit = verovio.toolkit()
    toolkit.setOptions(options)
    if not toolkit.loadData(document) or not toolkit.getPageCount():
        raise MidiError("Verovio cannot set this music; write it as .musicxml and open it in a notation program")
    return toolkit


def _at_home(svg: str) -> str:
    """A page that needs nothing else: its links are SVG 2's, and fonts have the note of a metronome mark."""
    svg = _METRONOME.sub('<tspan font-size="405px">♩', svg.replace("xlink:href=", "href="))
    ids = re.findall(r'"#([\w-]+)"|#([\w-]+) ', svg)  # that are used: by links, by styles
    names = {name for pair in ids for name in pair}
    svg = re.sub(r' id="([\w-]+)"', lambda match: match[0] if match[1] in names else "", svg)
    svg = re.sub(r"<g[^>]*/>", "", svg)  # places of things that have no picture
    return re.sub(r">\s+<", "><", re.sub(r' xmlns:\w+="[^"]*"', "", svg))
