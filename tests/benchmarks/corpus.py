"""Build + compile of a whole corpus: files a second, memory, and what that means for Lakh.

    python tests/benchmarks/corpus.py FOLDER [--workers 2] [--copies 1 8] [--encoding remi]

FOLDER holds MIDI files, for example those of a site with many tracks a file, like Lakh's. Build and compile are
processes of their own on a fresh data folder: every file is read and mended, splits are dealt, the TFDS dataset is
written, and music alone (segments of 1,024 words) is compiled into a store. With several numbers of copies the folder
is taken that many times over, which shows whether memory grows with the corpus; peaks are of the process that leads
and of its largest worker.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import re
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

from common import table

LAKH_FILES = 176_581  # of Lakh MIDI Dataset's full set


class Measured(NamedTuple):
    """What one step took."""

    files: int
    seconds: float
    peak: float  # MiB
    worker_peak: float


def peak_memory(pid: int | str) -> float:
    """The most MiB that a process has held so far; 0 where the system does not say (it is Linux's /proc that does)."""
    try:
        found = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    except OSError:
        return 0.0
    return int(found[1]) / 1024 if found else 0.0


def measured(step: Callable[[Path], int], data_dir: Path) -> Measured:
    """Runs a step and watches the memory of this process and its workers."""
    os.environ |= {"T5MUSIC_DATA": str(data_dir), "CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    ended = threading.Event()
    worker_peak = 0.0

    def watch() -> None:
        nonlocal worker_peak
        while not ended.wait(0.2):
            for child in multiprocessing.active_children():
                worker_peak = max(worker_peak, peak_memory(child.pid or 0))

    thread = threading.Thread(target=watch)
    thread.start()
    start = time.perf_counter()
    files = step(data_dir)
    seconds = time.perf_counter() - start
    ended.set()
    thread.join()
    return Measured(files, seconds, peak_memory("self"), worker_peak)


def build(folder: Path, copies: int, workers: int, data_dir: Path) -> int:
    """Builds the corpus; returns the number of files read."""
    from t5music.corpora import build as building
    from t5music.corpora.base import Corpus, Entry
    from t5music.corpora.sources.folder import find_files

    def entries(root: Path) -> list[Entry]:
        paths = find_files(root).files
        return [Entry(f"{copy}/{path.relative_to(root)}", path) for copy in range(copies) for path in paths]

    corpus = Corpus("measured", "", "", "", "", entries)
    report = building.build(corpus, folder, data_dir, workers=workers, progress=False)
    return sum(report["pieces"].values()) + len(report["skipped"])


def compile_(encoding: str, workers: int, data_dir: Path) -> int:
    """Compiles music alone; returns the number of examples."""
    from t5music.data.compilation import compile_task as compiling
    from t5music.data.declaration import Declaration
    from t5music.data.examples import Pieces

    task = Declaration("measured", ("measured",), Pieces(encoding), (), ())
    store = compiling.compile_task(task, data_dir, workers=workers, progress=False)
    return sum(store.examples(split) for split in store.splits)


def in_process(step: Callable[[Path], int], data_dir: Path) -> Measured:
    """`measured`, in a fresh process."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(measured, step, data_dir).result()


def compare(folder: Path, copies: Sequence[int], workers: int, encoding: str) -> str:
    """Measures each number of copies; returns a Markdown table."""
    rows = []
    for count in copies:
        with tempfile.TemporaryDirectory() as name:
            steps = (partial(build, folder, count, workers), partial(compile_, encoding, workers))
            built, compiled = (in_process(step, Path(name)) for step in steps)
        rate = built.files / (built.seconds + compiled.seconds)
        rows.append(
            (
                f"{built.files:,}",
                *(f"{step.seconds:.1f}" for step in (built, compiled)),
                f"{rate:.0f}",
                f"{LAKH_FILES / rate / 60:.0f}",
                *(f"{step.peak:.0f} / {step.worker_peak:.0f}" for step in (built, compiled)),
            )
        )
    head = ("files", "build, s", "compile, s", "files/s", f"min for {LAKH_FILES:,}", "build, MiB", "compile, MiB")
    return table(head, rows) + f"\n\n{encoding}, {workers} workers; memory: leading process / largest worker"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--copies", type=int, nargs="+", default=[1])
    parser.add_argument("--encoding", default="remi")
    options = parser.parse_args()
    print(compare(options.folder, options.copies, options.workers, options.encoding))


if __name__ == "__main__":
    main()
