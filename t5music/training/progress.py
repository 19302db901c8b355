"""Progress of a run: metrics since the last line, speed, the best evaluation so far, and the progress bar."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Mapping
from typing import Any

import jax
import optax
from tqdm import tqdm

from t5music.training.batches import Batches, examples_per_task
from t5music.training.coordination import gather
from t5music.training.optimizers import Optimizer
from t5music.training.train_state import TrainState, Window

_norm = jax.jit(optax.tree.norm)


def summarise(state: TrainState, optimizer: Optimizer) -> dict[str, float]:
    """Returns the metrics of the window that ends at a state.

    "loss" (with its z-loss), "z_loss" and "accuracy" are means per target token, "gradient_norm" is the mean over
    steps, "parameter_norm" is that of the state, "learning_rate" that of the last update.
    """
    window = jax.tree.map(float, state.window)
    tokens = max(window.tokens, 1.0)
    return {
        "loss": window.loss / tokens,
        "z_loss": window.z_loss / tokens,
        "accuracy": window.correct / tokens,
        "tokens": window.tokens,
        "gradient_norm": window.gradient_norm / window.steps,
        "parameter_norm": float(_norm(state.params)),
        "learning_rate": float(optimizer.rate(int(state.step) - 1)),
    }


def count_examples(batches: Batches) -> dict[str, float]:
    """Returns "examples/<task>", the examples of each task that all processes have read since the run began."""
    counts = gather(examples_per_task(batches))
    return {f"examples/{task}": float(sum(each[task] for each in counts)) for task in counts[0]}


class Best:
    """The best evaluation so far.

    Attributes:
        higher_is_better: of the metric.
        value: of the best evaluation; None before there is one.
        step: of the best evaluation; None before there is one.
        stale: number of evaluations since the best.
    """

    def __init__(
        self, higher_is_better: bool, *, value: float | None = None, step: int | None = None, stale: int = 0
    ) -> None:
        self.higher_is_better = higher_is_better
        self.value = value
        self.step = step
        self.stale = stale

    def update(self, step: int, value: float) -> bool:
        """Records an evaluation, and returns whether it is the best so far. A value that is not finite never is."""
        better = math.isfinite(value) and (
            self.value is None or (value > self.value if self.higher_is_better else value < self.value)
        )
        if better:
            self.value, self.step, self.stale = value, step, 0
        else:
            self.stale += 1
        return better

    def to_json(self) -> dict[str, Any]:
        """Returns the constructor's arguments, without `higher_is_better`, as JSON values."""
        return {"value": self.value, "step": self.step, "stale": self.stale}


class Clock:
    """A run's speed since the last line of metrics, without the time of evaluations."""

    def __init__(self, step: int) -> None:
        self.restart(step)

    def restart(self, step: int) -> None:
        """Begins to measure at a step."""
        self._step, self._start = step, time.perf_counter()

    def lap(self, step: int, window: Window, flops: float, peak: float | None) -> dict[str, float]:
        """Returns the speeds since the last call, and begins to measure again.

        Args:
            step: the last step.
            window: sums over the steps since the last line.
            flops: floating point operations of a step (`flops.train_flops`).
            peak: FLOP/s of all devices together; None where it is not known.

        Returns:
            "steps_per_second", "tokens_per_second", "flops_per_second" and, with a peak, "utilisation"; {} where no
            step was measured.
        """
        seconds, steps = time.perf_counter() - self._start, step - self._step
        self.restart(step)
        if steps == 0:
            return {}
        tokens = float(window.tokens + window.input_tokens) / float(window.steps)
        rate = steps / seconds
        speeds = {"steps_per_second": rate, "tokens_per_second": tokens * rate, "flops_per_second": flops * rate}
        return speeds if peak is None else {**speeds, "utilisation": flops * rate / peak}


def progress_bar(steps: int, step: int, *, show: bool) -> tqdm:
    """Returns a progress bar on stderr; if that is not a terminal, it prints a line at most every five seconds."""
    bar = tqdm(
        total=steps,
        initial=step,
        unit="step",
        disable=not show,
        file=sys.stderr,
        mininterval=0.1 if sys.stderr.isatty() else 5.0,
    )
    bar.set_postfix_str("compiling")
    return bar


def postfix(line: Mapping[str, float], timing: Mapping[str, float]) -> str:
    """Returns the text after the progress bar."""
    speed = f"{timing.get('tokens_per_second', 0):,.0f} tokens/s"
    return f"loss {line['loss']:.3f}, rate {line['learning_rate']:.2g}, {speed}"
