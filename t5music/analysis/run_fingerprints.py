"""Run fingerprints: which runs of notes a collection has, in a small file that holds no music.

Every run of RUN steps (`analysis.longest_run`: in any key, at any tempo) has a hash. Of WINDOW hashes in a row the
least is kept (winnowing: Schleimer, Wilkerson & Aiken, SIGMOD 2003), with the number of its piece. So of every passage
of GUARANTEED notes or more that music shares with a piece, a hash is found; of shorter ones, of RUN + 1 notes or more,
one may be. Nothing leads from a hash back to notes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from t5music import files
from t5music.analysis.longest_run import steps
from t5music.errors import CheckpointError, DataError
from t5music.music.score import Score

RUN = 15  # steps between notes: a run has one note more
WINDOW = 35  # hashes
GUARANTEED = RUN + WINDOW  # notes
FILE = "fingerprints.npz"
MOST_PIECES = 1 << 16  # their numbers have two bytes
_BITS = 40  # of a hash that are kept: an hour of other music agrees with one by chance once in a thousand times
_MAX_BYTES = 1 << 28


class Shared(NamedTuple):
    """A passage that music shares with a piece of a collection.

    Attributes:
        notes: at least so many notes in a row; 0 where none of RUN + 1 notes is known.
        start: the index of its first note in the query, by onset and pitch, without percussion.
        piece: the name of the piece.
    """

    notes: int
    start: int
    piece: str


class RunFingerprints:
    """The hashes of a collection.

    Attributes:
        names: of its pieces.
    """

    def __init__(self, hashes: NDArray[np.uint64], pieces: NDArray[np.uint16], names: list[str]) -> None:
        """Takes hashes [n], in ascending order, and the number of the piece of each [n]."""
        self._hashes, self._pieces, self.names = hashes, pieces, names

    @classmethod
    def of(cls, scores: Iterable[tuple[str, Score]]) -> RunFingerprints:
        """The fingerprints of (name, score) of every piece.

        Raises:
            DataError: there are more than MOST_PIECES.
        """
        names: list[str] = []
        parts, numbers = [np.empty(0, np.uint64)], [np.empty(0, np.uint16)]
        for name, score in scores:
            if len(names) == MOST_PIECES:
                raise DataError(f"fingerprints are of {MOST_PIECES:,} pieces at most, and there are more")
            selected = np.unique(_winnowed(_hashes(steps(score))))
            parts.append(selected)
            numbers.append(np.full(len(selected), len(names), np.uint16))
            names.append(name)
        hashes, pieces = np.concatenate(parts), np.concatenate(numbers)
        order = np.argsort(hashes, kind="stable")
        return cls(hashes[order], pieces[order], names)

    def longest(self, score: Score) -> Shared:
        """The longest passage of a score that is known to be in one piece of the collection; of several, the first."""
        queries = _hashes(steps(score))
        first = np.searchsorted(self._hashes, queries, side="left")
        counts = np.searchsorted(self._hashes, queries, side="right") - first
        places = np.repeat(
            np.arange(len(queries)), counts
        )  # one row for each (place in the query, piece with its hash)
        rows = np.repeat(first, counts) + np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        best = Shared(0, 0, "")
        pieces = self._pieces[rows]
        for piece in np.unique(pieces):
            matches = places[pieces == piece]
            # Within a shared passage no gap between hashes is wider than the window.
            for passage in np.split(matches, np.flatnonzero(np.diff(matches) > WINDOW) + 1):
                notes = int(passage[-1] - passage[0]) + RUN + 1
                if notes > best.notes:
                    best = Shared(notes, int(passage[0]), self.names[piece])
        return best

    def save(self, path: Path) -> None:
        """Writes a file, whole or not at all: 7 bytes for each hash, and the names."""
        with files.replacing(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(
                file,
                hashes=(self._hashes >> np.uint64(8)).astype("<u4"),
                low=(self._hashes & np.uint64(0xFF)).astype(np.uint8),
                pieces=self._pieces.astype("<u2"),
                names=np.frombuffer(json.dumps(self.names).encode(), np.uint8),
            )

    @classmethod
    def load(cls, path: Path) -> RunFingerprints:
        """Reads a file.

        Raises:
            CheckpointError: it is missing or damaged.
        """
        try:
            with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
                if sum(member.file_size for member in file.zip.infolist()) > _MAX_BYTES:
                    raise ValueError("it is too large")
                hashes = (file["hashes"].astype(np.uint64) << np.uint64(8)) | file["low"].astype(np.uint64)
                pieces, names = file["pieces"], json.loads(file["names"].tobytes())
            if not isinstance(names, list) or pieces.shape != hashes.shape or hashes.ndim != 1:
                raise ValueError("its arrays do not belong together")
            if len(pieces) and (int(pieces.max()) >= len(names) or not (hashes[1:] >= hashes[:-1]).all()):
                raise ValueError("its arrays are not in order")
        except Exception as error:  # NumPy, zipfile and JSON raise many kinds
            reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise CheckpointError(f"{path} cannot be read as fingerprints: {reason}") from error
        return cls(hashes, pieces.astype(np.uint16), [str(name) for name in names])


def _hashes(codes: NDArray[np.int64]) -> NDArray[np.uint64]:
    """The hash of every RUN codes in a row: uint64 [codes - RUN + 1], of _BITS bits."""
    count = max(len(codes) - RUN + 1, 0)
    total = np.zeros(count, np.uint64)
    for offset in range(RUN):
        total = total * np.uint64(0x100000001B3) + _mixed(codes[offset : offset + count].astype(np.uint64))
    return _mixed(total) >> np.uint64(64 - _BITS)


def _mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """SplitMix64's finaliser (Steele, Lea & Flood, OOPSLA 2014): every bit depends on every other."""
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _winnowed(hashes: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The least hash of every WINDOW in a row; of fewer than that, the least of all."""
    if len(hashes) <= WINDOW:
        return hashes[:0] if not len(hashes) else hashes.min(keepdims=True)
    return np.lib.stride_tricks.sliding_window_view(hashes, WINDOW).min(axis=1)
