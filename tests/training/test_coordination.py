"""Stopping by signals, and putting the positions of several processes together."""

import os
import signal
import threading

import pytest

from t5music.training import coordination


def test_the_first_signal_asks_and_the_second_one_interrupts():
    with coordination.stop_signals() as stop:
        assert not coordination.agreed(stop, settle=True)
        os.kill(os.getpid(), signal.SIGINT)
        assert coordination.agreed(stop, settle=False)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_handlers_are_put_back():
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with coordination.stop_signals():
        assert signal.getsignal(signal.SIGTERM) != before[1]
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_another_thread_leaves_signals_alone():
    before, seen = signal.getsignal(signal.SIGTERM), []

    def run():
        with coordination.stop_signals() as stop:
            seen.append((signal.getsignal(signal.SIGTERM), stop.is_set()))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert seen == [(before, False)]


def test_positions_of_processes_are_put_together():
    positions = [
        {"signature": {"seed": 1}, "lanes": {"0": {"draws": [3]}, "1": {"draws": [4]}}},
        {"signature": {"seed": 1}, "lanes": {"2": {"draws": [5]}}},
    ]
    lanes = {"0": {"draws": [3]}, "1": {"draws": [4]}, "2": {"draws": [5]}}
    assert coordination.union(positions) == {"signature": {"seed": 1}, "lanes": lanes}
    assert coordination.gather(positions[0]) == positions[:1]
