"""No hostile input ends in a traceback: all that hostile.py counts."""

from __future__ import annotations

import hostile
import pytest

FEWEST = {"checkpoints": 100, "stores": 40, "arguments": 35, "containers": 17, "gin_values": 14}


SLOW = ("checkpoints", "stores")
CASES = [pytest.param(kind, marks=pytest.mark.slow if kind in SLOW else ()) for kind in hostile.KINDS]


@pytest.mark.parametrize("kind", CASES)
def test_no_traceback(kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    outcomes, tracebacks = hostile.run(kind)
    assert tracebacks == []
    assert sum(outcomes.values()) >= FEWEST[kind]
    assert outcomes["refused in several lines"] == 0
    if kind in ("arguments", "gin_values"):
        assert outcomes["refused"] == sum(outcomes.values())
