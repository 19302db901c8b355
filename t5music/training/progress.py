"""What a run says about itself while it goes on: metrics, speed and the best evaluation so far."""

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
    """Returns the metrics of the window that ends at a state: means per target token, of the loss with its z-loss.

    "gradient_norm" is the mean over steps, "parameter_norm" and "learning_rate" (of the last update) are of now.
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
    """Returns "examples/<task>", how many examples of each task all processes have trained on since the run began."""
    counts = gather(examples_per_task(batches))
    return {f"examples/{task}": float(sum(each[task] for each in counts)) for task in counts[0]}


class Best:
    """The best evaluation so far, and how many have come since."""

    def __init__(
        self, higher_is_better: bool, *, value: float | None = None, step: int | None = None, stale: int = 0
    ) -> None:
        self.higher_is_better = higher_is_better
        self.value = value
        self.step = step
        self.stale = stale

    def update(self, step: int, value: float) -> bool:
        """Takes note of an evaluation; returns whether it is the best. One that is not finite never is."""
        better = math.isfinite(value) and (
            self.value is None or (value > self.value if self.higher_is_better else value < self.value)
        )
        if better:
            self.value, self.step, self.stale = value, step, 0
        else:
            self.stale += 1
        return better

    def to_json(self) -> dict[str, Any]:
        """Returns what the constructor takes."""
        return {"value": self.value, "step": self.step, "stale": self.stale}


class Clock:
    """Speed since the last line, without the time of evaluations."""

    def __init__(self, step: int) -> None:
        self.restart(step)

    def restart(self, step: int) -> None:
        """Begins to measure at this step."""
        self._step, self._start = step, time.perf_counter()

    def lap(self, step: int, window: Window, flops: float, peak: float | None) -> dict[str, float]:
        """Returns speeds since the last call, nothing where no step was measured, and begins again.

        Args:
            step: the step that was last done.
            window: sums over the steps since the last line.
            flops: floating point operations of the model's products in a step (`flops.train_flops`).
            peak: FLOP/s that all devices together can do; where it is not known there is no "utilisation".
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
    """Returns a bar on stderr; where that is no terminal, a line every five seconds."""
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
    """Returns what stands behind the progress bar."""
    speed = f"{timing.get('tokens_per_second', 0):,.0f} tokens/s"
    return f"loss {line['loss']:.3f}, rate {line['learning_rate']:.2g}, {speed}"
