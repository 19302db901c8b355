"""What other processes do with locks."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from t5music import locks

CODE = """
import sys
from t5music import locks
with locks.attempt(sys.argv[1]) as holder:
    print(holder, flush=True)
    sys.stdin.read()
"""


@contextlib.contextmanager
def other_process(path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the lock at a path until its stdin is closed or the block ends."""
    command = [sys.executable, "-c", CODE, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "None\n"
        yield process


def add_one(path: Path, times: int) -> None:
    for _ in range(times):
        with locks.waiting(path / "lock", "adding"):
            number = int((path / "number").read_text())
            (path / "number").write_text(str(number + 1))
