"""Plots of a comparison: how each descriptor is distributed in both sets, and how far apart their means are."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from t5music import figures
from t5music.comparison.set_comparison import Comparison, Measure
from t5music.figures import COLOURS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ACROSS = 4
BINS = 15


def distributions_png(comparison: Comparison) -> bytes | None:
    """A panel for each descriptor: the share of pieces by its value, in both sets; None where there is none."""
    measures = [measure for measure in comparison.measures if _finite(measure)]
    if not measures:
        return None
    down = math.ceil(len(measures) / ACROSS)

    def onto(figure: Figure) -> None:
        panels = figure.subplots(down, ACROSS, squeeze=False)
        for axes, measure in zip(panels.flat, measures, strict=False):
            _distribution(axes, measure)
        for axes in panels.flat[len(measures) :]:
            axes.set_visible(False)
        for number, part in enumerate(comparison.sets):
            panels[0, 0].plot([], [], color=COLOURS[number], label=figures.wrapped(part.name, 40, 2))
        figure.legend(loc="outside upper left", ncols=2, fontsize=9, frameon=False)

    return figures.png(onto, 2.6 * ACROSS, 1.9 * down + 0.5)


def differences_png(comparison: Comparison) -> bytes | None:
    """The differences of the means in per cent of the reference's, with intervals; None where there is none."""
    measures = [measure for measure in comparison.measures if measure.relative.value is not None]
    if not measures:
        return None

    def onto(figure: Figure) -> None:
        axes = figure.subplots()
        axes.axvline(0, color=figures.BASELINE, linewidth=0.8)
        axes.axvspan(-5, 5, color=figures.BASELINE, alpha=0.08, linewidth=0)
        for place, measure in enumerate(measures):
            value = 100 * (measure.relative.value or 0.0)
            within = measure.relative.interval
            axes.plot(value, place, "o", color=COLOURS[0], markersize=5)
            if within is not None:
                axes.plot([100 * within.low, 100 * within.high], [place, place], color=COLOURS[0], linewidth=1.6)
        axes.set_yticks(range(len(measures)), [measure.name.replace("_", " ") for measure in measures])
        axes.set_ylim(len(measures) - 0.4, -0.6)
        axes.set_xlabel("difference of the means in % of the reference's; the band is ±5 %")
        figures.tidy(axes)

    return figures.png(onto, 7.5, 0.3 * len(measures) + 1)


def _finite(measure: Measure) -> list[np.ndarray]:
    """The values of both sets that there are; [] where either has none."""
    values = [np.array(part, float) for part in measure.values]
    values = [part[np.isfinite(part)] for part in values]
    return values if all(map(len, values)) else []


def _distribution(axes: Axes, measure: Measure) -> None:
    values = _finite(measure)
    low, high = min(part.min() for part in values), max(part.max() for part in values)
    margin = 0.5 if low == high else 0.0
    edges = np.linspace(low - margin, high + margin, BINS + 1)
    for number, part in enumerate(values):
        shares = 100 * np.histogram(part, edges)[0] / len(part)
        axes.stairs(shares, edges, color=COLOURS[number], fill=True, alpha=0.25)
        axes.stairs(shares, edges, color=COLOURS[number], linewidth=1.2)
        axes.axvline(part.mean(), color=COLOURS[number], linewidth=1.2, linestyle="--")
    axes.set_title(measure.name.replace("_", " "), fontsize=9)
    axes.set_ylabel("% of pieces", fontsize=7)
    axes.tick_params(labelsize=7)
    axes.locator_params(nbins=4)
    figures.tidy(axes)
