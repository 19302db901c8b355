"""Divergence: a loss that is no longer a finite number, and the files that help to find out why.

The training step does not apply such an update, nor any after it (`train_step.make_train_step`), so the state is the
one before the bad batch. The loop saves it as a checkpoint, with the data's position before that batch. The batch
itself is written into the run's folder:

MODEL_DIR/diverged/step_<n>.npz    the batch, as the loader returned it
                   step_<n>.json   the step, and the number of examples of each task in the batch

With several processes, each writes its own rows, as step_<n>_process_<i>.
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


def stop(model_dir: Path, step: int, batches: Batches, sound: tuple[int, Mapping[str, Any]]) -> DivergenceError:
    """Writes the batch of a diverged step.

    Args:
        model_dir: the run's folder.
        step: the step whose loss is not finite.
        batches: this process's; afterwards that batch is their next one.
        sound: an earlier step, and the position after its batch, from which the batches are read again.

    Returns:
        The error to raise, which says where the batch is and what to do.
    """
    sound_step, position = sound
    batches.set_state(position)
    for _ in range(step - 1 - sound_step):
        next(batches)
    position = batches.get_state()
    counts = examples_per_task(batches)
    batch = next(batches)
    tasks = {task: count - counts[task] for task, count in examples_per_task(batches).items()}
    batches.set_state(position)

    name = f"step_{step}" if jax.process_count() == 1 else f"step_{step}_process_{jax.process_index()}"
    path = model_dir / FOLDER / f"{name}.npz"
    with files.replacing(path) as temporary:
        np.savez_compressed(temporary, allow_pickle=False, **batch)
    files.write_text(path.with_suffix(".json"), json.dumps({"step": step, "tasks": tasks}, indent=2) + "\n")
    examples = ", ".join(f"{count} of {task}" for task, count in tasks.items() if count)
    return DivergenceError(
        f"the loss or its gradient is not finite at step {step} of {model_dir}. The batch"
        f"{examples and f' ({examples})'} is in {path}, the state before it is the checkpoint of step {step - 1}. "
        "Start another run from that checkpoint or an earlier one (--init), with a lower learning rate, a longer "
        "warm-up or clipped gradients"
    )
