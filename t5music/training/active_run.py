"""Active run: a training in progress, with its state, the steps in flight, and what it measures, writes and saves."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import nnx
from jax.sharding import Mesh
from tqdm import tqdm

from t5music.devices.chips import peak_flops
from t5music.errors import ConfigError, DataError, nearest
from t5music.model.network import T5
from t5music.training import divergence
from t5music.training.batches import Batches
from t5music.training.checkpoints.save import Checkpoints
from t5music.training.coordination import gather, union
from t5music.training.cost.flops import train_flops
from t5music.training.metric_writers import MetricWriter
from t5music.training.note_masking.masker import Masker
from t5music.training.pieces import Pieces, before_divergence, with_empty_window
from t5music.training.profiling import Profile
from t5music.training.progress import Best, Clock, count_examples, postfix, summarise
from t5music.training.settings import Update
from t5music.training.trackers.base import Sample
from t5music.training.train_state import TrainState
from t5music.training.train_step import put_batch

STEPS_IN_FLIGHT = 2  # dispatched and not waited for: enough to keep a device busy, few enough to stop promptly

LOSS_SECONDS = 20.0  # after so long without a line of metrics, the progress bar has the loss of a single step

Evaluation = Callable[[T5], Mapping[str, float]]
Illustration = Callable[[T5, int], Sequence[Sample]]  # of the model after a step


@dataclasses.dataclass
class ActiveRun:
    """A training in progress.

    Attributes:
        update: how to update it.
        masker: chooses notes to mask; None without.
        pieces: the compiled step and what belongs to it.
        mesh: the devices.
        batches: training batches of this process.
        model_dir: the run's folder.
        metadata: what checkpoints say of the run.
        checkpoints: where states are saved.
        writer: of metrics; None on all processes but the first.
        bar: the progress bar.
        profile: the steps to profile.
        state: after the last dispatched step.
        best: the best evaluation.
        metrics: of the last evaluation by this process; {} without one.
    """

    update: Update
    masker: Masker | None
    pieces: Pieces
    mesh: Mesh
    batches: Batches
    model_dir: Path
    metadata: Mapping[str, Any]
    checkpoints: Checkpoints
    writer: MetricWriter | None
    bar: tqdm
    profile: Profile
    state: TrainState
    best: Best
    metrics: dict[str, float] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        self.step = self.first_step = int(self.state.step)
        self._sound = (self.step, self.batches.get_state())  # a step with a finite loss, and the position after it
        # Of the steps in flight: step, summed loss, target tokens (0 where they are not known).
        self._losses: collections.deque[tuple[int, jax.Array, float]] = collections.deque()
        self._text, self._shown = "", -math.inf  # what the progress bar says, and when it was set
        self._clock = Clock(self.step)
        self._flops = 0.0  # of a step, from the first batch on

    def close(self) -> None:
        """Closes all files, even if one of them cannot be closed."""
        with contextlib.ExitStack() as stack:
            stack.callback(self.checkpoints.close)
            if self.writer is not None:
                stack.callback(self.writer.close)
            stack.callback(self.bar.close)
            stack.callback(self.profile.close)

    def dispatch(self, steps: int) -> None:
        """Dispatches the next of `steps` steps, and waits until few are in flight."""
        try:
            host_batch = next(self.batches)
        except StopIteration:
            raise DataError(f"the training data ended at step {self.step} of {steps}") from None
        tokens = float(np.sum(host_batch.get("decoder_loss_weights", 0.0))) * jax.process_count()
        batch = put_batch(host_batch, self.mesh)
        self.profile.before(self.step + 1, self.state)
        self.state, loss = self.pieces.step(self.state, batch)
        self.step += 1
        self.profile.after(self.step, self.state)
        self.bar.update()
        loss.copy_to_host_async()
        self._losses.append((self.step, loss, tokens))
        compiled = self.step == self.first_step + 1
        self.settle(0 if compiled else STEPS_IN_FLIGHT)
        if compiled:
            self._flops = self._step_flops(batch)
            self._clock.restart(self.step)

    def settle(self, most: int = 0) -> None:
        """Waits until at most `most` steps are in flight; with 0, the state is that of the last step.

        Raises:
            DivergenceError: the loss of a step is not finite. The state before it is saved.
        """
        while len(self._losses) > most:
            step, loss, tokens = self._losses.popleft()
            if math.isfinite(float(loss)):
                if time.monotonic() - self._shown > LOSS_SECONDS:
                    self._show(f"loss {float(loss) / tokens:.3f}" if tokens else "", at_once=True)
            else:
                error = divergence.stop(self.model_dir, step, self.batches, self._sound)
                self.state = before_divergence(self.state, self.pieces)
                self.save()
                self.checkpoints.wait()
                raise error

    def end_window(self) -> dict[str, float]:
        """Returns the metrics of the steps since the last call, and writes their speed."""
        self.settle()
        self._sound = self.step, self.batches.get_state()
        line = summarise(self.state, self.update.optimizer) | count_examples(self.batches)
        if self.masker is not None and self.state.masker is not None:
            line |= self.masker.summarise(self.state.masker)
        timing = self._clock.lap(self.step, self.state.window, self._flops, _peak_flops(self.mesh))
        self.state = with_empty_window(self.state, self.pieces)
        if self.writer is not None and timing:
            self.writer.write_timing(self.step, timing)
        self._show(postfix(line, timing))
        return line

    def _show(self, text: str, *, at_once: bool = False) -> None:
        """Sets what the progress bar says, from its next update on unless `at_once`."""
        self._text, self._shown = text, time.monotonic()
        self.bar.set_postfix_str(text, refresh=at_once)

    @contextlib.contextmanager
    def doing(self, what: str) -> Iterator[None]:
        """Has the progress bar say what is done beside steps, while it is done."""
        self.bar.set_postfix_str(", ".join(filter(None, (self._text, what))), refresh=True)
        yield
        self.bar.set_postfix_str(self._text, refresh=False)

    def evaluate(self, evaluations: Mapping[str, Evaluation], best_metric: str) -> bool:
        """Evaluates the model into `metrics`, and returns whether this is the best evaluation so far.

        Raises:
            ConfigError: no evaluation returns the metric by which the best is chosen.
        """
        self.settle()
        model = nnx.merge(self.pieces.graphdef, self.state.params)
        with self.doing("evaluating"):
            self.metrics = {
                f"{name}/{metric}": float(value)
                for name, evaluation in evaluations.items()
                for metric, value in evaluation(model).items()
            }
        if best_metric not in self.metrics:
            raise ConfigError(f"no evaluation gives {best_metric!r}{nearest(best_metric, self.metrics)}")
        self._clock.restart(self.step)
        return self.best.update(self.step, self.metrics[best_metric])

    def weigh(self) -> None:
        """Has the masker weigh families of words by how well the model recovers them in validation, if it does so."""
        if self.masker is not None and self.state.masker is not None:
            self.settle()
            model = nnx.merge(self.pieces.graphdef, self.state.params)
            self.state = dataclasses.replace(self.state, masker=self.masker.weighed(self.state.masker, model))

    def illustrate(self, illustration: Illustration) -> None:
        """Draws the run and its model as they are after this step."""
        self.settle()
        if self.writer is not None:
            self.writer.sync()
        with self.doing("drawing"):
            samples = illustration(nnx.merge(self.pieces.graphdef, self.state.params), self.step)
            if self.writer is not None:
                self.writer.show(self.step, samples)
        self._clock.restart(self.step)

    def write(self, line: Mapping[str, float]) -> None:
        """Writes a line of metrics; nothing if it is empty."""
        if self.writer is not None and line:
            self.writer.write(self.step, line)

    def save(self) -> None:
        """Starts to save a checkpoint of the state, once the metrics up to it are written."""
        if self.writer is not None:
            self.writer.sync()
        position = {
            "loader": union(gather(self.batches.get_state())),
            "best": self.best.to_json(),
            "best_step": self.best.step,
        }
        self.checkpoints.save(self.state, position, self.metadata, best_step=self.best.step)

    def _step_flops(self, batch: Mapping[str, jax.Array]) -> float:
        """The operations of a step on such a batch, of all processes."""
        if self.masker is not None:
            return self.masker.flops(batch)
        rows, targets = batch["decoder_target_tokens"].shape
        inputs = batch["encoder_input_tokens"].shape[1] if "encoder_input_tokens" in batch else 0
        return train_flops(
            self.pieces.config, rows=rows, inputs=inputs, targets=targets, trainable=self.update.trainable
        )


def _peak_flops(mesh: Mesh) -> float | None:
    """The FLOP/s of all devices of a mesh together; None where it is not known."""
    peak = peak_flops(mesh.devices.flat[0].device_kind)
    return None if peak is None else peak * mesh.size
