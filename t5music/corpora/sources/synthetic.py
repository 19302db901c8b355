"""Languages made up of random words, to learn what a model takes from structure alone (Papadimitriou & Jurafsky 2020).

"Learning Music Helps You Read" (EMNLP 2020) trains a model on one language, freezes all but its embeddings, tunes these
on another and asks how well it then models that one. Four of its first languages are made here:

    random   every word is drawn evenly
    zipf     every word is drawn by Zipf's law
    nested   brackets that close in the order of a stack; drawn by Zipf's law, and the closing word is the opening one
    flat     as nested and as far apart, but a pair may cross others

The paper draws its words as Spanish has them, and flat's distances as Spanish dependencies have them. Here there is no
such text, so ranks follow Zipf's law with exponent 1, and flat draws nested's own distances (and comes close to them,
for a place may be taken): the two differ in crossing. Words are those of the encoding `performance`, each of them one
id of the vocabulary; so in a study whose music is played (`..._performance_language_model`) all first languages share
their words, and where the second language is in bars (remi) or text (bytes), none of them knows a word of it.

A piece depends on its name and nothing else: it is the same wherever and whenever it is made. (Reports count its notes
by their words; they mean nothing here.)
"""

from __future__ import annotations

import functools
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from t5music.corpora.base import SILENCE, Corpus, Entry, Piece
from t5music.music import encodings

ENCODING = "performance"
WORDS = 1024  # of a piece; even, so that brackets come out even
PIECES = {"train": 2048, "validation": 64, "test": 64}  # two million words to train on
OPEN = 0.4  # probability that a nested word opens rather than closes (the constant of the paper's code)

Ranks = NDArray[np.int64]


def by_zipf(rng: np.random.Generator, count: int, ranks: int) -> Ranks:
    """Draws `count` ranks below `ranks` with probabilities in proportion to 1 / (rank + 1)."""
    share = 1 / np.arange(1, ranks + 1)
    return rng.choice(ranks, count, p=share / share.sum())


def random(rng: np.random.Generator, count: int, ranks: int) -> Ranks:
    """Draws `count` ranks evenly."""
    return rng.integers(0, ranks, count)


def nested(rng: np.random.Generator, count: int, ranks: int) -> Ranks:
    """Returns `count` (even) brackets, all closed, each by the rank that opened it: a b b c d d c a.

    Where both may be, a bracket opens with probability OPEN; otherwise the last open one closes.
    """
    drawn, opens = by_zipf(rng, count, ranks), rng.random(count) < OPEN
    words = np.empty(count, np.int64)
    waiting: list[int] = []
    for place in range(count):
        must_close = len(waiting) == count - place
        if waiting and (must_close or not opens[place]):
            words[place] = waiting.pop()
        else:
            words[place] = drawn[place]
            waiting.append(int(words[place]))
    return words


@functools.lru_cache(maxsize=4)
def distances(longest: int) -> NDArray[np.float64]:
    """Probability of each distance, up to `longest`, between the ends of a nested pair: float64 [longest + 1].

    A pair with k pairs within it spans 2 k + 1 words; it comes about in Catalan(k) ways, each of probability
    OPEN^k (1 - OPEN)^(k + 1).
    """
    shares = np.zeros(longest + 1)
    share = 1 - OPEN
    for within in range((longest + 1) // 2):
        shares[2 * within + 1] = share
        share *= 2 * (2 * within + 1) / (within + 2) * OPEN * (1 - OPEN)
    return shares / shares.sum()


def flat(rng: np.random.Generator, count: int, ranks: int) -> Ranks:
    """Returns `count` (even) words in pairs that may cross: a b a c b c.

    Each free place, from the left, takes a word; its pair goes as far away as `distances` says, to the nearest place
    that is still free.
    """
    drawn = by_zipf(rng, count, ranks)
    apart = rng.choice(count, count, p=distances(count - 1))
    words = np.full(count, -1, np.int64)
    for place in range(count):
        if words[place] < 0:
            free = np.flatnonzero(words[place + 1 :] < 0) + place + 1
            words[free[np.abs(free - place - apart[place]).argmin()]] = words[place] = drawn[place]
    return words


LANGUAGES: dict[str, Callable[[np.random.Generator, int, int], Ranks]] = {
    "random": random,
    "zipf": by_zipf,
    "nested": nested,
    "flat": flat,
}


def entries(root: Path, language: str) -> list[Entry]:
    """An entry of every piece; there is no file of it."""
    return [
        Entry(f"{split}/{number:05d}", root / language / split / f"{number:05d}", split=split)
        for split, count in PIECES.items()
        for number in range(count)
    ]


def read(entry: Entry, language: str) -> Iterator[Piece]:
    """Makes the piece of an entry."""
    words = encodings.get(ENCODING).words
    rng = np.random.default_rng([zlib.crc32(language.encode()), zlib.crc32(entry.id.encode())])
    text = " ".join(words[rank] for rank in LANGUAGES[language](rng, WORDS, len(words)))
    yield Piece(entry.id, SILENCE, split=entry.split, text=text)


def _corpus(language: str, title: str) -> Corpus:
    return Corpus(
        name=f"synthetic_{language}",
        title=title,
        licence="none: it is made on this machine",
        permissive="nobody wrote it: a program draws it on this machine",
        source="t5music.corpora.sources.synthetic",
        citation="after Papadimitriou & Jurafsky, Learning music helps you read, EMNLP 2020",
        entries=partial(entries, language=language),
        read=partial(read, language=language),
        installed=lambda: Path(__file__).parent,
        layout=Path(__file__).name,
        text=True,
        splits="ours: by the names of the pieces",
        files=sum(PIECES.values()),
    )


CORPORA = (
    _corpus("random", "Made-up words, drawn evenly"),
    _corpus("zipf", "Made-up words, drawn by Zipf's law"),
    _corpus("nested", "Made-up words in nested pairs"),
    _corpus("flat", "Made-up words in pairs that cross"),
)
