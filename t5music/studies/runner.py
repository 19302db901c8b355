"""Runner: runs the stages of a study, each once, in one process or in several that share the work.

The most valuable stages run first (`order`), within a time limit if there is one (`sprint`). Processes share the work
through the studies' folder alone, which may be in a bucket: a stage belongs to the process that holds the lock of its
folder, and the lock ends with the process, in a bucket soon after it. So the same command on several machines works on
one study, and a killed study goes on where it stopped.
"""

from __future__ import annotations

import contextlib
import gc
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
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
from t5music.studies.order import by_value
from t5music.studies.pace import Meter, Paces
from t5music.studies.progress import Progress
from t5music.studies.sprint import Sprint

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
    return [stage for stage in by_value(cells) if not _is(stage_folders.read(root / RUNS / stage.folder), "finished")]


def run(
    cells: Sequence[Cell],
    root: Path,
    search_paths: Sequence[str] = (),
    missing: Mapping[str, str] = MappingProxyType({}),
    sprint: Sprint | None = None,
) -> None:
    """Runs the unfinished stages of some cells. A stage that fails is recorded as such and does not stop the others.

    Args:
        cells: the cells, in the order to run them.
        root: the studies' folder.
        search_paths: where gin files are looked for first.
        missing: task or mixture -> why it cannot be read; stages that need it fail without being run.
        sprint: a time limit, and what fits it; None runs all.

    Raises:
        KeyboardInterrupt: stopped by a signal; the same call goes on.
    """
    folder = root / RUNS
    stages = by_value(cells)
    paces = Paces(folder, list(stages)) if sprint is None else sprint.paces
    progress = Progress(stages, folder, paces)
    documents = {stage: stage_folders.read(folder / stage.folder) for stage in stages}
    failures = {stage: document["attempt"] for stage, document in documents.items() if _is(document, "failed")}

    def has_failed(stage: Stage) -> bool:
        """Whether a stage has failed since the beginning, here or elsewhere; what failed before is tried again."""
        document = documents[stage]
        return _is(document, "failed") and document["attempt"] != failures.get(stage)

    def read(stage: Stage) -> bool:
        """Reads a stage's state anew, and returns whether nothing is left to do for it."""
        if not _is(documents[stage], "finished"):  # it stays so
            documents[stage] = stage_folders.read(folder / stage.folder)
            paces.learn(stage.folder, documents[stage])
        return _is(documents[stage], "finished") or has_failed(stage)

    def is_free(stage: Stage) -> bool:
        return locks.holder(folder / stage.folder / locks.FILE) is None

    while sprint is None or sprint.left() > 0:
        rest = [stage for stage in stages if not read(stage)]
        ready = [stage for stage in rest if all(_is(documents[parent], "finished") for parent in stage.parents)]
        worked = waiting = False
        for stage in ready if sprint is None else sprint.choose(ready):
            with locks.attempt(folder / stage.folder / locks.FILE, patient=False) as holder:
                if holder is not None:
                    waiting = True
                    continue
                worked = True
                if read(stage):  # another process has finished it just now
                    break
                reason = next((missing[name] for name in stage.tasks if name in missing), None)
                if reason is None:
                    print(progress.line(stage), flush=True)
                    _run(
                        stage, folder, search_paths, sprint, [each for each in ready if each is stage or is_free(each)]
                    )
                else:
                    document = stage_folders.begin(stage, folder / stage.folder)
                    stage_folders.write(folder / stage.folder, document | {"status": "failed", "reason": reason})
            break  # stages that waited for this one come first now
        if not worked:
            # What does not fit now may wait for what another process does, which then makes room for more.
            if not waiting and all(map(is_free, ready)):
                return
            time.sleep(WAIT_SECONDS)


def _is(document: Mapping[str, Any], status: str) -> bool:
    return document.get("status") == status


def _run(stage: Stage, root: Path, search_paths: Sequence[str], sprint: Sprint | None, ready: Sequence[Stage]) -> None:
    """Runs one of the stages that could run and records its results, its failure or that the sprint stopped it."""
    folder = root / stage.folder
    document = stage_folders.begin(stage, folder)
    stage_folders.write(folder, document)
    seconds, start = document["seconds"], time.monotonic()
    meter = Meter()

    def stops(step: int) -> bool:
        meter.count()
        return sprint is not None and sprint.stops(stage, step, meter, ready)

    try:
        with contextlib.nullcontext() if sprint is None else sprint.limit(meter):
            results = call(stage, root, search_paths, stops)
        meter.finish()
        document |= {"status": "finished", "results": {} if stage.kind == TRAIN else results}
        (folder / ERROR_FILE).unlink(missing_ok=True)
    except KeyboardInterrupt:
        if sprint is None or not sprint.stopped:
            raise
        if stage.kind != TRAIN:
            document["stopped_after"] = round(time.monotonic() - start, 3)
        if stage.kind == TRAIN and not meter.begun:
            print(f"{stage.folder}: the time was up before its first step; give sprints more time", flush=True)
        else:
            print(f"{stage.folder} is not over and goes on in a later sprint, or when nothing else fits", flush=True)
    except (Exception, SystemExit) as error:
        kind = type(error).__name__
        reason = str(error).splitlines()[0] if str(error) else kind
        reason = reason if isinstance(error, T5MusicError) else f"{kind}: {reason}"
        document |= {"status": "failed", "reason": reason}
        files.write_text(folder / ERROR_FILE, traceback.format_exc())
        print(f"t5music: {stage.folder} failed: {reason}", file=sys.stderr, flush=True)
    finally:  # also an interrupted stage records its time
        document["seconds"] = round(seconds + time.monotonic() - start, 3)
        if meter.steps > document.get("timing", {"steps": 0})["steps"]:
            document["timing"] = meter.to_json()
        stage_folders.write(folder, document)
        jax.clear_caches()  # otherwise a hundred runs leave a hundred compiled programs in memory
        gc.collect()


def call(
    stage: Stage,
    root: Path,
    search_paths: Sequence[str] = (),
    stops: Callable[[int], bool] | None = None,
    **arguments: Any,
) -> Any:
    """Calls a stage's entry point under its configuration.

    Args:
        stage: the stage.
        root: the folder that holds the folders of stages.
        search_paths: where gin files are looked for first.
        stops: of a training, called with the step after every step but the last; returns whether it stops there.
        arguments: further arguments of the entry point.

    Returns:
        What the entry point returns.
    """
    parents = [str(root / parent.folder) for parent in stage.parents]
    place = place_bindings(stage.kind, stage.seed, parents, str(root / stage.folder), stage.macros)
    gin_files.configure(stage.files, (*place, *stage.bindings), search_paths)
    if stage.kind == TRAIN:
        arguments |= {"samples": False, "stops": stops}  # a study has a stage of its own for samples
    return registry.STAGES[stage.kind](**arguments)


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
