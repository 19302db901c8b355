"""`t5music study`: runs, lists, plans or reports a study."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import jax

from t5music.devices.chips import GIB
from t5music.errors import ConfigError
from t5music.runs import print_plan
from t5music.storage import path_of
from t5music.studies import queues, runner, stage_folders
from t5music.studies.grid import TRAIN, Study
from t5music.studies.order import by_value
from t5music.studies.pace import Paces
from t5music.studies.preparation import prepare_stores
from t5music.studies.progress import Progress
from t5music.studies.report import table, write
from t5music.studies.sprint import Sprint
from t5music.training.cost.plan import Plan, parameter_counts

_REPORT_SECONDS, _REPORT_SHARE = 15.0, 0.05  # of a sprint, at most, for the report at its end


def run(arguments: argparse.Namespace, bindings: Sequence[str], request: print_plan.Request | None) -> None:
    """Runs the verb.

    Args:
        arguments: the verb's flags, and `command_line`, the list of all arguments on the command line.
        bindings: gin bindings.
        request: the devices to plan for; nothing is run then.

    Raises:
        ConfigError: no study is named, or it or a flag is wrong.
    """
    begin = time.monotonic()
    if not arguments.gin_file:
        raise ConfigError("study: say which with --gin_file=studies/NAME.gin")
    search_paths = [path for path in arguments.gin_search_paths.split(",") if path]
    study = runner.read(arguments.gin_file, bindings, search_paths)
    root = path_of(arguments.dir)
    if request is not None:
        print(plan(study, request, search_paths))
    elif arguments.print_commands:
        print(queues.FORMS[arguments.print_commands](study, arguments.command_line))
    elif arguments.cells:
        print("\n".join(states(study, root)))
    elif arguments.collect is not None:
        collect(study, root, arguments.collect)
    else:
        _run(arguments, study, root, search_paths, begin)


def _run(arguments: argparse.Namespace, study: Study, root: Path, search_paths: Sequence[str], begin: float) -> None:
    """Runs the cells, in this process and in others, and makes the report; `begin` is when the command began."""
    cpus = (os.cpu_count() or 1) if jax.default_backend() == "cpu" else 1
    workers = arguments.workers if arguments.workers is not None else 1 if arguments.quiet else cpus
    if workers < 1:
        raise ConfigError(f"--workers must be at least 1, not {workers}: this process is one of them")
    cells = runner.choose(study, arguments.cell)
    stages, before = by_value(cells), time.monotonic()
    missing = prepare_stores(runner.unfinished(cells, root))  # once, and not by every process
    begin += time.monotonic() - before
    # The other processes work on the same cells; they start no further processes and print no table.
    command = [sys.executable, "-m", "t5music", *arguments.command_line, "--workers=1", "--quiet"]
    paces = Paces(root / runner.RUNS, list(stages))
    sprint = None
    if arguments.sprint is not None:
        for_report = 0.0 if arguments.quiet else min(_REPORT_SECONDS, _REPORT_SHARE * arguments.sprint)
        sprint = Sprint(begin + arguments.sprint - for_report - time.monotonic(), paces)
    progress = Progress(stages, root / runner.RUNS, paces)
    finished = progress.finished()
    other_workers = runner.start_workers(command, root, workers - 1)
    try:
        runner.run(cells, root, search_paths, missing, sprint)
        # At the limit the others save what they have begun; without one they end when nothing is left.
        runner.join_workers(other_workers, stop=sprint is not None)
    except KeyboardInterrupt:
        runner.join_workers(other_workers, stop=True)
        raise
    finally:
        runner.join_workers(other_workers, stop=False)
        if not arguments.quiet:
            collect(study, root, [])
    if sprint is not None:
        print(f"\n{progress.after_sprint(finished)}")


def collect(study: Study, root: Path, folders: Sequence[str]) -> None:
    """Writes the study's report from the folders of its stages, and prints the table.

    Args:
        study: the study.
        root: the studies' folder; the report goes into the folder in it that has the study's name.
        folders: further folders that hold the folders of stages.
    """
    records = stage_folders.collect(study, [root / runner.RUNS, *map(path_of, folders)])
    folder = root / study.name
    print(f"\n{write.write(study, records, folder)}\n")
    failed = [record for record in records.values() if record.status == "failed"]
    if failed:
        print(f"{len(failed)} of {len(records)} stages failed: {folder / 'table.md'} says why", file=sys.stderr)
    print(f"the whole report is in {folder / 'index.html'}", file=sys.stderr)


def states(study: Study, root: Path) -> list[str]:
    """A line for every cell: its name, as `--cell` takes it, and how many of its stages are finished, failed ..."""
    records = stage_folders.collect(study, [root / runner.RUNS])
    lines = []
    for cell in study.cells:
        needs = {need.fingerprint for stage in cell.stages.values() for need in stage.all()}
        counts = Counter(records[fingerprint].status for fingerprint in needs)
        lines.append(f"{cell.name}  ({', '.join(f'{count} {status}' for status, count in sorted(counts.items()))})")
    return lines


def plan(study: Study, request: print_plan.Request, search_paths: Sequence[str]) -> str:
    """The memory and time that the trainings of a study need; nothing is run and no data are needed.

    Args:
        study: the study.
        request: the devices to plan for.
        search_paths: where gin files are looked for first.

    Returns:
        A table with a row for all trainings of the same name and settings, and the sums over all runs.

    Raises:
        ConfigError: a batch that the devices cannot share evenly, as of `t5music train --plan`.
    """
    runs = Counter((stage.name, stage.files, stage.bindings) for stage in study.stages() if stage.kind == TRAIN)
    rows, flops, hours = {}, 0.0, 0.0
    for stage in study.stages():
        key = (stage.name, stage.files, stage.bindings)
        if stage.kind != TRAIN or key not in runs:
            continue
        count = runs.pop(key)  # trainings with other seeds or parents need the same
        needs: Plan = runner.call(stage, Path("planned"), search_paths, plan=request._replace(silent=True))
        training = needs.training
        run_flops = training.steps * training.flops
        flops += count * run_flops
        hours += count * (needs.seconds or 0.0) / 3600
        rows[stage.folder] = [
            str(count),
            f"{sum(parameter_counts(training.config).values()) / 1e6:,.1f} M",
            f"{training.steps:,} x {training.rows:,}",
            f"{training.steps * training.positions:.2g}",
            f"{run_flops:.2g}",
            f"{needs.memory.total / GIB:.2f} GiB{'' if needs.fits else ', TOO MUCH'}",
            "?" if needs.seconds is None else f"{needs.seconds / 3600:,.1f}",
        ]
    columns = ["training", "runs", "parameters", "steps x rows", "tokens each", "FLOPs each", "a device", "hours each"]
    return f"{table.markdown(columns, rows)}\n\nAll runs: {flops:.2g} FLOPs, {hours:,.1f} hours one after the other"
