"""The Nottingham database of folk tunes, as cleaned by Jukedeck: melody and chords as MIDI, and the tunes' ABC text.

'MIDI/jigs12.mid' is the tune with 'X: 12' in 'ABC_cleaned/jigs.abc', repeats played. Its first track is the melody,
its second one, where there is one, the chords; here they are named so.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path

from t5music.corpora.base import Corpus, Download, Entry, Piece, Skipped, read_file
from t5music.corpora.tables import music_files
from t5music.errors import DataError
from t5music.music import abc_notation
from t5music.music.abc_notation import TuneText
from t5music.music.keys import KEYS, key_index

TUNE_SETS = ("ashover", "hpps", "jigs", "morris", "playford", "reelsa-c", "reelsd-g", "reelsh-l", "reelsm-q",
             "reelsr-t", "reelsu-z", "slip", "waltzes", "xmas")  # fmt: skip
METERS = ("2/2", "2/4", "3/2", "3/4", "4/4", "6/4", "6/8", "9/8")  # those that tunes begin with
_TRACKS = ("melody", "chords")
_NAME = re.compile(r"(.*\D)(\d+)")


def entries(root: Path) -> list[Entry]:
    """Every file of melody and chords. Tunes of one title are a group; key and meter are those of the tune's head.

    Args:
        root: The folder that holds ABC_cleaned and MIDI.

    Raises:
        DataError: An ABC file cannot be read, or has a tune without a number or a number twice.
    """
    tunes = {path.stem: _tunes(path) for path in music_files(root, "ABC_cleaned/*.abc")}
    files = []
    for path in music_files(root, "MIDI/*.mid"):
        match = _NAME.fullmatch(path.stem)
        tune_set, number = (match[1], int(match[2])) if match else (path.stem, 0)
        abc = tunes.get(tune_set, {}).get(number)
        index = key_index(abc.value("K")) if abc else None
        labels = {
            "tune_set": tune_set,
            "title": abc.value("T") if abc else "",
            "key": "" if index is None else KEYS[index],
            "meter": abc.value("M") if abc else "",
            "abc": abc.text if abc else "",
        }
        files.append(Entry(path.stem, path, labels, labels["title"].lower()))
    return files


def _tunes(path: Path) -> dict[int, TuneText]:
    """The tunes of an ABC file by their number X."""
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as ABC: {error}") from error
    tunes: dict[int, TuneText] = {}
    for tune in abc_notation.split(text):
        if not tune.number.isdigit() or int(tune.number) in tunes:
            raise DataError(f"{path}: X: {tune.number} is no number, or there twice")
        tunes[int(tune.number)] = tune
    return tunes


def read(entry: Entry) -> Iterator[Piece | Skipped]:
    """Reads a tune, and names its tracks melody and chords."""
    for piece in read_file(entry):
        if isinstance(piece, Piece) and len(piece.score.track_names) > len(_TRACKS):
            yield Skipped(entry.id, f"it has {len(piece.score.track_names)} tracks, not melody and chords")
        elif isinstance(piece, Piece):
            names = _TRACKS[: len(piece.score.track_names)]
            yield dataclasses.replace(piece, score=dataclasses.replace(piece.score, track_names=names))
        else:
            yield piece


_COMMIT = "0992bb6cd864f6d4b90d6663e08c0ef53ffaa08f"
NOTTINGHAM = Corpus(
    name="nottingham",
    title="Nottingham: British and American folk tunes, melody and chords, with their ABC",
    licence="GPL-3.0 (Jukedeck's repository)",
    licence_id="gpl-3.0",
    source="https://github.com/jukedeck/nottingham-dataset",
    citation="Foxley, Nottingham Music Database, abc.sourceforge.net/NMD; cleaned by Jukedeck, 2017",
    entries=entries,
    read=read,
    downloads=(
        Download(f"https://github.com/jukedeck/nottingham-dataset/archive/{_COMMIT}.zip", file="nottingham.zip"),
    ),
    layout="ABC_cleaned/*.abc",
    labels={"tune_set": TUNE_SETS, "title": (), "key": KEYS, "meter": METERS, "abc": ()},
    files=1034,
)

CORPORA = (NOTTINGHAM,)
