"""The corpora t5music knows by name."""

from __future__ import annotations

from t5music.data.corpora import music21_corpus
from t5music.data.corpora.base import Corpus
from t5music.errors import DataError, nearest

CATALOGUE: dict[str, Corpus] = {
    corpus.name: corpus
    for corpus in (
        music21_corpus.BACH_CHORALES,
        music21_corpus.MONTEVERDI,
        music21_corpus.TRECENTO,
        music21_corpus.RYANS_MAMMOTH,
    )
}


def get(name: str) -> Corpus:
    """The catalogued corpus of that name. Raises DataError that suggests the nearest name."""
    if name not in CATALOGUE:
        raise DataError(f"unknown corpus {name!r}{nearest(name, CATALOGUE)} (t5music corpora lists them)")
    return CATALOGUE[name]
