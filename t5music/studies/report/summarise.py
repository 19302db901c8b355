"""Summarise: a study's records to its summary; means, deviations, comparisons, costs and problems."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence

from t5music.errors import nearest
from t5music.studies.grid import Cell, Column, Stage, Study
from t5music.studies.report import statistics
from t5music.studies.report.comparisons import compare, row_chosen, size
from t5music.studies.report.summary import (
    CHOSEN,
    FAILED,
    FINISHED,
    LEFT_OUT,
    LITERATURE,
    REFERENCE,
    SETTING,
    WORST_FIRST,
    Cost,
    Entry,
    Problem,
    Records,
    Row,
    Summary,
    Value,
    cells_of,
    status_of,
)

# How the metrics of baselines begin that look at the data alone: the same beside every model.
_OF_NO_MODEL = ("majority_", "skyline_", "uniform_", "unigram_", "ngram_", "handmade_")


def summarise(study: Study, records: Records) -> Summary:
    """Computes every figure of a study.

    Args:
        study: the grid.
        records: fingerprint -> record; a stage without one counts as missing.
    """
    cells_by_setting = {setting: cells_of(study, setting) for setting in study.settings}
    columns = [
        compare(study, column, {name: _entry(column, cells, records) for name, cells in cells_by_setting.items()})
        for column in study.columns
    ]
    settings = [
        Row(name, SETTING, tuple(column[name] for column in columns), _cost(cells, records))
        for name, cells in cells_by_setting.items()
    ]
    chosen = [
        Row(name, CHOSEN, tuple(row_chosen(column, choices) for column in columns))
        for name, choices in study.chosen.items()
    ]
    references = [
        Row(name, REFERENCE, tuple(_reference(study, column, places, records) for column in study.columns))
        for name, places in study.references.items()
    ]
    literature = [
        Row(name, LITERATURE, tuple(_published(column, figures.get(column.name)) for column in study.columns))
        for name, figures in study.literature.items()
    ]
    return Summary(
        study,
        records,
        (*settings, *chosen, *references, *literature),
        tuple(_problems(cells_by_setting, [*settings, *references], records)),
        _cost(study.cells, records),
        tuple(size(study, column) for column in columns),
    )


def _value(cell: Cell, column: Column, records: Records) -> Value:
    """The value of a cell in a column, or the status and the reason that stand for it."""
    stage = cell.stages.get(column.stage)
    if stage is None:
        return Value(cell.seed, None, None, None, LEFT_OUT)
    record = records.get(stage.fingerprint)
    if record is None or record.status != FINISHED:
        culprit, status = _stopped_at(stage, records)
        reason = records[culprit.fingerprint].reason if culprit.fingerprint in records else ""
        return Value(cell.seed, stage, record, None, status, ": ".join(filter(None, (culprit.name, reason))))
    name = f"{column.task}/{column.metric}"
    value = record.results.get(column.task, {}).get(column.metric)
    if value is None:
        names = [f"{task}/{metric}" for task, metrics in record.results.items() for metric in metrics]
        reason = f"{stage.name}: no {name} in its results{nearest(name, names)}"
        return Value(cell.seed, stage, record, None, FAILED, reason)
    if not math.isfinite(value):
        return Value(cell.seed, stage, record, None, FAILED, f"{stage.name}: {name} is {value}")
    if column.scale != 1 and value > 1 + 1e-6:
        reason = f"{stage.name}: {name} is {value:.4g}, and a figure of this name must be a share from 0 to 1"
        return Value(cell.seed, stage, record, None, FAILED, reason)
    return Value(cell.seed, stage, record, float(value), FINISHED)


def _stopped_at(stage: Stage, records: Records) -> tuple[Stage, str]:
    """The stage that a stage without results waits for (itself or one before it), and the status of that one."""
    statuses = [(need, status_of(need, records)) for need in stage.all()]
    unfinished = [(need, status) for need, status in statuses if status != FINISHED]
    return min(unfinished, key=lambda pair: WORST_FIRST.index(pair[1]))  # of equals the first


def _entry(column: Column, cells: Sequence[Cell], records: Records) -> Entry:
    """The mean and the deviation over some cells; the comparison with other rows is left to `comparisons`."""
    values = tuple(_value(cell, column, records) for cell in cells)
    numbers = [value.value for value in values if value.value is not None]
    if not numbers:
        return Entry(column, values)
    return Entry(column, values, statistics.mean(numbers), statistics.deviation(numbers))


def _reference(study: Study, column: Column, places: Mapping[str, str], records: Records) -> Entry:
    """A figure that the baseline's results also hold, such as the accuracy of always naming the majority class.

    Where the baseline's stage is not finished, a figure that depends on no model is that of another setting's.
    """
    place = places.get(column.name)
    if place is None:
        return Entry(column)
    stage, task, metric = place.split("/", 2)
    source = dataclasses.replace(column, stage=stage, task=task, metric=metric)
    cells = cells_of(study, study.baseline)
    if metric.startswith(_OF_NO_MODEL):
        cells = [_measured(study, cell, source, records) for cell in cells]
    return dataclasses.replace(_entry(source, cells, records), column=column)


def _measured(study: Study, cell: Cell, column: Column, records: Records) -> Cell:
    """A cell; or, where it has no value in a column, one that has, of the same seed and evaluated in the same way."""
    stage = cell.stages.get(column.stage)
    for other in (cell, *study.cells):
        same = other.stages.get(column.stage)
        if stage is None or same is None or (other.seed, same.files, same.bindings) != (
            cell.seed, stage.files, stage.bindings
        ):  # fmt: skip
            continue
        if _value(other, column, records).value is not None:
            return other
    return cell


def _published(column: Column, figure: float | None) -> Entry:
    """The entry of a published figure, which study files state as printed: shares in per cent."""
    return Entry(column, mean=None if figure is None else figure / column.scale)


def _cost(cells: Iterable[Cell], records: Records) -> Cost:
    """The cost of all stages of some cells, each counted once."""
    fingerprints = {need.fingerprint for cell in cells for stage in cell.stages.values() for need in stage.all()}
    stage_records = [records[fingerprint] for fingerprint in fingerprints if fingerprint in records]
    return Cost(
        len(fingerprints),
        sum(record.status == FINISHED for record in stage_records),
        math.fsum(record.positions for record in stage_records),
        math.fsum(record.flops for record in stage_records),
        math.fsum(record.seconds for record in stage_records),
    )


def _problems(cells_by_setting: Mapping[str, Sequence[Cell]], rows: Sequence[Row], records: Records) -> list[Problem]:
    """Everything that is not finished, once: failures first; of stages that wait for another one, only that one."""
    seeds: dict[tuple[str, str, str, str], set[int]] = {}  # (status, stage, reason, row) -> seeds
    for setting, cells in cells_by_setting.items():
        for cell in cells:
            for stage in cell.stages.values():
                if status_of(stage, records) != FINISHED:
                    culprit, status = _stopped_at(stage, records)
                    record = records.get(culprit.fingerprint)
                    problem = (status, culprit.name, record.reason if record else "", setting)
                    seeds.setdefault(problem, set()).add(cell.seed)
    for row in rows:
        for value in (value for entry in row.entries for value in entry.values):
            if value.status == FAILED and value.record is not None and value.record.status == FINISHED:
                name, _, reason = value.reason.partition(": ")  # the stage finished, but without this metric
                seeds.setdefault((FAILED, name, reason, row.name), set()).add(value.seed)
    row_names: dict[tuple[str, str, str, tuple[int, ...]], list[str]] = {}
    for (status, name, reason, row_name), row_seeds in seeds.items():
        row_names.setdefault((status, name, reason, tuple(sorted(row_seeds))), []).append(row_name)
    problems = [
        Problem(status, name, reason, tuple(names), problem_seeds)
        for (status, name, reason, problem_seeds), names in row_names.items()
    ]
    return sorted(problems, key=lambda problem: WORST_FIRST.index(problem.status))
