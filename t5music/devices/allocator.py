"""Allocator: memory that a process has freed stays with it and serves its next arrays, where the C library is glibc.

By itself glibc maps every large array anew and returns it to the system when it is freed, so that the system clears the
same memory again and again, page by page. A training step on a CPU takes all its intermediate results this way: at
(128, 256, 4, 3) with 8 x (512 + 128) tokens those are 150,000 pages, a quarter to a third of the step's time.
"""

from __future__ import annotations

import ctypes
import os
import sys

# Options of `mallopt` (malloc.h). Threads with heaps of their own would map what is larger than such a heap, 64 MB, so
# all share one. It grows and is never trimmed, and nothing is mapped.
_ARENA_MAX, _MMAP_MAX, _TRIM_THRESHOLD = -8, -4, -1
_SETTINGS = ((_ARENA_MAX, 1), (_MMAP_MAX, 0), (_TRIM_THRESHOLD, -1))


def keep_freed_memory() -> bool:
    """Keeps freed memory from now on; to be called before JAX starts its threads.

    The process stays as large as it ever was. Settings of the environment (MALLOC_ARENA_MAX and the like) win.

    Returns:
        Whether it does: False without glibc, and where the environment has settings.
    """
    if sys.platform != "linux" or any(name.startswith("MALLOC_") for name in os.environ):
        return False
    library = ctypes.CDLL(None)
    if not hasattr(library, "gnu_get_libc_version"):
        return False
    return all([library.mallopt(option, value) for option, value in _SETTINGS])
