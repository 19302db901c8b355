"""Expand: from a study's description to every stage of every cell, each with its configuration."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from t5music.configuration import gin_files
from t5music.errors import ConfigError, nearest
from t5music.studies.grid import HIGHER, LOWER, TRAIN, Axis, Bindings, Cell, Column, Description, Stage, Study

ANY = "*"  # in the name of a stage: any letters; alone: every stage that trains
_FOLDER = "FOLDER"  # of a stage while gin is read: its folder is named after what was read
SEED, MODEL_DIR, INITIAL, OUTPUT_DIR = "SEED", "MODEL_DIR", "INITIAL_CHECKPOINT_PATH", "OUTPUT_DIR"
_NOT_GIN = ("after", "gin_files", "seed_offset")  # keys of a stage that are no gin names, beside its kind
_READ = ("mixture_or_task_name", "task", "tasks")  # parameters of stages that name tasks and mixtures

Changes = Sequence[tuple[str, Bindings | None]]  # (name or pattern of a stage, changes), in the order they apply


def expand(description: Description, kinds: Collection[str], search_paths: Sequence[str] = ()) -> Study:
    """Turns a description into a study: every stage of every cell with its configuration.

    Args:
        description: the study's description.
        kinds: the kinds of stages that exist.
        search_paths: where gin files are looked for first.

    Raises:
        ConfigError: a stage, setting, column or kind that does not exist (with the nearest name), a chain of stages in
            a circle, or gin files and bindings that gin refuses.
    """
    fields = _with_scale(vars(description), description.scale)
    _check_settings(fields)
    maker = _StageMaker(fields["stages"], kinds, search_paths)
    baseline = next(iter(fields["settings"])) if fields["baseline"] is None else fields["baseline"]
    order = tuple(dict.fromkeys(fields["selection"] or (baseline, *fields["controls"], *fields["settings"])))
    if baseline not in order:
        raise ConfigError(f"study.selection leaves out the baseline, {baseline!r}: name it, too")
    settings = {name: change for name, change in fields["settings"].items() if name in order}
    seeds = dict.fromkeys(settings, tuple(fields["seeds"]))
    seeds[baseline] = tuple(dict.fromkeys((*fields["seeds"], *fields["baseline_seeds"])))
    cells = [
        Cell(setting, seed, maker.stages(setting, [*fields["shared"].items(), *settings[setting].items()], seed))
        for seed in sorted({seed for setting_seeds in seeds.values() for seed in setting_seeds})
        for setting in order
        if seed in seeds[setting]
    ]
    columns = tuple(_column(name, place, fields["better"].get(name, "")) for name, place in fields["columns"].items())
    _check_columns(fields, columns, {name for cell in cells for name in cell.stages})
    axis = fields["axis"]
    return Study(
        name=fields["name"] if fields["scale"] == "small" else f"{fields['name']}_{fields['scale']}",
        title=fields["title"],
        seeds=tuple(fields["seeds"]),
        baseline=baseline,
        settings=tuple(settings),
        cells=tuple(cells),
        columns=columns,
        references=fields["references"],
        literature=fields["literature"],
        axis=None if axis is None else Axis(axis["name"], _of(settings, axis["values"]), bool(axis.get("log", False))),
        controls=tuple(name for name in fields["controls"] if name in settings),
        chosen={
            row: tuple(name for name in choices if name in settings)
            for row, choices in fields["chosen"].items()
            if set(choices) & set(settings)
        },
    )


def _of(settings: Collection[str], values: Mapping[str, float]) -> dict[str, float]:
    """The values of these settings alone."""
    return {name: value for name, value in values.items() if name in settings}


def _check_settings(fields: Mapping[str, Any]) -> None:
    """Refuses a study without settings or seeds, and fields that name a setting that does not exist."""
    settings = fields["settings"]
    if not settings or not fields["seeds"]:
        raise ConfigError(f"study {fields['name']!r} needs at least one setting and one seed")
    baseline = [] if fields["baseline"] is None else [fields["baseline"]]
    on_axis = [] if fields["axis"] is None else sorted(fields["axis"]["values"])
    chosen = [setting for choices in fields["chosen"].values() for setting in choices]
    for field, names in (
        ("baseline", baseline),
        ("controls", fields["controls"]),
        ("chosen", chosen),
        ("axis", on_axis),
        ("selection", fields["selection"]),
    ):
        for name in names:
            if name not in settings:
                raise ConfigError(f"study.{field} names {name!r}, which is no setting{nearest(name, settings)}")


def _check_columns(fields: Mapping[str, Any], columns: Sequence[Column], stages: Collection[str]) -> None:
    """Refuses a column whose stage is in no cell, and a figure of a column that does not exist."""
    for column in columns:
        if column.stage not in stages:
            raise ConfigError(
                f"study.columns: {column.name!r} is of stage {column.stage!r}{nearest(column.stage, stages)}"
            )
    for name, better in fields["better"].items():
        if name not in fields["columns"]:
            raise ConfigError(f"study.better names {name!r}, which is no column{nearest(name, fields['columns'])}")
        if better not in (HIGHER, LOWER):
            raise ConfigError(f"study.better: {name!r} must be {HIGHER!r} or {LOWER!r}, not {better!r}")
    for field in ("references", "literature"):
        for row, figures in fields[field].items():
            for name in figures:
                if name not in fields["columns"]:
                    raise ConfigError(f"study.{field}: {row!r} has a figure for {name!r}, which is no column")


def _column(name: str, place: str, better: str) -> Column:
    stage, _, rest = place.partition("/")
    task, _, metric = rest.partition("/")
    if not metric:
        raise ConfigError(f'study.columns: {name!r} is {place!r}; write "stage/task/metric"')
    return Column(name, stage, task, metric, better)


def _with_scale(value: Any, scale: str) -> Any:
    """A value with the scale in place of every "{scale}" in it."""
    if isinstance(value, str):
        return value.replace("{scale}", scale)
    if isinstance(value, Mapping):
        return {_with_scale(key, scale): _with_scale(item, scale) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_with_scale(item, scale) for item in value)
    return value


# ------------------------------------------------------------------------------------------------ the stages of a cell


class _StageMaker:
    """Makes the stages of cells; gin reads each configuration once."""

    def __init__(self, specs: Mapping[str, Bindings], kinds: Collection[str], search_paths: Sequence[str]) -> None:
        self._specs, self._kinds, self._search_paths = specs, kinds, search_paths
        self._macros: dict[tuple[str, ...], frozenset[str]] = {}
        self._configurations: dict[tuple[tuple[str, ...], tuple[str, ...]], tuple[str, tuple[str, ...], int]] = {}

    def stages(self, setting: str, changes: Changes, seed: int) -> dict[str, Stage]:
        """The stages of a cell by name, without those that the setting leaves out."""
        where = f"setting {setting!r}"
        specs = self._with_new_stages(where, changes)
        effective = {name: self._change(name, spec, changes) for name, spec in specs.items()}
        stages: dict[str, tuple[Stage, ...]] = {}  # the stage, or those that stand for one that is left out

        def make(name: str, children: tuple[str, ...]) -> tuple[Stage, ...]:
            if name in children:
                raise ConfigError(f"{where}: {' after '.join((*children, name))} is a circle")
            if name not in specs:
                raise ConfigError(
                    f"{where}: {children[-1]!r} comes after {name!r}, which is no stage{nearest(name, specs)}"
                )
            if name not in stages:
                change = effective[name]
                spec = {**specs[name], **(change or {})}
                after = spec.get("after", ())
                names = (after,) if isinstance(after, str) else tuple(after)
                parents = tuple(stage for parent in names for stage in make(parent, (*children, name)))
                stages[name] = parents if change is None else self._stage(name, spec, parents, seed)
            return stages[name]

        for name in specs:
            make(name, ())
        return {name: stage[0] for name, stage in stages.items() if effective[name] is not None and stage}

    def _with_new_stages(self, where: str, changes: Changes) -> dict[str, Bindings]:
        """The study's stages and those that the changes add; refuses names and patterns of no stage."""
        specs = dict(self._specs)
        for name, change in changes:
            if ANY not in name and name not in specs:
                if change is None or not set(self._kinds) & set(change):
                    raise ConfigError(f"{where}: no stage {name!r}{nearest(name, specs)}")
                specs[name] = {}
        for pattern, _ in changes:
            if ANY in pattern and not any(fnmatchcase(name, pattern) for name in specs):
                raise ConfigError(f"{where}: no stage is called like {pattern!r}{nearest(pattern, specs)}")
        return specs

    def _change(self, name: str, spec: Bindings, changes: Changes) -> Bindings | None:
        """What changes of a stage, by the patterns that match it and then by its exact name; None leaves it out."""
        exact = [change for key, change in changes if key == name]
        trains = any(TRAIN in bindings for bindings in (spec, *exact) if bindings)
        matching = [
            change for key, change in changes if ANY in key and (trains if key == ANY else fnmatchcase(name, key))
        ]
        if None in (exact[-1:] or matching):
            return None
        merged: dict[str, Any] = {}
        for change in filter(None, [*matching, *exact]):
            files = [*merged.get("gin_files", ()), *change.get("gin_files", ())]
            merged |= {**change, **({"gin_files": files} if files else {})}
        return merged

    def _stage(self, name: str, spec: Bindings, parents: tuple[Stage, ...], seed: int) -> tuple[Stage, ...]:
        """The stage; () where it would look at a model and there is none."""
        kind = next((kind for kind in spec if kind in self._kinds), None)
        if kind is None:
            raise ConfigError(f"stage {name!r} has none of the kinds {', '.join(self._kinds)}: {dict(spec)}")
        for parent in parents:
            if parent.kind != TRAIN:
                raise ConfigError(f"stage {name!r} comes after {parent.name!r}, which makes no model")
        if kind != TRAIN and not parents:
            return ()
        if kind == TRAIN and len(parents) > 1:
            raise ConfigError(f"stage {name!r} trains and so comes after one stage, not after {len(parents)}")
        seed += spec.get("seed_offset", 0)
        files = (*spec[kind], *spec.get("gin_files", ()))
        bindings = tuple(
            gin_files.binding(key, value if isinstance(value, str) else repr(value))
            for key, value in spec.items()
            if key not in _NOT_GIN and key not in self._kinds
        )
        macros = self._macros_of(files)
        place = place_bindings(kind, seed, [parent.folder for parent in parents], _FOLDER, macros)
        configuration, tasks, steps = self._configuration(files, (*place, *bindings))
        return (Stage(name, kind, seed, parents, files, bindings, macros, configuration, tasks, steps),)

    def _macros_of(self, files: tuple[str, ...]) -> frozenset[str]:
        if files not in self._macros:
            self._macros[files] = frozenset(gin_files.macros(files, self._search_paths))
        return self._macros[files]

    def _configuration(self, files: tuple[str, ...], bindings: tuple[str, ...]) -> tuple[str, tuple[str, ...], int]:
        """What gin sets by files and bindings, and the tasks and mixtures and the number of steps among it."""
        if (files, bindings) not in self._configurations:
            gin_files.configure(files, bindings, self._search_paths)
            values = gin_files.values(*_READ)
            tasks = [name for value in values for name in ([value] if isinstance(value, str) else value)]
            steps = max(gin_files.values("train_steps"), default=0)
            self._configurations[files, bindings] = gin_files.as_set(), tuple(dict.fromkeys(tasks)), steps
        return self._configurations[files, bindings]


def place_bindings(
    kind: str, seed: int, parents: Sequence[str], folder: str, macros: Collection[str]
) -> tuple[str, ...]:
    """The gin bindings of a stage's seed and of the folders that it reads and writes.

    Args:
        kind: the stage's kind.
        seed: the seed.
        parents: the folders of the stages that it comes after.
        folder: the stage's folder.
        macros: the macros of its gin files; others are not bound.

    Raises:
        ConfigError: a stage that trains from another stage's weights, whose gin files have no macro for them.
    """
    models = parents[0] if len(parents) == 1 else list(parents)
    values: dict[str, Any] = {SEED: seed, MODEL_DIR: folder if kind == TRAIN else models, OUTPUT_DIR: folder}
    if kind == TRAIN and parents:
        if INITIAL not in macros:
            raise ConfigError(
                f"a stage that trains from another one's weights needs gin files with the macro {INITIAL}"
            )
        values[INITIAL] = parents[0]
    return tuple(f"{name} = {value!r}" for name, value in values.items() if name in macros)
