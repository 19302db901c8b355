"""Piano rolls as SVG, for pages, notebooks and files: what a model wrote has colours, the prompt is grey.

The picture needs no library, and has no script, no style sheet and no address in it. Its size says the time:
`data-rate` pixels a second from `data-left` on, so that a page can draw a cursor, or read a region of time from where
the pointer is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from t5music.music.instruments import percussion_name
from t5music.music.roll_layout import (
    DRUM_COLOUR,
    NEW_DRUM_COLOUR,
    PROMPT_COLOUR,
    Classes,
    View,
    note_rows,
    parts_of,
    printable,
    view_of,
)
from t5music.music.score import DRUMS, Score

TOP, BOTTOM = 18, 6  # pixels around the notes: numbers of bars, a margin
LEFT, LEFT_OF_DRUMS = 44, 92  # likewise: names of octaves, of percussion
TEXT, LEAST_TEXT = 9, 6  # pixels; names that would have to be smaller are left out
WIDTH, RATES = 960, (24.0, 120.0)  # pixels that short music fills, and the pixels a second that there may be
HEIGHT, ROW_HEIGHTS = 340, (3.0, 11.0)  # likewise of rows
LOUDNESS_LEVELS = 4  # the notes of a colour and a level are one path
FAINTEST = 0.55  # opacity of the softest notes
MARGIN = 2  # rows above and below the notes
MOST_BAR_LINES = 400
# Pixels of a file: its title's letters, those of its legend, a line of that, a patch of colour.
TITLE, NAME, LINE, KEY = 14, 11, 18, 10
LETTER = 0.62  # of a letter's height: about the width of a wide one


class Roll(NamedTuple):
    """A piano roll.

    Attributes:
        svg: the SVG element.
        legend: (name, colour) of what it tells apart.
        width: pixels.
        height: likewise.
    """

    svg: str
    legend: list[tuple[str, str]]
    width: int
    height: int


class _Frame(NamedTuple):
    """Where things lie.

    Attributes:
        left: pixels before the first second shown.
        zero: the pixel of second 0.
        rate: pixels a second.
        low: the lowest row.
        high: the highest.
        height: pixels a row.
        width: pixels of the whole.
    """

    left: int
    zero: float
    rate: float
    low: int
    high: int
    height: float
    width: float

    def x(self, seconds: NDArray) -> NDArray:
        """The pixels at these seconds."""
        return self.zero + self.rate * seconds

    def holds(self, x: float) -> bool:
        """Whether a pixel is where notes are."""
        return self.left <= x <= self.width

    def top(self, row: Any) -> Any:
        """The upper edge of a row."""
        return TOP + (self.high - row) * self.height


def draw(score: Score, *, is_new: NDArray[np.bool_] | None = None, classes: Classes | None = None) -> Roll:
    """The notes of a score as an SVG element.

    Args:
        score: what to draw; without notes, an empty roll.
        is_new: bool [notes], True for notes that a model wrote; None where none is told apart.
        classes: of the notes, to colour them by, in place of their parts.
    """
    return _draw(View(score, is_new, 0.0, score.duration_seconds), classes)


def document(
    score: Score, *, is_new: NDArray[np.bool_] | None = None, classes: Classes | None = None, title: str = ""
) -> str:
    """A piano roll as an SVG file, with its title and its legend.

    Args:
        score: what to draw.
        is_new: bool [notes], True for notes that a model wrote; only the part with these is drawn, and a few bars
            around it. None where none is told apart.
        classes: of the notes, to colour them by, in place of their parts; not together with `is_new`.
        title: a line above the picture.
    """
    roll = _draw(view_of(score, is_new), classes)
    text = printable(title, 100)
    width = max(roll.width, WIDTH // 2, round(len(text) * TITLE * LETTER) + 2 * KEY)
    y = KEY
    pieces = []
    if text:
        y += TITLE
        pieces.append(f'<text x="{KEY}" y="{y}" font-size="{TITLE}" fill="#222222">{escape(text)}</text>')
        y += KEY
    x = KEY
    for name, colour in roll.legend if len(roll.legend) > 1 else ():
        space = 3 * KEY + round(len(name) * NAME * LETTER)
        if x > KEY and x + space > width:
            x, y = KEY, y + LINE
        pieces.append(
            f'<rect x="{x}" y="{y}" width="{KEY}" height="{KEY}" fill="{colour}"/>'
            f'<text x="{x + KEY + 4}" y="{y + KEY - 1}" font-size="{NAME}" fill="#444444">{escape(name)}</text>'
        )
        x += space
    y += LINE if x > KEY else 0
    height, below = y + roll.height, f'<svg y="{y}" '
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        f'font-family="sans-serif"><title>{escape(text)}</title>'
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>{"".join(pieces)}'
        + roll.svg.replace("<svg ", below, 1)
        + "</svg>\n"
    )


def _draw(view: View, classes: Classes | None) -> Roll:
    """The part of a score that is in view, as an SVG element."""
    score, is_new, begin, end = view
    notes = score.notes
    new = np.zeros(len(notes), bool) if is_new is None else is_new
    seconds = max(end - begin, 1.0)
    rate = float(np.clip(WIDTH / seconds, *RATES))
    rows = note_rows(notes) if len(notes) else np.array([60])
    low, high = int(rows.min()) - MARGIN, int(rows.max()) + MARGIN
    height = float(np.clip(HEIGHT / (high - low + 1), *ROW_HEIGHTS))
    left = LEFT_OF_DRUMS if (notes["program"] == DRUMS).any() and height >= LEAST_TEXT else LEFT
    width, whole = left + seconds * rate + 2, TOP + (high - low + 1) * height + BOTTOM
    zero = left - begin * rate
    frame = _Frame(left, zero, rate, low, high, height, width)

    labels, colours, part = parts_of(score) if classes is None else classes
    if is_new is not None and classes is None:
        colours = [NEW_DRUM_COLOUR if colour == DRUM_COLOUR else colour for colour in colours]
        labels, colours = ["prompt", *labels], [PROMPT_COLOUR, *colours]
        part = np.where(new, part + 1, 0)
    legend = [(labels[index], colours[index]) for index in range(len(labels)) if (part == index).any()]
    pieces = [
        f'<svg class="roll" width="{width:.0f}" height="{whole:.0f}" viewBox="0 0 {width:.0f} {whole:.0f}" role="img" '
        f'aria-label="piano roll of {len(notes)} notes, {int(new.sum())} of them new" data-left="{zero:g}" '
        f'data-rate="{rate:.4f}" data-seconds="{seconds:.3f}">',
        f'<rect width="{width:.0f}" height="{whole:.0f}" fill="#ffffff"/>',
        *_grid(score, rows, frame),
        *_notes(score, rows, frame, colours, part),
        "</svg>",
    ]
    return Roll("".join(pieces), legend, round(width), round(whole))


def _grid(score: Score, rows: NDArray, frame: _Frame) -> Iterator[str]:
    """Octaves with their names, percussion with its names, and bars with their numbers."""
    drums = score.notes["program"] == DRUMS
    lowest = int(rows[~drums].min(initial=128)) - MARGIN if len(score.notes) else frame.low

    def text(x: float, y: float, content: str, anchor: str, size: float = TEXT) -> str:
        return (
            f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size:.1f}" font-family="sans-serif" fill="#777777" '
            f'text-anchor="{anchor}">{escape(content)}</text>'
        )

    for pitch in range(0, 128, 12):
        if lowest <= pitch <= frame.high:
            y = frame.top(pitch - 1)
            yield f'<path d="M{frame.left} {y:.1f}H{frame.width:.0f}" stroke="#dddddd"/>'
            yield text(frame.left - 4, y, f"C{pitch // 12 - 1}", "end")  # C4 is middle C, MIDI's 60
    if frame.height >= LEAST_TEXT and drums.any():
        sounds = dict(zip(rows[drums].tolist(), score.notes["pitch"][drums].tolist(), strict=True))
        for row, key in sounds.items():
            yield text(
                frame.left - 4, frame.top(row - 1) - 1, percussion_name(key)[:18], "end", min(TEXT, frame.height)
            )
    bars = [bar for bar in enumerate(frame.x(score.seconds(score.bars()[0])).tolist(), 1) if frame.holds(bar[1])]
    step = next(step for step in (1, 2, 4, 8, 16, 32, 64, len(bars)) if len(bars) <= step * MOST_BAR_LINES)
    last = -100.0
    for number, x in bars[::step]:
        yield f'<path d="M{x:.1f} {TOP}V{frame.top(frame.low - 1):.0f}" stroke="#e6e6e6"/>'
        if x - last >= 24:
            yield text(x + 2, TOP - 6, str(number), "start")
            last = x


def _notes(score: Score, rows: NDArray, frame: _Frame, colours: Sequence[str], part: NDArray) -> Iterator[str]:
    """A path for all notes of a colour and a loudness; the first colour, a prompt's, lies below all others."""
    notes = score.notes
    if not len(notes):
        return
    left = np.maximum(frame.x(score.seconds(notes["onset"])), frame.left)
    right = np.minimum(frame.x(score.seconds(notes["onset"] + notes["duration"])), frame.width)
    spans = np.maximum(right - left - np.minimum(1, (right - left) / 3), 1.5)  # repeated notes stay apart
    tops = frame.top(rows)
    levels = notes["velocity"].astype(np.int64) * LOUDNESS_LEVELS // 128
    thick = max(frame.height - 0.6, 1.5)
    for index in np.unique(part).tolist():
        for level in np.unique(levels[part == index]).tolist():
            these = np.flatnonzero((part == index) & (levels == level))
            path = "".join(
                f"M{x:.1f} {y:.1f}h{span:.1f}v{thick:.1f}h-{span:.1f}z"
                for x, y, span in zip(left[these].tolist(), tops[these].tolist(), spans[these].tolist(), strict=True)
            )
            opacity = FAINTEST + (1 - FAINTEST) * (level + 1) / LOUDNESS_LEVELS
            yield f'<path d="{path}" fill="{colours[index]}" fill-opacity="{opacity:.2f}"/>'
