"""Queues: the commands that run a study's cells on a cluster, for any queue, for SLURM's arrays, and for workers.

Cells share stages and may run at the same time, on machines that see the same studies' folder and data folder, on disks
that they share or in a bucket.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence

from t5music.studies.grid import Study

FLAG = "--print_commands"
ATTEMPTS, PAUSE_SECONDS = 5, 30  # of a worker whose bucket or lock is lost


def cells(study: Study, arguments: Sequence[str]) -> str:
    """A command for each cell, a line each; for arguments see `slurm`."""
    return "\n".join(f"{_command(arguments)} --cell {shlex.quote(cell.name)}" for cell in study.cells)


def slurm(study: Study, arguments: Sequence[str]) -> str:
    """A script for sbatch: an array with a job for each cell.

    Args:
        study: the study.
        arguments: of this call of t5music.
    """
    names = "\n".join(f"    {shlex.quote(cell.name)}" for cell in study.cells)
    name = "".join(letter if letter.isalnum() else "_" for letter in study.name)
    return f"""\
#!/bin/bash
# The cells of a study as an array of jobs; --dir and --data_dir are folders that all nodes see, or in a bucket.
# Start it by:      sbatch --gres=gpu:1 --time=12:00:00 SCRIPT   (with whatever a cell needs)
# The table, then:  {_command(arguments, quiet=False)} --collect
#SBATCH --job-name=t5music_{name}
#SBATCH --array=0-{len(study.cells) - 1}
#SBATCH --ntasks=1
#SBATCH --requeue
#SBATCH --output=t5music_{name}_%A_%a.log
set -euo pipefail
cells=(
{names}
)
srun {_command(arguments)} --cell "${{cells[$SLURM_ARRAY_TASK_ID]}}\""""


def workers(study: Study, arguments: Sequence[str]) -> str:
    """The script of a worker, for any number of machines; for arguments see `slurm`."""
    return f"""\
#!/bin/bash
# A worker of the study {study.name!r}: takes cells that nobody works on until none is left ({len(study.cells)} in all).
# Run it on any number of machines that see the same --dir and --data_dir. More may come later, and any may be killed.
# The table, at any time:  {_command(arguments, quiet=False)} --collect
set -euo pipefail
for attempt in $(seq {ATTEMPTS}); do
    if {_command(arguments)}; then
        exit 0
    fi
    sleep {PAUSE_SECONDS}
done
exit 1"""


FORMS: dict[str, Callable[[Study, Sequence[str]], str]] = {"cells": cells, "slurm": slurm, "workers": workers}


def _command(arguments: Sequence[str], *, quiet: bool = True) -> str:
    """This call of t5music without the flag that prints commands."""
    words: list[str] = []
    for place, word in enumerate(arguments):
        is_value = place > 0 and arguments[place - 1] == FLAG and word in FORMS
        if not is_value and word.partition("=")[0] != FLAG:
            words.append(word)
    return shlex.join(["t5music", *words, *(["--quiet"] if quiet else [])])
