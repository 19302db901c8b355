"""Learning curves as pictures: the runs of the quickstart, and those of a study's stage with a band over the seeds."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from t5music import figures, files
from t5music.studies.report.summary import FINISHED, Records, cells_of
from t5music.studies.report.table import STAR
from t5music.training.metric_writers import METRICS_FILE, read_metrics

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from t5music.studies.grid import Stage, Study

TRAINING, VALIDATION = "loss", "validation/loss"
NATS = "loss (nats per target token)"
READABLE = 10  # more lines than that get a panel each
PANELS = 4  # side by side


@dataclasses.dataclass(frozen=True)
class Curve:
    """A metric over the steps of one run or of several that differ in their seed.

    Attributes:
        steps: those at which every run has the metric, [n].
        mean: over the runs, [n]; nan where one is not finite.
        deviation: sample standard deviation over them, [n]; None of one run.
    """

    steps: np.ndarray
    mean: np.ndarray
    deviation: np.ndarray | None


def draw(runs: Mapping[str, Path], path: Path, *, title: str) -> None:
    """Draws the loss of several runs over their steps into a PNG file: lines for training, dots for validation.

    Args:
      runs: name of the line -> run folder, whose metrics.jsonl is read.
      path: the PNG file.
      title: a line above the picture.
    """

    def onto(figure: Figure) -> None:
        axes = figure.add_subplot()
        for number, (name, folder) in enumerate(runs.items()):
            colour, _ = figures.line_style(number)
            _line(axes, read([folder], TRAINING), color=colour, linewidth=1.5, label=f"{name}, training")
            dots = {"linestyle": "--", "marker": "o", "markersize": 5, "linewidth": 0.8}
            _line(axes, read([folder], VALIDATION), color=colour, label=f"{name}, validation", **dots)
        axes.set_title(title, loc="left")
        axes.set_xlabel("step")
        axes.set_ylabel(NATS)
        figures.tidy(axes)
        axes.legend(frameon=False)

    files.write_bytes(path, figures.png(onto, 8, 4.5))


def read(folders: Sequence[Path], metric: str) -> Curve | None:
    """The curve of a metric in the metrics.jsonl of one run or more, None where they have it at no step in common."""
    runs = []
    for folder in folders:
        path = folder / METRICS_FILE
        lines = read_metrics(path) if path.is_file() else []
        there = {line["step"]: line[metric] for line in lines if metric in line}
        # What was not finite is written as null.
        runs.append({step: math.nan if value is None else value for step, value in there.items()})
    steps = sorted(set.intersection(*map(set, runs))) if runs else []
    if not steps:
        return None
    values = np.array([[run[step] for step in steps] for run in runs])  # [runs, steps]
    return Curve(np.array(steps), values.mean(axis=0), values.std(axis=0, ddof=1) if len(runs) > 1 else None)


def stage_png(study: Study, records: Records, stage: str) -> bytes | None:
    """The validation loss of a stage that trains, a line per setting: the mean over the finished seeds with a band.

    Where no run of the stage was validated, its training loss. Settings that share their runs share a line. Of a
    setting without a finished run, those that are there are drawn.

    Returns:
        A PNG, with all lines in one panel or, of more than ten, a panel for each in front of the others; None where no
        run has begun.
    """
    groups: dict[tuple[str, ...], list[str]] = {}  # runs of all seeds, by fingerprint -> settings
    stages: dict[str, Stage] = {}
    for setting in study.settings:
        own = [cell.stages[stage] for cell in cells_of(study, setting) if stage in cell.stages]
        stages |= {one.fingerprint: one for one in own}
        if own:
            groups.setdefault(tuple(one.fingerprint for one in own), []).append(setting)
    for metric in (VALIDATION, TRAINING):
        found: dict[str, Curve] = {}
        heavy = ""
        for fingerprints, settings in groups.items():
            curve = read(_folders([stages[fingerprint] for fingerprint in fingerprints], records, metric), metric)
            if curve is not None:
                name = "all settings" if len(settings) == len(study.settings) > 1 else figures.listed(settings)
                if study.baseline in settings:
                    heavy = name = f"{STAR} {name}"
                found[name] = curve
        if found:
            label = f"{'validation' if metric == VALIDATION else 'training'} {NATS}"
            if len(found) <= READABLE:
                return figures.png(partial(_together, found=found, heavy=heavy, title=stage, label=label), 9, 4.5)
            size = (2.8 * PANELS, 2.1 * math.ceil(len(found) / PANELS) + 0.8)
            return figures.png(partial(_apart, found=found, heavy=heavy, title=stage, label=label), *size)
    return None


def _folders(stages: Sequence[Stage], records: Records, metric: str) -> list[Path]:
    """Of the runs that have the metric, the finished ones, or all where none is finished."""
    known = [records[stage.fingerprint] for stage in stages if stage.fingerprint in records]
    known = [record for record in known if read([record.folder], metric) is not None]
    return [record.folder for record in known if record.status == FINISHED] or [record.folder for record in known]


def _line(axes: Axes, curve: Curve | None, **how: object) -> None:
    """Draws a curve, and a band of one standard deviation on both sides."""
    if curve is None:
        return
    (line,) = axes.plot(curve.steps, curve.mean, **how)
    if curve.deviation is not None:
        band = (curve.mean - curve.deviation, curve.mean + curve.deviation)
        axes.fill_between(curve.steps, *band, color=line.get_color(), alpha=0.15, linewidth=0)


def _together(figure: Figure, found: Mapping[str, Curve], heavy: str, title: str, label: str) -> None:
    axes = figure.add_subplot()
    others = [name for name in found if name != heavy]
    for name, curve in found.items():
        colour, dashes = (figures.BASELINE, "-") if name == heavy else figures.line_style(others.index(name))
        how = {"color": colour, "linestyle": dashes, "marker": "o", "markersize": 3}
        _line(axes, curve, linewidth=2 if name == heavy else 1.4, label=figures.wrapped(name), **how)
    axes.set_title(title, loc="left")
    axes.set_xlabel("step")
    axes.set_ylabel(label)
    figures.tidy(axes)
    figure.legend(loc="outside right upper", frameon=False, fontsize=9)


def _apart(figure: Figure, found: Mapping[str, Curve], heavy: str, title: str, label: str) -> None:
    grid = figure.subplots(math.ceil(len(found) / PANELS), PANELS, sharex=True, sharey=True, squeeze=False)
    panels = list(grid.flat)
    for axes, (name, curve) in zip(panels, found.items(), strict=False):
        for other in found.values():
            axes.plot(other.steps, other.mean, color=figures.FAINT, linewidth=0.6)
        if heavy:
            axes.plot(found[heavy].steps, found[heavy].mean, color=figures.BASELINE, linewidth=1, linestyle="--")
        _line(axes, curve, color=figures.BASELINE if name == heavy else figures.COLOURS[0], linewidth=1.8)
        axes.set_title(figures.wrapped(name, 32, 2), fontsize=9)
        axes.tick_params(labelsize=8)
        figures.tidy(axes)
    for axes in panels[len(found) :]:
        axes.set_visible(False)
    for axes in panels[max(0, len(found) - PANELS) : len(found)]:
        axes.tick_params(labelbottom=True)  # the lowest of its column
    figure.suptitle(title, x=0.01, ha="left")
    figure.supxlabel("step", fontsize=10)
    figure.supylabel(label, fontsize=10)
