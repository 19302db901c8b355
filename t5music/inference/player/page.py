"""Pages: music in one HTML file with its sound, piano roll and score, variants side by side, and nothing from outside.

All is in the file: the sound as data, pictures as SVG, the script and the style sheet. The page's own policy forbids it
to fetch anything.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from functools import cache
from html import escape
from importlib import resources
from typing import TYPE_CHECKING, NamedTuple

from t5music.errors import ConfigError, MidiError
from t5music.music import engraving, music_files

if TYPE_CHECKING:
    from t5music.inference.result import Result
    from t5music.sound.soundfont import SoundFont

POLICY = "default-src 'none'; media-src data:; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
_MIME = {".mid": "audio/midi", ".mxl": "application/vnd.recordare.musicxml"}


@cache
def asset(name: str) -> str:
    """The text of a file that lies beside this one: player.css or player.js."""
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


class Page(NamedTuple):
    """A page.

    Attributes:
        html: the file.
        parts: what is in it, in words: "piano roll" and, where they could be made, "sound" and "score".
        remarks: why a part is missing; a sentence each.
    """

    html: str
    parts: list[str]
    remarks: list[str]


def to_page(results: Sequence[Result], *, font: str | SoundFont | None = None) -> Page:
    """One page with all results side by side.

    Args:
        results: at least one; several are variants of each other, in order.
        font: the sound font that plays; the one that is found on this machine if None. Where there is none, the page
            says so and has no sound.

    Raises:
        ConfigError: a font that cannot be read.
        MidiError: music whose sound would be too long.
    """
    several = len(results) > 1
    cards, parts, remarks = [], ["piano roll"], []
    for number, result in enumerate(results, 1):
        sound, sheet = _sound(result, font), _sheet(result)
        cards.append(_card(result, number if several else None, sound, sheet))
        parts += [name for name, part in (("sound", sound), ("score", sheet)) if not isinstance(part, Missing)]
        remarks += [part.reason for part in (sound, sheet) if isinstance(part, Missing)]
    title = escape(results[0].title)
    html = (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>\n{asset('player.css')}</style>\n</head>\n<body>\n<h1>{title}</h1>\n"
        f'<main class="variants{" several" if several else ""}">\n{"".join(cards)}</main>\n'
        f"<script>\n{asset('player.js')}</script>\n</body>\n</html>\n"
    )
    return Page(html, list(dict.fromkeys(parts)), list(dict.fromkeys(remarks)))


class Missing(NamedTuple):
    """A part that a page does not have, and why, in a sentence."""

    reason: str

    def __str__(self) -> str:
        return f'<p class="none">{escape(self.reason)}</p>\n'


def to_fragment(result: Result) -> str:
    """What a notebook shows: a player and the piano roll, without a script."""
    return (
        f"<div>{_sound(result, None)}{legend(result.roll.legend)}"
        f'<div style="overflow-x:auto">{result.roll.svg}</div></div>'
    )


def legend(entries: Sequence[tuple[str, str]]) -> str:
    """What the colours mean, as HTML."""
    return "".join(
        f'<span class="key"><svg width="12" height="12"><rect width="12" height="12" fill="{colour}"/></svg> '
        f"{escape(name)}</span> "
        for name, colour in entries
    )


def _card(result: Result, number: int | None, sound: str | Missing, sheet: str | Missing) -> str:
    """A result: its player, piano roll, score, and its files to keep."""
    heading = "" if number is None else f"<h2>Variant {number}</h2>\n"
    name = result.stem if number is None else f"{result.stem}_{number}"
    remarks = "".join(f"<li>{escape(remark)}</li>" for remark in result.remarks)
    return (
        f'<article class="card">\n{heading}<p class="facts">{escape(facts(result))}</p>\n{sound}'
        f'<p class="legend">{legend(result.roll.legend)}</p>\n'
        f'<div class="scroll"><div class="stage">{result.roll.svg}<div class="cursor" hidden></div></div></div>\n'
        f'<p class="files">{_files(result, f"{name}_{result.kind}")}</p>\n'
        f"{f'<ul>{remarks}</ul>' if remarks else ''}{sheet}</article>\n"
    )


def facts(result: Result) -> str:
    """A line on a result: how many notes it has, how long it is, what it was drawn with, and how it ranks."""
    new = "" if result.is_new is None else f"{int(result.is_new.sum())} new notes beside {result.notes_kept}, "
    seed = "" if result.seed is None else f", seed {result.seed}"
    rank = "" if result.rank is None else f"; {result.rank}"
    return f"{new}{len(result.score.notes)} notes, {result.seconds:.1f} s{seed}{rank}"


def data_address(content: bytes, mime: str) -> str:
    """The content of a file as an address."""
    return f"data:{mime};base64,{base64.b64encode(content).decode()}"


def _sound(result: Result, font: str | SoundFont | None) -> str | Missing:
    """The player; or, where there is no sound font and none was named, why there is no sound."""
    if not len(result.score.notes):
        return Missing("no sound: there are no notes")
    try:
        content, mime = result.page_sound(font)
    except ConfigError as error:
        if font is not None:
            raise
        return Missing(f"no sound: {error}")
    return f'<audio controls preload="auto" src="{data_address(content, mime)}"></audio>\n'


def _files(result: Result, name: str) -> str:
    """Links that keep the music as files."""
    links = []
    for suffix, mime in _MIME.items():
        content = result.data
        if suffix != ".mid":
            try:
                content = music_files.to_bytes(result.score, f"music{suffix}")
            except MidiError:  # more than a score can hold
                continue
        links.append(f'<a download="{escape(name)}{suffix}" href="{data_address(content, mime)}">{suffix[1:]}</a>')
    return "Keep it as " + ", ".join(links)


def _sheet(result: Result) -> str | Missing:
    """The score, or what it needs."""
    if not engraving.is_installed():
        return Missing("no score: pip install 't5music[score]'")
    try:
        address = data_address(engraving.to_bytes(result.score, "score.svg"), "image/svg+xml")
    except MidiError as error:
        return Missing(f"no score: {error}")
    # As a picture, so that the style sheets of several stay apart.
    return f'<details class="score"><summary>Score</summary><img alt="score" src="{address}"></details>\n'
