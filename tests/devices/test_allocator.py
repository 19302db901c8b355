import os
import subprocess
import sys
import textwrap

import pytest

from t5music.devices import allocator

# Page faults of arrays of 64 MB that are made, filled and freed, one after the other, from a thread.
FAULTS = """
    import resource, sys, threading
    import numpy as np
    from t5music.devices import allocator

    keeps = allocator.keep_freed_memory() if sys.argv[1] == "keep" else False
    def fill():
        for _ in range(10):
            np.ones(2**23)
    fill()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    thread = threading.Thread(target=fill)
    thread.start()
    thread.join()
    print(keeps, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(how: str) -> tuple[bool, int]:
    command = [sys.executable, "-c", textwrap.dedent(FAULTS), how]
    plain = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    output = subprocess.run(command, env=plain, capture_output=True, text=True, check=True).stdout
    keeps, count = output.split()
    return keeps == "True", int(count)


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's allocator")
def test_memory_that_was_freed_is_not_cleared_again():
    _, anew = faults("default")
    keeps, again = faults("keep")
    if not keeps:
        pytest.skip("the C library is not glibc")
    assert again < anew / 10


def test_settings_of_the_environment_win(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MALLOC_ARENA_MAX", "2")
    assert not allocator.keep_freed_memory()


def test_other_systems_are_left_alone(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not allocator.keep_freed_memory()
