"""Packed rows beside padded ones: real tokens a second of the training step, on a mixture of real music.

    python tests/benchmarks/packing.py --data FOLDER [--archives jsb_chorales nottingham emopia] [--rounds 5]

FOLDER holds unpacked archives of MIDI files. Each is compiled as anyone's folder is (`t5music compile --midi`) into the
mixture of its tasks: continue, infill and, with labels, classify. The last line is over all of them. Packed or padded,
the same examples go through the same model in rows of the same lengths, 8 a batch; the two take turns, and real tokens
(no padding; inputs and targets) of a batch are divided by the processor time of its median step on one core, which
does not count what other programs take. Wanted: at least 2.5 times; it is reached or not by the length of the rows:
a padded row holds one example however long it is, so the gain is about (row length / mean example length) x fill. On
chorales 1.7 times in rows of 512 and 256, 3.6 times in twice the length, 7.9 times in four times the length.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from common import one_core, table

ARCHIVES = ("jsb_chorales", "nottingham", "emopia")
LENGTHS = ((512, 256), (1024, 512), (2048, 1024))
BATCH = 8
BATCHES = 40  # over which tokens are counted
# gin/models/t5_1_1/mini.gin
MINI = {"d_model": 128, "d_kv": 32, "num_heads": 4, "d_ff": 256, "num_encoder_layers": 3, "num_decoder_layers": 3}


def compile_folder(folder: Path, name: str, data_dir: Path) -> None:
    """Builds and compiles one archive under a name, in a process that may import TensorFlow."""
    command = [
        sys.executable,
        "-m",
        "t5music",
        "compile",
        "--midi",
        str(folder),
        "--name",
        name,
        "--labels",
        "folders",
    ]
    subprocess.run([*command, "--data_dir", str(data_dir)], check=True, stdout=sys.stderr)


def batches(members: Sequence[Any], lengths: tuple[int, int], *, pack: bool) -> Any:
    """The training batches of a mixture's stores."""
    from t5music.data.loading.loader import train_batches
    from t5music.data.vocabulary import default

    sizes = dict(zip(("inputs", "targets"), lengths, strict=True))
    return train_batches(members, feature_lengths=sizes, batch_size=BATCH, seed=0, vocabulary=default(), pack=pack)


def real_tokens(batch: Mapping[str, np.ndarray]) -> int:
    """Inputs and targets that are no padding."""
    return int((batch["encoder_input_tokens"] != 0).sum() + batch["decoder_loss_weights"].sum())


def trainer(config: Any) -> Any:
    """A function: batch -> processor seconds of its training step."""
    import jax

    from t5music.model import parameters, sharding
    from t5music.training import optimizers, schedules, train_state, train_step

    graphdef, abstract = parameters.abstract(config)
    transformation = optimizers.adafactor(schedules.constant(1e-3)).transformation(train_state.logical_axes(abstract))
    mesh = sharding.make_mesh(devices=jax.devices()[:1])
    target = train_state.abstract_state(abstract, transformation, mesh)
    advance = train_step.make_train_step(graphdef, transformation, target)
    now = train_state.create(config, transformation, target, mesh, seed=0)

    def step(batch: Mapping[str, np.ndarray]) -> float:
        nonlocal now
        start = time.process_time()
        with jax.set_mesh(mesh):
            now, _ = advance(now, train_step.put_batch(batch, mesh))
        jax.block_until_ready(now)
        return time.process_time() - start

    return step


def tokens_a_batch(stream: Iterator[Mapping[str, np.ndarray]], count: int) -> float:
    """Mean number of real tokens of the next batches."""
    return statistics.mean(real_tokens(next(stream)) for _ in range(count))


def measure(members: Sequence[Any], lengths: tuple[int, int], config: Any, rounds: int, count: int = BATCHES) -> dict:
    """Tokens a batch and seconds a step, packed and padded."""
    streams = {pack: batches(members, lengths, pack=pack) for pack in (True, False)}
    step = trainer(config)
    first = {pack: next(stream) for pack, stream in streams.items()}
    for batch in first.values():
        step(batch)  # compiles
    seconds: dict[bool, list[float]] = {True: [], False: []}
    for _ in range(rounds):
        for pack, batch in first.items():
            seconds[pack].append(step(batch))
    tokens = {pack: tokens_a_batch(stream, count) for pack, stream in streams.items()}
    for stream in streams.values():
        stream.close()
    return {"tokens": tokens, "seconds": {pack: statistics.median(each) for pack, each in seconds.items()}}


def line(name: str, lengths: tuple[int, int], found: dict) -> list[str]:
    """A line of the table."""
    filled = {pack: count / (BATCH * sum(lengths)) for pack, count in found["tokens"].items()}
    rates = {pack: found["tokens"][pack] / found["seconds"][pack] for pack in (True, False)}
    return [
        f"{name}, {lengths[0]} -> {lengths[1]}",
        *(f"{100 * filled[pack]:.0f} %" for pack in (False, True)),
        *(f"{found['seconds'][pack]:.2f}" for pack in (False, True)),
        *(f"{rates[pack]:,.0f}" for pack in (False, True)),
        f"{rates[True] / rates[False]:.2f}",
    ]


HEAD = (
    "mixture, row",
    "padded: real",
    "packed: real",
    "padded, CPU s",
    "packed, CPU s",
    "padded, tokens/s",
    "packed",
    "times",
)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of unpacked archives")
    parser.add_argument("--archives", nargs="+", default=list(ARCHIVES))
    parser.add_argument("--data_dir", type=Path, help="keep what is compiled here; otherwise in a temporary folder")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args(arguments)
    one_core()
    from t5music.data.store.token_store import find
    from t5music.data.vocabulary import default
    from t5music.model.config import T5Config

    config = T5Config(vocab_size=default().rows, **MINI)
    with tempfile.TemporaryDirectory() as temporary:
        data_dir = options.data_dir or Path(temporary)
        mixtures: dict[str, list[Any]] = {}
        for name in options.archives:
            store = f"own_{name}"  # that of an archive may be a corpus of the catalogue
            compile_folder(options.data / name, store, data_dir)
            mixtures[name] = list(find(data_dir / "stores", store, default()))
        mixtures["all"] = [member for members in mixtures.values() for member in members]
        lines = []
        for name, members in mixtures.items():
            for lengths in LENGTHS:
                lines.append(line(name, lengths, measure(members, lengths, config, options.rounds)))
                print(lines[-1], file=sys.stderr, flush=True)
    print(table(HEAD, lines))


if __name__ == "__main__":
    main()
