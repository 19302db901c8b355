"""Compiling on a cluster: Beam's runner for Dask, with a scheduler and workers that are processes of their own."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from t5music.corpora import build
from t5music.corpora.base import Corpus, Entry, Piece
from t5music.data.compilation import compile_task as compiling
from t5music.data.compilation import shards
from t5music.data.declaration import Declaration
from t5music.data.examples import Continue
from t5music.errors import DataError
from t5music.music.score import NOTE, Score
from t5music.storage import BucketPath, path_of

pytestmark = pytest.mark.slow

PIECES = 80
TASK = Declaration("dask_continue", ("dask",), Continue("dask", "remi", words=64), (), ())


def entries(root: Path) -> list[Entry]:
    return [Entry(f"{number}.mid", root, more={"number": number}) for number in range(PIECES)]


def read(entry: Entry) -> Iterator[Piece]:
    notes = np.zeros(60, NOTE)
    notes["onset"], notes["duration"], notes["velocity"] = np.arange(60) * 480, 480, 80
    notes["pitch"] = np.random.default_rng(entry.more["number"]).integers(50, 70, 60)
    yield Piece(entry.id, Score(480, notes))


class Cluster:
    """A scheduler and workers. The workers have disks of their own: they see no file that this process has made."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._processes: list[subprocess.Popen[bytes]] = []
        self.workers: list[subprocess.Popen[bytes]] = []
        self.file = folder / "scheduler.json"
        self._start("scheduler", "--port", "0", "--host", "127.0.0.1", "--no-dashboard")

    def _start(self, kind: str, *more: str) -> subprocess.Popen[bytes]:
        disk = self._folder / f"{kind}_{len(self._processes)}"
        disk.mkdir()
        command = [sys.executable, "-m", "dask", kind, "--scheduler-file", str(self.file), *more]
        places = {"T5MUSIC_BUCKET_CACHE": disk / "cache", "T5MUSIC_DATA": disk / "data", "TMPDIR": disk}
        environment = {**os.environ, **{name: str(place) for name, place in places.items()}}
        with open(disk / "log", "wb") as log:
            process = subprocess.Popen(command, cwd=disk, env=environment, stdout=log, stderr=log)
        self._processes.append(process)
        return process

    def add_worker(self) -> None:
        worker = self._start("worker", "--nthreads", "1", "--no-nanny", "--no-dashboard", "--host", "127.0.0.1")
        self.workers.append(worker)

    def close(self) -> None:
        for process in self._processes:
            process.kill()
            process.wait()


@pytest.fixture(params=["google_bucket", "s3_bucket"])
def bucket(request: pytest.FixtureRequest) -> BucketPath:
    """A data folder in a bucket. Before the cluster, whose workers are told where the bucket's server is."""
    return path_of(request.getfixturevalue(request.param)) / "data"


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    pytest.importorskip("apache_beam")
    pytest.importorskip("distributed")
    with contextlib.closing(Cluster(tmp_path)) as cluster:
        cluster.add_worker()
        cluster.add_worker()
        yield cluster


@pytest.fixture
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder with the built corpus; parts are of one piece."""
    monkeypatch.setattr(shards, "PIECES_PER_PART", 1)
    folder = tmp_path / "mine"
    build.build(Corpus("dask", "t", "free", "here", "", entries, read), folder, folder, progress=False)
    return folder


def contents(store: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in store.iterdir()}


def options(cluster: Cluster) -> list[str]:
    return ["--runner=DaskRunner", f"--dask_scheduler_file={cluster.file}"]


@pytest.mark.filterwarnings("ignore")  # of Dask and Beam
def test_a_worker_is_killed_and_the_store_is_that_of_one_machine(bucket: BucketPath, cluster: Cluster, data_dir: Path):
    alone = contents(compiling.compile_task(TASK, data_dir, workers=1, progress=False).path)
    killed: list[int] = []

    def kill() -> None:
        while not (done := list(bucket.glob("stores/.dask_continue.*/sums/*"))):
            time.sleep(0.05)
        cluster.workers[0].kill()
        killed.append(len(done))

    thread = threading.Thread(target=kill, daemon=True)
    thread.start()
    store = compiling.compile_task(
        TASK, data_dir, force=True, progress=False, beam_options=options(cluster), bucket=bucket
    )
    thread.join()
    assert killed[0] < PIECES, "in the middle"
    assert contents(store.path) == alone
    assert len([name for name in alone if name.startswith("train")]) > 50
    assert not list(bucket.glob("stores/*")), "the work's folder is gone"


@pytest.mark.filterwarnings("ignore")
def test_workers_that_share_a_disk_need_no_bucket_and_errors_are_told(
    cluster: Cluster, data_dir: Path, monkeypatch: pytest.MonkeyPatch
):
    alone = contents(compiling.compile_task(TASK, data_dir, workers=1, progress=False).path)
    store = compiling.compile_task(TASK, data_dir, force=True, progress=False, beam_options=options(cluster))
    assert contents(store.path) == alone
    gone = Declaration("dask_gone", ("dask",), Continue("dask", "remi", words=32), (), ())
    monkeypatch.setattr(shards, "compile_part", refuse)
    with pytest.raises(DataError, match="train-00000 is refused"):
        compiling.compile_task(gone, data_dir, progress=False, beam_options=options(cluster))


def refuse(job: object, part: object) -> None:
    from t5music.errors import DataError

    raise DataError("train-00000 is refused")
