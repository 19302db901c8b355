"""Declaration: what a task is, without seqio: its corpora, what is made of each piece, and its objectives."""

from __future__ import annotations

from dataclasses import dataclass

from t5music.data.examples import Examples
from t5music.data.objectives import Objective


@dataclass(frozen=True)
class Declaration:
    """A task as it was declared; `seqio_bridge.tasks.declaration_of` reads it from a seqio Task.

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
