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
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from flax import nnx
from jax.sharding import Mesh
from tqdm import tqdm

import t5music
from t5music import files
from t5music.devices.chips import peak_flops
from t5music.errors import ConfigError, DataError, nearest
from t5music.model import network, parameters, sharding
from t5music.model.config import T5Config
from t5music.training import divergence, freezing
from t5music.training import train_state as states
from t5music.training.batches import Batches
from t5music.training.checkpoints.save import Checkpoints
from t5music.training.coordination import agreed, gather, stop_signals, union
from t5music.training.cost.flops import train_flops
from t5music.training.freezing import GradualUnfreezing
from t5music.training.losses import Z_LOSS
from t5music.training.metric_writers import MetricWriter
from t5music.training.note_masking.masker import Masker
from t5music.training.optimizers import Optimizer
from t5music.training.profiling import Profile
from t5music.training.progress import Best, Clock, count_examples, summarise

FINISHED_FILE = "finished.json"  # in a run's folder once nothing is left to do
STEPS_IN_FLIGHT = 2  # dispatched and not waited for: enough to keep a device busy, few enough to stop promptly

Evaluation = Callable[[network.T5], Mapping[str, float]]


class Interrupted(Exception):  # noqa: N818 - not an error
    """The run was asked to stop (SIGINT, SIGTERM), and has saved where it stands."""


class _UnderWay(NamedTuple):
    """A step that is dispatched and not waited for."""

    step: int
    loss: jax.Array


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
    optimizer: Optimizer,
    batches: Batches,
    *,
    steps: int,
    model_dir: str | Path,
    metadata: Mapping[str, Any],
    seed: int = 0,
    initial_params: Callable[[], states.Params] | None = None,
    documents: Mapping[str, str] | None = None,
    evaluations: Mapping[str, Evaluation] | None = None,
    log_period: int = 100,
    eval_period: int = 1000,
    save_period: int = 1000,
    keep: int = 3,
    best_metric: str | None = None,
    higher_is_better: bool = False,
    patience: int | None = None,
    microbatches: int = 1,
    z_loss: float = Z_LOSS,
    label_smoothing: float = 0.0,
    trainable: Sequence[str] | None = None,
    unfreezing: GradualUnfreezing | None = None,
    masker: Masker | None = None,
    mesh: Mesh | None = None,
    profile_steps: tuple[int, int] | None = None,
    progress: bool = True,
) -> Result:
    """Trains a model, or goes on training it.

    Args:
        config: the model.
        optimizer: see optimizers.
        batches: training batches of this process, from the beginning; a resumed run moves them to its position.
        steps: updates to do in all. A finished run may be called again with more.
        model_dir: the run's folder: `checkpoints/`, `metrics.jsonl`, `timing.jsonl`, TensorBoard's event files, and
            `finished.json` as long as no step is left to do.
        metadata: what else must be the same when the run is resumed, and what others need to know of a checkpoint, as
            JSON values: the vocabulary's "fingerprint" and "size" under "vocabulary", the name under "task".
        seed: of the initial parameters and dropout.
        initial_params: called when the run begins, for parameters to start from (`checkpoints.load_params`) instead of
            random ones.
        documents: file name -> text, written into `model_dir` once it is clear that the run may go on there.
        evaluations: name -> function of the model that returns metrics; run every `eval_period` steps and at the end.
        log_period: steps between lines of metrics.
        eval_period: steps between evaluations.
        save_period: steps between checkpoints; the last step and every better evaluation are saved too.
        keep: checkpoints to keep, the latest ones, beside the best.
        best_metric: "evaluation/metric" that says which checkpoint is best; None for the loss of the first evaluation.
        higher_is_better: of that metric.
        patience: stop after this many evaluations in a row without a better one; None never stops early.
        microbatches: see `state.make_train_step`.
        z_loss: see losses.
        label_smoothing: see losses.
        trainable: regular expressions of the names of the parameters that train (`freezing.choose`); None trains all.
        unfreezing: when layers begin to train; None is at once.
        masker: chooses the notes to be masked, of the batches of `note_chunks`; None trains by teacher forcing.
        mesh: devices; None for all, dividing the batch.
        profile_steps: (first, how many) of the steps to record a profile of, into `profile/`; see profiling.
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
    evaluations = evaluations or {}
    if best_metric is None and evaluations:
        best_metric = f"{next(iter(evaluations))}/loss"
    for name, period in (("log_period", log_period), ("eval_period", eval_period), ("save_period", save_period)):
        if period < 1:
            raise ConfigError(f"{name} is {period}; it must be at least 1")
    model_dir = Path(model_dir)
    profile = Profile(model_dir, profile_steps)
    own = {"version": t5music.__version__, "config": config.to_dict(), "optimizer": optimizer.settings, "seed": seed}
    own["trainable"] = None if trainable is None else list(trainable)
    own["unfreezing"] = None if unfreezing is None else unfreezing.settings
    own["masking"] = None if masker is None else masker.settings
    metadata = json.loads(json.dumps({**own, **metadata}))

    # The pieces: mesh, optimizer, compiled step.
    mesh = sharding.make_mesh() if mesh is None else mesh
    graphdef, abstract = parameters.abstract(config)
    trains = freezing.choose(abstract, trainable, unfreezing)
    transformation = optimizer.transformation(trains.select(states.logical_axes(abstract)))
    masked = None if masker is None else masker.abstract()
    target = states.abstract_state(abstract, transformation, mesh, trains, masked)
    if masker is not None:
        train_step = masker.make_train_step(graphdef, transformation, target, z_loss=z_loss)
    else:
        train_step = states.make_train_step(
            graphdef,
            transformation,
            target,
            microbatches=microbatches,
            z_loss=z_loss,
            label_smoothing=label_smoothing,
            trainable=trains,
        )

    # Where the run stands: the last checkpoint (state, position of the data, best evaluation) or a fresh state.
    checkpoints = Checkpoints(model_dir, keep=keep)
    restored = checkpoints.restore(target, metadata)
    if restored is None:
        state = states.create(
            config,
            transformation,
            target,
            mesh,
            seed=seed,
            params=initial_params() if initial_params else None,  # in no variable, so that they do not stay in memory
            trainable=trains,
            masker=None if masker is None else masker.create(seed),
        )
        best = Best(higher_is_better)
    else:
        state = restored.state
        batches.set_state(restored.position["loader"])
        best = Best(higher_is_better, **restored.position["best"])
    step = begun = int(state.step)

    first = jax.process_index() == 0
    if first:
        (model_dir / FINISHED_FILE).unlink(missing_ok=True)
        for name, text in (documents or {}).items():
            files.write_text(model_dir / name, text)
    writer = MetricWriter(model_dir, resume_step=step) if first else None
    bar = tqdm(
        total=steps,
        initial=step,
        unit="step",
        disable=not (progress and first),
        file=sys.stderr,
        mininterval=0.1 if sys.stderr.isatty() else 5.0,
    )
    bar.set_postfix_str("compiling")
    clock = Clock(step)
    metrics: dict[str, float] = {}

    peak = peak_flops(mesh.devices.flat[0].device_kind)
    peak = None if peak is None else peak * mesh.size
    flops = 0.0  # of a step, once there is a batch
    under_way: collections.deque[_UnderWay] = collections.deque()
    known = (step, batches.get_state())  # a step that was sound, and the data's position after it

    def land() -> None:
        """Waits for the oldest step under way."""
        landed = under_way.popleft()
        if not math.isfinite(float(landed.loss)):
            kept = jax.device_put(np.zeros((), np.int32), states.places(target).window.bad_step)
            healthy = dataclasses.replace(state, window=dataclasses.replace(state.window, bad_step=kept))
            error = divergence.stop(model_dir, landed.step, batches, known)
            save(healthy)
            checkpoints.wait()
            raise error

    def settle() -> None:
        """Waits for all of them: what is measured, evaluated or saved now is of this step, and sound."""
        while under_way:
            land()

    def save(state: states.TrainState) -> None:
        position = {"loader": union(gather(batches.get_state())), "best": best.to_json(), "best_step": best.step}
        checkpoints.save(state, position, metadata, best_step=best.step)

    with contextlib.ExitStack() as stack:
        stack.callback(checkpoints.close)
        if writer is not None:
            stack.callback(writer.close)
        stack.callback(bar.close)
        stack.callback(profile.close)
        stack.enter_context(jax.set_mesh(mesh))
        stop = stack.enter_context(stop_signals())

        while step < steps and not (patience is not None and best.stale >= patience):
            # One update, dispatched.
            try:
                batch = states.put_batch(next(batches), mesh)
            except StopIteration:
                raise DataError(f"the training data ended at step {step} of {steps}") from None
            profile.before(step + 1, state)
            state, loss = train_step(state, batch)
            step += 1
            profile.after(step, state)
            bar.update()
            loss.copy_to_host_async()
            under_way.append(_UnderWay(step, loss))
            if step == begun + 1:
                flops = _train_flops(config, batch, trainable) if masker is None else masker.flops(batch)
            if len(under_way) > STEPS_IN_FLIGHT or step == begun + 1:
                land()
            if step == begun + 1:
                clock.restart(step)  # the first step compiled
                bar.set_postfix_str("", refresh=False)

            # Metrics of the window that ends here; reading them waits for the device.
            line: dict[str, float] = {}
            if step % log_period == 0 or step == steps:
                settle()
                known = step, batches.get_state()
                line |= summarise(state, optimizer) | count_examples(batches)
                line |= {} if masker is None else masker.summarise(state.masker)
                timing = clock.lap(step, state.window, flops, peak)
                state = dataclasses.replace(
                    state, window=jax.device_put(states.empty_window(), states.places(target).window)
                )
                if writer is not None and timing:
                    writer.write_timing(step, timing)
                bar.set_postfix_str(
                    f"loss {line['loss']:.3f}, rate {line['learning_rate']:.2g}, "
                    f"{timing.get('tokens_per_second', 0):,.0f} tokens/s",
                    refresh=False,
                )

            # Evaluation.
            better = False
            if evaluations and (step % eval_period == 0 or step == steps):
                settle()
                metrics = _evaluate(evaluations, nnx.merge(graphdef, state.params))
                if best_metric not in metrics:
                    raise ConfigError(f"no evaluation gives {best_metric!r}{nearest(str(best_metric), metrics)}")
                better = best.update(step, metrics[best_metric])
                line |= metrics
                clock.restart(step)

            # Writing and saving; a stop comes after both, so that nothing of this step is done twice.
            if writer is not None and line:
                writer.write(step, line)
            stopping = agreed(stop, settle=step % log_period == 0)
            if step % save_period == 0 or better or stopping:
                settle()
                save(state)
            if stopping:
                checkpoints.wait()
                raise Interrupted(f"stopped at step {step} of {steps}; the same command goes on from there")

        if step > begun:
            save(state)
            checkpoints.wait()
        if first:
            files.write_text(model_dir / FINISHED_FILE, json.dumps({"step": step, "best_step": best.step}) + "\n")
    return Result(step, nnx.merge(graphdef, state.params), best.step, metrics)


def _evaluate(evaluations: Mapping[str, Evaluation], model: network.T5) -> dict[str, float]:
    return {
        f"{name}/{metric}": float(value)
        for name, evaluate in evaluations.items()
        for metric, value in evaluate(model).items()
    }


def _train_flops(config: T5Config, batch: Mapping[str, jax.Array], trainable: Sequence[str] | None) -> float:
    """The operations of a step on such a batch, of all processes."""
    rows, targets = batch["decoder_target_tokens"].shape
    inputs = batch["encoder_input_tokens"].shape[1] if "encoder_input_tokens" in batch else 0
    return train_flops(config, rows=rows, inputs=inputs, targets=targets, trainable=trainable)
