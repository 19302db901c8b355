"""Runs the stages of a study: each once, in an order that finishes cells early, by as many processes as there are.

Processes share the work through the file system alone: a stage belongs to whoever holds the lock of its folder, and a
process that ends, however it ends, gives it back. So the same command on several machines shares one study, and a
killed one goes on where it stopped.
"""

from __future__ import annotations

import gc
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import gin
import jax

from t5music import files
from t5music.configuration import gin_files, registry
from t5music.errors import ConfigError, T5MusicError, nearest
from t5music.studies import grid, stage_folders
from t5music.studies.grid import TRAIN, Cell, Stage, Study

RUNS = "runs"  # below the studies' folder: all stages of all studies
LOGS = "logs"
ERROR_FILE = "error.txt"
WAIT_SECONDS = 1.0

_described = gin.external_configurable(grid.Description, name="study")


def read(study_files: Sequence[str], bindings: Sequence[str], search_paths: Sequence[str] = ()) -> Study:
    """The study of gin files. Raises ConfigError where they, or what their stages read, do not fit.

    Leaves gin without bindings: what a study is made of would be read by nothing in a run that the caller starts.
    """
    try:
        gin_files.configure(study_files, bindings, search_paths)
        description = _described()
        gin_files.check_used()
        return grid.expand(description, registry.STAGES, search_paths)
    finally:
        gin_files.clear()


def choose(study: Study, names: Sequence[str]) -> list[Cell]:
    """The cells of these names, all where there are none. Raises ConfigError for a name that no cell has."""
    known = {cell.name: cell for cell in study.cells}
    for name in names:
        if name not in known:
            raise ConfigError(f"--cell {name}: no such cell{nearest(name, known)} (SETTING:SEED; --cells lists them)")
    return [known[name] for name in names] if names else list(study.cells)


def run(cells: Sequence[Cell], root: Path, search_paths: Sequence[str] = ()) -> None:
    """Runs what is not finished of these cells; what fails is written down, and does not stop the others.

    Args:
        cells: in this order.
        root: the studies' folder.
        search_paths: where gin files are looked for first.

    Raises:
        KeyboardInterrupt: stopped by a signal; the same call goes on.
    """
    began = time.time()
    folder = root / RUNS
    wanted: dict[Stage, Cell] = {}
    for cell in cells:
        for stage in cell.stages.values():
            for need in stage.all():
                wanted.setdefault(need, cell)
    clock = _Clock(wanted, folder)
    while True:
        worked = waiting = False
        for stage, cell in wanted.items():
            said = stage_folders.read(folder / stage.folder)
            if said.get("status") == "finished" or _failed_since(folder / stage.folder, said, began):
                continue
            if not all(
                stage_folders.read(folder / parent.folder).get("status") == "finished" for parent in stage.parents
            ):
                waiting = waiting or not _hopeless(stage, folder, began)
                continue
            with stage_folders.lock(folder / stage.folder) as ours:
                if not ours:
                    waiting = True
                    continue
                if (
                    stage_folders.read(folder / stage.folder).get("status") == "finished"
                ):  # by another process, just now
                    continue
                print(clock.line(stage, cell), flush=True)
                _run(stage, folder, search_paths)
                worked = True
            break  # what was waiting for this one may go on now, and comes first
        if not worked:
            if not waiting:
                return
            time.sleep(WAIT_SECONDS)


def _failed_since(folder: Path, said: Mapping[str, Any], began: float) -> bool:
    """Whether a stage failed in this call, or in that of a process beside it; a later call tries again."""
    return said.get("status") == "failed" and (folder / stage_folders.STAGE_FILE).stat().st_mtime >= began


def _hopeless(stage: Stage, folder: Path, began: float) -> bool:
    return any(
        _failed_since(folder / need.folder, stage_folders.read(folder / need.folder), began)
        for need in stage.all()[:-1]
    )


def _run(stage: Stage, root: Path, search_paths: Sequence[str]) -> None:
    """Runs one stage and writes down what came of it."""
    folder = root / stage.folder
    said = stage_folders.begin(stage, folder)
    stage_folders.write(folder, said)
    before, start = said["seconds"], time.monotonic()
    try:
        found = call(stage, root, search_paths)
        said |= {"status": "finished", "results": {} if stage.kind == TRAIN else found}
        (folder / ERROR_FILE).unlink(missing_ok=True)
    except (Exception, SystemExit) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        said |= {
            "status": "failed",
            "reason": reason if isinstance(error, T5MusicError) else f"{_kind(error)}: {reason}",
        }
        files.write_text(folder / ERROR_FILE, traceback.format_exc())
        print(f"t5music: {stage.folder} failed: {said['reason']}", file=sys.stderr, flush=True)
    finally:  # an interrupted stage keeps its time
        said["seconds"] = round(before + time.monotonic() - start, 3)
        stage_folders.write(folder, said)
        jax.clear_caches()  # a hundred runs leave a hundred programs
        gc.collect()


def _kind(error: BaseException) -> str:
    return type(error).__name__


def call(stage: Stage, root: Path, search_paths: Sequence[str] = (), **arguments: Any) -> Any:
    """Calls a stage's entry point under its configuration, in `root`, and returns what it does."""
    parents = [str(root / parent.folder) for parent in stage.parents]
    places = grid.places(stage.kind, stage.seed, parents, str(root / stage.folder), stage.macros)
    gin_files.configure(stage.files, (*places, *stage.bindings), search_paths)
    return registry.STAGES[stage.kind](**arguments)


class _Clock:
    """Where the whole grid stands, and how long it will still take."""

    def __init__(self, stages: Mapping[Stage, Cell], folder: Path) -> None:
        self._stages, self._folder = list(stages), folder

    def line(self, stage: Stage, cell: Cell) -> str:
        """What is done, what begins now, and the time left by what stages of each name took so far."""
        said = {each: stage_folders.read(self._folder / each.folder) for each in self._stages}
        done = [each for each in self._stages if said[each].get("status") == "finished"]
        seconds: dict[str, list[float]] = {}
        for each in done:
            seconds.setdefault(each.name, []).append(said[each]["seconds"])
        left = [each for each in self._stages if said[each].get("status") != "finished"]
        known = [sum(seconds[each.name]) / len(seconds[each.name]) for each in left if each.name in seconds]
        others = max(1, sum(stage_folders.is_locked(self._folder / each.folder) for each in left))
        guess = ""
        if known:
            minutes = sum(known) / len(known) * len(left) / others / 60
            guess = f", about {minutes:.0f} min left" if minutes >= 1 else ", less than a minute left"
        what = f"{stage.name} of {cell.setting!r}, seed {cell.seed}"
        return f"\n[{len(done) + 1}/{len(self._stages)}] {what} ({stage.folder}){guess}"


# ------------------------------------------------------------------------------------------------------ other processes


def start_workers(command: Sequence[str], root: Path, count: int) -> list[subprocess.Popen[bytes]]:
    """Starts processes that do the same command, each with a log below `root`."""
    (root / LOGS).mkdir(parents=True, exist_ok=True)
    started = []
    for number in range(1, count + 1):
        path = root / LOGS / f"worker_{number}.log"
        with open(path, "w") as log:
            started.append(subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT))
        print(f"another process works beside this one: {path}", file=sys.stderr)
    return started


def join_workers(workers: Sequence[subprocess.Popen[bytes]], *, stop: bool) -> None:
    """Waits for the processes to end, or, with `stop`, interrupts them first, so that they save what they have."""
    for worker in workers:
        if stop and worker.poll() is None:
            worker.send_signal(signal.SIGTERM)
    for worker in workers:
        worker.wait()
