"""Weight averaging: the mean of the parameters of several checkpoints as a checkpoint of its own.

Averages over the end of one run are an old way to a better model at no cost in use (Polyak and Juditsky 1992; Izmailov
et al. 2018, "Averaging weights leads to wider optima"); so are those over runs fine-tuned from one pre-trained model
(Wortsman et al. 2022, "Model soups"). For separately pre-trained models take `ensembles`: their weights have nothing to
do with each other.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence

import jax
import numpy as np

from t5music import files
from t5music.errors import CheckpointError, ConfigError
from t5music.storage import path_of
from t5music.training.checkpoints.checkpoint import Checkpoint
from t5music.training.checkpoints.layout import FOLDER, steps_of
from t5music.training.checkpoints.save import Checkpoints
from t5music.training.checkpoints.selection import LATEST, folder_of_steps
from t5music.training.progress import Best
from t5music.training.train_state import TrainState, empty_window


def sources(
    runs: Sequence[str | os.PathLike[str]], *, last: int | None = None, checkpoint: str | int = LATEST
) -> list[Checkpoint]:
    """Opens the checkpoints to average.

    Args:
        runs: runs' folders, or folders of steps.
        last: take so many of the latest checkpoints of each run.
        checkpoint: without `last`, the one to take of each run; see `selection.step_folder`.

    Raises:
        CheckpointError: a run does not have so many, or one of them cannot be read.
        ConfigError: fewer than two in all.
    """
    checkpoints: list[Checkpoint] = []
    for run in runs:
        if last is None:
            checkpoints.append(Checkpoint.open(run, checkpoint))
            continue
        steps = steps_of(folder_of_steps(run))
        if not 0 < last <= len(steps):
            there = ", ".join(map(str, steps)) or "none"
            raise CheckpointError(
                f"--last {last}: {run} has {len(steps)} checkpoints ({there}); a run keeps Records.keep of them"
            )
        checkpoints += [Checkpoint.open(run, step) for step in steps[-last:]]
    if len(checkpoints) < 2:
        raise ConfigError("an average is of two checkpoints or more: give --last, or --model_dir several times")
    return checkpoints


def average(checkpoints: Sequence[Checkpoint], output: str | os.PathLike[str]) -> int:
    """Writes the mean of the parameters of some checkpoints as a run's folder that training, evaluation and generation
    read; returns its step, the highest of theirs.

    Each mean is summed in float64 and rounded once. The metadata are the first checkpoint's, with "average_of".
    One model at a time is in memory, beside sums that take twice its size.

    Args:
        checkpoints: of models of equal shape (`sources`).
        output: the new run's folder; written whole or not at all.

    Raises:
        CheckpointError: one is damaged, of another model or vocabulary, or `output` holds a run.
    """
    output = path_of(output)
    if steps_of(output / FOLDER):
        raise CheckpointError(f"--output {output} holds a run already; take another folder")
    first = checkpoints[0]
    sums = None
    for checkpoint in checkpoints:
        checkpoint.require_vocabulary(first.metadata.vocabulary.fingerprint)
        params = checkpoint.params(first.config)
        if sums is None:
            sums = jax.tree.map(lambda leaf: np.array(leaf, np.float64), params)
        else:
            jax.tree.map(lambda total, leaf: np.add(total, leaf, out=total), sums, params)
    step = max(checkpoint.step for checkpoint in checkpoints)
    state = TrainState(
        step=np.asarray(step, np.int32),
        params=jax.tree.map(lambda total: (total / len(checkpoints)).astype(np.float32), sums),
        opt_state=(),
        key=np.zeros(2, np.uint32),
        window=empty_window(),
    )
    metadata = {**first.metadata.content, "average_of": [str(checkpoint.folder) for checkpoint in checkpoints]}
    is_new = not output.exists()
    try:
        with contextlib.closing(Checkpoints(output)) as run:
            run.save(state, {"loader": {}, "best": Best(False).to_json(), "best_step": None}, metadata, best_step=None)
            run.wait()
    except CheckpointError:
        if is_new:
            files.remove_tree(output)
        raise
    return step
