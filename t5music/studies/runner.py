"""Runner: runs the stages of a study, each once, in one process or in several that share the work.

Stages run in an order that finishes cells early. Processes share the work through the studies' folder alone, which may
be in a bucket: a stage belongs to the process that holds the lock of its folder, and the lock ends with the process, in
a bucket soon after it. So the same command on several machines works on one study, and a killed study goes on where it
stopped.
"""

from __future__ import annotations

import gc
import signal
import statistics
import subprocess
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import gin
import jax

from t5music import files, locks
from t5music.configuration import gin_files, registry
from t5music.errors import ConfigError, T5MusicError, nearest
from t5music.storage import BucketPath, bucket_copies
from t5music.studies import grid, stage_folders
from t5music.studies.expand import expand, place_bindings
from t5music.studies.grid import TRAIN, Cell, Stage, Study

RUNS = "runs"  # in the studies' folder: all stages of all studies
LOGS = "logs"
ERROR_FILE = "error.txt"
WAIT_SECONDS = 1.0

_read_description = gin.external_configurable(grid.Description, name="study")


def read(study_files: Sequence[str], bindings: Sequence[str], search_paths: Sequence[str] = ()) -> Study:
    """Reads a study from gin files.

    Leaves gin without bindings: a run that the caller starts would refuse the study's as unused.

    Args:
        study_files: gin files.
        bindings: gin bindings, applied after the files.
        search_paths: where gin files are looked for first.

    Raises:
        ConfigError: an error in these files or in those that the stages read.
    """
    registry.register()
    try:
        gin_files.configure(study_files, bindings, search_paths)
        description = _read_description()
        gin_files.check_used()
        return expand(description, registry.STAGES, search_paths)
    finally:
        gin_files.clear()


def choose(study: Study, names: Sequence[str]) -> list[Cell]:
    """The cells with these names; all cells if there are no names.

    Raises:
        ConfigError: no cell has such a name.
    """
    cells = {cell.name: cell for cell in study.cells}
    for name in names:
        if name not in cells:
            raise ConfigError(f"--cell {name}: no such cell{nearest(name, cells)} (SETTING:SEED; --cells lists them)")
    return [cells[name] for name in names] if names else list(study.cells)


def unfinished(cells: Sequence[Cell], root: Path) -> list[Stage]:
    """The stages of some cells that are not finished, each once, in the order to run them."""
    stages = _first_cells(cells)
    return [stage for stage in stages if not _is(stage_folders.read(root / RUNS / stage.folder), "finished")]


def _first_cells(cells: Sequence[Cell]) -> dict[Stage, Cell]:
    """Each stage with the first cell that needs it, parents before children."""
    stages: dict[Stage, Cell] = {}
    for cell in cells:
        for stage in cell.stages.values():
            for need in stage.all():
                stages.setdefault(need, cell)
    return stages


def run(
    cells: Sequence[Cell],
    root: Path,
    search_paths: Sequence[str] = (),
    missing: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Runs the unfinished stages of some cells. A stage that fails is recorded as such and does not stop the others.

    Args:
        cells: the cells, in the order to run them.
        root: the studies' folder.
        search_paths: where gin files are looked for first.
        missing: task or mixture -> why it cannot be read; stages that need it fail without being run.

    Raises:
        KeyboardInterrupt: stopped by a signal; the same call goes on.
    """
    folder = root / RUNS
    stages = _first_cells(cells)
    clock = _Clock(stages, folder)
    documents = {stage: stage_folders.read(folder / stage.folder) for stage in stages}
    failures = {stage: document["attempt"] for stage, document in documents.items() if _is(document, "failed")}

    def has_failed(stage: Stage) -> bool:
        """Whether a stage has failed since the beginning, here or elsewhere; what failed before is tried again."""
        document = documents[stage]
        return _is(document, "failed") and document["attempt"] != failures.get(stage)

    while True:
        worked = waiting = False
        for stage, cell in stages.items():
            if not _is(documents[stage], "finished"):  # it stays so
                documents[stage] = stage_folders.read(folder / stage.folder)
            if _is(documents[stage], "finished") or has_failed(stage):
                continue
            if not all(_is(documents[parent], "finished") for parent in stage.parents):
                # A stage waits for its parents, unless one that it needs has failed.
                waiting = waiting or not any(has_failed(need) for need in stage.all()[:-1])
                continue
            with locks.attempt(folder / stage.folder / locks.FILE, patient=False) as holder:
                if holder is not None:
                    waiting = True
                    continue
                documents[stage] = stage_folders.read(folder / stage.folder)
                if _is(documents[stage], "finished") or has_failed(stage):  # in another process, just now
                    worked = True
                    break
                reason = next((missing[name] for name in stage.tasks if name in missing), None)
                if reason is None:
                    print(clock.line(stage, cell), flush=True)
                    _run(stage, folder, search_paths)
                else:
                    document = stage_folders.begin(stage, folder / stage.folder)
                    stage_folders.write(folder / stage.folder, document | {"status": "failed", "reason": reason})
                worked = True
            break  # stages that waited for this one come first now
        if not worked:
            if not waiting:
                return
            time.sleep(WAIT_SECONDS)


def _is(document: Mapping[str, Any], status: str) -> bool:
    return document.get("status") == status


def _run(stage: Stage, root: Path, search_paths: Sequence[str]) -> None:
    """Runs one stage and records its results or its failure."""
    folder = root / stage.folder
    document = stage_folders.begin(stage, folder)
    stage_folders.write(folder, document)
    seconds, start = document["seconds"], time.monotonic()
    try:
        results = call(stage, root, search_paths)
        document |= {"status": "finished", "results": {} if stage.kind == TRAIN else results}
        (folder / ERROR_FILE).unlink(missing_ok=True)
    except (Exception, SystemExit) as error:
        kind = type(error).__name__
        reason = str(error).splitlines()[0] if str(error) else kind
        reason = reason if isinstance(error, T5MusicError) else f"{kind}: {reason}"
        document |= {"status": "failed", "reason": reason}
        files.write_text(folder / ERROR_FILE, traceback.format_exc())
        print(f"t5music: {stage.folder} failed: {reason}", file=sys.stderr, flush=True)
    finally:  # also an interrupted stage records its time
        document["seconds"] = round(seconds + time.monotonic() - start, 3)
        stage_folders.write(folder, document)
        jax.clear_caches()  # otherwise a hundred runs leave a hundred compiled programs in memory
        gc.collect()


def call(stage: Stage, root: Path, search_paths: Sequence[str] = (), **arguments: Any) -> Any:
    """Calls a stage's entry point under its configuration.

    Args:
        stage: the stage.
        root: the folder that holds the folders of stages.
        search_paths: where gin files are looked for first.
        arguments: further arguments of the entry point.

    Returns:
        What the entry point returns.
    """
    parents = [str(root / parent.folder) for parent in stage.parents]
    place = place_bindings(stage.kind, stage.seed, parents, str(root / stage.folder), stage.macros)
    gin_files.configure(stage.files, (*place, *stage.bindings), search_paths)
    if stage.kind == TRAIN:
        arguments["samples"] = False  # a study has a stage of its own for that
    return registry.STAGES[stage.kind](**arguments)


class _Clock:
    """Progress over all stages, and an estimate of the time left."""

    def __init__(self, stages: Mapping[Stage, Cell], folder: Path) -> None:
        self._stages, self._folder = list(stages), folder

    def line(self, stage: Stage, cell: Cell) -> str:
        """The line printed before a stage runs: how many are finished, its name, and the time left.

        The time left is estimated from the finished stages of the same names and the stages that run now.
        """
        documents = {each: stage_folders.read(self._folder / each.folder) for each in self._stages}
        finished = [each for each in self._stages if documents[each].get("status") == "finished"]
        unfinished = [each for each in self._stages if documents[each].get("status") != "finished"]
        seconds: dict[str, list[float]] = {}
        for each in finished:
            seconds.setdefault(each.name, []).append(documents[each]["seconds"])
        estimates = [statistics.mean(seconds[each.name]) for each in unfinished if each.name in seconds]
        running = max(1, sum(locks.holder(self._folder / each.folder / locks.FILE) is not None for each in unfinished))
        time_left = ""
        if estimates:
            minutes = statistics.mean(estimates) * len(unfinished) / running / 60
            time_left = f", about {minutes:.0f} min left" if minutes >= 1 else ", less than a minute left"
        name = f"{stage.name} of {cell.setting!r}, seed {cell.seed}"
        return f"\n[{len(finished) + 1}/{len(self._stages)}] {name} ({stage.folder}){time_left}"


# ------------------------------------------------------------------------------------------------------ other processes


def start_workers(command: Sequence[str], root: Path, count: int) -> list[subprocess.Popen[bytes]]:
    """Starts processes that run a command, each with a log file in `root`, or in the cache where that is a bucket."""
    workers: list[subprocess.Popen[bytes]] = []
    logs = bucket_copies.cache_dir() / LOGS / root.name if isinstance(root, BucketPath) else root / LOGS
    for number in range(1, count + 1):
        path = logs / f"worker_{number}.log"
        files.write_text(path, "")
        with open(path, "w") as log:
            workers.append(subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT))
        print(f"another process works on the study, too: {path}", file=sys.stderr)
    return workers


def join_workers(workers: Sequence[subprocess.Popen[bytes]], *, stop: bool) -> None:
    """Waits for the processes to end; with `stop`, interrupts them first, so that they save their state."""
    for worker in workers:
        if stop and worker.poll() is None:
            worker.send_signal(signal.SIGTERM)
    for worker in workers:
        worker.wait()
