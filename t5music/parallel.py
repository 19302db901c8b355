"""Long work in parts: each part is done once, by any process, and stays done when the work is interrupted.

A part's result is a file that its worker writes whole or not at all. So it makes no difference how many processes share
the work, or how often it was killed and started again.
"""

from __future__ import annotations

import itertools
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from tqdm import tqdm

from t5music.errors import ConfigError, DataError

T = TypeVar("T")


@dataclass(frozen=True)
class Part(Generic[T]):
    """A part of the work: its items, and the file that holds what came of them once they are done."""

    items: Sequence[T]
    file: Path


def split(items: Sequence[T], size: int, folder: Path, stem: str = "part") -> list[Part[T]]:
    """Cuts items into parts of `size`; part n is kept in `folder/<stem>-<n>`, five digits or more."""
    return [
        Part(items[start : start + size], folder / f"{stem}-{start // size:05d}")
        for start in range(0, len(items), size)
    ]


def run(
    work: Callable[[Part[T]], object],
    parts: Iterable[Part[T]],
    *,
    workers: int | None = None,
    description: str,
    unit: str,
    progress: bool = True,
) -> None:
    """Does every part whose file is not there yet.

    Args:
      work: writes a part's file, at the end and at once (files.replacing); pickled to the workers.
      parts: the work.
      workers: processes; the machine's cores if None. With 1, or a single part, the work is done in this process.
      description, unit: what the progress bar says; it counts items.
      progress: show a progress bar.

    Raises:
      ConfigError: fewer than one worker.
      DataError: a worker process was killed; what is done stays done.
    """
    workers = workers or os.cpu_count() or 1
    if workers < 1:
        raise ConfigError(f"--workers {workers}: at least one process must do the work")
    parts = list(parts)
    with tqdm(
        total=sum(len(part.items) for part in parts),
        desc=description,
        unit=unit,
        disable=not progress,
        dynamic_ncols=True,
    ) as bar:
        todo = []
        for part in parts:
            if part.file.exists():
                bar.update(len(part.items))
            else:
                todo.append(part)
        for part in _done(work, todo, workers):
            bar.update(len(part.items))


def _end_with_parent() -> None:
    """Has a worker end when the process that it works for is killed: another one may take the work over."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def wait_for_end() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait_for_end, daemon=True).start()


def _done(work: Callable[[Part[T]], object], parts: list[Part[T]], workers: int) -> Iterator[Part[T]]:
    """Yields the parts as they are done."""
    if workers == 1 or len(parts) < 2:
        for part in parts:
            work(part)
            yield part
        return
    # Spawned, not forked: the caller may already run TensorFlow's threads.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, len(parts)), mp_context=context, initializer=_end_with_parent) as pool:
        waiting = iter(parts)
        running = {pool.submit(work, part): part for part in itertools.islice(waiting, 2 * workers)}
        try:
            while running:
                ended, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in ended:
                    part = running.pop(future)
                    future.result()
                    yield part
                    if (following := next(waiting, None)) is not None:
                        running[pool.submit(work, following)] = following
        except BrokenProcessPool as error:
            raise DataError(
                "a worker process was killed, perhaps for want of memory; start again (what is done stays done), "
                f"with fewer --workers than {workers}"
            ) from error
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
