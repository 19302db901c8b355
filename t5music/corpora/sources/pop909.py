"""POP909: pop songs arranged for piano, in three tracks: MELODY, BRIDGE and PIANO.

The files' beats lie a quarter apart, but from a tick of their own on, and most meters are 1/4 or 2/4. So bar lines are
those of the annotated downbeats: the music is moved as a whole, by less than a bar, until the first downbeat begins
a bar, and meters say how many beats each bar has. Of the onsets, 88 % instead of 5 % then lie on sixteenths. Where the
annotations contradict each other (19 songs), or some beats are not a quarter long (2), nothing is changed.

`pop909_aligned` is what MIDI-BERT makes of it, to compare with its figures: the 865 songs that it takes to be in 4/4,
every onset and duration laid on sixteenths of the annotated beats. The notes, and so their chunks and answers, are its.

The versions of a song that its arrangers discarded are left out.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from t5music.corpora.base import Corpus, Download, Entry, Piece, Skipped, read_file
from t5music.corpora.tables import music_files, published_split
from t5music.errors import DataError
from t5music.music.keys import KEYS, key_index
from t5music.music.midibert.beat_alignment import BEATS_PER_BAR, align, in_four
from t5music.music.score import METER, Score

METERS = ("3/4", "4/4")


def entries(root: Path) -> list[Entry]:
    """Every 'POP909/001/001.mid', with MIDI-BERT's split; keys are read with the music."""
    held_out = published_split("pop909")
    return [
        Entry(path.stem, path, split=held_out.get(path.stem, "train"))
        for path in music_files(root, "POP909/???/???.mid")
        if path.stem == path.parent.name
    ]


def read(entry: Entry, lay: Callable[[Score, Path], tuple[Score, str]]) -> Iterator[Piece | Skipped]:
    """Reads a song; `lay` makes its score, and says the meter, by the annotations beside it."""
    for piece in read_file(entry):
        if isinstance(piece, Skipped):
            yield piece
            continue
        folder = entry.path.parent
        try:
            score, meter = lay(piece.score, folder)
            labels = {"key": _key(folder / "key_audio.txt"), "meter": meter}
        except DataError as error:
            yield Skipped(entry.id, str(error))
            return
        yield dataclasses.replace(piece, score=score, labels=labels)


def _key(path: Path) -> str:
    """The key that holds longest; '' without annotations."""
    lengths: Counter[str] = Counter()
    for line in _lines(path):
        try:
            start, end, name = line.split()
            index = key_index(name.replace(":", " "))
            lengths["" if index is None else KEYS[index]] += float(end) - float(start)  # type: ignore[assignment]
        except ValueError as error:
            raise DataError(f"{path.name}: {line!r} is not 'start end key'") from error
    return lengths.most_common(1)[0][0] if lengths else ""


def _beats(folder: Path) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The beats as annotated: in the file (seconds, whether a downbeat of two or three, of four or six), and by ear."""
    return _numbers(folder / "beat_midi.txt", 3), _numbers(folder / "beat_audio.txt", 2)


def _aligned(score: Score, folder: Path) -> tuple[Score, str]:
    """The score as MIDI-BERT reads it. Raises DataError for a song that it leaves out."""
    beats, audio = _beats(folder)
    if not len(beats) or not len(audio) or not in_four(audio[:, 1], beats[:, 2]):
        raise DataError("not annotated as being in 4/4")
    return align(score, *audio.T), f"{BEATS_PER_BAR}/4"


def _barred(score: Score, folder: Path) -> tuple[Score, str]:
    """The score with the annotated bar lines, where its ticks allow, and its meter; '' where that cannot be told."""
    beats, audio = _beats(folder)
    if not len(beats) or not len(audio):
        return score, ""
    counted = np.diff(np.flatnonzero(audio[:, 1] == 1))
    for column in (1, 2):  # downbeats if bars have two or three beats, and if they have four or six
        downbeats = np.flatnonzero(beats[:, column] == 1)
        between = np.diff(downbeats)
        if len(between) and len(counted) and _mode(between) == _mode(counted) and f"{_mode(between)}/4" in METERS:
            ticks = score.ticks(beats[:, 0])
            if (np.diff(ticks) == score.ticks_per_quarter).all():
                score = lay_bars(score, int(ticks[downbeats[0]]), between)
            return score, f"{_mode(between)}/4"
    return score, ""


def lay_bars(score: Score, first: int, between: NDArray[np.int64]) -> Score:
    """The score moved, by less than a bar, so that bars begin at its downbeats.

    Args:
        score: the score.
        first: the tick of the first downbeat.
        between: int64 [downbeats - 1], quarters from each downbeat to the next.
    """
    usual = _mode(between)
    shift = -first % (usual * score.ticks_per_quarter)
    starts = first + shift + np.concatenate([[0], np.cumsum(between)]) * score.ticks_per_quarter
    lengths = np.append(between, usual)  # of the bars that begin there, in quarters
    changed = np.append(lengths[0] != usual, lengths[1:] != lengths[:-1])
    meters = [
        (0, usual, 4),
        *((tick, length, 4) for tick, length in zip(starts[changed], lengths[changed], strict=True)),
    ]

    def moved(array: NDArray, field: str) -> NDArray:
        array = array.copy()
        array[field] += np.where(array[field] > 0, shift, 0) if field == "tick" else shift
        return array

    return dataclasses.replace(
        score,
        notes=moved(score.notes, "onset"),
        pedals=moved(score.pedals, "onset"),
        tempos=moved(score.tempos, "tick"),
        keys=moved(score.keys, "tick"),
        meters=np.array(meters, METER),
    )


def _mode(numbers: NDArray) -> int:
    return Counter(numbers.tolist()).most_common(1)[0][0]


def _lines(path: Path) -> list[str]:
    return path.read_text("utf-8").splitlines() if path.is_file() else []


def _numbers(path: Path, columns: int) -> NDArray[np.float64]:
    """A table [rows, columns] of numbers; no rows where there is no file."""
    try:
        rows = [[float(number) for number in line.split()] for line in _lines(path)]
        return np.array(rows, np.float64).reshape(-1, columns)
    except ValueError as error:
        raise DataError(f"{path.name}: not a table of {columns} numbers") from error


_COMMIT = "d83e6edba6872a704f5d3b8b32f5cb540088dae6"
POP909 = Corpus(
    name="pop909",
    title="POP909: pop songs for piano, with melody, second melody and accompaniment in tracks",
    licence="MIT",
    licence_id="mit",
    source="https://github.com/music-x-lab/POP909-Dataset",
    citation="Wang et al., POP909: a pop-song dataset for music arrangement generation, ISMIR 2020",
    entries=entries,
    read=partial(read, lay=_barred),
    downloads=(Download(f"https://github.com/music-x-lab/POP909-Dataset/archive/{_COMMIT}.zip", file="POP909.zip"),),
    layout="POP909/???/???.mid",
    labels={"key": KEYS, "meter": METERS},
    splits="MIDI-BERT's: 693, 86 and 86 songs in 4/4; the 44 that it leaves out, in other meters, are in train too",
    files=909,
)
POP909_ALIGNED = dataclasses.replace(
    POP909,
    name="pop909_aligned",
    title="POP909 as MIDI-BERT reads it: the songs in 4/4, on sixteenths of their beats",
    read=partial(read, lay=_aligned),
    splits="MIDI-BERT's: 693, 86 and 86 songs",
)

CORPORA = (POP909, POP909_ALIGNED)
