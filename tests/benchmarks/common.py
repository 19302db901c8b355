"""What the benchmarks share: which files are read, how peers take turns, how tables look.

Every figure is a ratio of times measured in one run, on one core, over the same files. The peers take turns on small
groups of files, so that whatever else the machine does falls on all of them; of several rounds the least time of each
group counts.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PEERS = ROOT / ".venv-peers" / "bin" / "python"  # made by `make peers`
NOT_MUSIC = ("hard_midi", "labels_only", "midibert_cp")
SUFFIXES = (".mid", ".midi")
FILES = 500

Reader = Callable[[Sequence[Path]], float]  # does its work on some files, and returns the seconds it took


def choose(folder: Path, count: int = FILES, seed: int = 0) -> list[Path]:
    """Real files for a benchmark: equally many from each archive unpacked in `folder`, drawn with a seed.

    hard_midi and what holds no music is left out. From each archive twice its share is returned, for some reader may
    refuse a file: `readable` takes the first share that nobody refuses. The archives take turns in the list.
    """
    archives = sorted(path for path in folder.iterdir() if path.is_dir() and path.name not in NOT_MUSIC)
    drawn: list[list[Path]] = []
    for archive in archives:
        files = sorted(path for path in archive.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
        if files:
            drawn.append(random.Random(f"{seed} {archive.name}").sample(files, len(files)))
    share = -(-count // max(1, len(drawn)))
    return [files[place] for place in range(2 * share) for files in drawn if place < len(files)]


def groups(files: Sequence[Path], size: int = 25) -> list[Sequence[Path]]:
    """The files in groups on which the peers take turns."""
    return [files[start : start + size] for start in range(0, len(files), size)]


def timed(work: Callable[[Path], object]) -> Reader:
    """A reader that does `work` on each file in this process."""

    def read(files: Sequence[Path]) -> float:
        start = time.perf_counter()
        for file in files:
            work(file)
        return time.perf_counter() - start

    return read


@contextmanager
def other_python(python: Path, script: Path) -> Iterator[Callable[[Sequence[Path]], list[float | None]]]:
    """A script in another environment: lines of JSON lists of files in, lines of seconds a file (null: refused) out."""
    process = subprocess.Popen([str(python), str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    read_from, write_to = process.stdout, process.stdin

    def ask(files: Sequence[Path]) -> list[float | None]:
        write_to.write(json.dumps([str(file) for file in files]) + "\n")
        write_to.flush()
        return json.loads(read_from.readline())

    try:
        yield ask
    finally:
        write_to.close()
        process.wait()
        read_from.close()


def take_turns(readers: Mapping[str, Reader], files: Sequence[Path], rounds: int) -> dict[str, float]:
    """Seconds that each reader takes for all the files: of each group of files its best round."""
    total = dict.fromkeys(readers, 0.0)
    for group in groups(files):
        best = dict.fromkeys(readers, float("inf"))
        for _ in range(rounds):
            for name, read in readers.items():
                best[name] = min(best[name], read(group))
        for name, seconds in best.items():
            total[name] += seconds
    return total


def one_core() -> None:
    """Binds this process, and those it starts, to one core, where the system can do that."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table; numbers to the right."""
    lines = [f"| {' | '.join(head)} |", f"|{'|'.join(['---'] + ['---:'] * (len(head) - 1))}|"]
    return "\n".join(lines + [f"| {' | '.join(str(value) for value in row)} |" for row in rows])
