"""Compiling with Apache Beam gives the same store."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from t5music import parallel
from t5music.corpora.base import Corpus, Entry, Piece
from t5music.data.compilation import beam
from t5music.data.examples import Continue
from t5music.errors import ConfigError, DataError

WORKERS = ["--runner=DirectRunner", "--direct_num_workers=2", "--direct_running_mode=multi_processing"]


def touch(part: parallel.Part[int]) -> None:
    if 3 in part.items:
        raise DataError("three is refused")
    part.file.parent.mkdir(parents=True, exist_ok=True)
    part.file.write_text(str(sum(part.items)))


def nowhere(part: parallel.Part[int]) -> None:
    pass


def test_without_beam_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(beam, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install 't5music\[beam\]'"):
        beam.run(touch, parallel.split([1], 1, tmp_path), [])


def test_what_is_done_is_not_done_again_and_failures_are_told(tmp_path: Path):
    pytest.importorskip("apache_beam")
    work = parallel.split([1, 2], 1, tmp_path)
    work[0].file.write_text("as it was")
    beam.run(touch, work, ["--runner=DirectRunner"])
    assert [part.file.read_text() for part in work] == ["as it was", "2"]
    with pytest.raises(DataError, match="three is refused"):
        beam.run(touch, parallel.split([3], 1, tmp_path, "more"), ["--runner=DirectRunner"])
    with pytest.raises(DataError, match="its workers must see the data folder"):
        beam.run(nowhere, parallel.split([4], 1, tmp_path, "other"), ["--runner=DirectRunner"])
    with pytest.raises(DataError, match=r"the Beam pipeline failed.*NoSuchRunner"):
        beam.run(nowhere, parallel.split([4], 1, tmp_path, "other"), ["--runner=NoSuchRunner"])


def entries(root: Path) -> list[Entry]:
    return [Entry(f"{number}.mid", root, more={"number": number}) for number in range(12)]


def read(entry: Entry) -> Iterator[Piece]:
    import numpy as np

    from t5music.music.score import NOTE, Score

    notes = np.zeros(60, NOTE)
    notes["onset"], notes["duration"], notes["velocity"] = np.arange(60) * 480, 480, 80
    notes["pitch"] = np.random.default_rng(entry.more["number"]).integers(50, 70, 60)
    yield Piece(entry.id, Score(480, notes))


@pytest.mark.slow
def test_several_workers_give_the_same_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("apache_beam")
    from t5music.corpora import build
    from t5music.data.compilation import compile_task as compiling
    from t5music.data.compilation import shards
    from t5music.data.declaration import Declaration

    monkeypatch.setenv("T5MUSIC_DATA", str(tmp_path))
    monkeypatch.setattr(shards, "PIECES_PER_PART", 3)
    build.build(Corpus("beam", "t", "free", "here", "", entries, read), tmp_path, tmp_path, progress=False)
    task = Declaration("beam_continue", ("beam",), Continue("beam", "remi", words=64), (), ())
    contents = []
    for options in (None, WORKERS):
        store = compiling.compile_task(task, tmp_path, workers=1, force=True, progress=False, beam_options=options)
        contents.append({path.name: path.read_bytes() for path in store.path.iterdir()})
    assert contents[0] == contents[1]
    assert len([name for name in contents[0] if name.startswith("train")]) > 1


def test_compiling_without_beam_does_not_import_it():
    code = "import t5music.data.compilation.beam, sys; print('apache_beam' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "False\n"
