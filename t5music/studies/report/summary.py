"""What a study's records come to: a figure with its deviation for every setting and column, and what is not there.

Everything that people read (table, CSV, pictures, page) is made of one `Summary`, so that they agree. It depends on
the study and its records alone, not on the order in which the records were found.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence

from t5music.errors import nearest
from t5music.studies.grid import Cell, Column, Stage, Study
from t5music.studies.report import statistics
from t5music.studies.stage_folders import Record

FINISHED, FAILED, RUNNING, MISSING, LEFT_OUT = "finished", "failed", "running", "missing", "left out"
_WORST_FIRST = (FAILED, RUNNING, MISSING, LEFT_OUT, FINISHED)
SETTING, REFERENCE, LITERATURE = "setting", "reference", "literature"  # kinds of rows

Records = Mapping[str, Record]  # fingerprint of a stage -> what its folder says


@dataclasses.dataclass(frozen=True)
class Value:
    """What one seed of a row came to in one column.

    Attributes:
        seed: of the cell.
        stage: which found it; None where the setting leaves that stage out.
        record: what that stage's folder says.
        value: as in the stage's results (shares up to 1); None where there is none.
        status: finished, failed, running, missing or left out; of the first stage on the way that stopped.
        reason: why there is no value.
    """

    seed: int
    stage: Stage | None
    record: Record | None
    value: float | None
    status: str
    reason: str = ""


@dataclasses.dataclass(frozen=True)
class Entry:
    """One row's figure in one column.

    Attributes:
        column: the column.
        values: one for every seed, in the order of the seeds; () in a row of the literature.
        mean: over the seeds that finished, None without any.
        deviation: sample standard deviation over them, None of fewer than two.
        best, bold: among the settings, by `statistics.best` and `statistics.bold`.
        difference: mean of row minus baseline over the seeds that both have; None for the baseline itself.
        p: of the paired t-test over those seeds; None where there is none.
        corrected: the same after Holm's correction over the settings of the column.
    """

    column: Column
    values: tuple[Value, ...] = ()
    mean: float | None = None
    deviation: float | None = None
    best: bool = False
    bold: bool = False
    difference: float | None = None
    p: float | None = None
    corrected: float | None = None

    @property
    def finished(self) -> dict[int, float]:
        """Seed -> value."""
        return {value.seed: value.value for value in self.values if value.value is not None}

    @property
    def status(self) -> str:
        """`finished` only where every seed is: otherwise the worst that happened to one."""
        if not self.values:
            return FINISHED if self.mean is not None else LEFT_OUT
        return min((value.status for value in self.values), key=_WORST_FIRST.index)

    @property
    def verdict(self) -> str:
        """'+' significantly better than the baseline, '-' significantly worse, '' neither."""
        if self.corrected is None or self.difference is None or self.corrected >= statistics.SIGNIFICANT:
            return ""
        return "+" if (self.difference > 0) == self.column.higher_is_better else "-"


@dataclasses.dataclass(frozen=True)
class Cost:
    """What stages cost, each counted once.

    Attributes:
        stages: how many there are.
        finished: how many of them are finished.
        positions: tokens seen in training.
        flops: floating point operations of training.
        seconds: of work.
    """

    stages: int
    finished: int
    positions: float
    flops: float
    seconds: float


@dataclasses.dataclass(frozen=True)
class Row:
    """A row of the table; `cost` is that of all its stages, those shared with other rows included."""

    name: str
    kind: str
    entries: tuple[Entry, ...]
    cost: Cost | None = None


@dataclasses.dataclass(frozen=True)
class Problem:
    """Something that is not finished: in which stage, of which rows and seeds, and why."""

    status: str
    stage: str
    reason: str
    rows: tuple[str, ...]
    seeds: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Summary:
    """A study and what its records come to; `rows` are settings, then references, then the literature."""

    study: Study
    records: Records
    rows: tuple[Row, ...]
    problems: tuple[Problem, ...]
    cost: Cost

    @property
    def settings(self) -> tuple[Row, ...]:
        """The rows that are settings."""
        return tuple(row for row in self.rows if row.kind == SETTING)


def summarise(study: Study, records: Records) -> Summary:
    """Computes every figure of a study.

    Args:
        study: the grid.
        records: fingerprint -> record; a stage without one counts as missing.
    """
    cells = {setting: cells_of(study, setting) for setting in study.settings}
    columns = [
        _compare(study, column, {setting: _entry(column, own, records) for setting, own in cells.items()})
        for column in study.columns
    ]
    settings = [
        Row(name, SETTING, tuple(column[name] for column in columns), _cost(own, records))
        for name, own in cells.items()
    ]
    baseline = cells[study.baseline]
    references = [
        Row(name, REFERENCE, tuple(_reference(column, places, baseline, records) for column in study.columns))
        for name, places in study.references.items()
    ]
    literature = [
        Row(name, LITERATURE, tuple(_published(column, figures.get(column.name)) for column in study.columns))
        for name, figures in study.literature.items()
    ]
    return Summary(
        study,
        records,
        (*settings, *references, *literature),
        tuple(_problems(cells, [*settings, *references], records)),
        _cost(study.cells, records),
    )


def cells_of(study: Study, setting: str) -> list[Cell]:
    """The cells of a setting in the order of their seeds."""
    return sorted((cell for cell in study.cells if cell.setting == setting), key=lambda cell: cell.seed)


def stages_in_order(study: Study) -> list[Stage]:
    """Every stage once, by setting and then seed, parents first, in whatever order the study was spelt out."""
    cells = [cell for setting in study.settings for cell in cells_of(study, setting)]
    stages = [need for cell in cells for stage in cell.stages.values() for need in stage.all()]
    return list({stage.fingerprint: stage for stage in reversed(stages)}.values())[::-1]


def status_of(stage: Stage, records: Records) -> str:
    """What a stage's own folder says."""
    record = records.get(stage.fingerprint)
    return MISSING if record is None else record.status


def stage_folder(stage: Stage, records: Records) -> str:
    """The name of the folder that a stage was found in; the path to it is another one on every machine."""
    record = records.get(stage.fingerprint)
    return stage.folder if record is None else record.folder.name


def _value(cell: Cell, column: Column, records: Records) -> Value:
    stage = cell.stages.get(column.stage)
    if stage is None:
        return Value(cell.seed, None, None, None, LEFT_OUT)
    record = records.get(stage.fingerprint)
    if record is None or record.status != FINISHED:
        culprit, status = _stopped_at(stage, records)
        reason = records[culprit.fingerprint].reason if culprit.fingerprint in records else ""
        told = ": ".join(filter(None, (culprit.name, reason)))
        return Value(cell.seed, stage, record, None, status, told)
    found = record.results.get(column.task, {})
    value = found.get(column.metric)
    if value is None:
        asked = f"{column.task}/{column.metric}"
        there = [f"{task}/{metric}" for task, metrics in record.results.items() for metric in metrics]
        told = f"{stage.name}: no {asked} in its results{nearest(asked, there)}"
        return Value(cell.seed, stage, record, None, FAILED, told)
    if not math.isfinite(value):
        return Value(cell.seed, stage, record, None, FAILED, f"{stage.name}: {column.task}/{column.metric} is {value}")
    return Value(cell.seed, stage, record, float(value), FINISHED)


def _stopped_at(stage: Stage, records: Records) -> tuple[Stage, str]:
    """The stage that a stage without results waits for (itself or one before it), and what became of that."""
    unfinished = [(need, status_of(need, records)) for need in stage.all() if status_of(need, records) != FINISHED]
    return min(unfinished, key=lambda found: _WORST_FIRST.index(found[1]))  # of equals the first


def _entry(column: Column, cells: Sequence[Cell], records: Records) -> Entry:
    values = tuple(_value(cell, column, records) for cell in cells)
    found = [value.value for value in values if value.value is not None]
    if not found:
        return Entry(column, values)
    return Entry(column, values, statistics.mean(found), statistics.deviation(found))


def _compare(study: Study, column: Column, entries: Mapping[str, Entry]) -> dict[str, Entry]:
    """Adds what a column's rows are beside each other."""
    means = {row: entry.mean for row, entry in entries.items() if entry.mean is not None}
    better = column.higher_is_better
    bold = statistics.bold(
        means,
        {row: entry.deviation for row, entry in entries.items()},
        baseline=study.baseline,
        higher_is_better=better,
    )
    best = statistics.best(means, higher_is_better=better)
    baseline = entries[study.baseline].finished
    others = {row: entry.finished for row, entry in entries.items() if row != study.baseline}
    p_values = {row: statistics.paired_p(values, baseline) for row, values in others.items()}
    corrected = statistics.holm(p_values)
    return {
        row: dataclasses.replace(
            entry,
            best=row == best,
            bold=row in bold,
            difference=_difference(others[row], baseline) if row in others else None,
            p=p_values.get(row),
            corrected=corrected.get(row),
        )
        for row, entry in entries.items()
    }


def _difference(ours: Mapping[int, float], theirs: Mapping[int, float]) -> float | None:
    seeds = ours.keys() & theirs.keys()
    return statistics.mean([ours[seed] - theirs[seed] for seed in seeds]) if seeds else None


def _reference(column: Column, places: Mapping[str, str], cells: Sequence[Cell], records: Records) -> Entry:
    """A figure that the baseline's results hold beside its own, as the accuracy of always saying the same."""
    place = places.get(column.name)
    if place is None:
        return Entry(column)
    stage, task, metric = place.split("/", 2)
    found = _entry(dataclasses.replace(column, stage=stage, task=task, metric=metric), cells, records)
    return dataclasses.replace(found, column=column)


def _published(column: Column, figure: float | None) -> Entry:
    """A published figure, given as it is printed: a share in per cent."""
    return Entry(column, mean=None if figure is None else figure / column.scale)


def _cost(cells: Iterable[Cell], records: Records) -> Cost:
    stages = {need.fingerprint for cell in cells for stage in cell.stages.values() for need in stage.all()}
    found = [records[fingerprint] for fingerprint in stages if fingerprint in records]
    return Cost(
        len(stages),
        sum(record.status == FINISHED for record in found),
        math.fsum(record.positions for record in found),
        math.fsum(record.flops for record in found),
        math.fsum(record.seconds for record in found),
    )


def _problems(cells: Mapping[str, Sequence[Cell]], rows: Sequence[Row], records: Records) -> list[Problem]:
    """All that is not finished, told once: failures first; of stages that wait for another one, only that one."""
    seeds: dict[tuple[str, str, str, str], set[int]] = {}  # (status, stage, reason, row) -> seeds
    for setting, own in cells.items():
        for cell in own:
            for stage in cell.stages.values():
                if status_of(stage, records) != FINISHED:
                    culprit, status = _stopped_at(stage, records)
                    record = records.get(culprit.fingerprint)
                    told = (status, culprit.name, record.reason if record else "", setting)
                    seeds.setdefault(told, set()).add(cell.seed)
    for row in rows:
        for value in (value for entry in row.entries for value in entry.values):
            if value.status == FAILED and value.record is not None and value.record.status == FINISHED:
                name, _, reason = value.reason.partition(": ")  # the stage did its work, but not this
                seeds.setdefault((FAILED, name, reason, row.name), set()).add(value.seed)
    names: dict[tuple[str, str, str, tuple[int, ...]], list[str]] = {}
    for (status, name, reason, row_name), found in seeds.items():
        names.setdefault((status, name, reason, tuple(sorted(found))), []).append(row_name)
    problems = [
        Problem(status, name, reason, tuple(of_rows), of_seeds)
        for (status, name, reason, of_seeds), of_rows in names.items()
    ]
    return sorted(problems, key=lambda problem: _WORST_FIRST.index(problem.status))
