"""A loss that is no longer a finite number: what a run leaves for the person who has to find out why.

The training step does not apply such an update nor any after it (`state.make_train_step`), so the state at hand is
the one before the bad batch. The loop saves it as a checkpoint, with the data where that batch is the next one; the
batch itself is put beside it, here:

MODEL_DIR/diverged/step_<n>.npz    the batch, as the loader gave it
                   step_<n>.json   which step, and how many examples of each task were in it

With several processes each writes the rows it had, as step_<n>_process_<i>.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from t5music import files
from t5music.errors import T5MusicError
from t5music.training.batches import Batches, examples_per_task

FOLDER = "diverged"


class DivergenceError(T5MusicError):
    """The loss or its gradient is no longer a finite number."""


def stop(model_dir: Path, step: int, batches: Batches, known: tuple[int, Mapping[str, Any]]) -> DivergenceError:
    """Writes down the batch of a step, and returns the error that says where it is and what to do.

    Args:
        model_dir: the run's folder.
        step: the step.
        batches: this process's; they are left where that batch is the next one.
        known: an earlier step and the position after its batch. From there the batches are made again.
    """
    earlier, position = known
    batches.set_state(position)
    for _ in range(step - 1 - earlier):
        next(batches)
    position = batches.get_state()
    before = examples_per_task(batches)
    batch = next(batches)
    tasks = {task: count - before[task] for task, count in examples_per_task(batches).items()}
    batches.set_state(position)

    name = f"step_{step}" if jax.process_count() == 1 else f"step_{step}_process_{jax.process_index()}"
    path = model_dir / FOLDER / f"{name}.npz"
    with files.replacing(path) as temporary:
        np.savez_compressed(temporary, allow_pickle=False, **batch)
    files.write_text(path.with_suffix(".json"), json.dumps({"step": step, "tasks": tasks}, indent=2) + "\n")
    shown = ", ".join(f"{count} of {task}" for task, count in tasks.items() if count)
    return DivergenceError(
        f"the loss or its gradient is not finite at step {step} of {model_dir}: its batch{shown and f' ({shown})'} is "
        f"in {path}, and the state before it is the checkpoint of step {step - 1}; start another run from that one or "
        "an earlier one (--init) with a lower learning rate or a longer warm-up, or clip gradients"
    )
