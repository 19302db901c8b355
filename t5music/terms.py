"""Terms of use: the licences of what a store holds, and of everything that a model's weights were trained on.

A corpus states its Terms, which its build writes into the corpus' report. A token store's manifest has those of its
corpora. A checkpoint's metadata has a TrainingRun for every run that its weights went through, the first one first. The
card of an exported model shows them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

NOT_STATED = "not stated"


@dataclass(frozen=True)
class Terms:
    """Under which terms the files of a corpus come.

    Attributes:
        corpus: its name.
        licence: the terms as the source states them.
        licence_id: the licence's name on the Hugging Face hub, as "cc-by-4.0" (hub documentation, "Licenses"); '' where
            there is none, or where it is not all the terms.
        permissive: why weights that were trained on it may be given away; '' where they may not, or nobody can be sure.
        source: where it comes from.
        citation: the work to cite.
    """

    corpus: str
    licence: str = NOT_STATED
    licence_id: str = ""
    permissive: str = ""
    source: str = ""
    citation: str = ""


@dataclass(frozen=True)
class TrainingRun:
    """A run that a model's weights went through.

    Attributes:
        task: the task or mixture it trained on; of weights from elsewhere, what they are called.
        data: the terms of the corpora that it read; () where nothing is known of them.
        steps: updates done before other weights began from these; None in the run's own checkpoints, which know their
            step, and where nobody knows.
    """

    task: str
    data: tuple[Terms, ...] = ()
    steps: int | None = None


def ended(runs: Sequence[TrainingRun], steps: int | None) -> tuple[TrainingRun, ...]:
    """What a new run begins with: the runs of a checkpoint, of which the last one ended after so many steps."""
    return (*runs[:-1], *(replace(last, steps=steps) for last in runs[-1:]))


def distinct(runs: Sequence[TrainingRun]) -> tuple[TrainingRun, ...]:
    """Runs without repetitions, in the order in which they first come."""
    return tuple(dict.fromkeys(runs))


def shared_licence(runs: Sequence[TrainingRun]) -> str:
    """The `licence_id` of all data of all runs; '' where they differ, or where those of a run are not known."""
    ids = {terms.licence_id for run in runs for terms in run.data}
    return ids.pop() if len(ids) == 1 and all(run.data for run in runs) else ""


def all_permissive(runs: Sequence[TrainingRun]) -> bool:
    """Whether the data of all runs are known, and weights trained on them may be given away."""
    return bool(runs) and all(run.data and all(terms.permissive for terms in run.data) for run in runs)
