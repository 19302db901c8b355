"""Summary: a study's figures as one object, from which the table, the CSV files, the pictures and the page are made.

Because all of them read the same `Summary`, they agree. `summarise` computes it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from t5music.studies.grid import Cell, Column, Stage, Study
from t5music.studies.report import statistics
from t5music.studies.stage_folders import Record

FINISHED, FAILED, RUNNING, MISSING, LEFT_OUT = "finished", "failed", "running", "missing", "left out"
WORST_FIRST = (FAILED, RUNNING, MISSING, LEFT_OUT, FINISHED)
SETTING, CHOSEN, REFERENCE, LITERATURE = "setting", "chosen", "reference", "literature"  # kinds of rows

Records = Mapping[str, Record]  # fingerprint of a stage -> what its folder says


@dataclasses.dataclass(frozen=True)
class Value:
    """The result of one seed of a row in one column.

    Attributes:
        seed: the cell's seed.
        stage: the stage that measured it; None where the setting leaves that stage out.
        record: the record of that stage's folder.
        value: as in the stage's results (shares up to 1); None where there is none.
        status: "finished", "failed", "running", "missing" or "left out"; where the stage waits for an earlier one, the
            status of that one.
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
        deviation: sample standard deviation over them; None of fewer than two.
        best: whether the row has the best mean of the settings (`statistics.best`).
        bold: whether it is printed in bold (`statistics.bold`).
        rival: the setting it is compared with: the best control of the column, or else the baseline; '' for that itself
            and for controls.
        difference: mean of row minus rival over the seeds that both have; None without any.
        interval: of that difference, by bootstrap; None where there is nothing to resample.
        choice: in a row that validation chose, the setting whose figures these are.
        p: p value of the paired t-test over those seeds; None where there is no test.
        corrected: the p value after Holm's correction over the settings of the column.
    """

    column: Column
    values: tuple[Value, ...] = ()
    mean: float | None = None
    deviation: float | None = None
    best: bool = False
    bold: bool = False
    rival: str = ""
    difference: float | None = None
    interval: statistics.Interval | None = None
    choice: str = ""
    p: float | None = None
    corrected: float | None = None

    @property
    def finished(self) -> dict[int, float]:
        """Seed -> value."""
        return {value.seed: value.value for value in self.values if value.value is not None}

    @property
    def status(self) -> str:
        """ "finished" only where every seed is finished; otherwise the worst status of a seed."""
        if not self.values:
            return FINISHED if self.mean is not None else LEFT_OUT
        return min((value.status for value in self.values), key=WORST_FIRST.index)

    @property
    def verdict(self) -> str:
        """'+' if significantly better than its rival, '-' if significantly worse, '' if neither."""
        if self.corrected is None or self.difference is None or self.corrected >= statistics.SIGNIFICANT:
            return ""
        return "+" if (self.difference > 0) == self.column.higher_is_better else "-"


@dataclasses.dataclass(frozen=True)
class Cost:
    """The cost of some stages, each counted once.

    Attributes:
        stages: number of stages.
        finished: number of those that are finished.
        positions: tokens seen in training.
        flops: floating point operations of training.
        seconds: time that the stages took.
    """

    stages: int
    finished: int
    positions: float
    flops: float
    seconds: float


@dataclasses.dataclass(frozen=True)
class Row:
    """A row of the table; `cost` counts all its stages, also those shared with other rows."""

    name: str
    kind: str
    entries: tuple[Entry, ...]
    cost: Cost | None = None


@dataclasses.dataclass(frozen=True)
class Problem:
    """A stage that is not finished: its status, its name, why, and in which rows and seeds."""

    status: str
    stage: str
    reason: str
    rows: tuple[str, ...]
    seeds: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Size:
    """How much a test set holds.

    Attributes:
        examples: number of examples.
        notes: number of notes that are labelled; None where it is not notes that are.
        error: the standard error of the baseline's share of right answers that comes of so few examples alone; None of
            other figures.
    """

    examples: int
    notes: int | None = None
    error: float | None = None


@dataclasses.dataclass(frozen=True)
class Summary:
    """A study and its figures.

    Attributes:
        study: the study.
        records: of its stages.
        rows: the settings, then what validation chose of them, then the references, then the literature.
        problems: what is not finished.
        cost: of the whole study.
        sizes: of each column, how much the test set holds; None where nothing was tested.
    """

    study: Study
    records: Records
    rows: tuple[Row, ...]
    problems: tuple[Problem, ...]
    cost: Cost
    sizes: tuple[Size | None, ...] = ()

    @property
    def settings(self) -> tuple[Row, ...]:
        """The rows that are settings."""
        return tuple(row for row in self.rows if row.kind == SETTING)


def cells_of(study: Study, setting: str) -> list[Cell]:
    """The cells of a setting in the order of their seeds."""
    return sorted((cell for cell in study.cells if cell.setting == setting), key=lambda cell: cell.seed)


def stages_in_order(study: Study) -> list[Stage]:
    """Every stage once, by setting and then seed, parents first; the order of the study's cells does not matter."""
    cells = [cell for setting in study.settings for cell in cells_of(study, setting)]
    stages = [need for cell in cells for stage in cell.stages.values() for need in stage.all()]
    return list({stage.fingerprint: stage for stage in reversed(stages)}.values())[::-1]


def status_of(stage: Stage, records: Records) -> str:
    """The status in a stage's record; "missing" without one."""
    record = records.get(stage.fingerprint)
    return MISSING if record is None else record.status


def stage_folder(stage: Stage, records: Records) -> str:
    """The name of the folder that holds a stage, without its path, which differs from machine to machine."""
    record = records.get(stage.fingerprint)
    return stage.folder if record is None else record.folder.name
