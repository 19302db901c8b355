"""Piano rolls as PNG pictures: seconds to the right, pitch upwards, a colour for each part, new notes marked.

Or a colour for each class of notes: what a model took for melody, how loud it would play.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from t5music import figures
from t5music.errors import MidiError
from t5music.music.fonts import fonts_for
from t5music.music.instruments import percussion_name
from t5music.music.roll_layout import (
    DRUM_COLOUR,
    NEW_DRUM_COLOUR,
    PROMPT_COLOUR,
    Classes,
    note_rows,
    parts_of,
    printable,
    view_of,
)
from t5music.music.score import DRUMS, Score

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PROMPT_BACKGROUND = "#FFF3D6"
MAX_BAR_LINES = 120
DPI = 150


def png(
    score: Score,
    *,
    prompt_seconds: float | None = None,
    new_notes: NDArray[np.bool_] | None = None,
    classes: Classes | None = None,
    title: str | None = None,
) -> bytes:
    """Draws the notes of a score as PNG, with Matplotlib; `roll_svg` needs nothing.

    Colours tell tracks apart, or instruments where there are more than eight tracks, or families of instruments where
    there are more instruments than colours; loud notes are darker. Or colours tell classes apart, loud or soft. Bars
    are drawn where the score has meters.

    Args:
        score: what to draw, at most some 100,000 notes (20,000 take about a second).
        prompt_seconds: how much of the beginning was given; it gets a background, an edge and the word "prompt".
        new_notes: bool [notes], True for notes that a model wrote; all others get one colour, that of a prompt. Only
            the part with new notes is drawn, and a few bars around it. Not together with `classes`.
        classes: of the notes, to colour them by.
        title: a line above the picture.

    Raises:
        ConfigError: Matplotlib is not installed.
        MidiError: a score without notes.
    """
    if not len(score.notes):
        raise MidiError("cannot draw a piano roll: the score has no notes")
    score, is_new, begin, end = view_of(score, new_notes)
    is_prompt = np.zeros(len(score.notes), bool) if is_new is None else ~is_new
    seconds, rows = end - begin, note_rows(score.notes)
    width, height = np.clip(5 + 0.15 * seconds, 10, 20), np.clip(2 + 0.06 * np.ptp(rows), 4, 7)

    def onto(figure: Figure) -> None:
        axes = figure.add_subplot()
        _draw_axes(axes, score, rows, begin, end)
        _draw_notes(axes, score, rows, is_prompt, classes)
        if prompt_seconds is not None:
            _mark_prompt(axes, min(prompt_seconds, seconds))
        if title:
            text = printable(title, 100)
            axes.set_title(text, loc="left", fontsize=11, parse_math=False, fontfamily=fonts_for(text))

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")  # a script that no font here has
        return figures.png(onto, float(width), float(height), dpi=DPI)


def _draw_axes(axes: Axes, score: Score, rows: NDArray, begin: float, end: float) -> None:
    """Limits in seconds and pitch, octaves, names of percussion, bars and frame."""
    drums = score.notes["program"] == DRUMS
    low, high = int(rows.min()), int(rows.max())
    margin = max(2, (24 - (high - low)) // 2)  # a narrow melody is not blown up to the whole height
    axes.set_ylim(low - margin, high + margin)
    axes.set_xlim(begin, end + (end - begin) * 0.005)
    pitched = rows[~drums]
    octaves = [note for note in range(0, 128, 12) if pitched.min(initial=128) - margin <= note <= high + margin]
    names = [f"C{note // 12 - 1}" for note in octaves]  # C4 is middle C, MIDI's 60
    axes.set_yticks(octaves, names)
    axes.grid(axis="y", color="#DDDDDD", linewidth=0.8)
    if drums.any():
        sounds = dict(zip(rows[drums].tolist(), score.notes["pitch"][drums].tolist(), strict=True))
        size = float(np.clip(9 * 40 / (np.ptp(rows) + 1), 4, 8))  # the more rows, the lower each of them
        for row, key in sounds.items():
            name, place = percussion_name(key), axes.get_yaxis_transform()
            axes.text(-0.004, row, name, transform=place, ha="right", va="center", fontsize=size)
    axes.set_xlabel("seconds")
    axes.tick_params(length=0, labelsize=9)
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    if len(score.meters):
        starts = score.seconds(score.bars()[0])
        starts = starts[(starts >= begin) & (starts <= end)]
        step = next(step for step in (1, 2, 4, 8, 16, 32, 64, len(starts)) if len(starts) <= step * MAX_BAR_LINES)
        whole_height = axes.get_xaxis_transform()
        axes.vlines(starts[::step], 0, 1, transform=whole_height, color="#E6E6E6", linewidth=0.7, zorder=0)


def _draw_notes(axes: Axes, score: Score, rows: NDArray, is_prompt: NDArray, classes: Classes | None) -> None:
    """All notes as one collection of rectangles, and a legend where there is more than one colour."""
    from matplotlib.collections import PolyCollection
    from matplotlib.colors import to_rgba_array
    from matplotlib.patches import Patch

    notes = score.notes
    labels, colours, part = parts_of(score) if classes is None else classes
    if is_prompt.any():
        part = np.where(is_prompt, 0, part + 1)
        new_colours = [NEW_DRUM_COLOUR if colour == DRUM_COLOUR else colour for colour in colours]
        labels, colours = ["prompt", *labels], [PROMPT_COLOUR, *new_colours]
    faces = to_rgba_array(colours)[part]  # [notes, 4]
    if classes is None:
        faces[:, 3] = 0.4 + 0.6 * notes["velocity"] / 127

    left = score.seconds(notes["onset"])
    right = score.seconds(notes["onset"] + notes["duration"])
    pixel = np.ptp(axes.get_xlim()) / (axes.figure.get_figwidth() * DPI)  # about: the axes are narrower than the figure
    right -= np.minimum(2 * pixel, (right - left) / 3)  # repeated notes stay apart
    right = np.maximum(right, left + 2 * pixel)  # a drum hit of one tick is seen, too
    bottom, top = rows - 0.45, rows + 0.45
    corners = [(left, bottom), (left, top), (right, top), (right, bottom)]
    rectangles = np.stack([np.stack(corner, axis=1) for corner in corners], axis=1)  # [notes, corner, (x, y)]
    order = slice(None) if classes is None else np.argsort(-part, kind="stable")
    axes.add_collection(PolyCollection(rectangles[order], facecolors=faces[order], linewidths=0), autolim=False)

    shown = [index for index in range(len(labels)) if (part == index).any()]
    if len(shown) > 1:
        handles = [Patch(color=colours[index], label=labels[index]) for index in shown]
        legend = axes.legend(handles=handles, loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=8)
        for text in legend.get_texts():
            text.set_parse_math(False)
            text.set_fontfamily(fonts_for(text.get_text()))


def _mark_prompt(axes: Axes, seconds: float) -> None:
    axes.axvspan(0, seconds, color=PROMPT_BACKGROUND, zorder=-1, linewidth=0)
    axes.axvline(seconds, color=PROMPT_COLOUR, linewidth=1.2)
    axes.annotate(
        "prompt",
        (seconds, 1),
        xycoords=axes.get_xaxis_transform(),
        xytext=(-4, -4),
        textcoords="offset points",
        horizontalalignment="right",
        verticalalignment="top",
        fontsize=9,
        color=PROMPT_COLOUR,
    )
