"""The training step on a CPU: t5music beside PyTorch T5 of Hugging Face transformers, ratios of times.

    make peers
    python tests/benchmarks/training.py [--model mini narrow middle small] [--dtype float32 auto] [--rounds 5]
        [--peer float32 bfloat16 compiled] [--cores 2] [--dropout 0.0] [--peers .venv-peers/bin/python]

T5 v1.1 over 2,304 rows, 8 x (512 inputs + 128 targets), no padding: forward, backward and Adafactor's update, from
equal weights on an equal batch. The peer is in training mode with its eager attention ("sdpa" is as fast), in float32,
under bfloat16 autocast, or in float32 under torch.compile. Everybody takes turns of a few steps; the ratio is that of
the best steps of each, without the warm-up's.

Without dropout all sides must learn the same: the run fails where the losses of a step differ by more than 1e-3 between
sides in float32, by more than 2 % where one has bfloat16 products.

On a machine with other work, take one core and read the column of processor time: it does not count the time that
others take. Wanted: at least as fast as the fastest peer; what was measured is in README.md.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
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
BATCH, INPUTS, TARGETS = 8, 512, 128
RATE = 0.01
WARM_UP = 2
SAME_LOSS, SIMILAR_LOSS = 1e-3, 0.02  # apart: nats, and with bfloat16 products a share

MODELS = {
    name: {"d_model": d_model, "d_kv": d_kv, "num_heads": num_heads, "d_ff": d_ff}
    | {"num_encoder_layers": layers, "num_decoder_layers": layers}
    for name, (d_model, d_kv, num_heads, d_ff, layers) in {
        "mini": (128, 32, 4, 256, 3),
        "narrow": (256, 64, 4, 512, 4),
        "middle": (384, 64, 6, 1024, 6),
        "small": (512, 64, 6, 1024, 8),  # T5 v1.1's
    }.items()
}
PEERS_JOBS = {"float32": {}, "bfloat16": {"bfloat16": True}, "compiled": {"compile": True}}

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
    advance = train_step.make_train_step(graphdef, transformation, target, z_loss=z_loss)
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
            now, loss = advance(now, placed)
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
    """Times and losses of every side's steps, the warm-up's left out of the times."""
    results: dict[str, dict[str, list[float]]] = {}
    for name, run in sides.items():
        results[name] = {"seconds": [], "cpu": [], "losses": list(run(WARM_UP)["losses"])}
    for number in range(rounds):
        for name, run in sides.items():
            for key, values in run(steps).items():
                results[name][key] += values
        print(f"round {number + 1} of {rounds}", file=sys.stderr, flush=True)
    return results


def compare(
    config: Any, dtypes: Sequence[str], peers: Sequence[str], rounds: int, python: Path, folder: Path, *, cores: int
) -> list[list[str]]:
    """Lines of the table for one model: every side's best step, and how many times the peer's time ours takes."""
    import jax

    from t5music.model import parameters

    _, params = parameters.initialise(config, jax.random.key(0))
    inputs, targets = random_batch(config.vocab_size, BATCH, INPUTS, TARGETS)
    with ExitStack() as stack:
        sides = {
            f"t5music {dtype}": ours(dataclasses.replace(config, dtype=dtype), inputs, targets, params)
            for dtype in dtypes
        }
        for name in peers:
            job = folder / name
            write_job(job, config, inputs, targets, params, cores=cores, **PEERS_JOBS[name])
            sides[f"PyTorch {name}"] = stack.enter_context(peer(python, job))
        results = take_turns(sides, rounds)
    if config.dropout_rate == 0.0:
        require_similar_losses({name: result["losses"] for name, result in results.items()})
    best = {clock: min(min(results[f"PyTorch {name}"][clock]) for name in peers) for clock in ("seconds", "cpu")}
    lines = []
    for name, result in results.items():
        line = [name]
        for clock in ("seconds", "cpu"):
            seconds = min(result[clock])
            line += [f"{1000 * seconds:.0f}", f"{best[clock] / seconds:.2f}"]
        lines.append([*line, f"{result['losses'][-1]:.4f}"])
    return lines


def require_similar_losses(losses: Mapping[str, Sequence[float]]) -> None:
    """Exits where a side learns something else than the first one."""
    first, *others = losses
    for name in others:
        exact = "bfloat16" not in name and "auto" not in name + first
        for one, other in zip(losses[first], losses[name], strict=True):
            if abs(one - other) > (SAME_LOSS if exact else SIMILAR_LOSS * one):
                sys.exit(f"the losses of {first} and {name} differ: {losses[first]} and {losses[name]}")


HEAD = ("side", "ms a step", "best peer : it", "CPU ms a step", "best peer : it", "last loss")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--dtype", nargs="+", default=["float32", "auto"], help="of ours")
    parser.add_argument("--peer", nargs="+", choices=PEERS_JOBS, default=["float32", "bfloat16"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cores", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--dropout", type=float, default=0.0)
    parser.add_argument("--peers", type=Path, default=PEERS, help="Python of the environment that has transformers")
    options = parser.parse_args(arguments)
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-options.cores :])
    from t5music.devices import platforms

    platforms.prepare("cpu")
    from t5music.model.config import T5Config

    for name in options.model:
        config = T5Config(vocab_size=ROWS, dropout_rate=options.dropout, **MODELS[name])
        with tempfile.TemporaryDirectory() as folder:
            sides = (options.dtype, options.peer, options.rounds, options.peers, Path(folder))
            print(f"\n{name}\n\n{table(HEAD, compare(config, *sides, cores=options.cores))}", flush=True)
    shape = f"{BATCH} x ({INPUTS} + {TARGETS}) tokens"
    print(f"\n{shape}, dropout {options.dropout}, {options.cores} cores, best of {2 * options.rounds} steps")


if __name__ == "__main__":
    main()
