"""Files of vectors: what is written is read, by others too, and what is no such file is refused."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from t5music.errors import ConfigError, DataError
from t5music.inference import vector_files
from t5music.inference.vector_files import Collection, Settings

SETTINGS = Settings("runs/a", 1200, "f" * 64, layer=2, encoding="remi", words=511, version="1.0")
NAMES = ("rock/a.mid", "Ä 日本.mid", "b.mid")
LEFT_OUT = {r"Caf\xe9.mid": "no notes in it"}
COLLECTION = Collection(SETTINGS, NAMES, np.random.default_rng(0).normal(size=(3, 5)).astype(np.float32), LEFT_OUT)


@pytest.mark.parametrize("suffix", vector_files.SUFFIXES)
def test_what_is_written_is_read(tmp_path: Path, suffix: str):
    path = tmp_path / f"vectors{suffix}"
    vector_files.write(path, COLLECTION)
    collection = vector_files.read(path)
    assert (collection.settings, collection.files, collection.left_out) == (SETTINGS, NAMES, LEFT_OUT)
    assert collection.vectors.dtype == np.float32
    assert np.array_equal(collection.vectors, COLLECTION.vectors)
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
    with pytest.raises(DataError, match=r"it is damaged: 2 files and vectors of shape \(3, 5\)"):
        vector_files.read(path)
    for vectors in (COLLECTION.vectors.astype(np.float64), COLLECTION.vectors * np.nan):
        vector_files.write(path, dataclasses.replace(COLLECTION, vectors=vectors))
        with pytest.raises(DataError, match="its vectors are not finite numbers of 32 bits"):
            vector_files.read(path)
    vector_files.write(path, dataclasses.replace(COLLECTION, settings=dataclasses.replace(SETTINGS, layer="last")))
    with pytest.raises(DataError, match="a layer or a number of words that is no number"):
        vector_files.read(path)


def npz(vectors: bytes) -> bytes:
    """A compressed npz with these bytes in place of the vectors."""
    content = io.BytesIO()
    np.savez_compressed(content, files=np.array(NAMES), settings=np.array("{}"), left_out=np.array("{}"))
    with zipfile.ZipFile(content, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("vectors.npy", vectors)
    return content.getvalue()


def npy(shape: tuple[int, ...], data: bytes = b"") -> bytes:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": shape})
    return header.getvalue() + data


def encrypted(content: bytes) -> bytes:
    """The archive with the flag of encryption at its first member."""
    data = bytearray(content)
    for mark, place in ((b"PK\1\2", 8), (b"PK\3\4", 6)):
        data[data.index(mark) + place] |= 1
    return bytes(data)


def test_npz_that_claim_memory_or_are_encrypted_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def refusal(content: bytes) -> str:
        (tmp_path / "v.npz").write_bytes(content)
        with pytest.raises(DataError) as refused:
            vector_files.read(tmp_path / "v.npz")
        assert "\n" not in str(refused.value)
        return str(refused.value).removeprefix(f"{tmp_path / 'v.npz'} holds no vectors that t5music embed wrote: ")

    assert refusal(npz(npy((2**40, 2**7)))) == "vectors.npy is said to have 140,737,488,355,328 numbers, and has not"
    assert "is encrypted" in refusal(encrypted(npz(npy((3, 5), bytes(60)))))
    assert refusal(npz(b"not an array")).startswith("the magic string is not correct")
    monkeypatch.setattr(vector_files, "FLOOR", 2**20)
    assert refusal(npz(npy((3, 2**22), bytes(3 * 2**24)))).startswith("it would unpack to 50,33")


@given(st.lists(st.tuples(st.integers(0, 10**6), st.binary(min_size=1, max_size=3)), min_size=1, max_size=5))
def test_a_damaged_npz_is_read_or_refused(tmp_path_factory, changes: list[tuple[int, bytes]]):
    path = tmp_path_factory.mktemp("damaged") / "v.npz"
    vector_files.write(path, COLLECTION)
    data = bytearray(path.read_bytes())
    for place, piece in changes:
        data[place % len(data) : place % len(data) + len(piece)] = piece
    path.write_bytes(data)
    message = ""
    try:
        vector_files.read(path)
    except DataError as error:
        message = str(error)
    assert len(message.splitlines()) <= 1
    assert str(path) in message or not message


@pytest.mark.parametrize("suffix", vector_files.SUFFIXES)
def test_a_pipe_is_not_waited_for(tmp_path: Path, suffix: str):
    os.mkfifo(tmp_path / f"v{suffix}")
    with pytest.raises(DataError, match="it is a pipe, not a file"):
        vector_files.read(tmp_path / f"v{suffix}")
