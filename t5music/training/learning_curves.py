"""Learning curves: the losses that runs have written, and the picture that each leaves of its own."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from t5music import figures, files
from t5music.training.metric_writers import METRICS_FILE, read_metrics

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PICTURE = "loss.png"  # in a run's folder
TRAINING, VALIDATION = "loss", "validation/loss"
NATS = "loss (nats per target token)"
LARGEST = 1e30  # a loss beyond is drawn as one that is not finite: matplotlib's own arithmetic ends there
READABLE = 24  # tasks in one picture; of more the first ones


@dataclasses.dataclass(frozen=True)
class Curve:
    """A metric over the steps of one run or of several that differ in their seed.

    Attributes:
        steps: the steps at which every run has the metric, [n].
        mean: over the runs, [n]; nan where one is not finite.
        deviation: sample standard deviation over the runs, [n]; None of one run.
    """

    steps: np.ndarray
    mean: np.ndarray
    deviation: np.ndarray | None


def read(folders: Sequence[Path], metric: str) -> Curve | None:
    """The curve of a metric in the metrics.jsonl of one or more runs; None where no step has it in all of them."""
    runs = []
    for folder in folders:
        path = folder / METRICS_FILE
        lines = read_metrics(path) if path.is_file() else []
        # A number that is not finite is written as null.
        values = {line["step"]: line[metric] for line in lines if metric in line}
        runs.append({step: math.nan if value is None else value for step, value in values.items()})
    steps = sorted(set.intersection(*map(set, runs))) if runs else []
    if not steps:
        return None
    table = np.array([[run[step] for step in steps] for run in runs])  # [runs, steps]
    return Curve(np.array(steps), table.mean(axis=0), table.std(axis=0, ddof=1) if len(runs) > 1 else None)


def line(axes: Axes, curve: Curve | None, **style: object) -> None:
    """Draws a curve, and a band of one standard deviation on both sides; nothing for None."""
    if curve is None:
        return
    (drawn,) = axes.plot(curve.steps, curve.mean, **style)
    if curve.deviation is not None:
        band = (curve.mean - curve.deviation, curve.mean + curve.deviation)
        axes.fill_between(curve.steps, *band, color=drawn.get_color(), alpha=0.15, linewidth=0)


def write_picture(model_dir: Path) -> None:
    """Draws what a run has written so far as MODEL_DIR/loss.png; nothing before its first line of metrics.

    The training loss is a line in black. Validation losses have points: over all tasks, and of each task if there are
    several.

    Raises:
        DataError: the metrics are damaged, or the picture cannot be written.
    """
    training = _drawable(read([model_dir], TRAINING))
    metrics = _validation_metrics(model_dir)
    validation = {name: _drawable(read([model_dir], metric)) for name, metric in metrics.items()}
    if training is None and not validation:
        return

    def onto(figure: Figure) -> None:
        axes = figure.add_subplot()
        line(axes, training, color=figures.BASELINE, linewidth=1.4, label="training, all tasks")
        for number, (name, curve) in enumerate(validation.items()):
            colour, dashes = figures.line_style(number)
            label = figures.wrapped(f"validation, {name}", 30)
            line(axes, curve, color=colour, linestyle=dashes, linewidth=1.2, marker="o", markersize=3.5, label=label)
        axes.set_ylim(*_limits([training, *validation.values()]))
        axes.set_title(files.printable_name(model_dir.name), loc="left", parse_math=False)
        axes.set_xlabel("step")
        axes.locator_params(axis="x", integer=True)
        axes.set_ylabel(NATS)
        figures.tidy(axes)
        figure.legend(loc="outside right upper", frameon=False, fontsize=8)

    height = max(4.5, 1 + 0.24 * len(validation))
    files.write_bytes(model_dir / PICTURE, figures.png(onto, 9, height))


def _validation_metrics(model_dir: Path) -> dict[str, str]:
    """Name in the picture -> metric, of the validation losses that a run has."""
    path = model_dir / METRICS_FILE
    names = {name for written in (read_metrics(path) if path.is_file() else []) for name in written}
    room, _, loss = VALIDATION.partition("/")
    tasks = sorted(name.split("/")[1] for name in names if name.startswith(f"{room}/") and name.count("/") == 2)
    metrics = {"all tasks": VALIDATION} if VALIDATION in names and len(tasks) != 1 else {}
    return metrics | {task: f"{room}/{task}/{loss}" for task in tasks[:READABLE] if f"{room}/{task}/{loss}" in names}


def _drawable(curve: Curve | None) -> Curve | None:
    """A curve of one run with gaps where it is too large to draw."""
    if curve is None:
        return None
    return dataclasses.replace(curve, mean=np.where(np.abs(curve.mean) < LARGEST, curve.mean, math.nan))


def _limits(curves: Sequence[Curve | None]) -> tuple[float, float]:
    """The least and the greatest loss to show: the first steps, which tower above all others, are cut off."""
    later = [curve.mean[len(curve.mean) // 10 :] for curve in curves if curve is not None]
    values = np.concatenate(later)
    values = values[np.isfinite(values)]
    if not len(values):
        return 0.0, 1.0
    low, high = float(values.min()), float(values.max())
    margin = max(0.05 * (high - low), 1e-3 * max(abs(low), abs(high), 1.0))  # also where all losses are alike
    return low - margin, high + margin
