"""Learning curves as pictures: of the quickstart's runs, and of a study's stage with a band over the seeds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from t5music import figures, files
from t5music.studies.report.summary import FINISHED, Records, cells_of
from t5music.studies.report.table import STAR
from t5music.training.learning_curves import NATS, TRAINING, VALIDATION, Curve, line, read

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from t5music.studies.grid import Stage, Study

READABLE = 10  # lines in one panel; if there are more, each gets a panel of its own
PANELS = 4  # side by side


def draw(runs: Mapping[str, Path], path: Path, *, title: str) -> None:
    """Draws the loss of several runs over their steps as a PNG file: lines for training, dots for validation.

    Args:
        runs: name of the line -> run folder, whose metrics.jsonl is read.
        path: the PNG file.
        title: a line above the picture.
    """

    def onto(figure: Figure) -> None:
        axes = figure.add_subplot()
        for number, (name, folder) in enumerate(runs.items()):
            colour, _ = figures.line_style(number)
            line(axes, read([folder], TRAINING), color=colour, linewidth=1.5, label=f"{name}, training")
            dots = {"linestyle": "--", "marker": "o", "markersize": 5, "linewidth": 0.8}
            line(axes, read([folder], VALIDATION), color=colour, label=f"{name}, validation", **dots)
        axes.set_title(title, loc="left")
        axes.set_xlabel("step")
        axes.set_ylabel(NATS)
        figures.tidy(axes)
        axes.legend(frameon=False)

    files.write_bytes(path, figures.png(onto, 8, 4.5))


def stage_png(study: Study, records: Records, stage: str) -> bytes | None:
    """The validation loss of a stage that trains, a line per setting: the mean over the finished seeds with a band.

    Where no run of the stage has validation losses of two steps, the training loss is drawn: one point is no curve.
    Settings that share their runs share a line. Of a setting without a finished run, the unfinished ones are drawn.

    Args:
        study: the study.
        records: fingerprint -> record.
        stage: the stage's name.

    Returns:
        A PNG with all lines in one panel or, if there are more than ten, with a panel for each line, the others pale
        behind it; None where no run has begun.
    """
    groups = _groups(study, stage)
    for metric in (VALIDATION, TRAINING):
        curves: dict[str, Curve] = {}
        baseline = ""  # the name of its line
        for settings, stages in groups:
            curve = read(_folders(stages, records, metric), metric)
            if curve is not None and len(curve.steps) > 1:
                name = "all settings" if len(settings) == len(study.settings) > 1 else figures.listed(settings)
                if study.baseline in settings:
                    baseline = name = f"{STAR} {name}"
                curves[name] = curve
        if curves:
            label = f"{'validation' if metric == VALIDATION else 'training'} {NATS}"
            panels, size = _one_panel, (9.0, 4.5)
            if len(curves) > READABLE:
                panels, size = _many_panels, (2.8 * PANELS, 2.1 * math.ceil(len(curves) / PANELS) + 0.8)
            onto = partial(panels, curves=curves, baseline=baseline, title=stage, label=label)
            return figures.png(onto, *size)
    return None


def _groups(study: Study, stage: str) -> list[tuple[list[str], list[Stage]]]:
    """The settings that share their runs of a stage, and those runs, one for each seed."""
    groups: dict[tuple[str, ...], tuple[list[str], list[Stage]]] = {}
    for setting in study.settings:
        stages = [cell.stages[stage] for cell in cells_of(study, setting) if stage in cell.stages]
        if stages:
            settings, _ = groups.setdefault(tuple(each.fingerprint for each in stages), ([], stages))
            settings.append(setting)
    return list(groups.values())


def _folders(stages: Sequence[Stage], records: Records, metric: str) -> list[Path]:
    """The folders of the runs that have the metric: of the finished ones, or of all where none is finished."""
    runs = [records[stage.fingerprint] for stage in stages if stage.fingerprint in records]
    runs = [record for record in runs if read([record.folder], metric) is not None]
    return [record.folder for record in runs if record.status == FINISHED] or [record.folder for record in runs]


def _one_panel(figure: Figure, curves: Mapping[str, Curve], baseline: str, title: str, label: str) -> None:
    """Draws all curves into one panel, the baseline's heavier."""
    axes = figure.add_subplot()
    others = [name for name in curves if name != baseline]
    for name, curve in curves.items():
        colour, dashes = (figures.BASELINE, "-") if name == baseline else figures.line_style(others.index(name))
        style = {"color": colour, "linestyle": dashes, "marker": "o", "markersize": 3}
        line(axes, curve, linewidth=2 if name == baseline else 1.4, label=figures.wrapped(name), **style)
    axes.set_title(title, loc="left")
    axes.set_xlabel("step")
    axes.set_ylabel(label)
    figures.tidy(axes)
    figure.legend(loc="outside right upper", frameon=False, fontsize=9)


def _many_panels(figure: Figure, curves: Mapping[str, Curve], baseline: str, title: str, label: str) -> None:
    """Draws each curve into a panel of its own, before all curves in grey and the baseline's dashed."""
    grid = figure.subplots(math.ceil(len(curves) / PANELS), PANELS, sharex=True, sharey=True, squeeze=False)
    panels = list(grid.flat)
    for axes, (name, curve) in zip(panels, curves.items(), strict=False):
        for other in curves.values():
            axes.plot(other.steps, other.mean, color=figures.FAINT, linewidth=0.6)
        if baseline:
            reference = curves[baseline]
            axes.plot(reference.steps, reference.mean, color=figures.BASELINE, linewidth=1, linestyle="--")
        line(axes, curve, color=figures.BASELINE if name == baseline else figures.COLOURS[0], linewidth=1.8)
        axes.set_title(figures.wrapped(name, 32, 2), fontsize=9)
        axes.tick_params(labelsize=8)
        figures.tidy(axes)
    for axes in panels[len(curves) :]:
        axes.set_visible(False)
    for axes in panels[max(0, len(curves) - PANELS) : len(curves)]:
        axes.tick_params(labelbottom=True)  # the lowest of its column
    figure.suptitle(title, x=0.01, ha="left")
    figure.supxlabel("step", fontsize=10)
    figure.supylabel(label, fontsize=10)
