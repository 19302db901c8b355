"""Work in parts: cut, done once by any process, kept."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from t5music import parallel
from t5music.errors import ConfigError


def double(part: parallel.Part[int]) -> None:
    part.file.parent.mkdir(parents=True, exist_ok=True)
    if 9 in part.items:
        raise ValueError("stop")
    with (part.file.parent / "log").open("a") as log:
        log.write(f"{part.file.name}\n")
    part.file.write_bytes(pickle.dumps([2 * item for item in part.items]))


def test_parts_are_cut_done_once_and_kept(tmp_path: Path):
    work = parallel.split(list(range(10)), 3, tmp_path)
    assert [(list(part.items), part.file.name) for part in work] == [
        ([0, 1, 2], "part-00000"),
        ([3, 4, 5], "part-00001"),
        ([6, 7, 8], "part-00002"),
        ([9], "part-00003"),
    ]
    for workers in (2, 1):
        with pytest.raises(ValueError, match="stop"):
            parallel.run(double, work, workers=workers, description="d", unit="item", progress=False)
    assert [pickle.loads(part.file.read_bytes()) for part in work[:3]] == [[0, 2, 4], [6, 8, 10], [12, 14, 16]]
    assert sorted((tmp_path / "log").read_text().split()) == [part.file.name for part in work[:3]]


def die(part: parallel.Part[int]) -> None:
    import os

    os._exit(9)


def test_a_worker_that_is_killed_is_told(tmp_path: Path):
    with pytest.raises(parallel.DataError, match=r"a worker process was killed.*fewer --workers than 2"):
        parallel.run(die, parallel.split([1, 2], 1, tmp_path), workers=2, description="d", unit="item", progress=False)


def test_somebody_must_work(tmp_path: Path):
    with pytest.raises(ConfigError, match="--workers -1"):
        parallel.run(die, [], workers=-1, description="d", unit="item", progress=False)
