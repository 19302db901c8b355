"""The loader beside seqio's own packed pipeline: examples a second, fill of packed rows, rates of the mixture.

    python tests/benchmarks/loader.py FOLDER FOLDER ... [--data_dir DIR] [--seconds 3] [--rounds 5]

Each folder of MIDI files is built as a corpus. Three mixtures of tasks on all of them, in proportion to their examples:
span corruption of 512 words, continuations (256 words -> 256 words), and both. seqio reads the same mixture in two
ways: as it is declared, music becoming words at every visit, and from its own cache on disk (written from our stores,
which is the best case for it); objectives and lengths are the same, rows are packed by EncDecFeatureConverter. Each
peer is a process of its own, all on one core, and they take turns; of several rounds the best of each counts.

Row lengths are in the proportion of the mixture's inputs and targets, as far as round numbers are: no packing can fill
both sides of rows that are not. Expected: at least 10 times seqio's examples a second, 95 % of the tokens of packed
rows filled, and rates within 1 % of the mixture's.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import signal
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
from common import one_core, table

# Mixture -> row lengths of inputs and targets.
ROWS = {
    "span_corruption": [(2048, 464), (4096, 928)],
    "continue": [(1024, 896), (2048, 1792)],
    "both": [(2048, 1184), (4096, 2368)],
}
BATCH = 32
EXAMPLES = 50_000  # over which the rates are measured


def declare(folders: Sequence[Path], data_dir: Path) -> list[str]:
    """Declares the tasks and mixtures of the folders' corpora below `data_dir`; returns the tasks' names."""
    os.environ |= {"T5MUSIC_DATA": str(data_dir), "CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    import seqio

    from t5music.data.declaration import add_mixture, add_task
    from t5music.data.examples import Continue, Pieces
    from t5music.data.mixing_rates import Proportional
    from t5music.data.objectives import SpanCorruption
    from t5music.data.seqio_bridge.tasks import register_everything

    tasks: dict[str, list[str]] = {kind: [] for kind in ROWS}
    for name in (folder.name for folder in folders):
        add_task(f"{name}_span_corruption", name, Pieces("remi", words=512), [SpanCorruption()])
        add_task(f"{name}_continue", name, Continue(name, "remi"))
        for kind in ("span_corruption", "continue"):
            tasks[kind].append(f"{name}_{kind}")
    tasks["both"] = tasks["span_corruption"] + tasks["continue"]
    for kind, names in tasks.items():
        add_mixture(kind, dict.fromkeys(names, Proportional()))
    register_everything()
    seqio.add_global_cache_dirs([str(data_dir / "seqio")])
    return tasks["both"]


def prepare(folders: Sequence[Path], data_dir: Path) -> None:
    """Builds the corpora, compiles their tasks, writes seqio's caches."""
    names = declare(folders, data_dir)
    from t5music.corpora import build
    from t5music.corpora.sources import folder
    from t5music.data.compilation import compile_task as compiling
    from t5music.data.declaration import MIXTURES, get_task
    from t5music.data.seqio_bridge import cache
    from t5music.data.store.token_store import write_mixture

    for root in folders:
        build.build(folder.corpus(root, root.name), root, data_dir, progress=False)
    for name in names:
        store = compiling.compile_task(get_task(name), data_dir, progress=False)
        cache.write(name, store, data_dir / "seqio")
    for kind in ROWS:
        write_mixture(compiling.stores_dir(data_dir), kind, MIXTURES[kind].rates)


def seqio_batches(
    name: str, lengths: Mapping[str, int], folders: Sequence[Path], data_dir: Path, cached: bool
) -> Iterator[Mapping[str, Any]]:
    """seqio's packed batches, without end."""
    declare(folders, data_dir)
    import seqio

    dataset = seqio.get_dataset(
        name,
        task_feature_lengths=lengths,
        dataset_split="train",
        shuffle=True,
        num_epochs=None,
        feature_converter=seqio.EncDecFeatureConverter(pack=True),
        use_cached=cached,
        seed=0,
        batch_size=BATCH,
    )
    return dataset.prefetch(2).as_numpy_iterator()


def our_batches(name: str, lengths: Mapping[str, int], data_dir: Path) -> Any:
    """t5music's packed batches, without end."""
    from t5music.data.loading.loader import train_batches
    from t5music.data.store.token_store import find
    from t5music.data.vocabulary import default

    vocabulary = default()
    stores = find(data_dir / "stores", name, vocabulary)
    return train_batches(stores, feature_lengths=lengths, batch_size=BATCH, seed=0, vocabulary=vocabulary)


def examples_a_second(batches: Iterator[Mapping[str, Any]], seconds: float) -> float:
    """Examples a second over some time, counted by their segment ids."""
    start, examples = time.perf_counter(), 0
    while (spent := time.perf_counter() - start) < seconds or not examples:
        examples += int(next(batches)["decoder_segment_ids"].max(axis=1).sum())
    return examples / spent


def fill(batches: Iterator[Mapping[str, Any]], count: int) -> dict[str, float]:
    """Share of the tokens of packed rows that are not padding."""
    taken = [next(batches) for _ in range(count)]
    sides = {"inputs": "encoder_segment_ids", "targets": "decoder_segment_ids"}
    return {side: float(np.mean([(batch[key] > 0).mean() for batch in taken])) for side, key in sides.items()}


def rates_off(batches: Any, name: str, data_dir: Path, examples: int) -> float:
    """The largest distance of a task's share, measured over so many examples, from its share in the mixture."""
    from t5music.data.loading import mixing_order
    from t5music.data.store.token_store import find

    members = find(data_dir / "stores", name)
    wanted = mixing_order.resolve(
        {store.name: rate for store, rate in members}, {store.name: store.examples("train") for store, _ in members}
    )
    while sum(batches.examples_per_task.values()) < examples:
        next(batches)
    given = batches.examples_per_task
    total = sum(given.values())
    return max(abs(given[task] / total - share) for task, share in wanted.items())


def serve(asked: Connection, make: Any, arguments: Sequence[Any]) -> None:
    """A peer: for each number of seconds asked for, the examples a second over that time."""
    batches = make(*arguments)
    next(batches)  # fills shuffle buffers, starts threads
    asked.send(0.0)
    while (seconds := asked.recv()) > 0:
        asked.send(examples_a_second(batches, seconds))
    os._exit(0)  # TensorFlow's threads would not end


@contextmanager
def peer(make: Any, *arguments: Any) -> Iterator[Any]:
    """A process that makes batches, as a function: seconds -> examples a second over that time.

    Between its turns it stands still, so that nobody makes batches ahead while the others are measured.
    """
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(there, make, arguments))
    process.start()
    there.close()  # so that a peer that dies is noticed

    here.recv()  # it has begun
    pid = process.pid or 0
    os.kill(pid, signal.SIGSTOP)

    def ask(seconds: float) -> float:
        os.kill(pid, signal.SIGCONT)
        here.send(seconds)
        rate = here.recv()
        os.kill(pid, signal.SIGSTOP)
        return rate

    try:
        yield ask
    finally:
        os.kill(pid, signal.SIGCONT)
        with suppress(BrokenPipeError):
            here.send(0.0)
        process.join()


def compare(
    folders: Sequence[Path],
    data_dir: Path,
    seconds: float,
    rounds: int,
    rows: Mapping[str, Sequence[tuple[int, int]]] = ROWS,
    examples: int = EXAMPLES,
) -> str:
    """Prepares, measures; returns a Markdown table."""
    # This process stays without TensorFlow.
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        pool.submit(prepare, folders, data_dir).result()
    lines = []
    for name, sizes in rows.items():
        for lengths in (dict(zip(("inputs", "targets"), size, strict=True)) for size in sizes):
            with ExitStack() as stack:
                peers = [
                    stack.enter_context(peer(seqio_batches, name, lengths, folders, data_dir, cached))
                    for cached in (False, True)
                ]
                peers.append(stack.enter_context(peer(our_batches, name, lengths, data_dir)))
                measured = [[ask(seconds) for ask in peers] for _ in range(rounds)]
            declared, cached, ours = (max(rates) for rates in zip(*measured, strict=True))
            batches = our_batches(name, lengths, data_dir)
            filled = fill(batches, 200)
            off = rates_off(batches, name, data_dir, examples)
            batches.close()
            whole = sum(share * lengths[side] for side, share in filled.items()) / sum(lengths.values())
            lines.append(
                (
                    f"{name}, {' -> '.join(map(str, lengths.values()))}",
                    *(f"{rate:,.0f}" for rate in (declared, cached, ours)),
                    f"{ours / declared:.1f}",
                    f"{ours / cached:.1f}",
                    *(f"{100 * share:.1f} %" for share in (*filled.values(), whole)),
                    f"{100 * off:.2f} %",
                )
            )
    head = ("mixture", "seqio", "seqio's cache", "t5music", "times seqio", "times its cache")
    return table((*head, "inputs filled", "targets filled", "both", "rates off"), lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--data_dir", type=Path, help="keep what is built here; otherwise in a temporary folder")
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    one_core()
    with tempfile.TemporaryDirectory() as temporary:
        print(compare(options.folders, options.data_dir or Path(temporary), options.seconds, options.rounds))


if __name__ == "__main__":
    main()
