"""Pictures of a study's figures: settings with their deviations, metrics against what settings differ in, recalls."""

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
ROOM = 24  # letters of ticks below a panel
CLOSE = 0.06  # of a panel's width
RECALL = "recall/"  # and a label: a metric of tasks with labels
LETTERS = 20  # of a label


def settings_png(found: Summary) -> bytes | None:
    """A panel per column, a row per setting: the mean with a bar of one standard deviation, and each seed beside it.

    The band is the baseline's mean and deviation; hollow points lack seeds. References and published figures are
    diamonds below; those far from all settings only say where they would be. None where nothing is finished.
    """
    shown = _columns(found)
    if not shown:
        return None
    names = [figures.wrapped(_name(found, row), 30, 2) for row in found.rows]
    height = sum(0.34 if "\n" in name else 0.26 for name in names)
    across, down = min(len(shown), PANELS), math.ceil(len(shown) / PANELS)
    decimals = decimals_of(found)
    widest = max(len(part) for name in names for part in name.split("\n"))

    def onto(figure: Figure) -> None:
        panels = figure.subplots(down, across, sharey=True, squeeze=False)
        for axes, index in zip(panels.flat, shown, strict=False):
            _rows(axes, found, index, decimals[index])
        for axes in panels.flat[len(shown) :]:
            axes.set_visible(False)
        panels[0, 0].set_yticks(range(len(names)), names)
        for axes in panels[:, 0]:
            axes.tick_params(axis="y", labelsize=9)
        panels[0, 0].set_ylim(len(names) - 0.4, -0.6)

    return figures.png(onto, 2.3 * across + 0.07 * widest + 0.3, (height + 0.9) * down)


def axis_png(found: Summary) -> bytes | None:
    """A panel per column: the metric, with a bar of one standard deviation, against the study's axis.

    The star is the baseline; hollow points lack seeds. None where there is no axis or no setting on it is finished.
    """
    axis = found.study.axis
    if axis is None:
        return None
    shown, places = _columns(found), axis.values
    rows = sorted((row for row in found.settings if row.name in places), key=lambda row: places[row.name])
    if not any(row.entries[index].mean is not None for row in rows for index in shown):
        return None
    across, down = min(len(shown), PANELS), math.ceil(len(shown) / PANELS)

    def onto(figure: Figure) -> None:
        panels = figure.subplots(down, across, squeeze=False)
        for axes, index in zip(panels.flat, shown, strict=False):
            _against(axes, found, axis, rows, index)
        for axes in panels.flat[len(shown) :]:
            axes.set_visible(False)
        figure.supxlabel(axis.name, fontsize=10)

    return figures.png(onto, max(3.1 * across, 4.2), 2.7 * down + 0.2)


def recalls_png(found: Summary) -> bytes | None:
    """A panel per task with labels: the recall of each label, a row per setting, means over the seeds that finished.

    A label that is hardly ever found is a pale column, and a setting that leans on one label is a pale row with one
    dark place. None where no task that a column is of has labels.
    """
    panels: list[tuple[str, list[str], np.ndarray]] = []
    tests = [(column.stage, column.task) for column in found.study.columns]
    for index, column in enumerate(found.study.columns):
        if tests.index(tests[index]) < index:
            continue  # another metric of the same answers
        seeds = [
            [
                value.record.results[column.task]
                for value in row.entries[index].values
                if value.record is not None and value.value is not None
            ]
            for row in found.settings
        ]
        labels = list(dict.fromkeys(name for row in seeds for seed in row for name in seed if name.startswith(RECALL)))
        means = [[np.mean([seed[name] for seed in row]) if row else math.nan for name in labels] for row in seeds]
        if labels:
            panels.append((column.name, [name.removeprefix(RECALL) for name in labels], 100 * np.array(means)))
    if not panels:
        return None
    rows = [figures.wrapped(_name(found, row), 30, 2) for row in found.settings]
    widths = [len(labels) for _, labels, _ in panels]

    def onto(figure: Figure) -> None:
        drawn = figure.subplots(1, len(panels), squeeze=False, width_ratios=widths)[0]
        for number, (axes, (name, labels, percent)) in enumerate(zip(drawn, panels, strict=True)):
            names = [figures.wrapped(label, LETTERS, 2) for label in labels]
            figures.shares(axes, percent, names, rows)
            axes.tick_params(left=not number, labelleft=not number)
            axes.set_title(figures.wrapped(name, 14), fontsize=10)

    return figures.png(onto, 2.6 + 0.42 * sum(widths) + 0.25 * len(panels), 2.8 + 0.36 * len(rows))


def _columns(found: Summary) -> list[int]:
    """Those in which a setting has a figure."""
    every = range(len(found.study.columns))
    return [index for index in every if any(row.entries[index].mean is not None for row in found.settings)]


def _name(found: Summary, row: Row) -> str:
    return f"{STAR} {row.name}" if row.kind == SETTING and row.name == found.study.baseline else row.name


def _heading(found: Summary, index: int) -> str:
    return figures.wrapped(found.study.columns[index].heading, 26)


def _shown(entry: Entry) -> tuple[float, float, list[float]]:
    """(mean, deviation, values of the seeds) as they are printed; nan without."""
    scale = entry.column.scale
    mean = math.nan if entry.mean is None else scale * entry.mean
    deviation = math.nan if entry.deviation is None else scale * entry.deviation
    return mean, deviation, [scale * value for value in entry.finished.values()]


def _is_whole(entry: Entry) -> bool:
    return len(entry.finished) == len(entry.values)


def _rows(axes: Axes, found: Summary, index: int, decimals: int) -> None:
    baseline = next(row for row in found.settings if row.name == found.study.baseline)
    mean, deviation, _ = _shown(baseline.entries[index])
    if not math.isnan(mean):
        axes.axvline(mean, color=figures.BASELINE, linewidth=0.6, linestyle="--")
        if not math.isnan(deviation):
            axes.axvspan(mean - deviation, mean + deviation, color=figures.BASELINE, alpha=0.08, linewidth=0)
    reach: list[float] = []
    for place, row in enumerate(found.settings):
        entry = row.entries[index]
        mean, deviation, values = _shown(entry)
        if math.isnan(mean):
            continue
        colour = figures.BASELINE if row is baseline else figures.COLOURS[0]
        if len(values) > 1:
            axes.plot(values, [place] * len(values), "|", color=colour, markersize=6, alpha=0.5)
            reach += [mean - deviation, mean + deviation]
        fill = colour if _is_whole(entry) else "white"
        bar = None if math.isnan(deviation) else deviation
        axes.errorbar(mean, place, xerr=bar, fmt="o", color=colour, markerfacecolor=fill, markersize=5, capsize=2.5)
        reach += [mean, *values]
    margin = 0.08 * (max(reach) - min(reach) or abs(reach[0]) or 1.0)
    low, high = min(reach), max(reach)
    others = [(place, row.entries[index]) for place, row in enumerate(found.rows) if row.kind != SETTING]
    near = [mean for _, entry in others if _is_near(mean := _shown(entry)[0], low, high)]
    low, high = min([low, *near]) - margin, max([high, *near]) + margin
    axes.set_xlim(low, high)
    for place, entry in others:
        mean = _shown(entry)[0]
        if low <= mean <= high:
            axes.plot(mean, place, "D", color="#707070", markersize=4.5)
        elif not math.isnan(mean):
            right = mean > high
            text = f"{mean:.{decimals}f} →" if right else f" ← {mean:.{decimals}f}"
            axes.text(high if right else low, place, text, ha="right" if right else "left", va="center", fontsize=8)
    for place, row in enumerate(found.settings):
        entry = row.entries[index]
        if entry.mean is None and entry.values:
            colour = figures.FAILED if entry.status == "failed" else "#707070"
            axes.text(low + margin / 2, place, entry.status, va="center", fontsize=8, color=colour)
    if others:
        axes.axhline(len(found.settings) - 0.5, color=figures.FAINT, linewidth=0.8)
    axes.set_title(_heading(found, index), fontsize=10)
    axes.tick_params(axis="x", labelsize=8)
    axes.locator_params(axis="x", nbins=5)
    figures.tidy(axes)


def _is_near(figure: float, low: float, high: float) -> bool:
    """Whether the settings can still be told apart with that figure in the panel."""
    span = high - low or abs(high)
    return low - span <= figure <= high + span


def _ticks(axes: Axes, every: list[float]) -> None:
    """Ticks at the settings' own places where these are apart enough for their numbers, else at round ones."""
    axes.tick_params(labelsize=8)
    places = axes.xaxis.get_transform().transform(np.array(every, float))
    if len(every) > 1 and np.diff(places).min() < CLOSE * (places[-1] - places[0]):
        if axes.get_xscale() == "linear":
            axes.locator_params(axis="x", nbins=5)
        return
    labels = [_tick(value) for value in every]
    axes.set_xticks(every, labels)
    axes.minorticks_off()
    if sum(map(len, labels)) > ROOM and not any("$" in label for label in labels):
        axes.tick_params(axis="x", labelrotation=45)


def _tick(value: float) -> str:
    """A number as short as can be: large powers of two as such."""
    power = math.log2(value) if value >= 1024 else 0.5
    return f"$2^{{{power:.0f}}}$" if power.is_integer() else f"{value:g}"


def _against(axes: Axes, found: Summary, axis: Axis, rows: list[Row], index: int) -> None:
    there = [row for row in rows if row.entries[index].mean is not None]
    places = np.array([axis.values[row.name] for row in there], float)
    shown = [_shown(row.entries[index]) for row in there]
    axes.plot(places, [mean for mean, _, _ in shown], color=figures.COLOURS[0], linewidth=1.2)
    for row, place, (mean, deviation, _) in zip(there, places, shown, strict=True):
        is_baseline = row.name == found.study.baseline
        colour = figures.BASELINE if is_baseline else figures.COLOURS[0]
        fill = colour if _is_whole(row.entries[index]) else "white"
        bar = None if math.isnan(deviation) else deviation
        how = {"fmt": "*" if is_baseline else "o", "markersize": 11 if is_baseline else 5}
        axes.errorbar(place, mean, yerr=bar, color=colour, markerfacecolor=fill, capsize=2.5, **how)
    every = sorted({axis.values[row.name] for row in rows})
    if axis.log and every[0] > 0:
        axes.set_xscale("log")
    elif axis.log:  # zero has no logarithm: linear below the least value that has one
        axes.set_xscale("symlog", linthresh=min((value for value in every if value > 0), default=1.0))
    _ticks(axes, every)
    axes.set_title(_heading(found, index), fontsize=10)
    figures.tidy(axes)
