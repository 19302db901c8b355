"""A model of a few thousand parameters and endless random batches with a position; run as a script, a whole training.

python tiny_runs.py MODEL_DIR STEPS KILL_AT
"""

import dataclasses
import os
import signal
import sys

import jax
import numpy as np
from flax import nnx

from t5music.evaluation import likelihood
from t5music.model.config import T5Config
from t5music.training import loop, optimizers, schedules
from t5music.training.settings import Records, Update, Validation

ROWS = 128
STEPS = 12
CONFIG = T5Config(
    vocab_size=ROWS,
    d_model=16,
    d_kv=8,
    num_heads=2,
    d_ff=32,
    num_encoder_layers=1,
    num_decoder_layers=1,
    version="v1.0",
    dropout_rate=0.1,
    scan_layers=True,
)
OPTIMIZER = optimizers.adafactor(schedules.constant(0.05))
METADATA = {"task": "random", "vocabulary": {"fingerprint": "0123abcd", "size": 100}}
IS_NOTE = np.arange(100) % 3 == 0


def batch(seed, examples=4, length=8):
    """A batch whose targets repeat its inputs, so that there is something to learn; rows differ in length."""
    rng = np.random.default_rng(seed)
    tokens = rng.integers(3, 20, (examples, length)).astype(np.int32)
    lengths = rng.integers(2, length + 1, examples)
    tokens[np.arange(length) >= lengths[:, None]] = 0
    return {
        "encoder_input_tokens": tokens,
        "decoder_input_tokens": np.pad(tokens, ((0, 0), (1, 0)))[:, :-1],
        "decoder_target_tokens": tokens,
        "decoder_loss_weights": (tokens > 0).astype(np.float32),
    }


class Batches:
    """An endless iterator with a position; `end` makes it end, `poison` puts in a weight that is not a number."""

    def __init__(self, *, end=None, kill_at=None, stop_at=None, poison=None, examples=4):
        self.position = 0
        self.end, self.kill_at, self.stop_at, self.poison, self.examples = end, kill_at, stop_at, poison, examples

    def __next__(self):
        if self.position == self.end:
            raise StopIteration
        if self.position == self.kill_at:
            print([name for name in ("tensorflow", "seqio", "clu", "gin") if name in sys.modules], flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
        self.position += 1
        if self.position == self.stop_at:
            os.kill(os.getpid(), signal.SIGTERM)
        made = batch(self.position, self.examples)
        if self.position == self.poison:
            made["decoder_loss_weights"] = made["decoder_loss_weights"] * np.float32("nan")
        return made

    def get_state(self):
        return {"next": self.position}

    def set_state(self, state):
        self.position = state["next"]

    @property
    def examples_per_task(self):
        """As if every second batch were of another task."""
        return {
            "first": self.examples * (self.position - self.position // 2),
            "second": self.examples * (self.position // 2),
        }


def evaluate(model):
    return likelihood.evaluate(model, [batch(-1 % 2**32), batch(-2 % 2**32)], IS_NOTE)


def train(model_dir, steps=STEPS, batches=None, *, config=CONFIG, optimizer=OPTIMIZER, evaluations=None, **arguments):
    """Trains; what Update, Validation (its period as `eval_period`) and Records set is named without its group."""
    options = {"log_period": 3, "period": 4, "save_period": 5, "keep": 3, "progress": False, "metadata": METADATA}
    options |= arguments
    if "eval_period" in options:
        options["period"] = options.pop("eval_period")

    def group(of):
        return {field.name: options.pop(field.name) for field in dataclasses.fields(of) if field.name in options}

    update = Update(optimizer, **group(Update))
    validation, records = Validation(**group(Validation)), Records(**group(Records))
    return loop.train(
        config,
        batches or Batches(),
        update,
        steps=steps,
        model_dir=model_dir,
        validation=validation,
        records=records,
        evaluations={"validation": evaluate} if evaluations is None else evaluations,
        **options,
    )


def params(result):
    return nnx.to_pure_dict(nnx.state(result.model))


def assert_same_run(folder, result, uninterrupted):
    """Parameters, best step and metrics.jsonl are those of the uninterrupted run, to the last bit."""
    expected_folder, expected = uninterrupted
    jax.tree.map(np.testing.assert_array_equal, params(result), params(expected))
    assert (folder / "metrics.jsonl").read_bytes() == (expected_folder / "metrics.jsonl").read_bytes()
    assert (result.step, result.best_step) == (expected.step, expected.best_step)


EXAMPLES = batch(5, examples=7)
LABELS = [np.array(ids) for ids in ([100, 1], [97, 1], [30, 1], [20, 21, 1])]


def batches_of(size, examples=EXAMPLES):
    """`examples` in batches of `size`, the last one filled with empty rows and all with a feature nobody reads."""
    rows = len(examples["encoder_input_tokens"])
    for start in range(0, rows, size):
        batch = {name: array[start : start + size] for name, array in examples.items()}
        missing = size - len(batch["encoder_input_tokens"])
        batch = {name: np.pad(array, ((0, missing), (0, 0))) for name, array in batch.items()}
        yield {**batch, "example_index": np.arange(size)}


if __name__ == "__main__":
    folder, steps, kill_at = sys.argv[1:]
    train(folder, int(steps), Batches(kill_at=int(kill_at)))
