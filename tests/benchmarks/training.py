"""The training step on a CPU: t5music beside PyTorch T5 of Hugging Face transformers, ratios of times.

    make peers
    python tests/benchmarks/training.py [--rounds 5] [--cores 1] [--dropout 0.0 0.1] [--peers .venv-peers/bin/python]

T5 v1.1 small over 2,304 rows, 8 x (256 inputs + 128 targets), no padding, float32: forward, backward and Adafactor's
update, from equal weights on an equal batch. The peer is in training mode with its eager attention, and again under
torch.compile (`--no-compile` leaves that out; "sdpa" is as fast as eager). Everybody takes turns of a few steps; the
ratio is that of the median of all steps but the warm-up's.

Without dropout both sides must learn the same: the run fails where the losses of a step differ by more than 1e-3.

On a machine with other work, take one core and read the column of processor time: it does not count the time that
others take. Wanted: at least 1.0 times as fast. Measured on two cores (AMD EPYC): with dropout 0.1, 1.13 times eager;
without, 0.95 eager and 0.94 compiled (1.00 and 0.99 by processor time).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from common import PEERS, table

HERE = Path(__file__).resolve().parent
ROWS = 2304
BATCH, INPUTS, TARGETS = 8, 256, 128
RATE = 0.01
WARM_UP = 2
SAME_LOSS = 1e-3

Steps = Callable[[int], Mapping[str, list[float]]]  # number of steps -> "seconds", "cpu", "losses" of each


def random_batch(rows: int, batch: int, inputs: int, targets: int) -> tuple[np.ndarray, np.ndarray]:
    """Inputs and targets without padding."""
    random = np.random.default_rng(0)
    return tuple(random.integers(3, rows, (batch, length)).astype(np.int32) for length in (inputs, targets))


def timed_steps(step: Callable[[], float]) -> Steps:
    """Times a step of this process; it returns its loss when it is done."""

    def steps(count: int) -> Mapping[str, list[float]]:
        done: dict[str, list[float]] = {"seconds": [], "cpu": [], "losses": []}
        for _ in range(count):
            start, start_cpu = time.perf_counter(), time.process_time()
            done["losses"].append(step())
            done["seconds"].append(time.perf_counter() - start)
            done["cpu"].append(time.process_time() - start_cpu)
        return done

    return steps


def ours(config: Any, inputs: np.ndarray, targets: np.ndarray, params: Any, *, z_loss: float = 0.0) -> Steps:
    """The project's own step, from parameters it leaves alone."""
    import jax
    from flax import nnx

    from t5music.model import parameters, sharding
    from t5music.training import optimizers, schedules, train_state, train_step

    graphdef, abstract = parameters.abstract(config)
    transformation = optimizers.adafactor(schedules.constant(RATE)).transformation(train_state.logical_axes(abstract))
    mesh = sharding.make_mesh(devices=jax.devices()[:1])
    target = train_state.abstract_state(abstract, transformation, mesh)
    train_step = train_step.make_train_step(graphdef, transformation, target, z_loss=z_loss)
    batch = {
        "encoder_input_tokens": inputs,
        "decoder_input_tokens": np.pad(targets[:, :-1], ((0, 0), (1, 0))),
        "decoder_target_tokens": targets,
        "decoder_loss_weights": (targets > 0).astype(np.float32),
    }
    now = train_state.create(config, transformation, target, mesh, seed=0, params=nnx.to_pure_dict(params))
    placed = train_step.put_batch(batch, mesh)

    def step() -> float:
        nonlocal now
        with jax.set_mesh(mesh):
            now, loss = train_step(now, placed)
        jax.block_until_ready(now)
        return float(loss) / float(batch["decoder_loss_weights"].sum())

    return timed_steps(step)


def write_job(folder: Path, config: Any, inputs: np.ndarray, targets: np.ndarray, params: Any, **settings: Any) -> None:
    """Writes what training_peer.py reads; `settings` are the job's own, instead of those of a CPU."""
    from t5music.model import huggingface

    folder.mkdir(parents=True)
    np.savez(folder / "weights.npz", **huggingface.to_huggingface(params, config))
    np.savez(
        folder / "batch.npz",
        input_ids=inputs,
        attention_mask=(inputs > 0).astype(np.int32),
        labels=np.where(targets > 0, targets, -100),
    )
    peer = {
        "vocab_size": config.vocab_size,
        "d_model": config.d_model,
        "d_kv": config.d_kv,
        "num_heads": config.num_heads,
        "d_ff": config.d_ff,
        "num_layers": config.num_encoder_layers,
        "num_decoder_layers": config.num_decoder_layers,
        "feed_forward_proj": "gated-gelu",
        "dropout_rate": config.dropout_rate,
        "tie_word_embeddings": False,
    }
    job = {"config": peer, "attention": "eager", "compile": False, "rate": RATE, "cores": 1}
    job |= {"device": "cpu", "bfloat16": False, **settings}
    (folder / "job.json").write_text(json.dumps(job))


@contextmanager
def peer(python: Path, folder: Path) -> Iterator[Steps]:
    """training_peer.py in its environment."""
    command = [str(python), str(HERE / "training_peer.py"), str(folder)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    write_to, read_from = process.stdin, process.stdout

    def steps(count: int) -> Mapping[str, list[float]]:
        write_to.write(f"{count}\n")
        write_to.flush()
        return json.loads(read_from.readline())

    try:
        yield steps
    finally:
        write_to.close()
        process.wait()
        read_from.close()


def take_turns(sides: Mapping[str, Steps], rounds: int, steps: int = 2) -> dict[str, dict[str, list[float]]]:
    """What every side says of its steps, the warm-up's left out of the times."""
    said: dict[str, dict[str, list[float]]] = {}
    for name, run in sides.items():
        said[name] = {"seconds": [], "cpu": [], "losses": list(run(WARM_UP)["losses"])}
    for number in range(rounds):
        for name, run in sides.items():
            for key, values in run(steps).items():
                said[name][key] += values
        print(f"round {number + 1} of {rounds}", file=sys.stderr, flush=True)
    return said


def compare(config: Any, rounds: int, python: Path, folder: Path, *, cores: int, compiled: bool) -> list[list[str]]:
    """Lines of the table for one model: every side's median step, and how many times ours is as fast."""
    import jax

    from t5music.model import parameters

    _, params = parameters.initialise(config, jax.random.key(0))
    inputs, targets = random_batch(config.vocab_size, BATCH, INPUTS, TARGETS)
    with ExitStack() as stack:
        sides = {"t5music": ours(config, inputs, targets, params)}
        for name in ("eager", "compiled") if compiled else ("eager",):
            job = folder / f"{name}_{config.dropout_rate}"
            write_job(job, config, inputs, targets, params, compile=name == "compiled", cores=cores)
            sides[name] = stack.enter_context(peer(python, job))
        said = take_turns(sides, rounds)
    mine = said.pop("t5music")
    lines = []
    for name, theirs in said.items():
        apart = max(abs(a - b) for a, b in zip(mine["losses"], theirs["losses"], strict=True))
        if config.dropout_rate == 0.0 and not apart < SAME_LOSS:
            sys.exit(f"the losses are {apart:.5f} apart: {mine['losses']} and {theirs['losses']}")
        line = [f"dropout {config.dropout_rate}, PyTorch {name}"]
        for clock in ("seconds", "cpu"):
            us, them = statistics.median(mine[clock]), statistics.median(theirs[clock])
            line += [f"{us:.2f}", f"{them:.2f}", f"{them / us:.2f}"]
        lines.append([*line, f"{apart:.0e}" if config.dropout_rate == 0.0 else "other masks"])
    return lines


HEAD = ("T5 v1.1 small", "t5music, s a step", "peer", "times", "t5music, CPU s", "peer, CPU s", "times", "losses apart")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cores", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--dropout", type=float, nargs="+", default=[0.0, 0.1])
    parser.add_argument("--no-compile", action="store_true", help="without the peer under torch.compile")
    parser.add_argument("--peers", type=Path, default=PEERS, help="Python of the environment that has transformers")
    options = parser.parse_args(arguments)
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-options.cores :])
    from t5music.model.config import named

    lines = []
    with tempfile.TemporaryDirectory() as folder:
        for rate in options.dropout:
            config = named("v1.1", "small", vocab_size=ROWS, dropout_rate=rate)
            more = {"cores": options.cores, "compiled": not options.no_compile}
            lines += compare(config, options.rounds, options.peers, Path(folder), **more)
            print(table(HEAD, lines), file=sys.stderr, flush=True)
    print(table(HEAD, lines))
    print(f"\n{BATCH} x ({INPUTS} + {TARGETS}) tokens, {options.cores} cores, medians of {2 * options.rounds} steps")


if __name__ == "__main__":
    main()
