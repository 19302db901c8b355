"""Files of vectors: what is written is read, by others too, and what is no such file is refused."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from t5music.errors import ConfigError, DataError
from t5music.inference import vector_files
from t5music.inference.vector_files import Collection, Settings

SETTINGS = Settings("runs/a", 1200, "f" * 64, layer=2, encoding="remi", words=511, version="1.0")
NAMES = ("rock/a.mid", "Ä 日本.mid", "b.mid")
COLLECTION = Collection(SETTINGS, NAMES, np.random.default_rng(0).normal(size=(3, 5)).astype(np.float32))


@pytest.mark.parametrize("suffix", vector_files.SUFFIXES)
def test_what_is_written_is_read(tmp_path: Path, suffix: str):
    path = tmp_path / f"vectors{suffix}"
    vector_files.write(path, COLLECTION)
    found = vector_files.read(path)
    assert (found.settings, found.files) == (SETTINGS, NAMES)
    assert found.vectors.dtype == np.float32
    assert np.array_equal(found.vectors, COLLECTION.vectors)
    assert list(tmp_path.iterdir()) == [path]
    first = path.read_bytes()
    vector_files.write(path, COLLECTION)
    assert path.read_bytes() == first


def test_an_npz_needs_nothing_of_ours_and_no_pickles(tmp_path: Path):
    vector_files.write(tmp_path / "vectors.npz", COLLECTION)
    with np.load(tmp_path / "vectors.npz", allow_pickle=False) as content:
        assert sorted(content) == ["files", "left_out", "settings", "vectors"]
        assert json.loads(str(content["left_out"])) == LEFT_OUT
        assert content["files"].tolist() == list(NAMES)
        assert json.loads(str(content["settings"])) == dataclasses.asdict(SETTINGS)


def test_pandas_reads_the_parquet(tmp_path: Path):
    pandas = pytest.importorskip("pandas")
    vector_files.write(tmp_path / "vectors.parquet", COLLECTION)
    table = pandas.read_parquet(tmp_path / "vectors.parquet")
    assert table["file"].tolist() == list(NAMES)
    assert np.array_equal(np.stack(table["vector"]), COLLECTION.vectors)


def test_other_suffixes_and_a_missing_pyarrow_are_refused(monkeypatch: pytest.MonkeyPatch):
    assert vector_files.check_path("a.npz", "--output") == Path("a.npz")
    with pytest.raises(ConfigError, match=r"--output a\.csv: a file of vectors ends with \.npz or \.parquet"):
        vector_files.check_path("a.csv", "--output")
    monkeypatch.setattr(vector_files, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"--output a\.parquet needs pyarrow.*pip install 't5music\[parquet\]'"):
        vector_files.check_path("a.parquet", "--output")


@pytest.mark.parametrize("suffix", vector_files.SUFFIXES)
def test_other_and_damaged_files_are_refused(tmp_path: Path, suffix: str):
    path = tmp_path / f"vectors{suffix}"
    with pytest.raises(DataError, match=r"cannot read .*vectors"):
        vector_files.read(path)
    vector_files.write(path, COLLECTION)
    for content in (b"", b"no vectors", path.read_bytes()[:-200]):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"holds no vectors that t5music embed wrote"):
            vector_files.read(path)


def test_arrays_of_something_else_are_refused(tmp_path: Path):
    path = tmp_path / "vectors.npz"
    np.savez(path, vectors=COLLECTION.vectors)
    with pytest.raises(DataError, match=r"holds no vectors that t5music embed wrote"):
        vector_files.read(path)
    vector_files.write(path, dataclasses.replace(COLLECTION, files=NAMES[:2]))
    with pytest.raises(DataError, match=r"is damaged: 2 files and vectors of shape \(3, 5\)"):
        vector_files.read(path)
