"""`t5music study`: runs a grid of settings and seeds, and makes its table."""

from __future__ import annotations

import argparse

from t5music.cli import flags as shared
from t5music.cli import gin_flags, inputs
from t5music.cli.parser import choice, duration, place, whole
from t5music.errors import ConfigError

HELP = "Run a study, a grid of settings and seeds, and make its table. The same command goes on where it stopped."


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Adds the verb's flags."""
    gin_flags.add(parser)
    parser.add_argument(
        "--dir",
        type=place,
        default="studies",
        metavar="FOLDER",
        help="folder of all studies' runs and tables, which several machines may share (default: studies)",
    )
    parser.add_argument(
        "--cell", action="append", default=[], metavar="SETTING:SEED", help="run only this cell; may be repeated"
    )
    parser.add_argument("--cells", action="store_true", help="list the cells and how far each of them is; run nothing")
    parser.add_argument(
        "--collect",
        nargs="*",
        metavar="FOLDER",
        help="run nothing; make the table of the runs that are there, and of the runs in these folders",
    )
    parser.add_argument(
        "--print_commands",
        nargs="?",
        const="cells",
        type=choice("cells", "slurm", "workers"),
        metavar="cells|slurm|workers",
        help="print commands for a cluster: one for each cell (default), a script for a SLURM array, or the "
        "script of a worker that takes cells until there are none, for any number of machines",
    )
    parser.add_argument("--quiet", action="store_true", help="run the cells, and leave the table to a later --collect")
    parser.add_argument(
        "--workers",
        type=whole(1, shared.MOST_PROCESSES),
        metavar="N",
        help="number of processes that run cells at the same time (default: one per core, or one on an accelerator)",
    )
    parser.add_argument(
        "--sprint",
        type=duration,
        metavar="TIME",
        help="run as many whole stages as fit this time, as 90s, 9m or 1h30m, the most valuable first; compiling "
        "stores does not count. The next sprint goes on",
    )
    shared.add_platform(parser)
    shared.add_plan(parser)


def run(flags: argparse.Namespace) -> None:
    """Runs the verb."""
    if not flags.gin_file:
        raise ConfigError("study: say which with --gin_file=studies/NAME.gin")
    without_runs = {"--plan": flags.plan, "--cells": flags.cells, "--collect": flags.collect is not None}
    for flag, present in without_runs.items():
        if present and flags.sprint is not None:
            raise ConfigError(f"--sprint runs stages, and {flag} runs nothing: leave out one of them")
    gin_flags.require_files(flags)
    for folder in flags.collect or []:
        inputs.require_folder(folder, "--collect")
    from t5music.devices import platforms

    platforms.one_thread_each()
    platforms.share_memory(flags.workers or 1)
    shared.prepare_devices(flags)
    from t5music.studies import command

    command.run(flags, flags.bindings, shared.plan_request(flags))
