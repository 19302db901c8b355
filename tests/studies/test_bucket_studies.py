"""Studies in buckets: two machines, each with a disk of its own, work on one grid through the locks of its bucket."""

from __future__ import annotations

import csv
import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
import tiny_studies

from t5music.data.store.publish import publish_store
from t5music.storage import path_of

pytestmark = pytest.mark.slow

STUDY = """
study.name = "tiny"
study.title = "Two settings on random music"
study.seeds = (0,)
study.stages = {
    "pretrain": {"train": ["tiny.gin"], "TRAIN_STEPS": %d, "Records.save_period": 20},
    "finetune": {"train": ["tiny.gin"], "after": "pretrain"},
    "test": {"evaluate": ["runs/eval.gin"], "after": "finetune", "MIXTURE_OR_TASK_NAME": "song", "SPLIT": "test"},
}
study.settings = {
    "whole": {}, "from nothing": {"pretrain": None}, "slow": {"finetune": {"TRAIN_STEPS": 4}},
    "broken": {"finetune": {"TrainingData.lanes": 3}}
}
study.columns = {"song": "test/song/bits_per_note"}
"""


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the store of the task `song`."""
    folder = tmp_path_factory.mktemp("data") / "stores"
    tiny_studies.write_store(folder / "song")
    return folder


class Host:
    """A machine: its own disk, and the buckets that all see."""

    def __init__(self, disk: Path, data: str, studies: str, steps: int = 2) -> None:
        disk.mkdir()
        (disk / "tiny.gin").write_text(tiny_studies.TINY)
        (disk / "study.gin").write_text(STUDY % steps)
        self.disk = disk
        places = {"HOME": disk, "TMPDIR": disk, "T5MUSIC_BUCKET_CACHE": disk / "cache"}
        self._environment = {**os.environ, **{name: str(place) for name, place in places.items()}}
        self._command = [sys.executable, "-m", "t5music", "study", "--gin_file=study.gin", "--workers=1"]
        self._command += ["--dir", studies, "--data_dir", data, "--gin_search_paths=."]

    def start(self, *more: str) -> subprocess.Popen[str]:
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        return subprocess.Popen([*self._command, *more], cwd=self.disk, env=self._environment, **pipes)


def figures(folder: str) -> list[tuple[str, str, str, str]]:
    text = (path_of(folder) / "tiny" / "values.csv").read_text()
    return [(row["row"], row["fingerprint"], row["value"], row["status"]) for row in csv.DictReader(io.StringIO(text))]


def end(processes: Sequence[subprocess.Popen[str]]) -> list[str]:
    outputs = []
    for process in processes:
        text, _ = process.communicate(timeout=900)
        assert process.returncode == 0, text[-3000:]
        outputs.append(text)
    return outputs


@pytest.fixture(scope="module")
def alone(stores: Path, tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, str, str, str]]:
    """The figures of one machine on its disk."""
    root = tmp_path_factory.mktemp("alone")
    end([Host(root / "disk", str(stores.parent), str(root / "studies")).start()])
    return figures(str(root / "studies"))


@pytest.mark.parametrize("kind", ["google_bucket", "s3_bucket"])
def test_two_hosts_share_a_grid_and_every_stage_runs_once(
    request: pytest.FixtureRequest, stores: Path, alone: list[tuple[str, str, str, str]], tmp_path: Path, kind: str
):
    bucket = request.getfixturevalue(kind)
    publish_store(stores / "song", path_of(bucket) / "data" / "stores")
    hosts = [Host(tmp_path / name, f"{bucket}/data", f"{bucket}/studies") for name in ("one", "two")]
    outputs = end([hosts[0].start(), hosts[1].start("--quiet")])
    ran = [line for text in outputs for line in text.splitlines() if line.startswith("[")]
    stages = {line.partition("(")[2].partition(")")[0] for line in ran}
    assert len(ran) == len(stages) == 8, outputs  # of four cells one pre-training, and no test of the broken one
    assert all(any(line.startswith("[") for line in text.splitlines()) for text in outputs), "both have worked"
    end([hosts[1].start("--collect")])
    assert figures(f"{bucket}/studies") == alone
    assert {row[3] for row in alone} == {"finished", "failed"}
    for host in hosts:
        assert not list(host.disk.rglob("stage.json")), "nothing of the study is on a disk"


def test_what_a_lost_host_leaves_is_taken_over_and_gives_the_same_figures(
    stores: Path, google_bucket: str, tmp_path: Path
):
    publish_store(stores / "song", path_of(google_bucket) / "data" / "stores")
    studies = f"{google_bucket}/studies"
    hosts = [Host(tmp_path / name, f"{google_bucket}/data", studies, steps=60) for name in ("one", "two")]
    lost = hosts[0].start("--cell", "whole:0")
    deadline = time.monotonic() + 300
    while not list((path_of(studies) / "runs").glob("pretrain-*/checkpoints/*/commit_success.txt")):
        assert lost.poll() is None, lost.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.2)
    lost.send_signal(signal.SIGKILL)
    lost.communicate()
    end([hosts[1].start()])
    whole = Host(tmp_path / "whole", str(stores.parent), str(tmp_path / "studies"), steps=60)
    end([whole.start()])
    assert figures(studies) == figures(str(tmp_path / "studies"))
