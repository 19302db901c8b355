"""A disk that is full or read-only: one line in every verb, nothing lost, and on with it where there is room."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import full_disk
import pytest

QUICK = ["compile, again", "corpora --export", "average", "classify", "export"]
SCRATCH = ("compiled/", "eval_validation/")  # programs that JAX keeps; what a follower has begun


def outcomes(place: Path, trouble: str, *verbs: str) -> list[dict]:
    environment = {**os.environ, "T5MUSIC_COMPILATION_CACHE": "off"}
    command = [sys.executable, full_disk.__file__, str(place), trouble, *verbs]
    process = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert process.returncode == 0, process.stderr[-2000:]
    return [json.loads(line) for line in process.stdout.splitlines()]


def check(results: list[dict], verbs: list[str]) -> None:
    assert [result["verb"] for result in results] == verbs
    for result in results:
        verb, lines = result["verb"], result["text"].strip().splitlines()
        assert result["status"] == 2, result
        assert lines[-1].startswith("t5music: error: cannot "), result
        assert "Traceback" not in result["text"], result
        assert "Warning" not in result["text"], result
        assert [path for path in result["changed"] if not any(part in path for part in SCRATCH)] == [], verb
        assert result["later"] == 0, result


@pytest.mark.slow
def test_what_cannot_be_written_is_one_line_and_is_written_later(tmp_path: Path):
    check(outcomes(tmp_path, "limit", *QUICK), QUICK)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 16 MB, or the test is skipped."""
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", tmp_path], capture_output=True)
    if mount.returncode:
        pytest.skip("no file system may be mounted here")
    yield tmp_path
    subprocess.run(["umount", "-l", tmp_path], check=True)


@pytest.mark.slow
@pytest.mark.parametrize("trouble", ["full", "read_only"])
def test_every_verb_on_a_small_disk(small_disk: Path, trouble: str):
    check(outcomes(small_disk, trouble), list(full_disk.VERBS))


@pytest.mark.slow
def test_a_checkpoint_that_cannot_be_written_leaves_the_last_one(tmp_path: Path):
    """There is room for the settings and the metrics of the run, and none for its weights."""
    (result,) = outcomes(tmp_path, "limit", "train, on")
    assert result["status"] == 2
    last = result["text"].strip().splitlines()[-1]
    assert last.startswith(f"t5music: error: cannot save a checkpoint into {tmp_path}/run/checkpoints: ")
    assert last.endswith("(the checkpoint of step 1 is kept)")
    assert not [path for path in result["changed"] if path.startswith("run/checkpoints/1/")]
    assert result["later"] == 0
    assert sorted(path.name for path in (tmp_path / "run" / "checkpoints").iterdir()) == ["1", "2"]
