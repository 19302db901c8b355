"""Catalogue: the corpora t5music knows by name.

To add one, write `sources/<file>.py`, whose `CORPORA` are the corpora it declares, and name the file in `SOURCES`.
"""

from __future__ import annotations

from importlib import import_module

from t5music.corpora.base import Corpus
from t5music.errors import DataError, nearest

# The files of `sources/`, in the order in which `t5music corpora` lists them.
SOURCES = (
    "music21_corpus",
    "lakh",
    "web_midi",
    "midicaps",
    "nes_mdb",
    "nes_nsf",
    "vgmidi",
    "maestro",
    "piano_e_competition",
    "piano_midi_de",
    "asap",
    "giantmidi",
    "adl_piano",
    "pop909",
    "emopia",
    "pianist8",
    "jazz_piano",
    "jsb_chorales",
    "bach_370",
    "js_fakes",
    "nottingham",
    "openscore",
    "pdmx",
    "thesession",
    "aria_midi",
    "gigamidi",
    "metamidi",
    "symphonynet",
    "synthetic",
)

CATALOGUE: dict[str, Corpus] = {
    corpus.name: corpus for source in SOURCES for corpus in import_module(f"t5music.corpora.sources.{source}").CORPORA
}


def get(name: str) -> Corpus:
    """The catalogued corpus of that name. Raises DataError that suggests the nearest name."""
    if name not in CATALOGUE:
        raise DataError(f"unknown corpus {name!r}{nearest(name, CATALOGUE)} (t5music corpora lists them)")
    return CATALOGUE[name]
