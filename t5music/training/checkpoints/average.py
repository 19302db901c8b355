"""Weight averaging: the mean of the parameters of several checkpoints as a checkpoint of its own.

Averages over the end of one run are an old way to a better model at no cost in use (Polyak and Juditsky 1992; Izmailov
et al. 2018, "Averaging weights leads to wider optima"); so are those over runs fine-tuned from one pre-trained model
(Wortsman et al. 2022, "Model soups"). For separately pre-trained models take `ensembles`: their weights have nothing to
do with each other.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Sequence

import jax
import numpy as np

from t5music import files
from t5music.errors import CheckpointError, ConfigError
from t5music.storage import BucketPath, path_of
from t5music.terms import distinct
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


def average(checkpoints: Sequence[Checkpoint], output: str | os.PathLike[str], *, force: bool = False) -> int:
    """Writes the mean of the parameters of some checkpoints as a run's folder that training, evaluation and generation
    read; returns its step, the highest of theirs.

    Each mean is summed in float64 and rounded once. The metadata are the first checkpoint's, with "average_of" and with
    the training runs of all of them. One model at a time is in memory, beside sums that take twice its size.

    Args:
        checkpoints: of models of equal shape (`sources`).
        output: the new run's folder; written whole or not at all.
        force: whether a run that is there may be replaced; not one that is averaged.

    Raises:
        CheckpointError: one is damaged, or of another model or vocabulary, or cannot be written.
        ConfigError: there is something at `output`.
    """
    output = path_of(output)
    files.require_free_folder(output, "--output", force=force, mark=FOLDER, kind="run")
    for checkpoint in checkpoints:
        if str(checkpoint.folder.resolve()).startswith(f"{output.resolve()}/"):
            raise ConfigError(f"--output {output} holds {checkpoint.folder}, which is averaged: choose another name")
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
    trained_on = distinct([run for checkpoint in checkpoints for run in checkpoint.metadata.trained_on])
    metadata = {
        **first.metadata.content,
        "trained_on": [dataclasses.asdict(run) for run in trained_on],
        "average_of": [str(checkpoint.folder) for checkpoint in checkpoints],
    }
    position = {"loader": {}, "best": Best(False).to_json(), "best_step": None}
    # A checkpoint in a bucket is written there: Orbax marks it as whole itself.
    begun = contextlib.nullcontext(output) if isinstance(output, BucketPath) else files.replacing_folder(output)
    with begun as folder:
        try:
            with contextlib.closing(Checkpoints(folder)) as run:
                run.save(state, position, metadata, best_step=None)
                run.wait()
        except CheckpointError as error:  # it names the folder where the work was done
            raise CheckpointError(str(error).replace(str(folder.absolute()), str(output))) from error
    return step
