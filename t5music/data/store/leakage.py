"""Leakage: music of one split, corpus or token store that is also in another.

Pieces are compared by how they open (music.fingerprint: whatever their key, tempo, instruments), and within a corpus
also by group, such as the clips of one song.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from t5music.corpora import datasets
from t5music.corpora.base import SPLITS, read_report
from t5music.data.store.token_store import TokenStore
from t5music.errors import DataError


@dataclass(frozen=True)
class Side:
    """One side of a comparison: `pieces` are (corpus, id, opening, group)."""

    name: str
    split: str
    pieces: tuple[tuple[str, str, str, str], ...]

    @property
    def title(self) -> str:
        """NAME:SPLIT."""
        return f"{self.name}:{self.split}"


@dataclass(frozen=True)
class Leakage:
    """What two sides have in common.

    Attributes:
        one, other: their titles.
        sizes: pieces of either.
        leaking: pieces of either that have a relative on the other side.
        pairs: their ids, one pair for each leaking piece of the smaller side, in order.
    """

    one: str
    other: str
    sizes: tuple[int, int]
    leaking: tuple[int, int]
    pairs: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        share = [f"{n} of {size} ({n / max(size, 1):.1%})" for n, size in zip(self.leaking, self.sizes, strict=True)]
        return f"{self.one} and {self.other}: {share[0]} pieces of the former, {share[1]} of the latter"


def sides(name: str, data_dir: Path, stores_dir: Path) -> list[Side]:
    """The splits of a corpus or a token store, or the one split of NAME:SPLIT.

    Raises:
        DataError: neither a built corpus nor a compiled task of that name, or no such split.
    """
    name, _, split_name = name.partition(":")
    if read_report(name, data_dir) is not None:
        sides_of_name = [
            Side(name, split, tuple(_pieces(name, split, data_dir)))
            for split in datasets.splits(name, data_dir)
            if split_name in ("", split)
        ]
    elif (stores_dir / name).is_dir():
        sides_of_name = _of_store(TokenStore.open(stores_dir / name), split_name, data_dir)
    else:
        raise DataError(
            f"{name!r} is neither a built corpus nor a compiled task: run `t5music corpora --build {name}` or "
            f"`t5music compile {name}`"
        )
    if not sides_of_name:
        raise DataError(f"{name!r} has no split {split_name!r}")
    return sides_of_name


def _pieces(corpus: str, split: str, data_dir: Path) -> list[tuple[str, str, str, str]]:
    return [
        (corpus, *(record[field].decode() for field in ("id", "opening", "group")))  # type: ignore[misc]
        for record in datasets.records(corpus, split, data_dir)
    ]


def _of_store(store: TokenStore, split_name: str, data_dir: Path) -> list[Side]:
    """The pieces that a store's examples were made of, as the corpora have them."""
    pieces = {
        piece[1]: piece
        for corpus in (terms.corpus for terms in store.manifest.terms)
        for split in datasets.splits(corpus, data_dir)
        for piece in _pieces(corpus, split, data_dir)
    }
    sides_of_store = []
    for split, entry in store.splits.items():
        if split_name not in ("", split) or not entry.examples:
            continue
        examples = store.split(split)
        names = dict.fromkeys(str(examples[index]["piece"]) for index in range(len(examples)))
        sides_of_store.append(Side(store.name, split, tuple(pieces[name] for name in names if name in pieces)))
    return sides_of_store


def compare(one: Side, other: Side) -> Leakage:
    """What two sides have in common."""

    def keys(piece: tuple[str, str, str, str]) -> tuple[str, str]:
        corpus, _, opening, group = piece
        return opening, f"{corpus} {group}"

    def index(side: Side) -> dict[str, str]:
        return {key: piece[1] for piece in reversed(side.pieces) for key in keys(piece)}

    def leaking_pairs(side: Side, there: dict[str, str]) -> list[tuple[str, str]]:
        pairs = []
        for piece in side.pieces:
            relative = next((there[key] for key in keys(piece) if key in there), None)
            if relative is not None:
                pairs.append((piece[1], relative))
        return pairs

    first, second = leaking_pairs(one, index(other)), leaking_pairs(other, index(one))
    pairs = first if len(one.pieces) <= len(other.pieces) else [(b, a) for a, b in second]
    return Leakage(
        one.title, other.title, (len(one.pieces), len(other.pieces)), (len(first), len(second)), tuple(pairs)
    )


def between(names: Sequence[str], data_dir: Path, stores_dir: Path) -> list[Leakage]:
    """Every training split against every held-out split of the same names; of exactly two splits, those.

    Raises DataError as `sides` does, or if there are no two splits to compare.
    """
    every_side = [side for name in names for side in sides(name, data_dir, stores_dir)]
    if len(every_side) == 2:
        return [compare(*every_side)]

    def matters(one: Side, other: Side) -> bool:
        return one.name == other.name or (one.split != other.split and SPLITS[0] in (one.split, other.split))

    pairs = [(one, other) for one, other in itertools.combinations(every_side, 2) if matters(one, other)]
    if not pairs:
        raise DataError(f"nothing to compare: {', '.join(side.title for side in every_side)}")
    return [compare(one, other) for one, other in pairs]
