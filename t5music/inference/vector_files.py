"""Vector files: vectors of pieces, as `t5music embed` writes them: .npz, or .parquet for pandas, Polars, DuckDB, Spark.

    npz        "files" str [pieces], "vectors" float32 [pieces, n]; "settings" and "left_out", JSON in a string each;
               nothing is pickled
    parquet    columns "file" (string) and "vector" (n float32 each); in the metadata "t5music" and
               "t5music_left_out", the same JSON

The settings say which model's vectors they are, and of what in it; "left_out" which files gave none, and why.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from t5music import files
from t5music.errors import ConfigError, DataError
from t5music.files import printable_name
from t5music.storage import path_of

NPZ, PARQUET = SUFFIXES = (".npz", ".parquet")
_SETTINGS, _LEFT_OUT = b"t5music", b"t5music_left_out"  # keys of the metadata
MOST_TIMES = 20  # so many times its own size may an npz unpack to, from FLOOR on; ours are not compressed
FLOOR = 64 * 2**20  # bytes


@dataclass(frozen=True)
class Settings:
    """How vectors were made.

    Attributes:
        model: the folder of the run, as it was given.
        step: of the run; None for an exported model.
        fingerprint: SHA-256 of the model's weights, wherever they are kept: see `embedding.fingerprint`.
        layer: of the encoder, 0 the embeddings.
        encoding: name of the encoding that the music was read in.
        words: the longest segment, in event words.
        version: of t5music.
    """

    model: str
    step: int | None
    fingerprint: str
    layer: int
    encoding: str
    words: int
    version: str


@dataclass(frozen=True)
class Collection:
    """Vectors of pieces.

    Attributes:
        settings: how they were made.
        files: the file of each piece, below the folder that was read, in order.
        vectors: float32 [pieces, n].
        left_out: the files that gave no vector -> why.
    """

    settings: Settings
    files: tuple[str, ...]
    vectors: NDArray[np.float32]
    left_out: Mapping[str, str] = field(default_factory=dict)


def check_path(path: str | os.PathLike[str], named: str) -> Path:
    """The path of a file of vectors, which need not be there.

    Raises ConfigError, which calls it `named`, for a suffix that is none of SUFFIXES, or without pyarrow for .parquet.
    """
    path = path_of(path)
    if path.suffix not in SUFFIXES:
        raise ConfigError(f"{named} {path}: a file of vectors ends with {' or '.join(SUFFIXES)}")
    if path.suffix == PARQUET and find_spec("pyarrow") is None:
        raise ConfigError(f"{named} {path} needs pyarrow, which is not installed: pip install 't5music[parquet]'")
    return path


def write(path: Path, collection: Collection) -> None:
    """Writes a collection, whole or not at all, in the format of the path's suffix. Raises DataError if that fails."""
    settings, left_out = json.dumps(dataclasses.asdict(collection.settings)), json.dumps(dict(collection.left_out))
    with files.replacing(path) as temporary:
        if path.suffix == PARQUET:
            _write_parquet(temporary, collection, settings, left_out)
        else:
            np.savez(
                temporary,
                files=np.array(collection.files, np.str_),
                vectors=collection.vectors,
                settings=np.array(settings),
                left_out=np.array(left_out),
            )


def read(path: Path) -> Collection:
    """What `write` wrote. Raises DataError for a file that is not there, damaged, of something else or too large."""
    where = printable_name(path)
    try:
        with files.open_regular(path) as file:
            names, vectors, settings, left_out = (_read_parquet if path.suffix == PARQUET else _read_npz)(file)
            collection = Collection(Settings(**json.loads(settings)), tuple(names), vectors, json.loads(left_out))
            _check(collection)
    except OSError as error:
        raise DataError(f"cannot read {where}: {error.strerror or error}") from error
    except MemoryError as error:
        raise DataError(f"{where} is too large for the memory of this machine") from error
    except Exception as error:  # whatever else parsers of untrusted bytes raise: zlib's, zipfile's, Arrow's ...
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{where} holds no vectors that t5music embed wrote: {reason}") from error
    return collection


def _check(collection: Collection) -> None:
    """Raises ValueError for what `write` would not have written."""
    names, vectors, settings = collection.files, collection.vectors, collection.settings
    if vectors.ndim != 2 or len(vectors) != len(names):
        raise ValueError(f"it is damaged: {len(names)} files and vectors of shape {vectors.shape}")
    if vectors.dtype != np.float32 or not np.isfinite(vectors).all():
        raise ValueError("it is damaged: its vectors are not finite numbers of 32 bits")
    if not all(isinstance(name, str) for name in (*names, settings.model, settings.fingerprint, settings.encoding)):
        raise TypeError("a name that is no text")
    if not all(isinstance(number, int) for number in (settings.layer, settings.words)):
        raise TypeError("a layer or a number of words that is no number")


def _read_npz(file: BinaryIO) -> tuple[list[str], NDArray[np.float32], str, str]:
    _check_sizes(file)
    with np.load(file, allow_pickle=False) as content:  # NumPy would leave a damaged file open
        settings, left_out = content["settings"].item(), content["left_out"].item()
        return content["files"].tolist(), content["vectors"], settings, left_out


def _check_sizes(file: BinaryIO) -> None:
    """Raises ValueError where an array is larger than the file says of it, so that no memory is spent on it."""
    with zipfile.ZipFile(file) as archive:
        size = sum(member.file_size for member in archive.infolist())
        if size > max(MOST_TIMES * file.seek(0, os.SEEK_END), FLOOR):
            raise ValueError(f"it would unpack to {size:,} bytes")
        for member in archive.infolist():
            with archive.open(member) as array:
                version = np.lib.format.read_magic(array)
                read_header = np.lib.format.read_array_header_1_0
                if version != (1, 0):
                    read_header = np.lib.format.read_array_header_2_0
                shape, _, dtype = read_header(array)
                if math.prod(shape) * dtype.itemsize > member.file_size:
                    raise ValueError(f"{member.filename} is said to have {math.prod(shape):,} numbers, and has not")
    file.seek(0)


def _write_parquet(path: Path, collection: Collection, settings: str, left_out: str) -> None:
    import pyarrow
    from pyarrow import parquet

    pieces, width = collection.vectors.shape
    vectors = pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(collection.vectors.reshape(pieces * width)), width)
    table = pyarrow.table({"file": pyarrow.array(collection.files, pyarrow.string()), "vector": vectors})
    parquet.write_table(table.replace_schema_metadata({_SETTINGS: settings, _LEFT_OUT: left_out}), path)


def _read_parquet(file: BinaryIO) -> tuple[list[str], NDArray[np.float32], str, str]:
    from pyarrow import parquet

    table = parquet.read_table(file)
    metadata = table.schema.metadata or {}
    settings, left_out = metadata[_SETTINGS].decode(), metadata[_LEFT_OUT].decode()
    names = table["file"].to_pylist()
    values = table["vector"].combine_chunks().flatten().to_numpy()
    return names, values.reshape(len(names), -1), settings, left_out
