"""The corpora t5music knows by name."""

from __future__ import annotations

from t5music.corpora.base import Corpus
from t5music.corpora.sources import (
    adl_piano,
    asap,
    bach_370,
    emopia,
    giantmidi,
    jazz_piano,
    jsb_chorales,
    lakh,
    maestro,
    midicaps,
    music21_corpus,
    nes_mdb,
    nes_nsf,
    nottingham,
    pianist8,
    piano_e_competition,
    piano_midi_de,
    pop909,
    synthetic,
    vgmidi,
    web_midi,
)
from t5music.errors import DataError, nearest

CATALOGUE: dict[str, Corpus] = {
    corpus.name: corpus
    for corpus in (
        music21_corpus.BACH_CHORALES,
        music21_corpus.MONTEVERDI,
        music21_corpus.TRECENTO,
        music21_corpus.RYANS_MAMMOTH,
        lakh.LAKH_FULL,
        lakh.LAKH_MATCHED,
        lakh.LAKH_CLEAN,
        web_midi.WEB_MIDI,
        midicaps.MIDICAPS,
        nes_mdb.NES_MDB_MIDI,
        nes_mdb.NES_MDB_TX1,
        nes_nsf.NES_NSF,
        vgmidi.VGMIDI,
        maestro.MAESTRO,
        piano_e_competition.PIANO_E_COMPETITION,
        piano_midi_de.PIANO_MIDI_DE,
        asap.ASAP,
        giantmidi.GIANTMIDI,
        adl_piano.ADL_PIANO,
        pop909.POP909,
        pop909.POP909_ALIGNED,
        emopia.EMOPIA,
        emopia.EMOPIA_CLIPS,
        pianist8.PIANIST8,
        jazz_piano.JAZZ_PIANO,
        jsb_chorales.JSB_CHORALES,
        bach_370.BACH_370,
        nottingham.NOTTINGHAM,
        *synthetic.SYNTHETIC,
    )
}


def get(name: str) -> Corpus:
    """The catalogued corpus of that name. Raises DataError that suggests the nearest name."""
    if name not in CATALOGUE:
        raise DataError(f"unknown corpus {name!r}{nearest(name, CATALOGUE)} (t5music corpora lists them)")
    return CATALOGUE[name]
