"""What a study is: settings times seeds, each a graph of stages, as a gin file describes it.

A stage is one call of an entry point (train, evaluate, ...) under gin files and bindings. Two stages of the same name,
configuration, seed and parents are the same stage, whatever cell or study asks for them: it runs once, in a folder of
its own.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from collections.abc import Collection, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from t5music.configuration import gin_files
from t5music.errors import ConfigError, nearest

ANY = "*"  # in the name of a stage: whatever is there; alone: every stage that trains
TRAIN = "train"  # the kind of stage that makes a model; all others look at one
SEED, MODEL_DIR, INITIAL, OUTPUT_DIR = "SEED", "MODEL_DIR", "INITIAL_CHECKPOINT_PATH", "OUTPUT_DIR"
_OWN = ("after", "gin_files", "seed_offset")  # what a stage's description says beside its kind

_HIGHER = ("accuracy", "f1", "recall", "precision", "auc", "bleu", "rouge")
_SHARES = ("accuracy", "f1", "recall", "precision")
_UNITS = {"bits_per_note": "bits/note", "bits_per_second": "bits/s", "loss": "nats/token"}

Bindings = Mapping[str, Any]
Changes = Sequence[tuple[str, Bindings | None]]  # of stages, in the order they are made


@dataclasses.dataclass(frozen=True)
class Stage:
    """One call of an entry point.

    Attributes:
        name: its name in the study.
        kind: the entry point, one of `registry.STAGES`.
        seed: bound to SEED where the gin files have that macro.
        parents: the stages whose folders it reads.
        files: gin files.
        bindings: gin bindings after them.
        macros: those that the gin files have.
        configuration: what gin makes of these, with the parents' names for folders; it decides what the stage is.
    """

    name: str
    kind: str
    seed: int
    parents: tuple[Stage, ...]
    files: tuple[str, ...] = ()
    bindings: tuple[str, ...] = ()
    macros: frozenset[str] = frozenset()
    configuration: str = ""

    @functools.cached_property
    def fingerprint(self) -> str:
        """Hexadecimal; the same for stages that do the same."""
        parts = (self.kind, self.configuration, *(parent.fingerprint for parent in self.parents))
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]

    @property
    def folder(self) -> str:
        """The name of the folder in which it is kept."""
        return f"{_slug(self.name)}-{self.fingerprint}"

    def all(self) -> list[Stage]:
        """The stages it needs, parents first, and itself."""
        found = {stage: None for parent in self.parents for stage in parent.all()}
        return [*found, self]


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
    """A column of the table: one metric of what one stage found for one task."""

    name: str
    stage: str
    task: str
    metric: str

    @property
    def higher_is_better(self) -> bool:
        """Whether the metric is one that grows as models get better."""
        return any(word in self.metric for word in _HIGHER)

    @property
    def scale(self) -> float:
        """What a figure is multiplied by to be shown: 100 for shares."""
        return 100.0 if any(word in self.metric for word in _SHARES) else 1.0

    @property
    def unit(self) -> str:
        """The unit it is shown in; '' for none."""
        if self.scale == 100.0:
            return "%"
        return next((unit for ending, unit in _UNITS.items() if self.metric.endswith(ending)), "")

    @property
    def heading(self) -> str:
        """Its name, the unit unless the name says it ("bits per note"), and an arrow to where it gets better."""
        unit = f" ({self.unit})" if self.unit and " per " not in self.name else ""
        return f"{self.name}{unit} {'↑' if self.higher_is_better else '↓'}"


@dataclasses.dataclass(frozen=True)
class Axis:
    """What settings differ in, as a number: for pictures of a metric against it."""

    name: str
    values: Mapping[str, float]
    log: bool = False


@dataclasses.dataclass(frozen=True)
class Description:
    """A study as its gin file has it, under the name `study`; `{scale}` in its values stands for the scale.

    Attributes:
        name: of the study's folder.
        title: one line.
        stages: stage -> {kind: gin files, "after": the stage or stages whose model it reads, gin name: value}; the kind
            is "train", "evaluate" or another of `registry.STAGES`. A value is gin's where it is text with an @ or a %,
            as "@Proportional()". {"seed_offset": n} adds n to the cell's seed, {"gin_files": files} adds files.
        settings: row of the table -> {stage: what differs}. A stage that is None is left out, and what comes after it
            comes after what was before it. A stage of a new name is one more. A name with a * stands for all stages
            that it fits, "*" alone for all that train. One of these that is None leaves a stage out, whatever others
            say; what is said of a stage by its own name wins.
        shared: what every setting says first: {stage: what differs from `stages`}, read as a setting's.
        columns: column of the table -> "stage/task/metric".
        seeds: of every setting.
        more_seeds: setting -> further seeds.
        baseline: the setting that others are compared with; the first one if None.
        scale: "small" or "paper": which gin files the stages read.
        references: row -> {column: "stage/task/metric"} of the baseline's results, as majority accuracies.
        literature: row -> {column: figure as published, shares in per cent}.
        axis: {"name": ..., "values": {setting: number}, "log": True}.
    """

    name: str
    title: str
    stages: Mapping[str, Bindings]
    settings: Mapping[str, Mapping[str, Bindings | None]]
    columns: Mapping[str, str]
    shared: Mapping[str, Bindings | None] = dataclasses.field(default_factory=dict)
    seeds: Sequence[int] = (0, 1, 2)
    more_seeds: Mapping[str, Sequence[int]] = dataclasses.field(default_factory=dict)
    baseline: str | None = None
    scale: str = "small"
    references: Mapping[str, Mapping[str, str]] = dataclasses.field(default_factory=dict)
    literature: Mapping[str, Mapping[str, float]] = dataclasses.field(default_factory=dict)
    axis: Bindings | None = None


@dataclasses.dataclass(frozen=True)
class Study:
    """A study spelt out.

    Attributes:
        name, title, baseline: see `Description`.
        seeds: those of every setting.
        settings: the rows of the table, in order.
        cells: settings times seeds; all of one seed come together.
        columns: the columns of the table.
        references: row -> column -> "stage/task/metric", figures that come with the baseline's results.
        literature: row -> column -> a published figure.
        axis: what the settings differ in, if it is a number.
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

    def stages(self) -> list[Stage]:
        """Every stage once, parents before children, in the order of the cells."""
        return list(
            dict.fromkeys(need for cell in self.cells for stage in cell.stages.values() for need in stage.all())
        )


def expand(description: Description, kinds: Collection[str], search_paths: Sequence[str] = ()) -> Study:
    """Spells a study out: every stage of every cell with its configuration.

    Args:
        description: of the study.
        kinds: of the stages there are.
        search_paths: where gin files are looked for first.

    Raises:
        ConfigError: a stage, setting, column or kind that is not there (with the nearest one), a chain in a circle, or
            gin files and bindings that gin refuses.
    """
    told = _scaled(vars(description), description.scale)
    settings: dict[str, Any] = told["settings"]
    if not settings or not told["seeds"]:
        raise ConfigError(f"study {told['name']!r} needs at least one setting and one seed")
    if told["baseline"] is None:
        told["baseline"] = next(iter(settings))
    for field, names in (("baseline", [told["baseline"]]), ("more_seeds", told["more_seeds"])):
        for name in names:
            if name not in settings:
                raise ConfigError(f"study.{field} names {name!r}, which is no setting{nearest(name, settings)}")
    axis = told["axis"]
    if axis is not None and (unknown := set(axis["values"]) - set(settings)):
        name = sorted(unknown)[0]
        raise ConfigError(f"study.axis names {name!r}, which is no setting{nearest(name, settings)}")

    maker = _Maker(told["stages"], kinds, search_paths)
    seeds = {setting: (*told["seeds"], *told["more_seeds"].get(setting, ())) for setting in settings}
    every_seed = sorted({seed for own in seeds.values() for seed in own})
    cells = [
        Cell(setting, seed, maker.stages(setting, [*told["shared"].items(), *settings[setting].items()], seed))
        for seed in every_seed
        for setting in settings
        if seed in seeds[setting]
    ]
    columns = tuple(_column(name, place) for name, place in told["columns"].items())
    known = {name for cell in cells for name in cell.stages}
    for column in columns:
        if column.stage not in known:
            raise ConfigError(
                f"study.columns: {column.name!r} is of stage {column.stage!r}{nearest(column.stage, known)}"
            )
    for field in ("references", "literature"):
        for row, figures in told[field].items():
            for name in figures:
                if name not in told["columns"]:
                    raise ConfigError(f"study.{field}: {row!r} has a figure for {name!r}, which is no column")
    return Study(
        name=told["name"] if told["scale"] == "small" else f"{told['name']}_{told['scale']}",
        title=told["title"],
        seeds=tuple(told["seeds"]),
        baseline=told["baseline"],
        settings=tuple(settings),
        cells=tuple(cells),
        columns=columns,
        references=told["references"],
        literature=told["literature"],
        axis=None if axis is None else Axis(axis["name"], dict(axis["values"]), bool(axis.get("log", False))),
    )


class _Maker:
    """Makes the stages of cells; gin reads each configuration once."""

    def __init__(self, stages: Mapping[str, Bindings], kinds: Collection[str], search_paths: Sequence[str]) -> None:
        self._stages, self._kinds, self._search_paths = stages, kinds, search_paths
        self._macros: dict[tuple[str, ...], frozenset[str]] = {}
        self._read: dict[tuple[tuple[str, ...], tuple[str, ...]], str] = {}

    def stages(self, setting: str, changes: Changes, seed: int) -> dict[str, Stage]:
        where = f"setting {setting!r}"
        specs = {name: dict(spec) for name, spec in self._stages.items()}
        for name, change in changes:
            if ANY not in name and name not in specs:
                if change is None or not set(self._kinds) & set(change):
                    raise ConfigError(f"{where}: no stage {name!r}{nearest(name, specs)}")
                specs[name] = {}
        own = {name: self._change(name, specs[name], changes) for name in specs}
        for name, _ in changes:
            if ANY in name and not any(fnmatchcase(each, name) for each in specs):
                raise ConfigError(f"{where}: no stage is called like {name!r}{nearest(name, specs)}")
        made: dict[str, tuple[Stage, ...]] = {}  # the stage, or those that stand for one that is left out

        def make(name: str, children: tuple[str, ...]) -> tuple[Stage, ...]:
            if name in children:
                raise ConfigError(f"{where}: {' after '.join((*children, name))} is a circle")
            if name not in specs:
                raise ConfigError(
                    f"{where}: {children[-1]!r} comes after {name!r}, which is no stage{nearest(name, specs)}"
                )
            if name not in made:
                change = own[name]
                told = {**specs[name], **(change or {})}
                after = told.get("after", ())
                before = (after,) if isinstance(after, str) else tuple(after)
                parents = tuple(stage for parent in before for stage in make(parent, (*children, name)))
                made[name] = parents if change is None else self._stage(name, told, parents, seed)
            return made[name]

        for name in specs:
            make(name, ())
        return {name: found[0] for name, found in made.items() if own[name] is not None and found}

    def _change(self, name: str, spec: Bindings, changes: Changes) -> Bindings | None:
        """What a setting changes of a stage, by names with a * that fit it and then by its own; None leaves it out."""
        own = [change for key, change in changes if key == name]
        trains = any(TRAIN in told for told in (spec, *own) if told)
        fitting = [
            change for key, change in changes if ANY in key and (trains if key == ANY else fnmatchcase(name, key))
        ]
        if None in (own[-1:] or fitting):
            return None
        told: dict[str, Any] = {}
        for change in filter(None, [*fitting, *own]):
            files = [*told.get("gin_files", ()), *change.get("gin_files", ())]
            told |= {**change, **({"gin_files": files} if files else {})}
        return told

    def _stage(self, name: str, told: Bindings, parents: tuple[Stage, ...], seed: int) -> tuple[Stage, ...]:
        """The stage; none where it would look at a model and there is no model."""
        kind = next((kind for kind in told if kind in self._kinds), None)
        if kind is None:
            raise ConfigError(f"stage {name!r} has none of the kinds {', '.join(self._kinds)}: {dict(told)}")
        for parent in parents:
            if parent.kind != TRAIN:
                raise ConfigError(f"stage {name!r} comes after {parent.name!r}, which makes no model")
        if kind != TRAIN and not parents:
            return ()
        if kind == TRAIN and len(parents) > 1:
            raise ConfigError(f"stage {name!r} trains and so comes after one stage, not after {len(parents)}")
        seed += told.get("seed_offset", 0)
        files = (*told[kind], *told.get("gin_files", ()))
        bindings = tuple(
            gin_files.binding(key, value if isinstance(value, str) else repr(value))
            for key, value in told.items()
            if key not in _OWN and key not in self._kinds
        )
        folders = [parent.folder for parent in parents]
        macros = self._macros_of(files)
        own = places(kind, seed, folders, "", macros)
        configuration = self._configuration(files, (*own, *bindings))
        return (Stage(name, kind, seed, parents, files, bindings, macros, configuration),)

    def _macros_of(self, files: tuple[str, ...]) -> frozenset[str]:
        if files not in self._macros:
            self._macros[files] = frozenset(gin_files.macros(files, self._search_paths))
        return self._macros[files]

    def _configuration(self, files: tuple[str, ...], bindings: tuple[str, ...]) -> str:
        if (files, bindings) not in self._read:
            gin_files.configure(files, bindings, self._search_paths)
            self._read[files, bindings] = gin_files.as_set()
        return self._read[files, bindings]


def places(kind: str, seed: int, parents: Sequence[str], own: str, macros: Collection[str]) -> tuple[str, ...]:
    """The bindings that say where a stage reads and writes, and its seed; of the macros that its gin files have.

    Args:
        kind: of the stage.
        seed: the seed.
        parents: folders of the stages it comes after.
        own: its own folder.
        macros: those of its gin files.
    """
    models = parents[0] if len(parents) == 1 else list(parents)
    found: dict[str, Any] = {SEED: seed, MODEL_DIR: own if kind == TRAIN else models, OUTPUT_DIR: own}
    if kind == TRAIN and parents:
        if INITIAL not in macros:
            raise ConfigError(
                f"a stage that trains from another one's weights needs gin files with the macro {INITIAL}"
            )
        found[INITIAL] = parents[0]
    return tuple(f"{name} = {value!r}" for name, value in found.items() if name in macros)


def _column(name: str, place: str) -> Column:
    stage, _, rest = place.partition("/")
    task, _, metric = rest.partition("/")
    if not metric:
        raise ConfigError(f'study.columns: {name!r} is {place!r}; write "stage/task/metric"')
    return Column(name, stage, task, metric)


def _scaled(value: Any, scale: str) -> Any:
    if isinstance(value, str):
        return value.replace("{scale}", scale)
    if isinstance(value, Mapping):
        return {_scaled(key, scale): _scaled(item, scale) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_scaled(item, scale) for item in value)
    return value


def _slug(name: str) -> str:
    return "".join(letter if letter.isalnum() else "_" for letter in name.lower()).strip("_") or "stage"
