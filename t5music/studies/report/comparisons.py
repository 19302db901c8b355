"""Comparisons: rows with each other, with the best control, and with what validation chose; sizes of test sets."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

from t5music.evaluation import example_tallies
from t5music.studies.grid import Column, Study
from t5music.studies.report import statistics
from t5music.studies.report.summary import Entry, Size, Value

_VALIDATION = "validation_"  # how the figure begins by which a checkpoint was chosen


def compare(study: Study, column: Column, entries: Mapping[str, Entry]) -> dict[str, Entry]:
    """The entries of a column's settings, with what compares them: best, bold, and the difference from the rival.

    The rival is the best of the study's controls in this column, by its test figure: no row gains by a weak control.
    Without controls it is the baseline.
    """
    means = {row: entry.mean for row, entry in entries.items() if entry.mean is not None}
    higher = column.higher_is_better
    bold = statistics.bold(means, list(entries[study.baseline].finished.values()), higher_is_better=higher)
    best = statistics.best(means, higher_is_better=higher)
    controls = study.controls or (study.baseline,)
    rival = statistics.best({row: means[row] for row in controls if row in means}, higher_is_better=higher)
    against: dict[str, dict[str, Any]] = {}  # row -> fields of its entry
    if rival is not None:
        compared = [row for row in entries if row not in controls]
        p_values = {row: statistics.paired_p(entries[row].finished, entries[rival].finished) for row in compared}
        corrected = statistics.holm(p_values)
        against = {
            row: {
                "rival": rival,
                "difference": _difference(entries[row], entries[rival]),
                "interval": _interval(entries[row], entries[rival]),
                "p": p_values[row],
                "corrected": corrected[row],
            }
            for row in compared
        }
    return {
        row: dataclasses.replace(entry, best=row == best, bold=row in bold, **against.get(row, {}))
        for row, entry in entries.items()
    }


def _difference(entry: Entry, rival: Entry) -> float | None:
    """The mean of values minus the rival's over the seeds that both have; None without any."""
    differences = _differences(entry, rival)
    return statistics.mean(differences) if differences else None


def _differences(entry: Entry, rival: Entry) -> list[float]:
    return [value - rival.finished[seed] for seed, value in entry.finished.items() if seed in rival.finished]


def _interval(entry: Entry, rival: Entry) -> statistics.Interval | None:
    """The interval of the difference, over seeds and pieces where the stages have written down their examples."""
    rivals = {value.seed: value for value in rival.values if value.value is not None}
    pairs = [(value, rivals[value.seed]) for value in entry.values if value.value is not None and value.seed in rivals]
    tallies = [(_tallies(value, entry.column), _tallies(other, entry.column)) for value, other in pairs]
    complete = [(tally, other) for tally, other in tallies if tally is not None and other is not None]
    interval = statistics.piece_interval(complete) if len(complete) == len(pairs) else None
    return interval or statistics.seed_interval(_differences(entry, rival))


def _tallies(value: Value, column: Column) -> example_tallies.Tallies | None:
    """The figure of a seed as sums over examples; None where its stage has not written them."""
    return None if value.record is None else example_tallies.read(value.record.folder, column.task, column.metric)


def row_chosen(entries: Mapping[str, Entry], settings: Sequence[str]) -> Entry:
    """The entry of the setting whose mean validation figure is the best; without any figures where one is missing."""
    column = next(iter(entries.values())).column
    figures = [figure for setting in settings if (figure := _validation(entries[setting])) is not None]
    if not figures or len(figures) < len(settings):
        return Entry(column)
    metric = figures[0][0]
    means = {setting: mean for setting, (_, mean) in zip(settings, figures, strict=True)}
    higher = dataclasses.replace(column, metric=metric).higher_is_better
    choice = statistics.best(means, higher_is_better=higher) or settings[0]
    return dataclasses.replace(entries[choice], choice=choice, best=False, bold=False)


def _validation(entry: Entry) -> tuple[str, float] | None:
    """The validation metric of a setting and its mean over the seeds; None unless every seed has it."""
    figures = []
    for value in entry.values:
        results = value.record.results.get(entry.column.task, {}) if value.record is not None else {}
        figures += [(name, figure) for name, figure in results.items() if name.startswith(_VALIDATION)][:1]
    if not figures or len(figures) < len(entry.values):
        return None
    return figures[0][0], statistics.mean([figure for _, figure in figures])


def size(study: Study, entries: Mapping[str, Entry]) -> Size | None:
    """How much the test set of a column holds, as the first finished stage says."""
    for entry in entries.values():
        for value in entry.values:
            if value.value is None or value.record is None:
                continue
            results = value.record.results[entry.column.task]
            if "examples" not in results:
                return None
            examples = int(results["examples"])
            notes = int(results["notes"]) if "note_" in entry.column.metric and "notes" in results else None
            share, error = entries[study.baseline].mean, None
            if share is not None and examples and entry.column.metric == "accuracy" and "majority_accuracy" in results:
                error = math.sqrt(share * (1 - share) / examples)
            return Size(examples, notes, error)
    return None
