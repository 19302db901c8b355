"""The International Piano-e-Competition, 2002 to 2018, as its Disklaviers recorded it: what MAESTRO is made of.

The repository has each performance twice: as it came from the competition's site (`download/YEAR/Pianist01.MID`), and
with the pedal's effect written into the notes (`midi/YEAR_Pianist01.MID`). The former is read.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from t5music.corpora.base import Corpus, Download, Entry
from t5music.corpora.listing import relative_id
from t5music.errors import MidiError
from t5music.music import midi, relatives


def entries(root: Path) -> list[Entry]:
    """Every 'YEAR/Pianist01.mid', performances of one piece a group.

    Nothing says what is played, and most of it is played by several people. So here, and for no other corpus, all
    files are opened before they are listed, and relatives are found by the music (music.relatives).
    """
    paths = sorted(root.glob(_YEARS))
    names = [relative_id(path, root) for path in paths]
    first = relatives.related([_phrases(path) for path in paths])
    return [
        Entry(name, path, {"year": path.parent.name, "pianist": re.sub(r"\d+$", "", path.stem)}, names[place])
        for name, path, place in zip(names, paths, first, strict=True)
    ]


def _phrases(path: Path) -> NDArray[np.int64]:
    """The phrases of a file's music; none of one that cannot be read, which its reader will report."""
    try:
        return relatives.phrases(midi.read_mended(path).score)
    except MidiError:
        return np.empty(0, np.int64)


_YEARS = "20[0-9][0-9]/*.[mM][iI][dD]"
_COMMIT = "e9dc38fc39578a7a0d5ee5adfaf37bd08e1a92d2"
_REPOSITORY = "https://github.com/chelate1118/piano-e-competition-midi-files"
PIANO_E_COMPETITION = Corpus(
    name="piano_e_competition",
    title="Piano-e-Competition: virtuoso piano performances, MAESTRO's sources",
    licence="none stated for the recordings, which are the competition's; MAESTRO's are CC BY-NC-SA 4.0",
    source=_REPOSITORY,
    citation="International Piano-e-Competition, www.piano-e-competition.com",
    entries=entries,
    downloads=(Download(f"{_REPOSITORY}/archive/{_COMMIT}.zip", file="piano_e_competition.zip"),),
    layout=_YEARS,  # of its folder "download"
    labels={"year": (), "pianist": ()},
    splits="ours: 80/10/10 by piece, whoever plays it (found by the music)",
    files=2730,
)

CORPORA = (PIANO_E_COMPETITION,)
