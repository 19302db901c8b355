"""Checkpoint choice: for each task, the checkpoint of a run that is best on the task's validation set.

T5's study chooses so (Raffel et al. 2019, section 3.1.2): every checkpoint is evaluated on all of the validation set by
the task's own metric, and each task takes the best. A mixture so has no checkpoint of its own. What is chosen among are
the checkpoints that the run kept (Records.keep).
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import NamedTuple

from t5music.errors import CheckpointError
from t5music.evaluation.evaluator import Evaluator
from t5music.evaluation.results import Results
from t5music.training.checkpoints.layout import steps_of
from t5music.training.checkpoints.selection import folder_of_steps


class Choice(NamedTuple):
    """The checkpoint that is chosen for a task.

    Attributes:
        folder: of the checkpoint.
        step: of the checkpoint.
        metric: by which it was chosen.
        value: of that metric, on the validation set.
        steps: those it was chosen among.
    """

    folder: Path
    step: int
    metric: str
    value: float
    steps: tuple[int, ...]

    @property
    def scores(self) -> dict[str, float]:
        """What stands beside a task's figures: "checkpoint_step", and the metric as "validation_<metric>"."""
        return {"checkpoint_step": float(self.step), f"validation_{self.metric}": self.value}


def choose(evaluator: Evaluator, run: str | Path) -> dict[str, Choice]:
    """Returns the choice of every task; of checkpoints that are equally good, the first.

    Args:
        evaluator: of the validation split.
        run: the run's folder.

    Raises:
        CheckpointError: no checkpoint, one that cannot be read, or none with a finite value of a task's metric.
    """
    root = folder_of_steps(run)
    steps = tuple(steps_of(root))
    if not steps:
        raise CheckpointError(f"no checkpoint at {run}; give the MODEL_DIR of a run")
    scores: dict[int, Results] = {step: evaluator.evaluate([root / str(step)]) for step in steps}
    choices = {}
    for task, metric in evaluator.own_metrics.items():
        sign = 1 if metric.higher_is_better else -1
        values = {step: scores[step][task][metric.name] for step in steps}
        finite = {step: sign * value for step, value in values.items() if math.isfinite(value)}
        if not finite:
            raise CheckpointError(f"{run}: no checkpoint has a finite {metric.name} on the validation set of {task}")
        best = max(finite, key=finite.__getitem__)
        choices[task] = Choice(root / str(best), best, metric.name, values[best], steps)
        print(
            f"{run}: {task} takes step {best} of {', '.join(map(str, steps))} by {metric.name} on validation",
            flush=True,
        )
    return choices
