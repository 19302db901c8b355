"""Figures: plots as PNG, all of one look and the same to the last byte, and whether they can be drawn at all.

Matplotlib, the [plots] extra, draws them. Where it is not installed, what draws a plot beside other work asks
`left_out`; what was asked for a plot alone calls `require` before it begins.
"""

from __future__ import annotations

import io
import os
import sys
import textwrap
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np

from t5music.errors import ConfigError
from t5music.files import printable_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

# Okabe and Ito's colours, which people tell apart however they see colours, without the yellow that white swallows.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
DASHES = ("-", "--")
BASELINE = "#000000"
FAINT = "#B8B8B8"
FAILED = "#B00020"
NUMBERED = 16  # columns of shares, up to which every share is written
INSTALL = 'pip install "t5music[plots]"'
_left_out: list[str] = []  # the plots that this process has left out


def can_draw() -> bool:
    """Whether Matplotlib is installed."""
    return find_spec("matplotlib") is not None


def require(picture: str | os.PathLike[str], flag: str = "") -> None:
    """Checks that a picture which was asked for can be drawn.

    Args:
        picture: its file.
        flag: what names the file, if anything does.

    Raises:
        ConfigError: Matplotlib is not installed.
    """
    if not can_draw():
        name = f"{flag} {printable_name(picture)}".strip()
        raise ConfigError(f"{name}: this picture needs Matplotlib, which is not installed: {INSTALL}")


def left_out(picture: str) -> bool:
    """Whether a plot that comes beside other work is left out, as Matplotlib is not installed.

    The first one of a process is named on stderr, in a line that speaks for all.

    Args:
        picture: what is left out: a file's name, or a few words.
    """
    if can_draw():
        return False
    if not _left_out:
        print(
            f"t5music: left out: {picture} and all other plots, as Matplotlib is not installed: {INSTALL}",
            file=sys.stderr,
        )
    _left_out.append(picture)
    return True


def png(draw: Callable[[Figure], None], width: float, height: float, *, dpi: int = 150) -> bytes:
    """Returns a picture as PNG.

    Args:
        draw: draws onto an empty figure.
        width, height: in inches.
        dpi: pixels an inch.

    Raises:
        ConfigError: Matplotlib is not installed.
    """
    require("a plot")
    from matplotlib import style
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with style.context("default"):  # not a person's own matplotlibrc
        figure = Figure(figsize=(width, height), dpi=dpi, layout="constrained")
        FigureCanvasAgg(figure)
        draw(figure)
        content = io.BytesIO()
        figure.savefig(content, format="png", metadata={"Software": None})
    return content.getvalue()


def tidy(axes: Axes) -> None:
    """A faint grid, and only the two spines that carry numbers."""
    axes.grid(alpha=0.25)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def shares(axes: Axes, percent: NDArray[np.floating], columns: Sequence[str], rows: Sequence[str]) -> None:
    """A matrix of shares, float [rows, columns] in per cent, as shades and numbers; nan stays white."""
    axes.imshow(percent, cmap="Blues", vmin=0, vmax=100)
    axes.set_xticks(range(len(columns)), columns, rotation=90, fontsize=8)
    axes.set_yticks(range(len(rows)), rows, fontsize=8)
    if len(columns) <= NUMBERED:
        for (row, column), share in np.ndenumerate(percent):
            if not np.isnan(share):
                colour = "white" if share > 50 else "black"
                axes.text(column, row, f"{share:.0f}", ha="center", va="center", fontsize=7, color=colour)


def line_style(number: int) -> tuple[str, str]:
    """(colour, dashes) of the n-th of several lines; a dozen can be told apart."""
    return COLOURS[number % len(COLOURS)], DASHES[number // len(COLOURS) % len(DASHES)]


def wrapped(name: str, width: int = 26, lines: int = 3) -> str:
    """A name over several lines, cut where it needs more than so many."""
    return "\n".join(textwrap.wrap(name, width, max_lines=lines, placeholder=" ...")) or name


def listed(names: Sequence[str], most: int = 3) -> str:
    """Several names as one, the last ones only counted."""
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
