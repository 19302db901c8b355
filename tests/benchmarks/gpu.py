"""The training step on a GPU: the share of the chip's matrix rate it reaches, beside compiled PyTorch.

    python tests/benchmarks/gpu.py [--size base] [--batch 32 64 128] [--peers .venv-peers/bin/python]

T5 v1.1 over 32,128 rows, 512 inputs and 114 targets, bfloat16 with float32 parameters, no dropout (its pre-training),
Adafactor. First the rate of one large bfloat16 product is measured; the share is the model's own products, forward and
backward, a second over that rate. The peer is PyTorch T5 of Hugging Face transformers under torch.compile and bfloat16
autocast, where a Python with both and CUDA is given. Nothing but jax, flax, optax and numpy is needed for our side.

Wanted: at least 45 % of the measured rate at the best batch. Not yet measured on a GPU.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from common import PEERS, ROOT, table

sys.path.insert(0, str(ROOT))  # the project need not be installed
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # the peer needs memory too

import jax
import jax.numpy as jnp
from training import ours, peer, random_batch, write_job

from t5music.model import parameters
from t5music.model.config import T5Config, named

ROWS = 32128
STEPS = 10


def matrix_rate(size: int, repeats: int = 20) -> float:
    """FLOP a second of a bfloat16 product of square matrices: the best of five runs of `repeats` in a row."""
    matrix = jax.random.normal(jax.random.key(0), (size, size), jnp.bfloat16) / size**0.5

    @jax.jit
    def chain(x: jax.Array) -> jax.Array:
        return jax.lax.fori_loop(0, repeats, lambda _, x: x @ matrix, x)

    chain(matrix).block_until_ready()
    best = float("inf")
    for _ in range(5):
        start = time.perf_counter()
        chain(matrix).block_until_ready()
        best = min(best, time.perf_counter() - start)
    return 2 * size**3 * repeats / best


def step_flops(config: T5Config, batch: int, inputs: int, targets: int) -> float:
    """FLOP of a training step's matrix products, two a multiplication, three times the forward pass.

    Attention counts in full, the causal half that is masked included; look-ups, norms and the update do not count.
    """
    joined = config.num_heads * config.d_kv
    attention, mlp = 4 * config.d_model * joined, (3 if config.gated else 2) * config.d_model * config.d_ff
    encoder = inputs * (attention + mlp) + 2 * inputs * inputs * joined
    decoder = targets * (1.5 * attention + mlp) + inputs * attention / 2  # cross keys and values are of the inputs
    decoder += 2 * targets * (targets + inputs) * joined
    head = targets * config.d_model * config.vocab_size
    return 6.0 * batch * (config.num_encoder_layers * encoder + config.num_decoder_layers * decoder + head)


def seconds_a_step(steps: Any, count: int) -> tuple[float, float]:
    """Median seconds of a step after three to warm up, and the first step's loss."""
    first = steps(3)["losses"][0]
    return statistics.median(steps(count)["seconds"]), first


def compare(
    config: T5Config, batches: Sequence[int], lengths: tuple[int, int], rate: float, steps: int, python: Path | None
) -> list[list[str]]:
    """Lines of the table, one for each batch; a side that runs out of memory is said to."""
    _, params = parameters.initialise(config, jax.random.key(0))
    lines = []
    for batch in batches:
        flops = step_flops(config, batch, *lengths)
        tokens = random_batch(config.vocab_size, batch, *lengths)
        theirs = "-"
        peer_seconds = float("nan")
        if python is not None:
            with tempfile.TemporaryDirectory() as folder:
                settings = {"device": "cuda", "bfloat16": True, "compile": True, "attention": "sdpa"}
                write_job(Path(folder) / "job", config, *tokens, params, **settings)
                try:
                    with peer(python, Path(folder) / "job") as run:
                        peer_seconds, loss = seconds_a_step(run, steps)
                    theirs = f"{1000 * peer_seconds:.0f}, {100 * flops / peer_seconds / rate:.0f} %, {loss:.3f}"
                except ValueError:  # it ended without a line
                    theirs = "failed"
        try:
            seconds, loss = seconds_a_step(ours(config, *tokens, params), steps)
        except jax.errors.JaxRuntimeError as error:
            lines.append([str(batch), str(error).split(":")[0], "", "", theirs, ""])
            continue
        per_second = batch * sum(lengths) / seconds
        share = f"{100 * flops / seconds / rate:.1f} %"
        ratio = f"{peer_seconds / seconds:.2f}" if python is not None else ""
        lines.append([str(batch), f"{1000 * seconds:.1f}, {loss:.3f}", f"{per_second:,.0f}", share, theirs, ratio])
    return lines


HEAD = ("batch", "ms a step, first loss", "tokens/s", "of the rate", "PyTorch: ms, of the rate, loss", "times")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="base", help="of T5 v1.1")
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--lengths", type=int, nargs=2, default=(512, 114), metavar=("INPUTS", "TARGETS"))
    parser.add_argument("--batch", type=int, nargs="+", default=[32, 64, 128])
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--matrix", type=int, default=8192, help="side of the matrices whose product is the measure")
    parser.add_argument("--peers", type=Path, help=f"Python that has torch with CUDA and transformers, such as {PEERS}")
    parser.add_argument("--any_device", action="store_true", help="run without a GPU as well")
    options = parser.parse_args(arguments)
    device = jax.devices()[0]
    if device.platform == "cpu" and not options.any_device:
        sys.exit("JAX sees no GPU here: install jax[cuda12], or pass --any_device to try the script out")
    rate = matrix_rate(options.matrix)
    print(f"{device.device_kind}: {rate / 1e12:.1f} TFLOP/s in a product of {options.matrix:,} squared, bfloat16\n")
    config = named("v1.1", options.size, vocab_size=options.rows, dtype="bfloat16", dropout_rate=0.0)
    print(table(HEAD, compare(config, options.batch, tuple(options.lengths), rate, options.steps, options.peers)))


if __name__ == "__main__":
    main()
