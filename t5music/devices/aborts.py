"""Aborts: JAX's C++ ends a process when it has lost the others; this leaves the last word to `watch`.

JAX (`jax.distributed`) logs pages and aborts the process at once, and takes no function of Python's instead: calling
one from there ends in std::bad_cast. So an abort is held up for some seconds, and what C++ says of lost processes is
not shown. Everything else that C++ says is.
"""

from __future__ import annotations

import ctypes
import os
import re
import signal
import sys
import threading
from collections.abc import Callable

_OF_LOSS = re.compile(rb"[IWEF]\d{4} .*(coordination_service|preemption_sync_manager|JAX distributed service)")
_FATAL = re.compile(rb"F\d{4} .*JAX distributed service")
_LOG = re.compile(rb"[IWEF]\d")  # how a message begins; further lines of it, and the stack below it, do not


def hold(lost: Callable[[], object]) -> None:
    """Holds up aborts, and hides what JAX says of lost processes; for the whole life of this process.

    Args:
        lost: called in a thread of its own when JAX is about to abort; ends the process within five seconds.
    """
    libc = ctypes.CDLL(None)
    libc.signal.argtypes, libc.signal.restype = (ctypes.c_int, ctypes.c_void_p), ctypes.c_void_p
    # A handler is called with its signal's number, so this one sleeps for six seconds. Then the abort goes on.
    libc.signal(signal.SIGABRT, ctypes.cast(libc.sleep, ctypes.c_void_p))

    terminal = os.dup(2)
    reader, writer = os.pipe()
    os.dup2(writer, 2)
    os.close(writer)
    sys.stderr = open(terminal, "w", buffering=1, encoding=sys.stderr.encoding, errors="backslashreplace")  # noqa: SIM115
    threading.Thread(target=_forward, args=(reader, terminal, lost), name="stderr", daemon=True).start()


def _forward(reader: int, terminal: int, lost: Callable[[], object]) -> None:
    """Passes on what C++ writes, line by line, but for what is of lost processes."""
    hiding, pending = False, b""
    while block := os.read(reader, 1 << 16):
        *lines, pending = re.split(rb"(?<=[\r\n])", pending + block)
        for line in lines:
            if _FATAL.match(line):
                threading.Thread(target=lost, daemon=True).start()
            hiding = bool(_OF_LOSS.match(line)) if _LOG.match(line) else hiding
            if not hiding:
                os.write(terminal, line)
        if not hiding and not _LOG.match(pending):  # such as a progress bar
            os.write(terminal, pending)
            pending = b""
