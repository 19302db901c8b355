"""RecordCodec: one example as the bytes of a record: lengths, then tokens and texts, little endian.

uint32 length of each feature (tokens or bytes), in order of name; then each feature's tokens (uint16 when every id
of the vocabulary fits, else int32) or UTF-8 bytes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from t5music.data.objectives.base import Example
from t5music.errors import DataError

VERSION = 1  # of manifests, mixture files and records
MANIFEST = "manifest.json"

Kind = Literal["tokens", "text"]


@dataclasses.dataclass(frozen=True)
class FeatureSpec:
    """One feature of a task: token ids or text, and whether an EOS is added at the end when it is read."""

    kind: Kind = "tokens"
    add_eos: bool = True


class RecordCodec:
    """Example <-> bytes for one set of features and one vocabulary size."""

    def __init__(self, features: Mapping[str, FeatureSpec], vocabulary_size: int) -> None:
        self._features = [(name, features[name].kind == "text") for name in sorted(features)]
        self._size = vocabulary_size
        self._dtype = np.dtype("<u2") if vocabulary_size <= 1 << 16 else np.dtype("<i4")
        self._header = 4 * len(self._features)

    def pack(self, example: Mapping[str, Any]) -> tuple[bytes, dict[str, int]]:
        """Returns the record of an example, and how many tokens each of its token features has.

        A feature that the example lacks is stored empty. Raises DataError for an unknown feature, for tokens that are
        not one row of ids of the vocabulary, and for a text that is not a str.
        """
        unknown = set(example) - {name for name, _ in self._features}
        if unknown:
            raise DataError(f"the store has no feature {sorted(unknown)[0]!r}")
        lengths, parts, counts = [], [], {}
        for name, is_text in self._features:
            if is_text:
                text = example.get(name, "")
                if not isinstance(text, str):
                    raise DataError(f"feature {name!r} must be text, not {type(text).__name__}")
                raw = text.encode()
                lengths.append(len(raw))
            else:
                raw = self._tokens(name, example.get(name, ()))
                counts[name] = len(raw) // self._dtype.itemsize
                lengths.append(counts[name])
            parts.append(raw)
        return b"".join([np.array(lengths, "<u4").tobytes(), *parts]), counts

    def _tokens(self, name: str, tokens: ArrayLike) -> bytes:
        ids = np.asarray(tokens)
        if not ids.size:
            return b""
        if ids.ndim != 1 or not np.issubdtype(ids.dtype, np.integer):
            raise DataError(f"feature {name!r} must be one row of integers, not {ids.dtype} {list(ids.shape)}")
        if ids.min() < 0 or ids.max() >= self._size:
            raise DataError(f"feature {name!r} has ids outside 0..{self._size - 1}: {ids.min()}..{ids.max()}")
        return ids.astype(self._dtype).tobytes()

    def unpack(self, record: bytes) -> Example:
        """Returns an example: int32 [n] for each token feature, str for each text.

        Raises ValueError for bytes that are no record.
        """
        example: Example = {}
        offset = self._header
        for (name, is_text), length in zip(
            self._features, np.frombuffer(record, "<u4", len(self._features)).tolist(), strict=True
        ):
            if is_text:
                example[name] = record[offset : offset + length].decode()
                offset += length
            else:
                example[name] = np.frombuffer(record, self._dtype, length, offset).astype(np.int32)
                offset += length * self._dtype.itemsize
        if offset != len(record):
            raise ValueError(f"record of {len(record)} bytes, {offset} expected")
        return example
