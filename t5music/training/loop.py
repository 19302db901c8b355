"""Training loop: trains a model, or goes on from the run's last checkpoint.

A run is a folder, MODEL_DIR, and arguments. Called again with the same folder and arguments, `train` goes on from the
folder's last checkpoint, and does bit for bit what the run would have done without the stop. (On a GPU this needs
XLA_FLAGS=--xla_gpu_deterministic_ops=true, because XLA adds some gradients in no fixed order there by default.)
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
from flax import nnx
from jax.sharding import Mesh
from optax import OptState

import t5music
from t5music import files
from t5music.model import network, sharding
from t5music.model.config import T5Config
from t5music.storage import path_of
from t5music.training.active_run import ActiveRun, Evaluation, Illustration
from t5music.training.batches import Batches
from t5music.training.checkpoints.save import Checkpoints
from t5music.training.coordination import agreed, stop_signals
from t5music.training.metric_writers import MetricWriter
from t5music.training.note_masking.masker import Masker
from t5music.training.pieces import first_state, make_pieces
from t5music.training.profiling import Profile
from t5music.training.progress import Best, progress_bar
from t5music.training.settings import Records, Update, Validation
from t5music.training.trackers import opening
from t5music.training.train_state import Params

FINISHED_FILE = "finished.json"  # in a run's folder once nothing is left to do


class Interrupted(Exception):  # noqa: N818 - not an error
    """The run received SIGINT or SIGTERM, or was told to stop, and has saved its state."""


@dataclasses.dataclass(frozen=True)
class Result:
    """The result of a finished run.

    Attributes:
        step: number of updates.
        model: with the parameters of that step.
        best_step: the step of the best evaluation; None without one.
        metrics: "evaluation/metric" -> value, of the last evaluation in this call; {} without one.
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
    illustration: Illustration | None = None,
    initial_params: Callable[[], Params] | None = None,
    initial_opt_state: Callable[[OptState], OptState] | None = None,
    documents: Mapping[str, str] | None = None,
    masker: Masker | None = None,
    mesh: Mesh | None = None,
    progress: bool = True,
    stops: Callable[[int], bool] | None = None,
) -> Result:
    """Trains a model, or goes on training it.

    Args:
        config: the model.
        batches: training batches of this process, from the beginning; a resumed run moves them to its position.
        update: how to update the model.
        steps: number of updates in all. A finished run may be called again with more.
        model_dir: the run's folder, for `checkpoints/`, `metrics.jsonl`, `timing.jsonl`, TensorBoard's event files, and
            `finished.json` while no step is left to do.
        metadata: what else must be the same in a resumed run and what readers of a checkpoint need, as JSON values:
            the vocabulary's "fingerprint" and "size" under "vocabulary", the name under "task".
        seed: of the initial parameters and dropout.
        validation: when to evaluate, and which evaluation is the best.
        records: what to write and keep.
        evaluations: name -> function of the model that returns metrics. Unless `validation` names a metric, the best
            evaluation is the one with the least loss of the first function.
        illustration: called with the model and its step after each evaluation, when its metrics are written, for
            pictures and samples; returns the samples for trackers. It must not change anything the run depends on.
        initial_params: returns parameters to start from instead of random ones; called only when the run begins.
        initial_opt_state: given the shapes of the optimizer's state, returns one to start from instead of an empty one;
            called only when the run begins.
        documents: file name -> text, written into `model_dir` once its checkpoint is known to fit the arguments.
        masker: chooses the notes to mask in batches of `note_chunks`; None trains with teacher forcing.
        mesh: the devices; None for all devices, with the batch divided over them.
        progress: show a progress bar on stderr.
        stops: called with the step after every step but the last; returns whether the run stops there, as it does at a
            signal. For a run of one process.

    Returns:
        The model after the last step.

    Raises:
        Interrupted: after a signal, or where `stops` says so, when everything is saved.
        DivergenceError: the loss or its gradient is not finite; names the step and the file with its batch. The state
            before it is saved.
        CheckpointError: `model_dir` holds a run with other settings (named), or cannot be written or read.
        ConfigError: settings that do not fit each other or the devices.
        DataError: the batches ended.
    """
    # ------------------------------------------------------------------------------------ the pieces: mesh and step
    evaluations = evaluations or {}
    best_metric = validation.best_metric or next((f"{name}/loss" for name in evaluations), "")
    model_dir = path_of(model_dir)
    mesh = sharding.make_mesh() if mesh is None else mesh
    pieces = make_pieces(config, update, mesh, masker)
    profile = Profile(model_dir, records.profile_steps)
    is_first = jax.process_index() == 0

    # ------------------------------------------------------ where the run stands: its last checkpoint, or its beginning
    metadata = _run_metadata(config, update, masker, seed, metadata)
    checkpoints = Checkpoints(model_dir, keep=records.keep)
    checkpoint = checkpoints.restore(pieces.target, metadata)
    if checkpoint is None:
        state = first_state(pieces, mesh, seed, initial_params, initial_opt_state, masker)
        best = Best(validation.higher_is_better)
    else:
        state = checkpoint.state
        batches.set_state(checkpoint.position["loader"])
        metadata["trained_on"] = _united(checkpoint.metadata, metadata)
        best = Best(validation.higher_is_better, **checkpoint.position["best"])
    if is_first:
        _write_documents(model_dir, documents or {})
    writer = None
    if is_first:
        further = [opening.open_tracker(records.tracker, model_dir, metadata)] if records.tracker else []
        writer = MetricWriter(model_dir, resume_step=int(state.step), further=further)
    bar = progress_bar(steps, int(state.step), show=progress and is_first)
    run = ActiveRun(
        update, masker, pieces, mesh, batches, model_dir, metadata, checkpoints, writer, bar, profile, state, best
    )

    # -------------------------------------------------------------------------------------------------- the updates
    with contextlib.closing(run), jax.set_mesh(mesh), stop_signals() as stop:
        while run.step < steps and not (validation.patience is not None and best.stale >= validation.patience):
            run.dispatch(steps)
            is_last = run.step == steps
            line: dict[str, float] = {}
            better = False
            if run.step % records.log_period == 0 or is_last:
                line |= run.end_window()
            evaluated = bool(evaluations) and (run.step % validation.period == 0 or is_last)
            if evaluated:
                better = run.evaluate(evaluations, best_metric)
                line |= run.metrics
            if run.step % validation.period == 0:  # not at the last step, after which a run may go on
                run.weigh()

            # --------------------------- writing and saving, then a stop: nothing of this step is done twice
            run.write(line)
            if evaluated and illustration is not None:
                run.illustrate(illustration)
            stopping = agreed(stop, settle=run.step % records.log_period == 0)
            stopping = stopping or (stops is not None and not is_last and stops(run.step))
            if run.step % records.save_period == 0 or better or stopping:
                run.settle()
                run.save()
            if stopping:
                with run.doing("saving"):
                    checkpoints.wait()
                raise Interrupted(f"stopped at step {run.step} of {steps}; the same command goes on from there")

        # ------------------------------------------------------------------------------------------------- the end
        if run.step > run.first_step:
            with run.doing("saving"):
                run.settle()
                run.save()
                checkpoints.wait()
        if is_first:
            document = {"step": run.step, "best_step": best.step}
            files.write_text(model_dir / FINISHED_FILE, json.dumps(document) + "\n")
    return Result(run.step, nnx.merge(pieces.graphdef, run.state.params), best.step, run.metrics)


def _run_metadata(
    config: T5Config, update: Update, masker: Masker | None, seed: int, metadata: Mapping[str, Any]
) -> dict[str, Any]:
    """Returns the metadata of a run's checkpoints, in the types that JSON gives back."""
    run = {"version": t5music.__version__, "config": config.to_dict(), "seed": seed, **update.to_json()}
    run["masking"] = None if masker is None else masker.settings
    return json.loads(json.dumps({**run, **metadata}))


def _united(saved: Mapping[str, Any], metadata: Mapping[str, Any]) -> list[Any]:
    """Returns what the weights of a run that goes on were trained on: as saved, and what it reads by now.

    What the weights began from is what they began from, whatever the arguments name today.
    """
    runs = list(saved.get("trained_on", []))
    return runs + [run for run in metadata.get("trained_on", [])[-1:] if run not in runs]


def _write_documents(model_dir: Path, documents: Mapping[str, str]) -> None:
    """Writes the texts of a run that goes on, which is no longer finished."""
    for name, text in documents.items():
        files.write_text(model_dir / name, text)
    (model_dir / FINISHED_FILE).unlink(missing_ok=True)
