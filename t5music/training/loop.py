"""The training loop: one function, read from top to bottom.

A run is a folder, MODEL_DIR, and arguments. Called again with the same folder and the same arguments, `train` goes on
where the folder's last checkpoint stands and does bit for bit what the run would have done had it not stopped. (On a
GPU that takes XLA_FLAGS=--xla_gpu_deterministic_ops=true: by default XLA adds up some gradients in any order there.)
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from flax import nnx
from jax.sharding import Mesh

import t5music
from t5music import files
from t5music.devices.chips import peak_flops
from t5music.errors import ConfigError, DataError, nearest
from t5music.model import network, parameters, sharding
from t5music.model.config import T5Config
from t5music.training import divergence, freezing, train_state
from t5music.training.batches import Batches
from t5music.training.checkpoints.save import Checkpoints
from t5music.training.coordination import agreed, gather, stop_signals, union
from t5music.training.cost.flops import train_flops
from t5music.training.metric_writers import MetricWriter
from t5music.training.note_masking.masker import Masker
from t5music.training.profiling import Profile
from t5music.training.progress import Best, Clock, count_examples, postfix, progress_bar, summarise
from t5music.training.settings import Records, Update, Validation
from t5music.training.train_step import Step, make_train_step, put_batch

FINISHED_FILE = "finished.json"  # in a run's folder once nothing is left to do
STEPS_IN_FLIGHT = 2  # dispatched and not waited for: enough to keep a device busy, few enough to stop promptly

Evaluation = Callable[[network.T5], Mapping[str, float]]


class Interrupted(Exception):  # noqa: N818 - not an error
    """The run was asked to stop (SIGINT, SIGTERM), and has saved where it stands."""


@dataclasses.dataclass(frozen=True)
class Result:
    """What a finished run leaves.

    Attributes:
        step: updates done.
        model: with the parameters of that step.
        best_step: the step of the best evaluation, None where nothing was evaluated.
        metrics: of the last evaluation in this call, named "evaluation/metric"; empty where there was none.
    """

    step: int
    model: network.T5
    best_step: int | None
    metrics: dict[str, float]


def train(
    config: T5Config,
    batches: Batches,
    update: Update,
    *,
    steps: int,
    model_dir: str | Path,
    metadata: Mapping[str, Any],
    seed: int = 0,
    validation: Validation = Validation(),
    records: Records = Records(),
    evaluations: Mapping[str, Evaluation] | None = None,
    initial_params: Callable[[], train_state.Params] | None = None,
    documents: Mapping[str, str] | None = None,
    masker: Masker | None = None,
    mesh: Mesh | None = None,
    progress: bool = True,
) -> Result:
    """Trains a model, or goes on training it.

    Args:
        config: the model.
        batches: training batches of this process, from the beginning; a resumed run moves them to its position.
        update: how to step.
        steps: updates to do in all. A finished run may be called again with more.
        model_dir: the run's folder: `checkpoints/`, `metrics.jsonl`, `timing.jsonl`, TensorBoard's event files, and
            `finished.json` as long as no step is left to do.
        metadata: what else must be the same when the run is resumed, and what others need to know of a checkpoint, as
            JSON values: the vocabulary's "fingerprint" and "size" under "vocabulary", the name under "task".
        seed: of the initial parameters and dropout.
        validation: when to evaluate, and what the best evaluation is.
        records: what to write down and keep.
        evaluations: name -> function of the model that returns metrics; the loss of the first says which is best where
            `validation` names no metric.
        initial_params: called when the run begins, for parameters to start from instead of random ones.
        documents: file name -> text, written into `model_dir` once it is clear that the run may go on there.
        masker: chooses the notes to be masked, of the batches of `note_chunks`; None trains by teacher forcing.
        mesh: devices; None for all, dividing the batch.
        progress: show a bar on stderr.

    Returns:
        The model after the last step.

    Raises:
        Interrupted: after a signal, when everything is saved.
        DivergenceError: the loss or its gradient is not finite; names the step and where its batch was written. The
            state before it is saved.
        CheckpointError: `model_dir` holds a run with other settings (named), or cannot be written or read.
        ConfigError: settings that do not fit each other or the devices.
        DataError: the batches ended.
    """
    # ------------------------------------------------------------------------------------ the pieces: mesh and step
    evaluations = evaluations or {}
    best_metric = validation.best_metric or next((f"{name}/loss" for name in evaluations), None)
    model_dir = Path(model_dir)
    mesh = sharding.make_mesh() if mesh is None else mesh
    pieces = _make_pieces(config, update, mesh, masker)
    profile = Profile(model_dir, records.profile_steps)
    first = jax.process_index() == 0

    # ------------------------------------------------------ where the run stands: its last checkpoint, or its beginning
    metadata = _run_metadata(config, update, masker, seed, metadata)
    checkpoints = Checkpoints(model_dir, keep=records.keep)
    checkpoint = checkpoints.restore(pieces.target, metadata)
    if checkpoint is None:
        state = _first_state(config, pieces, mesh, seed, initial_params, masker)
        best = Best(validation.higher_is_better)
    else:
        state = checkpoint.state
        batches.set_state(checkpoint.position["loader"])
        best = Best(validation.higher_is_better, **checkpoint.position["best"])
    step = begun = int(state.step)
    sound = (step, batches.get_state())  # a step known to be sound, and the data's position after it

    # ------------------------------------------------------------------------------------------- what it writes down
    if first:
        _write_documents(model_dir, documents or {})
    writer = MetricWriter(model_dir, resume_step=step) if first else None
    bar = progress_bar(steps, step, show=progress and first)
    clock = Clock(step)
    metrics: dict[str, float] = {}
    flops = 0.0  # of a step, once there is a batch
    in_flight = _InFlight()

    def settle(most: int = 0) -> None:
        """Waits until at most so many steps are in flight: with 0, what is measured or saved now is this step's."""
        diverged = in_flight.wait(most)
        if diverged is not None:
            error = divergence.stop(model_dir, diverged, batches, sound)
            save(_before_divergence(state, pieces))
            checkpoints.wait()
            raise error

    def save(state: train_state.TrainState) -> None:
        position = {"loader": union(gather(batches.get_state())), "best": best.to_json(), "best_step": best.step}
        checkpoints.save(state, position, metadata, best_step=best.step)

    with contextlib.ExitStack() as stack:
        for close in (checkpoints.close, *([] if writer is None else [writer.close]), bar.close, profile.close):
            stack.callback(close)
        stack.enter_context(jax.set_mesh(mesh))
        stop = stack.enter_context(stop_signals())

        while step < steps and not (validation.patience is not None and best.stale >= validation.patience):
            # ------------------------------------------------------------------------------- one update, dispatched
            batch = put_batch(_next_batch(batches, step, steps), mesh)
            profile.before(step + 1, state)
            state, loss = pieces.step(state, batch)
            step += 1
            profile.after(step, state)
            bar.update()
            in_flight.add(step, loss)
            settle(0 if step == begun + 1 else STEPS_IN_FLIGHT)
            if step == begun + 1:  # the first step compiled
                flops = _train_flops(config, batch, update.trainable) if masker is None else masker.flops(batch)
                clock.restart(step)
                bar.set_postfix_str("", refresh=False)

            # ------------------------------------------------------- metrics of the window that ends here
            line: dict[str, float] = {}
            if step % records.log_period == 0 or step == steps:
                settle()
                sound = step, batches.get_state()
                line |= summarise(state, update.optimizer) | count_examples(batches)
                line |= {} if masker is None else masker.summarise(state.masker)
                timing = clock.lap(step, state.window, flops, _peak_flops(mesh))
                state = _with_empty_window(state, pieces)
                if writer is not None and timing:
                    writer.write_timing(step, timing)
                bar.set_postfix_str(postfix(line, timing), refresh=False)

            # ------------------------------------------------------------------------------------------- evaluation
            better = False
            if evaluations and (step % validation.period == 0 or step == steps):
                settle()
                metrics = _evaluate(evaluations, nnx.merge(pieces.graphdef, state.params))
                if best_metric not in metrics:
                    raise ConfigError(f"no evaluation gives {best_metric!r}{nearest(str(best_metric), metrics)}")
                better = best.update(step, metrics[best_metric])
                line |= metrics
                clock.restart(step)

            # --------------------------- writing and saving, then a stop: nothing of this step is done twice
            if writer is not None and line:
                writer.write(step, line)
            stopping = agreed(stop, settle=step % records.log_period == 0)
            if step % records.save_period == 0 or better or stopping:
                settle()
                save(state)
            if stopping:
                checkpoints.wait()
                raise Interrupted(f"stopped at step {step} of {steps}; the same command goes on from there")

        # ------------------------------------------------------------------------------------------------- the end
        if step > begun:
            settle()
            save(state)
            checkpoints.wait()
        if first:
            files.write_text(model_dir / FINISHED_FILE, json.dumps({"step": step, "best_step": best.step}) + "\n")
    return Result(step, nnx.merge(pieces.graphdef, state.params), best.step, metrics)


# -------------------------------------------------------------------------------------------------------- its pieces


class _Pieces(NamedTuple):
    """What a run computes with.

    Attributes:
        graphdef: of the model.
        transformation: the optimizer, of what trains.
        trains: which parameters train.
        target: shapes, types and places of the state.
        step: the compiled step.
    """

    graphdef: nnx.GraphDef
    transformation: Any
    trains: freezing.Trainable
    target: train_state.TrainState
    step: Step


def _make_pieces(config: T5Config, update: Update, mesh: Mesh, masker: Masker | None) -> _Pieces:
    """Returns the step and what belongs to it; nothing is allocated, compiled or run."""
    graphdef, abstract = parameters.abstract(config)
    trains = freezing.choose(abstract, update.trainable, update.unfreezing)
    transformation = update.optimizer.transformation(trains.select(train_state.logical_axes(abstract)))
    masker_target = None if masker is None else masker.abstract()
    target = train_state.abstract_state(abstract, transformation, mesh, trains, masker_target)
    if masker is not None:
        step = masker.make_train_step(graphdef, transformation, target, z_loss=update.z_loss)
    else:
        step = make_train_step(
            graphdef,
            transformation,
            target,
            microbatches=update.microbatches,
            z_loss=update.z_loss,
            label_smoothing=update.label_smoothing,
            trainable=trains,
        )
    return _Pieces(graphdef, transformation, trains, target, step)


def _run_metadata(
    config: T5Config, update: Update, masker: Masker | None, seed: int, metadata: Mapping[str, Any]
) -> dict[str, Any]:
    """Returns what a checkpoint says of its run, in the types that JSON gives back."""
    run = {"version": t5music.__version__, "config": config.to_dict(), "seed": seed, **update.to_json()}
    run["masking"] = None if masker is None else masker.settings
    return json.loads(json.dumps({**run, **metadata}))


def _first_state(
    config: T5Config,
    pieces: _Pieces,
    mesh: Mesh,
    seed: int,
    initial_params: Callable[[], train_state.Params] | None,
    masker: Masker | None,
) -> train_state.TrainState:
    """Returns the state of step 0."""
    return train_state.create(
        config,
        pieces.transformation,
        pieces.target,
        mesh,
        seed=seed,
        params=initial_params() if initial_params else None,  # in no variable, so that they do not stay in memory
        trainable=pieces.trains,
        masker=None if masker is None else masker.create(seed),
    )


def _write_documents(model_dir: Path, documents: Mapping[str, str]) -> None:
    """Writes the texts of a run that goes on."""
    (model_dir / FINISHED_FILE).unlink(missing_ok=True)
    for name, text in documents.items():
        files.write_text(model_dir / name, text)


class _InFlight:
    """Steps that are dispatched and not waited for."""

    def __init__(self) -> None:
        self._losses: collections.deque[tuple[int, jax.Array]] = collections.deque()

    def add(self, step: int, loss: jax.Array) -> None:
        """Takes a dispatched step with its loss."""
        loss.copy_to_host_async()
        self._losses.append((step, loss))

    def wait(self, most: int) -> int | None:
        """Waits until at most so many are left; returns the first step whose loss is not finite, and stops there."""
        while len(self._losses) > most:
            step, loss = self._losses.popleft()
            if not math.isfinite(float(loss)):
                return step
        return None


def _before_divergence(state: train_state.TrainState, pieces: _Pieces) -> train_state.TrainState:
    """Returns the state that the steps since have left alone, as one that may be gone on with."""
    no_step = jax.device_put(np.zeros((), np.int32), train_state.places(pieces.target).window.bad_step)
    return dataclasses.replace(state, window=dataclasses.replace(state.window, bad_step=no_step))


def _with_empty_window(state: train_state.TrainState, pieces: _Pieces) -> train_state.TrainState:
    """Returns the state after its metrics were written."""
    window = jax.device_put(train_state.empty_window(), train_state.places(pieces.target).window)
    return dataclasses.replace(state, window=window)


def _next_batch(batches: Batches, step: int, steps: int) -> Mapping[str, np.ndarray]:
    try:
        return next(batches)
    except StopIteration:
        raise DataError(f"the training data ended at step {step} of {steps}") from None


def _evaluate(evaluations: Mapping[str, Evaluation], model: network.T5) -> dict[str, float]:
    return {
        f"{name}/{metric}": float(value)
        for name, evaluate in evaluations.items()
        for metric, value in evaluate(model).items()
    }


def _peak_flops(mesh: Mesh) -> float | None:
    """Returns the FLOP/s that all devices of the mesh can do together, None where that is not known."""
    peak = peak_flops(mesh.devices.flat[0].device_kind)
    return None if peak is None else peak * mesh.size


def _train_flops(config: T5Config, batch: Mapping[str, jax.Array], trainable: Sequence[str] | None) -> float:
    """Returns the operations of a step on such a batch, of all processes."""
    rows, targets = batch["decoder_target_tokens"].shape
    inputs = batch["encoder_input_tokens"].shape[1] if "encoder_input_tokens" in batch else 0
    return train_flops(config, rows=rows, inputs=inputs, targets=targets, trainable=trainable)
