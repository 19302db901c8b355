"""Plots of a study's figures: settings with their deviations, metrics against the study's axis, recalls of labels."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from t5music import figures
from t5music.studies.report.summary import SETTING, Entry, Row, Summary
from t5music.studies.report.table import STAR, decimals_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from t5music.studies.grid import Axis

PANELS = 4  # side by side
TICK_LETTERS = 24  # that fit below a panel
CLOSE = 0.06  # distance of two ticks as a share of a panel's width
RECALL = "recall/"  # before a label: a metric of tasks with labels
LABEL_LETTERS = 20  # in a line


def settings_png(summary: Summary) -> bytes | None:
    """A panel per column, a row per setting: the mean with a bar of one standard deviation, and each seed beside it.

    The band is the baseline's mean and deviation; hollow points lack seeds. References and published figures are
    diamonds below the settings; of those far from all settings only the number is written, with an arrow.

    Returns:
        A PNG; None where nothing is finished.
    """
    columns = _columns(summary)
    if not columns:
        return None
    names = [figures.wrapped(_name(summary, row), 30, 2) for row in summary.rows]
    height = sum(0.34 if "\n" in name else 0.26 for name in names)
    across, down = min(len(columns), PANELS), math.ceil(len(columns) / PANELS)
    decimals = decimals_of(summary)
    widest = max(len(part) for name in names for part in name.split("\n"))

    def onto(figure: Figure) -> None:
        panels = figure.subplots(down, across, sharey=True, squeeze=False)
        for axes, index in zip(panels.flat, columns, strict=False):
            _rows(axes, summary, index, decimals[index])
        for axes in panels.flat[len(columns) :]:
            axes.set_visible(False)
        panels[0, 0].set_yticks(range(len(names)), names)
        for axes in panels[:, 0]:
            axes.tick_params(axis="y", labelsize=9)
        panels[0, 0].set_ylim(len(names) - 0.4, -0.6)

    return figures.png(onto, 2.3 * across + 0.07 * widest + 0.3, (height + 0.9) * down)


def axis_png(summary: Summary) -> bytes | None:
    """A panel per column: the metric, with a bar of one standard deviation, against the study's axis.

    The star is the baseline; hollow points lack seeds.

    Returns:
        A PNG; None where there is no axis, or no metric of two settings on it: one point is no curve.
    """
    axis = summary.study.axis
    if axis is None:
        return None
    places = axis.values
    rows = sorted((row for row in summary.settings if row.name in places), key=lambda row: places[row.name])

    def points(index: int) -> int:
        return len({places[row.name] for row in rows if row.entries[index].mean is not None})

    columns = [index for index in _columns(summary) if points(index) > 1]
    if not columns:
        return None
    across, down = min(len(columns), PANELS), math.ceil(len(columns) / PANELS)

    def onto(figure: Figure) -> None:
        panels = figure.subplots(down, across, squeeze=False)
        for axes, index in zip(panels.flat, columns, strict=False):
            _against(axes, summary, axis, rows, index)
        for axes in panels.flat[len(columns) :]:
            axes.set_visible(False)
        figure.supxlabel(axis.name, fontsize=10)

    return figures.png(onto, max(3.1 * across, 4.2), 2.7 * down + 0.2)


def recalls_png(summary: Summary) -> bytes | None:
    """A panel per task with labels: the recall of each label, a row per setting, means over the seeds that finished.

    A label that is hardly ever recognised is a pale column; a setting that answers one label too often is a pale row
    with one dark place.

    Returns:
        A PNG; None where no column's task has labels.
    """
    panels: list[tuple[str, list[str], np.ndarray]] = []
    tests = [(column.stage, column.task) for column in summary.study.columns]
    for index, column in enumerate(summary.study.columns):
        if tests.index(tests[index]) < index:
            continue  # another metric of the same task
        seeds = [
            [
                value.record.results[column.task]
                for value in row.entries[index].values
                if value.record is not None and value.value is not None
            ]
            for row in summary.settings
        ]
        labels = list(dict.fromkeys(name for row in seeds for seed in row for name in seed if name.startswith(RECALL)))
        means = [[np.mean([seed[name] for seed in row]) if row else math.nan for name in labels] for row in seeds]
        if labels:
            panels.append((column.name, [name.removeprefix(RECALL) for name in labels], 100 * np.array(means)))
    if not panels:
        return None
    rows = [figures.wrapped(_name(summary, row), 30, 2) for row in summary.settings]
    widths = [len(labels) for _, labels, _ in panels]

    def onto(figure: Figure) -> None:
        drawn = figure.subplots(1, len(panels), squeeze=False, width_ratios=widths)[0]
        for number, (axes, (name, labels, percent)) in enumerate(zip(drawn, panels, strict=True)):
            names = [figures.wrapped(label, LABEL_LETTERS, 2) for label in labels]
            figures.shares(axes, percent, names, rows)
            axes.tick_params(left=not number, labelleft=not number)
            axes.set_title(figures.wrapped(name, 14), fontsize=10)

    return figures.png(onto, 2.6 + 0.42 * sum(widths) + 0.25 * len(panels), 2.8 + 0.36 * len(rows))


def _columns(summary: Summary) -> list[int]:
    """The indices of the columns in which a setting has a figure."""
    indices = range(len(summary.study.columns))
    return [index for index in indices if any(row.entries[index].mean is not None for row in summary.settings)]


def _name(summary: Summary, row: Row) -> str:
    return f"{STAR} {row.name}" if row.kind == SETTING and row.name == summary.study.baseline else row.name


def _heading(summary: Summary, index: int) -> str:
    return figures.wrapped(summary.study.columns[index].heading, 26)


def _in_units(entry: Entry) -> tuple[float, float, list[float]]:
    """(mean, deviation, values of the seeds) in the units that are printed; nan where there is none."""
    scale = entry.column.scale
    mean = math.nan if entry.mean is None else scale * entry.mean
    deviation = math.nan if entry.deviation is None else scale * entry.deviation
    return mean, deviation, [scale * value for value in entry.finished.values()]


def _is_complete(entry: Entry) -> bool:
    return len(entry.finished) == len(entry.values)


def _rows(axes: Axes, summary: Summary, index: int, decimals: int) -> None:
    """Draws a panel of `settings_png`: all rows of one column."""
    baseline = next(row for row in summary.settings if row.name == summary.study.baseline)
    mean, deviation, _ = _in_units(baseline.entries[index])
    if not math.isnan(mean):
        axes.axvline(mean, color=figures.BASELINE, linewidth=0.6, linestyle="--")
        if not math.isnan(deviation):
            axes.axvspan(mean - deviation, mean + deviation, color=figures.BASELINE, alpha=0.08, linewidth=0)
    reach: list[float] = []
    for place, row in enumerate(summary.settings):
        entry = row.entries[index]
        mean, deviation, values = _in_units(entry)
        if math.isnan(mean):
            continue
        colour = figures.BASELINE if row is baseline else figures.COLOURS[0]
        if len(values) > 1:
            axes.plot(values, [place] * len(values), "|", color=colour, markersize=6, alpha=0.5)
            reach += [mean - deviation, mean + deviation]
        fill = colour if _is_complete(entry) else "white"
        bar = None if math.isnan(deviation) else deviation
        axes.errorbar(mean, place, xerr=bar, fmt="o", color=colour, markerfacecolor=fill, markersize=5, capsize=2.5)
        reach += [mean, *values]
    margin = 0.08 * (max(reach) - min(reach) or abs(reach[0]) or 1.0)
    low, high = min(reach), max(reach)
    others = [(place, row.entries[index]) for place, row in enumerate(summary.rows) if row.kind != SETTING]
    near = [mean for _, entry in others if _is_near(mean := _in_units(entry)[0], low, high)]
    low, high = min([low, *near]) - margin, max([high, *near]) + margin
    axes.set_xlim(low, high)
    for place, entry in others:
        mean = _in_units(entry)[0]
        if low <= mean <= high:
            axes.plot(mean, place, "D", color="#707070", markersize=4.5)
        elif not math.isnan(mean):
            right = mean > high
            text = f"{mean:.{decimals}f} →" if right else f" ← {mean:.{decimals}f}"
            axes.text(high if right else low, place, text, ha="right" if right else "left", va="center", fontsize=8)
    for place, row in enumerate(summary.settings):
        entry = row.entries[index]
        if entry.mean is None and entry.values:
            colour = figures.FAILED if entry.status == "failed" else "#707070"
            axes.text(low + margin / 2, place, entry.status, va="center", fontsize=8, color=colour)
    if others:
        axes.axhline(len(summary.settings) - 0.5, color=figures.FAINT, linewidth=0.8)
    axes.set_title(_heading(summary, index), fontsize=10)
    axes.tick_params(axis="x", labelsize=8)
    axes.locator_params(axis="x", nbins=5)
    figures.tidy(axes)


def _is_near(figure: float, low: float, high: float) -> bool:
    """Whether the settings can still be told apart if the panel also shows that figure."""
    span = high - low or abs(high)
    return low - span <= figure <= high + span


def _ticks(axes: Axes, values: list[float]) -> None:
    """Puts ticks at the settings' places where their numbers have room, otherwise at round numbers."""
    axes.tick_params(labelsize=8)
    positions = axes.xaxis.get_transform().transform(np.array(values, float))
    if len(values) > 1 and np.diff(positions).min() < CLOSE * (positions[-1] - positions[0]):
        if axes.get_xscale() == "linear":
            axes.locator_params(axis="x", nbins=5)
        return
    labels = [_tick(value) for value in values]
    axes.set_xticks(values, labels)
    axes.minorticks_off()
    if sum(map(len, labels)) > TICK_LETTERS and not any("$" in label for label in labels):
        axes.tick_params(axis="x", labelrotation=45)


def _tick(value: float) -> str:
    """A number in few letters: large powers of two as powers."""
    power = math.log2(value) if value >= 1024 else 0.5
    return f"$2^{{{power:.0f}}}$" if power.is_integer() else f"{value:g}"


def _against(axes: Axes, summary: Summary, axis: Axis, rows: list[Row], index: int) -> None:
    finished = [row for row in rows if row.entries[index].mean is not None]
    places = np.array([axis.values[row.name] for row in finished], float)
    points = [_in_units(row.entries[index]) for row in finished]
    axes.plot(places, [mean for mean, _, _ in points], color=figures.COLOURS[0], linewidth=1.2)
    for row, place, (mean, deviation, _) in zip(finished, places, points, strict=True):
        is_baseline = row.name == summary.study.baseline
        colour = figures.BASELINE if is_baseline else figures.COLOURS[0]
        fill = colour if _is_complete(row.entries[index]) else "white"
        bar = None if math.isnan(deviation) else deviation
        style = {"fmt": "*" if is_baseline else "o", "markersize": 11 if is_baseline else 5}
        axes.errorbar(place, mean, yerr=bar, color=colour, markerfacecolor=fill, capsize=2.5, **style)
    settings_places = sorted({axis.values[row.name] for row in rows})
    if axis.log and settings_places[0] > 0:
        axes.set_xscale("log")
    elif axis.log:  # zero has no logarithm: linear below the least value that has one
        axes.set_xscale("symlog", linthresh=min((value for value in settings_places if value > 0), default=1.0))
    _ticks(axes, settings_places)
    axes.set_title(_heading(summary, index), fontsize=10)
    figures.tidy(axes)
