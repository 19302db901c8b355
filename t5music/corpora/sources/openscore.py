"""OpenScore: songs and string quartets of the long 19th century, transcribed by volunteers and released under CC0.

A song is 'scores/Brahms,_Johannes/4_Lieder,_Op.43/1_Von_ewiger_Liebe/lc5022466.mxl' (composer, set, song; '_' is no
set), a quartet 'scores/Bartók,_Béla/String_Quartet_No.2/sq8741475.mxl'. The works of one composer stay on one side of a
split: whoever sets a text twice, or quotes himself, uses his own music.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from t5music.corpora.base import Corpus, Download, Entry, Piece, Skipped, read_file
from t5music.corpora.tables import music_files, spaced
from t5music.music.score import Score

VOICE = 52  # General MIDI's choir: files play singers on anything, oboes included
VOICE_NAMES = re.compile(
    r"voice|voix|stimme|gesang|sing|sopran|mezzo|alto?\b|altstimme|tenor|ténor|bariton|baryton|\bbass(o|e)?\b|canto|voce"
    r"|chant|coro|choir|chor|chœur|chorus|vocal",
    re.IGNORECASE,
)


def entries(root: Path, pattern: str) -> list[Entry]:
    """Every score, its composer a group; labels are composer, set ('' for a single song) and title."""
    listing = []
    for path in music_files(root, pattern):
        composer, *sets = (spaced(part) for part in path.relative_to(root / "scores").parts[:-1])
        work, title = sets[0], sets[-1]
        labels = {"composer": composer, "set": work, "title": title}
        listing.append(Entry(path.stem, path, labels, f"composer {composer.casefold()}"))
    return listing


def read_song(entry: Entry) -> Iterator[Piece | Skipped]:
    """Reads a song. Its singers have the program VOICE, whatever the file plays them on."""
    for piece in read_file(entry):
        yield dataclasses.replace(piece, score=_sung(piece.score)) if isinstance(piece, Piece) else piece


def _sung(score: Score) -> Score:
    singers = [track for track, name in enumerate(score.track_names) if VOICE_NAMES.search(name)]
    notes = score.notes.copy()
    notes["program"][np.isin(notes["track"], singers)] = VOICE
    return score.with_notes(notes)


def _corpus(
    name: str, title: str, repository: str, commit: str, citation: str, pattern: str, files: int, hours: int
) -> Corpus:
    source = f"https://github.com/OpenScore/{repository}"
    return Corpus(
        name=name,
        title=title,
        licence="CC0 1.0",
        licence_id="cc0-1.0",
        source=source,
        citation=citation,
        entries=partial(entries, pattern=pattern),
        downloads=(Download(f"{source}/archive/{commit}.zip", file=f"{name}.zip"),),
        layout=pattern,
        labels={"composer": (), "set": (), "title": ()},
        splits="ours: 80/10/10 by composer, near-duplicates on one side",
        files=files,
        hours=hours,
        permissive="CC0: transcribed from works out of copyright by volunteers, who gave up their rights",
    )


LIEDER = dataclasses.replace(
    _corpus(
        "openscore_lieder",
        "OpenScore Lieder: songs for voice and piano",
        "Lieder",
        "bca122458de6da362abe62dd6aec62e25d7759b1",
        "Gotham, Jonas, Bower, Bosworth, Rootham & VanHandel, Scores of Scores: an OpenScore project to encode and "
        "share sheet music, DLfM 2018",
        "scores/*/*/*/lc*.mxl",
        1460,
        52,
    ),
    read=read_song,
)
STRING_QUARTETS = _corpus(
    "openscore_string_quartets",
    "OpenScore String Quartets",
    "StringQuartets",
    "2c723a5b7b4ea5420826116dfa912956c6a022c2",
    "Gotham, Redbond, Bower & Jonas, The OpenScore String Quartet Corpus, DLfM 2023",
    "scores/*/*/sq*.mxl",
    122,
    50,
)

CORPORA = (LIEDER, STRING_QUARTETS)
