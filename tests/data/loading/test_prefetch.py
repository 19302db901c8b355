"""Prefetching: what comes, where it stands, how it ends."""

from __future__ import annotations

import gc
import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from t5music.data.loading.prefetch import Prefetch


class Counting:
    """Counts up from its position; cannot make the number `broken`."""

    def __init__(self, broken: int | None = None) -> None:
        self.number, self.broken = 0, broken

    def __next__(self) -> int:
        if self.number == self.broken:
            raise ValueError(f"no {self.number}")
        self.number += 1
        return self.number - 1

    def get_state(self) -> int:
        return self.number

    def set_state(self, state: int) -> None:
        self.number = state


def threads() -> int:
    return sum(thread.name == "t5music-prefetch" for thread in threading.enumerate())


@settings(deadline=None)
@given(
    ahead=st.integers(1, 4),
    steps=st.lists(st.one_of(st.just("next"), st.just("close"), st.integers(0, 50)), max_size=20),
)
def test_it_is_its_source_wherever_it_stands(ahead: int, steps: list[str | int]):
    iterator, expected = Prefetch(Counting(), ahead), 0
    for step in steps:
        if step == "next":
            assert next(iterator) == expected
            expected += 1
        elif step == "close":
            iterator.close()
        else:
            iterator.set_state(step)
            expected = step
        assert iterator.get_state() == expected
    iterator.close()


def test_an_error_comes_when_its_item_is_due():
    iterator = Prefetch(Counting(broken=3), 2)
    assert [next(iterator) for _ in range(3)] == [0, 1, 2]
    for _ in range(2):
        with pytest.raises(ValueError, match="no 3"):
            next(iterator)
    iterator.set_state(1)
    assert next(iterator) == 1
    iterator.close()


@pytest.mark.parametrize("ahead", [1, 3])
def test_the_thread_ends_with_the_iterator(ahead: int):
    before = threads()
    iterator = Prefetch(Counting(), ahead)
    assert next(iterator) == 0
    assert threads() == before + 1
    del iterator
    gc.collect()
    deadline = time.monotonic() + 30
    while threads() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threads() == before
