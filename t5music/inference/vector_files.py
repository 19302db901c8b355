"""Files of vectors of pieces, as `t5music embed` writes them: .npz, or .parquet for pandas, Polars, DuckDB, Spark.

    npz        "files" str [pieces], "vectors" float32 [pieces, n], "settings" JSON in a string; nothing is pickled
    parquet    columns "file" (string) and "vector" (n float32 each); the JSON is under "t5music" in the metadata

The settings say which model's vectors they are, and of what in it.
"""

from __future__ import annotations

import dataclasses
import json
import os
import zipfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from t5music import files
from t5music.errors import ConfigError, DataError

NPZ, PARQUET = SUFFIXES = (".npz", ".parquet")
_KEY = b"t5music"


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
    """

    settings: Settings
    files: tuple[str, ...]
    vectors: NDArray[np.float32]


def check_path(path: str | os.PathLike[str], named: str) -> Path:
    """The path of a file of vectors, which need not be there.

    Raises ConfigError, which calls it `named`, for a suffix that is none of SUFFIXES, or without pyarrow for .parquet.
    """
    path = Path(path)
    if path.suffix not in SUFFIXES:
        raise ConfigError(f"{named} {path}: a file of vectors ends with {' or '.join(SUFFIXES)}")
    if path.suffix == PARQUET and find_spec("pyarrow") is None:
        raise ConfigError(f"{named} {path} needs pyarrow, which is not installed: pip install 't5music[parquet]'")
    return path


def write(path: Path, collection: Collection) -> None:
    """Writes a collection, whole or not at all, in the format of the path's suffix. Raises DataError if that fails."""
    settings = json.dumps(dataclasses.asdict(collection.settings))
    with files.replacing(path) as temporary:
        if path.suffix == PARQUET:
            _write_parquet(temporary, collection, settings)
        else:
            names, content = np.array(collection.files, np.str_), np.array(settings)
            np.savez(temporary, files=names, vectors=collection.vectors, settings=content)


def read(path: Path) -> Collection:
    """What `write` wrote. Raises DataError for a file that is not there, damaged or of something else."""
    try:
        names, vectors, settings = (_read_parquet if path.suffix == PARQUET else _read_npz)(path)
        found = Collection(Settings(**json.loads(settings)), tuple(names), vectors)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, TypeError, KeyError, AttributeError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} holds no vectors that t5music embed wrote: {error}") from error
    if found.vectors.ndim != 2 or len(found.vectors) != len(found.files):
        raise DataError(f"{path} is damaged: {len(found.files)} files and vectors of shape {found.vectors.shape}")
    return found


def _read_npz(path: Path) -> tuple[list[str], NDArray[np.float32], str]:
    with path.open("rb") as file, np.load(file, allow_pickle=False) as content:  # NumPy would leave a damaged one open
        return content["files"].tolist(), content["vectors"], content["settings"].item()


def _write_parquet(path: Path, collection: Collection, settings: str) -> None:
    import pyarrow
    from pyarrow import parquet

    pieces, width = collection.vectors.shape
    vectors = pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(collection.vectors.reshape(pieces * width)), width)
    table = pyarrow.table({"file": pyarrow.array(collection.files, pyarrow.string()), "vector": vectors})
    parquet.write_table(table.replace_schema_metadata({_KEY: settings}), path)


def _read_parquet(path: Path) -> tuple[list[str], NDArray[np.float32], str]:
    from pyarrow import parquet

    table = parquet.read_table(path)
    settings = (table.schema.metadata or {})[_KEY].decode()
    names = table["file"].to_pylist()
    values = table["vector"].combine_chunks().flatten().to_numpy()
    return names, values.reshape(len(names), -1), settings
