"""Training and writing on an accelerator: the share of the chip's matrix rate, beside compiled PyTorch on a GPU.

    python tests/benchmarks/gpu.py [--size base large] [--batch 32 64 128] [--peers .venv-peers/bin/python]
    python tests/benchmarks/tpu.py

Training: T5 v1.1 over 32,128 rows, 512 inputs and 114 targets, bfloat16 with float32 parameters, no dropout (its
pre-training), Adafactor. First the rate of one large bfloat16 product is measured; the share is the model's own
products, forward and backward, a second over that rate. Writing: prompts of 256 tokens, 128 written, 64 at once,
greedily, in bfloat16. The peer is PyTorch T5 of Hugging Face transformers, under torch.compile and bfloat16 autocast
in training, where a Python with both and CUDA is given. Nothing but jax, flax, optax and numpy is needed for our side.
"fused attention" counts the calls of a fused kernel in the compiled forward pass, beside the model's attentions.

Wanted: at least 45 % of the measured rate at the best batch, then 55 %, and writing 10 times as fast as the peer. Not
yet measured on a GPU or a TPU.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from common import PEERS, ROOT, table

sys.path.insert(0, str(ROOT))  # the project need not be installed
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # the peer needs memory too

import generation
import jax
import jax.numpy as jnp
from flax import nnx
from training import ours, peer, random_batch, write_job

from t5music.model import parameters
from t5music.model.config import T5Config, named

ROWS = 32128
EXTRAS = {"gpu": "cuda12", "tpu": "tpu"}  # of jax
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


def fused_attentions(config: T5Config, batch: int, lengths: tuple[int, int]) -> str:
    """How many calls of a fused kernel the compiled forward pass has, "12 of 36": cuDNN's, or Pallas's on a TPU."""
    graphdef, params = parameters.abstract(config)
    tokens = [jax.ShapeDtypeStruct((batch, length), jnp.int32) for length in lengths]
    forward = jax.jit(lambda params, *tokens: nnx.merge(graphdef, params)(*tokens))
    program = forward.lower(params, *tokens).compile().as_text() or ""
    targets = re.findall(r'custom_call_target="([^"]+)"', program)
    fused = sum("fmha" in target or target == "tpu_custom_call" for target in targets)
    return f"{fused} of {config.num_encoder_layers + 2 * config.num_decoder_layers}"


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


def writing(size: str, options: argparse.Namespace) -> list[str]:
    """The line of a size: tokens a second of both sides and their ratio."""
    model = generation.build(size, "bfloat16")
    prompts = generation.random_prompts(options.writing_batch, options.prompt, model.config.vocab_size)
    tokens = options.writing_batch * options.new
    with ExitStack() as stack:
        writers = [generation.ours(model, options.new)]
        if options.peers is not None:
            threads = os.cpu_count() or 1
            writers.append(
                stack.enter_context(
                    generation.hugging_face(model, options.new, options.peers, "cuda", threads, "bfloat16")
                )
            )
        best, _ = generation.take_turns(writers, prompts, rounds=3)
    rate, *peers = (tokens / seconds["wall"] for seconds in best)
    return [size, f"{rate:,.0f}", *(text for other in peers for text in (f"{other:,.0f}", f"{rate / other:.2f}"))]


HEAD = ("batch", "ms a step, first loss", "tokens/s", "of the rate", "PyTorch: ms, of the rate, loss", "times")


def main(arguments: Sequence[str] | None = None, platform: str = "gpu") -> None:
    """Prints the tables. `platform` is what JAX calls the accelerator, "gpu" or "tpu"."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", nargs="+", default=["base", "large"], help="of T5 v1.1")
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--lengths", type=int, nargs=2, default=(512, 114), metavar=("INPUTS", "TARGETS"))
    parser.add_argument("--batch", type=int, nargs="+", default=[32, 64, 128])
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--matrix", type=int, default=8192, help="side of the matrices whose product is the measure")
    parser.add_argument("--writing_batch", type=int, default=64, help="prompts that are answered at once")
    parser.add_argument("--prompt", type=int, default=256, help="tokens of a prompt")
    parser.add_argument("--new", type=int, default=128, help="tokens to write")
    parser.add_argument("--peers", type=Path, help=f"Python that has torch with CUDA and transformers, such as {PEERS}")
    parser.add_argument("--any_device", action="store_true", help="run without an accelerator as well")
    options = parser.parse_args(arguments)
    device = jax.devices()[0]
    if device.platform != platform and not options.any_device:
        sys.exit(f"JAX sees no {platform.upper()} here: install jax[{EXTRAS[platform]}], or try it with --any_device")
    rate = matrix_rate(options.matrix)
    print(f"{device.device_kind}: {rate / 1e12:.1f} TFLOP/s in a product of {options.matrix:,} squared, bfloat16")
    for size in options.size:
        config = named("v1.1", size, vocab_size=options.rows, dtype="bfloat16", dropout_rate=0.0)
        fused = fused_attentions(config, options.batch[0], tuple(options.lengths))
        print(f"\nTraining {size}; fused attention: {fused}\n")
        print(table(HEAD, compare(config, options.batch, tuple(options.lengths), rate, options.steps, options.peers)))
    head = ("writing", "tokens/s", *(["PyTorch, tokens/s", "times"] if options.peers else []))
    print(f"\n{table(head, [writing(size, options) for size in options.size])}")


if __name__ == "__main__":
    main()
