"""Other verbs: runs a `t5music` command that needs TensorFlow in another process, and raises what it fails with."""

from __future__ import annotations

import os
import re
import subprocess
import sys

from t5music.errors import DataError

ERROR = "t5music: error: "  # how a verb's last line begins when it fails
_BLOCK = 1 << 16


def run_verb(*arguments: str) -> None:
    """Runs `t5music ARGUMENTS` and shows what it prints, but for the line of its error, which is raised.

    Args:
        arguments: the verb and its flags.

    Raises:
        DataError: the command fails; the message is the line that says why.
        KeyboardInterrupt: it was interrupted.
    """
    command = [sys.executable, "-m", "t5music", *arguments]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        reason = _show(process.stderr.fileno())
    if process.returncode == 130:
        raise KeyboardInterrupt
    if process.returncode:
        raise DataError(reason or f"t5music {' '.join(arguments)} ended with status {process.returncode}")


def _show(descriptor: int) -> str:
    """Writes what comes from a pipe to stderr at once, progress bars too; returns the line of an error, '' for none."""
    error, pending = b"", b""
    while block := os.read(descriptor, _BLOCK):
        *lines, pending = re.split(rb"(?<=[\r\n])", pending + block)
        for line in lines:
            if line.startswith(ERROR.encode()):
                error = line
            else:
                _write(line)
        if not ERROR.startswith(pending.decode(errors="replace")[: len(ERROR)]):
            _write(pending)
            pending = b""
    if pending.startswith(ERROR.encode()):
        error, pending = pending, b""
    _write(pending)
    return error.decode(errors="replace").removeprefix(ERROR).strip()


def _write(text: bytes) -> None:
    sys.stderr.write(text.decode(errors="replace"))
    sys.stderr.flush()
