"""NES-MDB: the music of 397 games of the Nintendo Entertainment System, as MIDI files and as TX1 text.

A MIDI file has four tracks, p1, p2, tr and no, one tick a sample of 44.1 kHz. A TX1 file is the same music in the words
of LakhNES (music.encodings.tx1). Files are called '297_SkyKid_00_01StartMusicBGM.mid': the game, the track's number in
the file it was taken from, and its title. Composers are not part of the archives; they are read where a
`nesmdb_meta*.json` lies beside the music (game -> {"composers": [...], "release_year": ...}).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from t5music.corpora.base import Corpus, Download, Entry, Piece, Skipped, read_file
from t5music.corpora.tables import as_split, music_files, read_json
from t5music.errors import DataError, MidiError
from t5music.files import read_bytes
from t5music.music import encodings
from t5music.music.encodings.tx1.encoding import WAITS

_NAME = re.compile(r"(?P<game>\d+_.*)_\d{2}_(?:\d{2})?(?P<title>.*)")
_SPLITS = ("train", "valid", "test")
_WAIT = re.compile(r"\bWT_(\d+)\b")


def entries(root: Path, suffix: str) -> list[Entry]:
    """The files of the folders train, valid and test, in this order. Raises DataError for a damaged composer table."""
    composers = _composers(root)
    listing = []
    for folder in _SPLITS:
        for path in music_files(root, f"{folder}/*{suffix}"):
            name = path.name.removesuffix(suffix)
            match = _NAME.fullmatch(name)
            game, title = (match["game"], match["title"]) if match else (name, "")
            composer, year = composers.get(game, ("", ""))
            labels = {"game": game.partition("_")[2] or game, "title": title, "composer": composer, "year": year}
            listing.append(Entry(f"{folder}/{name}", path, labels, game, as_split(folder, str(path))))
    return listing


def _composers(root: Path) -> dict[str, tuple[str, str]]:
    """Game -> (its composers, joined by commas, and its year); '' where they are unknown."""
    tables = [path for folder in (root, root.parent) for path in sorted(folder.glob("nesmdb_meta*.json"))]
    if not tables:
        return {}
    composers = {}
    try:
        for game, facts in read_json(tables[0]).items():
            texts = (", ".join(facts["composers"]), str(facts.get("release_year", "")))
            composer, year = ("" if text == "Unknown" else text for text in texts)
            composers[game] = (composer, year)
    except (KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{tables[0]}: not a table of games with 'composers'") from error
    return composers


def read_tx1(entry: Entry) -> Iterator[Piece | Skipped]:
    """Reads TX1 words, one a line, as a Score with the tracks p1, p2, tr and no.

    The authors' converter writes every wait as it is, WT_735; what the vocabulary lacks becomes, as in their training,
    the nearest word (half way: the longer one), and at most WT_100000.
    """
    encoding = encodings.get("tx1")
    try:
        text = _WAIT.sub(_nearest_wait, read_bytes(entry.path).decode("utf-8"))
        decoded = encoding.decode(encoding.from_text(text))
    except FileNotFoundError:
        yield Skipped(entry.id, "no such file")
        return
    except (MidiError, OSError, UnicodeDecodeError) as error:
        yield Skipped(entry.id, f"not TX1: {error}")
        return
    if not len(decoded.score.notes):
        yield Skipped(entry.id, "no notes in it")
        return
    mended = (f"events that do not fit: {decoded.repairs}",) if decoded.repairs else ()
    yield Piece(entry.id, decoded.score, entry.labels, entry.group, entry.split, mended=mended)


def _nearest_wait(word: re.Match[str]) -> str:
    samples = min(int(word[1]), int(WAITS[-1]))
    return f"WT_{WAITS[np.searchsorted((WAITS[1:] + WAITS[:-1]) / 2, samples, side='right')]}"


def _corpus(name: str, title: str, archive: Download, suffix: str, read, source: str, citation: str) -> Corpus:
    return Corpus(
        name=name,
        title=title,
        licence="none stated for the music, which belongs to the games' publishers; the authors' code is MIT",
        source=source,
        citation=citation,
        entries=partial(entries, suffix=suffix),
        read=read,
        downloads=(archive,),
        layout=f"train/*{suffix}",
        labels={"game": (), "title": (), "composer": (), "year": ()},
        splits="official: no composer is in two of them",
        hours=46,  # Donahue et al. 2018
        files=5278,
    )


_NES_MDB = "Donahue, Mao & McAuley, The NES Music Database, ISMIR 2018"
# Address and sha256: README of github.com/chrisdonahue/nesmdb @ 7cef4858ddfc; the size is that of MusPy's copy, of the
# same sha256 (muspy/datasets/nes.py @ 2e1dc660dde6).
NES_MDB_MIDI = _corpus(
    "nes_mdb_midi",
    "NES-MDB: music of the Nintendo Entertainment System (MIDI)",
    Download(
        "https://drive.google.com/uc?export=download&id=1w2uo1Cmio4gz6nGUhZOtzF54kPkoKyo7",
        "sha256:37610e2ca5fe70359c85170cf1f4982596783bb304c59d9c439f68c24ff4ee93",
        12_922_275,
        "nesmdb_midi.tar.gz",
    ),
    ".mid",
    read_file,
    "https://github.com/chrisdonahue/nesmdb",
    _NES_MDB,
)
# Address and sha256: README of github.com/chrisdonahue/LakhNES @ edd19a972742.
NES_MDB_TX1 = _corpus(
    "nes_mdb_tx1",
    "NES-MDB: music of the Nintendo Entertainment System (TX1, as LakhNES was trained on)",
    Download(
        "https://drive.google.com/uc?export=download&id=1WO6guGagqaw22LH32_NEBeavtbaWy_ar",
        "sha256:94763d90ba98ca457b64af3c49b1ed7d9e1434e5ef534be34e836c71d4693cbe",
        0,
        "nesmdb_tx1.tar.gz",
    ),
    ".tx1.txt",
    read_tx1,
    "https://github.com/chrisdonahue/LakhNES",
    f"{_NES_MDB}; Donahue et al., LakhNES, ISMIR 2019",
)

CORPORA = (NES_MDB_MIDI, NES_MDB_TX1)
