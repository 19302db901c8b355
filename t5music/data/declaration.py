"""Declarations: tasks and mixtures by name, in a form that knows neither seqio nor TensorFlow.

`t5music/tasks/` declares those of the catalogue and those of one's own folders. `seqio_bridge` registers all of them
with seqio where that is installed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from t5music.data import answer_metrics
from t5music.data.examples import Examples
from t5music.data.mixing_rates import Rate
from t5music.data.objectives import Objective
from t5music.errors import ConfigError, DataError, nearest


@dataclass(frozen=True)
class Declaration:
    """A task as it is declared with `add_task`.

    Attributes:
        name: the task's name in seqio, on the command line and of its token store.
        corpora: names of corpora, read one after the other.
        examples: what is made of each piece, once.
        objectives: the steps applied to an example at every visit, in order.
        metrics: names of the functions of `data.answer_metrics` that judge answers.
        apart_from: names of corpora whose held-out pieces, and near-duplicates of them, are left out of training.
    """

    name: str
    corpora: tuple[str, ...]
    examples: Examples
    objectives: tuple[Objective, ...]
    metrics: tuple[str, ...]
    apart_from: tuple[str, ...] = ()


@dataclass(frozen=True)
class MixtureDeclaration:
    """A mixture as it is declared with `add_mixture`.

    Attributes:
        name: the mixture's name in seqio and on the command line.
        rates: the rate of each task, by its name.
    """

    name: str
    rates: Mapping[str, Rate]


Anything = Declaration | MixtureDeclaration

TASKS: dict[str, Declaration] = {}
MIXTURES: dict[str, MixtureDeclaration] = {}
_listeners: list[Callable[[Anything, bool], None]] = []


def add_task(
    name: str,
    corpora: str | Sequence[str],
    examples: Examples,
    objectives: Sequence[Objective] = (),
    *,
    apart_from: Sequence[str] = (),
) -> None:
    """Declares a task over one or more corpora.

    Args:
        name: the task's name in seqio and on the command line.
        corpora: names of corpora (see `t5music corpora`); several are read one after the other.
        examples: what is made of each piece.
        objectives: steps applied at every visit, in order; then come those that the examples have.
        apart_from: corpora whose validation and test pieces, and near-duplicates of them, are left out of this task's
            training.

    Raises:
        ConfigError: something else is declared under this name, or metrics of one's own that nothing can judge.
        DataError: a metric that is not registered.
    """
    steps = (*objectives, *getattr(examples, "objectives", ()))
    keeps_answers = all(step.keeps_answers for step in steps)  # of noise, the loss alone
    if not keeps_answers and answer_metrics.modules(examples.metrics):
        noise = next(step.name for step in steps if not step.keeps_answers)
        raise ConfigError(
            f"task {name!r}: its metrics judge answers, and {noise!r} keeps none: set keeps_answers = True in that "
            "objective if its targets still answer, or leave the metrics out"
        )
    metrics = examples.metrics if keeps_answers else ()
    for metric in metrics:
        answer_metrics.get(metric)
    corpora = (corpora,) if isinstance(corpora, str) else tuple(corpora)
    _add(TASKS, Declaration(name, corpora, examples, steps, tuple(metrics), tuple(apart_from)))


def add_mixture(name: str, rates: Mapping[str, Rate]) -> None:
    """Declares a mixture of declared tasks.

    Args:
        name: the mixture's name in seqio and on the command line.
        rates: the rate of each task, by its name.

    Raises:
        ConfigError: a task that is not declared, no task at all, or something else under this name.
    """
    for task in rates:
        if task not in TASKS:
            raise ConfigError(f"mixture {name!r}: no task {task!r} is declared{nearest(task, TASKS)}")
    if not rates:
        raise ConfigError(f"mixture {name!r} needs at least one task")
    _add(MIXTURES, MixtureDeclaration(name, dict(rates)))


def _add(registry: dict, declaration: Anything) -> None:
    name = declaration.name
    present = TASKS.get(name) or MIXTURES.get(name)
    if present is None:
        registry[name] = declaration
        _tell(declaration, True)
    elif present != declaration:
        raise ConfigError(f"a task or mixture {name!r} is declared already: choose another name")


def remove(names: Iterable[str]) -> None:
    """Takes back the declarations of these names, where there are any; mixtures first, since they name tasks."""
    names = list(names)
    for registry in (MIXTURES, TASKS):
        for name in names:
            if name in registry:
                _tell(registry.pop(name), False)


def get_task(name: str) -> Declaration:
    """The declared task of that name. Raises DataError that suggests the nearest name."""
    if name not in TASKS:
        raise DataError(f"unknown task {name!r}{nearest(name, TASKS)}")
    return TASKS[name]


def tasks_of(name: str) -> list[Declaration]:
    """The task of that name, or the tasks of the mixture of that name. Raises DataError for an unknown name."""
    if name in TASKS:
        return [TASKS[name]]
    if name not in MIXTURES:
        raise DataError(f"unknown task or mixture {name!r}{nearest(name, [*TASKS, *MIXTURES])}")
    return [TASKS[task] for task in MIXTURES[name].rates]


def listen(listener: Callable[[Anything, bool], None]) -> None:
    """Calls `listener(declaration, is_declared)` for all there is, tasks first, and whenever one comes or goes."""
    declarations: list[Anything] = [*TASKS.values(), *MIXTURES.values()]
    for declaration in declarations:
        listener(declaration, True)
    _listeners.append(listener)


def _tell(declaration: Anything, is_declared: bool) -> None:
    for listener in _listeners:
        listener(declaration, is_declared)
