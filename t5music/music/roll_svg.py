"""Piano rolls as SVG text, for pages and notebooks: what a model wrote has colours, the prompt is grey.

The picture has no script, no style sheet and no address in it. Its size says the time: `data-rate` pixels a second
from `data-left` on, so that a page can draw a cursor, or read a region of time from where the pointer is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from t5music.music.instruments import percussion_name
from t5music.music.roll_layout import (
    DRUM_COLOUR,
    NEW_DRUM_COLOUR,
    PROMPT_COLOUR,
    Classes,
    note_rows,
    parts_of,
)
from t5music.music.score import DRUMS, Score

LEFT, TOP, BOTTOM = 44, 18, 6  # pixels around the notes: names of octaves, numbers of bars, a margin
WIDTH, RATES = 960, (24.0, 120.0)  # pixels that short music fills, and the pixels a second that there may be
HEIGHT, ROW_HEIGHTS = 340, (3.0, 11.0)  # likewise of rows
LOUDNESS_LEVELS = 4  # the notes of a colour and a level are one path
FAINTEST = 0.55  # opacity of the softest notes
MARGIN = 2  # rows above and below the notes
MOST_BAR_LINES = 400


class Roll(NamedTuple):
    """A piano roll.

    Attributes:
        svg: the SVG element.
        legend: (name, colour) of what it tells apart.
    """

    svg: str
    legend: list[tuple[str, str]]


def draw(score: Score, *, is_new: NDArray[np.bool_] | None = None, classes: Classes | None = None) -> Roll:
    """The notes of a score as an SVG element.

    Args:
        score: what to draw; without notes, an empty roll.
        is_new: bool [notes], True for notes that a model wrote; None where none is told apart.
        classes: of the notes, to colour them by, in place of their parts.
    """
    notes = score.notes
    new = np.zeros(len(notes), bool) if is_new is None else is_new
    seconds = max(score.duration_seconds, 1.0)
    rate = float(np.clip(WIDTH / seconds, *RATES))
    rows = note_rows(notes) if len(notes) else np.array([60])
    low, high = int(rows.min()) - MARGIN, int(rows.max()) + MARGIN
    height = float(np.clip(HEIGHT / (high - low + 1), *ROW_HEIGHTS))
    width, whole = LEFT + seconds * rate + 2, TOP + (high - low + 1) * height + BOTTOM

    labels, colours, part = parts_of(score) if classes is None else classes
    if is_new is not None and classes is None:
        colours = [NEW_DRUM_COLOUR if colour == DRUM_COLOUR else colour for colour in colours]
        labels, colours = ["prompt", *labels], [PROMPT_COLOUR, *colours]
        part = np.where(new, part + 1, 0)
    legend = [(labels[index], colours[index]) for index in range(len(labels)) if (part == index).any()]
    pieces = [
        f'<svg class="roll" width="{width:.0f}" height="{whole:.0f}" viewBox="0 0 {width:.0f} {whole:.0f}" role="img" '
        f'aria-label="piano roll of {len(notes)} notes, {int(new.sum())} of them new" data-left="{LEFT}" '
        f'data-rate="{rate:.4f}" data-seconds="{seconds:.3f}">',
        f'<rect width="{width:.0f}" height="{whole:.0f}" fill="#ffffff"/>',
        *_grid(score, rows, low, high, height, rate, width),
        *_notes(score, rows, high, height, rate, colours, part),
        "</svg>",
    ]
    return Roll("".join(pieces), legend)


def _grid(score: Score, rows: NDArray, low: int, high: int, height: float, rate: float, width: float) -> Iterator[str]:
    """Octaves with their names, percussion with its names, and bars with their numbers."""
    drums = score.notes["program"] == DRUMS
    lowest = int(rows[~drums].min(initial=128)) - MARGIN if len(score.notes) else low

    def text(x: float, y: float, content: str, anchor: str) -> str:
        return (
            f'<text x="{x:.1f}" y="{y:.1f}" font-size="9" font-family="sans-serif" fill="#777777" '
            f'text-anchor="{anchor}">{escape(content)}</text>'
        )

    for pitch in range(0, 128, 12):
        if lowest <= pitch <= high:
            y = TOP + (high - pitch + 1) * height
            yield f'<path d="M{LEFT} {y:.1f}H{width:.0f}" stroke="#dddddd"/>'
            yield text(LEFT - 4, y, f"C{pitch // 12 - 1}", "end")  # C4 is middle C, MIDI's 60
    sounds = dict(zip(rows[drums].tolist(), score.notes["pitch"][drums].tolist(), strict=True)) if drums.any() else {}
    for row, key in sounds.items():
        yield text(LEFT - 4, TOP + (high - row + 1) * height - 1, percussion_name(key)[:8], "end")
    starts = score.seconds(score.bars()[0])
    step = next(step for step in (1, 2, 4, 8, 16, 32, 64, len(starts)) if len(starts) <= step * MOST_BAR_LINES)
    bottom = TOP + (high - low + 1) * height
    last = -100.0
    for number, second in list(enumerate(starts.tolist(), 1))[::step]:
        x = LEFT + second * rate
        yield f'<path d="M{x:.1f} {TOP}V{bottom:.0f}" stroke="#e6e6e6"/>'
        if x - last >= 24:
            yield text(x + 2, TOP - 6, str(number), "start")
            last = x


def _notes(
    score: Score, rows: NDArray, high: int, height: float, rate: float, colours: Sequence[str], part: NDArray
) -> Iterator[str]:
    """A path for all notes of a colour and a loudness; the first colour, a prompt's, lies below all others."""
    notes = score.notes
    if not len(notes):
        return
    left = LEFT + rate * score.seconds(notes["onset"])
    right = LEFT + rate * score.seconds(notes["onset"] + notes["duration"])
    spans = np.maximum(right - left - np.minimum(1, (right - left) / 3), 1.5)  # repeated notes stay apart
    tops = TOP + (high - rows) * height
    levels = notes["velocity"].astype(np.int64) * LOUDNESS_LEVELS // 128
    thick = max(height - 0.6, 1.5)
    for index in np.unique(part).tolist():
        for level in np.unique(levels[part == index]).tolist():
            these = np.flatnonzero((part == index) & (levels == level))
            path = "".join(
                f"M{x:.1f} {y:.1f}h{span:.1f}v{thick:.1f}h-{span:.1f}z"
                for x, y, span in zip(left[these].tolist(), tops[these].tolist(), spans[these].tolist(), strict=True)
            )
            opacity = FAINTEST + (1 - FAINTEST) * (level + 1) / LOUDNESS_LEVELS
            yield f'<path d="{path}" fill="{colours[index]}" fill-opacity="{opacity:.2f}"/>'
