"""Study: a grid of settings and seeds, each cell a graph of stages; and its description as a gin file has it.

A stage is one call of an entry point (train, evaluate, ...) under gin files and bindings. Two stages with the same
name, configuration, seed and parents are the same stage, whatever cell or study they belong to: it runs once, in one
folder. `expand` turns a description into a study.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

TRAIN = "train"  # the kind of stage that makes a model; all other kinds look at one
# Settings on which it does not depend how long a training's step, or another stage, takes.
_NO_COST = {"SEED", "MODEL_DIR", "OUTPUT_DIR", "INITIAL_CHECKPOINT_PATH", "TRAIN_STEPS", "train_steps"}
_SETTING = re.compile(r"^([\w./]+) = .*(?:\n[ )}\]].*)*", re.MULTILINE)  # with the lines that continue it

HIGHER, LOWER = "higher", "lower"  # what is better
_HIGHER = ("accuracy", "f1", "recall", "precision", "auc", "bleu", "rouge")
_SHARES = ("accuracy", "f1", "recall", "precision")
_UNITS = {"nats_per_cell": "nats/cell", "bits_per_note": "bits/note", "bits_per_second": "bits/s", "loss": "nats/token"}

Bindings = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Stage:
    """One call of an entry point.

    Attributes:
        name: its name in the study.
        kind: the entry point, one of `registry.STAGES`.
        seed: bound to SEED if the gin files have that macro.
        parents: the stages whose folders it reads.
        files: gin files.
        bindings: gin bindings, applied after the files.
        macros: the macros that the gin files set.
        configuration: everything that gin sets by them, in a fixed form, with the names of the parents' folders. Stages
            with the same configuration do the same.
        tasks: the tasks and mixtures that it reads.
        steps: the number of steps of a stage that trains; 0 for others.
    """

    name: str
    kind: str
    seed: int
    parents: tuple[Stage, ...]
    files: tuple[str, ...] = ()
    bindings: tuple[str, ...] = ()
    macros: frozenset[str] = frozenset()
    configuration: str = ""
    tasks: tuple[str, ...] = ()
    steps: int = 0

    @functools.cached_property
    def fingerprint(self) -> str:
        """16 hexadecimal digits, the same for stages that do the same."""
        return _digest(self.kind, self.configuration, *(parent.fingerprint for parent in self.parents))

    @functools.cached_property
    def shape(self) -> str:
        """16 hexadecimal digits, the same for trainings whose steps take as long, and for other stages that do.

        Of a training, seed, folders and number of steps do not count, nor do its parents unless its architecture is
        theirs. What looks at a model takes as long as its parents have checkpoints of the same shape.
        """
        settings = [
            match[0]
            for match in _SETTING.finditer(self.configuration)
            if match[1] not in _NO_COST and match[1].rpartition(".")[2] not in _NO_COST
        ]
        parents: list[str] = []
        if self.kind != TRAIN:
            parents = [f"{parent.shape} {parent.steps}" for parent in self.parents]
        elif not any(setting.startswith("InitialModel.model = ") for setting in settings):
            parents = [parent.shape for parent in self.parents]
        return _digest(self.kind, *settings, *parents)

    @property
    def folder(self) -> str:
        """The name of the stage's folder."""
        return f"{_slug(self.name)}-{self.fingerprint}"

    def all(self) -> list[Stage]:
        """The stages it needs, parents first, and itself last."""
        ancestors = {stage: None for parent in self.parents for stage in parent.all()}
        return [*ancestors, self]


@dataclasses.dataclass(frozen=True)
class Cell:
    """One setting with one seed: its stages by name, in order, without those that the setting leaves out."""

    setting: str
    seed: int
    stages: Mapping[str, Stage]

    @property
    def name(self) -> str:
        """As `--cell` takes it."""
        return f"{self.setting}:{self.seed}"


@dataclasses.dataclass(frozen=True)
class Column:
    """A column of the table: one metric that one stage measures on one task.

    `better` is "higher" or "lower"; '' where the metric's name tells.
    """

    name: str
    stage: str
    task: str
    metric: str
    better: str = ""

    @property
    def higher_is_better(self) -> bool:
        """Whether a higher figure is a better one."""
        return self.better == HIGHER if self.better else any(word in self.metric for word in _HIGHER)

    @property
    def scale(self) -> float:
        """The factor by which a figure is multiplied for display: 100 for shares."""
        return 100.0 if any(word in self.metric for word in _SHARES) else 1.0

    @property
    def unit(self) -> str:
        """The unit of the displayed figure; '' for none."""
        if self.scale == 100.0:
            return "%"
        return next((unit for ending, unit in _UNITS.items() if self.metric.endswith(ending)), "")

    @property
    def heading(self) -> str:
        """The name, the unit (unless the name has it, as "bits per note") and an arrow towards better figures."""
        unit = f" ({self.unit})" if self.unit and " per " not in self.name else ""
        return f"{self.name}{unit} {'↑' if self.higher_is_better else '↓'}"


@dataclasses.dataclass(frozen=True)
class Axis:
    """A number in which the settings differ, for pictures of a metric against it.

    Attributes:
        name: what the number is.
        values: setting -> number.
        log: whether the picture's axis is logarithmic.
    """

    name: str
    values: Mapping[str, float]
    log: bool = False


@dataclasses.dataclass(frozen=True)
class Description:
    """A study as its gin file has it, under the name `study`; `{scale}` in its values stands for the scale.

    Attributes:
        name: the name of the study's folder.
        title: one line.
        stages: stage -> {kind: gin files, "after": the stage or stages whose model it reads, gin name: value}. The kind
            is "train", "evaluate" or another of `registry.STAGES`. Text with an @ or a %, such as "@Proportional()", is
            read as a gin value. {"seed_offset": n} adds n to the cell's seed, {"gin_files": files} adds gin files.
        settings: row of the table -> {stage: changes of the stage}. None in place of the changes leaves the stage out;
            its children then come after its parents. A new name adds a stage. A name with a * stands for all stages
            that match it, "*" alone for all stages that train. If a pattern leaves a stage out, other patterns do not
            bring it back, but changes under the stage's exact name do; they also win over those of patterns.
        shared: changes of `stages` that apply to every setting, before its own; same form as a setting.
        columns: column of the table -> "stage/task/metric".
        better: column -> "higher" or "lower", for metrics of whose names t5music does not know it; without an entry a
            lower figure is better unless the metric is called accuracy, f1, recall, precision, auc, bleu or rouge.
        seeds: the seeds of every setting.
        baseline: the setting that others are compared with, unless there are controls; the first one if None.
        baseline_seeds: further seeds of the baseline, for a deviation by which rows are compared.
        controls: settings that others are compared with: in each column the best of them, whichever that is.
        chosen: row -> settings among which validation chooses, in each column the best; the row has the test figure of
            that one. Its stages evaluate with `checkpoint = "best_for_task"`, which tells validation figures.
        scale: "small", "medium" or "paper": which gin files the stages read.
        references: row -> {column: "stage/task/metric"}, figures in the baseline's results such as the majority class's
            accuracy.
        literature: row -> {column: figure as published, shares in per cent}.
        axis: {"name": ..., "values": {setting: number}, "log": True}; the last is optional.
        selection: the settings that run, the most valuable first, the baseline among them; () takes all, first the
            baseline, then the controls, then the others as they stand. Fields that name further settings ignore those.
    """

    name: str
    title: str
    stages: Mapping[str, Bindings]
    settings: Mapping[str, Mapping[str, Bindings | None]]
    columns: Mapping[str, str]
    shared: Mapping[str, Bindings | None] = dataclasses.field(default_factory=dict)
    better: Mapping[str, str] = dataclasses.field(default_factory=dict)
    seeds: Sequence[int] = (0, 1, 2)
    baseline: str | None = None
    baseline_seeds: Sequence[int] = ()
    controls: Sequence[str] = ()
    chosen: Mapping[str, Sequence[str]] = dataclasses.field(default_factory=dict)
    scale: str = "small"
    references: Mapping[str, Mapping[str, str]] = dataclasses.field(default_factory=dict)
    literature: Mapping[str, Mapping[str, float]] = dataclasses.field(default_factory=dict)
    axis: Bindings | None = None
    selection: Sequence[str] = ()


@dataclasses.dataclass(frozen=True)
class Study:
    """A study with every stage of every cell.

    Attributes:
        name: see `Description`; at another scale than "small" the scale is appended.
        title: see `Description`.
        seeds: the seeds of every setting.
        baseline: see `Description`.
        settings: the rows of the table, in order.
        cells: one for each setting and seed, the most valuable first: all cells of a seed come together, in the order
            of the description's `selection`.
        columns: the columns of the table.
        references: row -> column -> "stage/task/metric" of the baseline's results.
        literature: row -> column -> published figure.
        axis: the number in which the settings differ; None if there is none.
        controls: see `Description`.
        chosen: see `Description`.
    """

    name: str
    title: str
    seeds: tuple[int, ...]
    baseline: str
    settings: tuple[str, ...]
    cells: tuple[Cell, ...]
    columns: tuple[Column, ...]
    references: Mapping[str, Mapping[str, str]]
    literature: Mapping[str, Mapping[str, float]]
    axis: Axis | None
    controls: tuple[str, ...] = ()
    chosen: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)

    def stages(self) -> list[Stage]:
        """Every stage once, parents before children, in the order of the cells."""
        return list(
            dict.fromkeys(need for cell in self.cells for stage in cell.stages.values() for need in stage.all())
        )


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def _slug(name: str) -> str:
    return "".join(letter if letter.isalnum() else "_" for letter in name.lower()).strip("_") or "stage"
