"""Planting: sequences repeated in a training set, and others taken out, to find out what a model remembers.

Which piece is planted, and how often, is drawn for it, as in a trial: planted sequences and the controls that no
training sees are of one kind, and all that differs is how often they were there (canaries: Carlini et al. 2019;
copyright traps: Meeus et al. 2024). It holds for the training split of any task of music alone, and nothing is written
to disk.

    planted = plant(store, Planting(repeats=(1, 10, 100), sequences=10, words=128))
    planted.split("train")       # every other piece once; 10 sequences once, 10 ten times, 10 a hundred times
    planted.split("planted")     # these 30 sequences, by repeats
    planted.split("controls")    # 30 more that are in no training
"""

from __future__ import annotations

import dataclasses
import hashlib
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from t5music.data.objectives.base import Example
from t5music.data.store.token_store import Split, TokenStore
from t5music.errors import ConfigError, DataError

TRAIN, PLANTED, CONTROLS = "train", "planted", "controls"


@dataclasses.dataclass(frozen=True)
class Planting:
    """What is planted.

    Attributes:
        repeats: how often the planted sequences are in the training split; different numbers of at least 1.
        sequences: how many there are of each number of repeats. As many as of all numbers together are controls.
        words: what a sequence is cut to. Each is the beginning of a piece, the rest of which is left out.
        present: whether the planted sequences are in the training split at all; without them a reference is trained,
            which has seen everything else.
        seed: decides, with a piece's name, what becomes of it.
    """

    repeats: tuple[int, ...] = (1, 10, 100, 1000)
    sequences: int = 10
    words: int = 128
    present: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "repeats", tuple(self.repeats))
        if not self.repeats or min(self.repeats) < 1 or len(set(self.repeats)) < len(self.repeats):
            raise ConfigError(f"Planting.repeats must be different numbers of at least 1, not {self.repeats}")
        for name in ("sequences", "words"):
            if getattr(self, name) < 1:
                raise ConfigError(f"Planting.{name} must be at least 1, not {getattr(self, name)}")

    @property
    def chosen(self) -> int:
        """How many pieces are planted or controls."""
        return 2 * self.sequences * len(self.repeats)

    def rank(self, piece: str) -> bytes:
        """By what pieces are ordered to be drawn: nothing but their names and the seed."""
        return hashlib.sha256(f"{self.seed}\0{piece}".encode()).digest()


def plant(store: TokenStore, planting: Planting) -> TokenStore:
    """The store with planted sequences; one of a supervised task comes back as it is.

    Raises DataError where too few pieces are as long as the sequences are to be.
    """
    return PlantedStore(store, planting) if store.objectives else store


class PlantedStore(TokenStore):
    """A store whose training split is planted, with two splits more: "planted" and "controls"; see `plant`."""

    def __init__(self, store: TokenStore, planting: Planting) -> None:
        super().__init__(store.path, store.manifest)
        places = _places(store, planting)
        times = np.array(planting.repeats) if planting.present else np.zeros(len(planting.repeats), int)
        repeated = np.repeat(places.planted, np.repeat(times, planting.sequences))
        train = store.split(TRAIN)
        whole, cut = np.iinfo(np.int64).max, planting.words
        self._splits = {
            TRAIN: _View(
                train,
                np.concatenate([places.others, repeated]),
                np.repeat([whole, cut], [len(places.others), len(repeated)]),
            ),
            PLANTED: _View(train, places.planted, np.full(len(places.planted), cut)),
            CONTROLS: _View(train, places.controls, np.full(len(places.controls), cut)),
        }

    def examples(self, split: str) -> int:
        """Number of examples of a split. Raises DataError when the store has no such split."""
        return len(self._splits[split]) if split in self._splits else super().examples(split)


class _Places(NamedTuple):
    """Indices into the training split: int64 [n] each; the planted ones by repeats."""

    planted: NDArray[np.int64]
    controls: NDArray[np.int64]
    others: NDArray[np.int64]


def _places(store: TokenStore, planting: Planting) -> _Places:
    train = store.split(TRAIN)
    pieces, long_enough = [], {}
    for index in range(len(train)):
        example = train[index]
        if example["piece"] not in long_enough and len(example["targets"]) >= planting.words:
            long_enough[example["piece"]] = index
        pieces.append(example["piece"])
    if len(long_enough) < planting.chosen:
        raise DataError(
            f"{store.name} has {len(long_enough)} training pieces of {planting.words} words and {planting.chosen} are "
            "to be planted or kept as controls: lower Planting.sequences or Planting.words"
        )
    chosen = sorted(long_enough, key=planting.rank)[: planting.chosen]
    half = len(chosen) // 2
    chosen_pieces = set(chosen)
    others = [index for index, piece in enumerate(pieces) if piece not in chosen_pieces]
    first = np.array([long_enough[piece] for piece in chosen], np.int64)
    return _Places(first[:half], first[half:], np.array(others, np.int64))


class _View(Split):
    """Examples of another split, in any order, each cut to so many target tokens."""

    def __init__(self, split: Split, places: NDArray[np.int64], lengths: NDArray[np.int64]) -> None:
        self._split, self._places, self._lengths = split, places, lengths

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, index: int) -> Example:
        if not 0 <= index < len(self._places):
            raise IndexError(f"example {index} of {len(self._places)}")
        example = self._split[int(self._places[index])]
        return {**example, "targets": example["targets"][: self._lengths[index]]}
