"""Tiny corpora under the names of real ones, so that the declared tasks themselves can be run."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

import numpy as np
import seqio

from t5music.corpora import build
from t5music.corpora.base import Corpus, Entry, Piece
from t5music.music.score import METER, NOTE, Score

PIECES = 10
BARS = 36
QUARTER = 480
METERS = np.array([(0, 4, 4)], METER)
CHORDS = (48, 53, 55, 50)


def through_seqio(name: str, split: str = "train", *, lengths: Mapping[str, int]) -> list[dict[str, np.ndarray]]:
    """The examples of a declared task, as seqio makes them."""
    task = seqio.get_mixture_or_task(name)
    return list(task.get_dataset(lengths, split=split, shuffle=False).as_numpy_iterator())


def line(number: int, bars: int) -> list[int]:
    """The pitches of piece `number`, four to a bar; every second pair of bars repeats the first one."""
    theme = 60 + np.random.default_rng(number).integers(0, 20, 8)
    rest = 60 + np.random.default_rng(100 + number).integers(0, 20, 4 * bars)
    return [int(theme[n % 8] if n // 8 % 2 == 0 else rest[n]) for n in range(4 * bars)]


def voices(number: int, names: tuple[str, ...], program: int = 0, bars: int = BARS) -> Score:
    """A melody in quarters, and a voice of whole notes for each further name."""
    notes = [(n * QUARTER, QUARTER, pitch, 80, program, 0) for n, pitch in enumerate(line(number, bars))]
    for track in range(1, len(names)):
        for bar in range(bars):
            pitch = CHORDS[(bar + number) % 4] + 12 - 5 * track
            notes.append((bar * 4 * QUARTER, 4 * QUARTER, pitch, 80, program, track))
    return Score(QUARTER, np.array(notes, NOTE), meters=METERS, track_names=names)


def played(number: int) -> tuple[Score, dict[str, Score], dict[str, str]]:
    """ASAP's layout: a performance half as fast as it is written, the score, and their alignment."""
    written = voices(number, ("right", "left"))
    notes = written.notes.copy()
    notes["onset"] *= 2
    notes["duration"] = 3 * notes["duration"] // 2
    beats = np.arange(BARS * 4 + 1) / 2
    alignment = json.dumps([beats.tolist(), (2 * beats).tolist()])
    return Score(QUARTER, notes, track_names=("piano",)), {"score": written}, {"alignment": alignment}


def read(entry: Entry, make: Callable[[int], Score], labels: Mapping[str, str]) -> Iterator[Piece]:
    values = {label: value.format(entry.more["number"]) for label, value in labels.items()}
    yield Piece(entry.id, make(entry.more["number"]), values)


def read_played(entry: Entry) -> Iterator[Piece]:
    score, others, labels = played(entry.more["number"])
    yield Piece(entry.id, score, labels, others=others)


def entries(root: Path, first: int) -> list[Entry]:
    return [Entry(f"{n:03}", root, more={"number": n}) for n in range(first, first + PIECES)]


def corpus(name: str, tracks: tuple[str, ...], program: int = 0, first: int = 0, **labels: str) -> Corpus:
    """A corpus of PIECES pieces; those of two corpora are alike where their numbers are."""
    make = partial(voices, names=tracks, program=program)
    return Corpus(
        name, "t", "free", "here", "", partial(entries, first=first), partial(read, make=make, labels=labels),
        labels=dict.fromkeys(labels, ()),
    )  # fmt: skip


SATB = ("soprano", "alto", "tenor", "bass")
CORPORA = {
    "jsb_chorales": corpus("jsb_chorales", SATB, 52),
    "bach_370": corpus("bach_370", SATB, 52, first=5),  # half of its pieces are in jsb_chorales
    "pop909": corpus("pop909", ("MELODY", "BRIDGE", "PIANO"), first=100),
    "nottingham": corpus("nottingham", ("melody", "chords"), 40, first=200),
    "nes_mdb_tx1": corpus("nes_mdb_tx1", ("p1", "p2", "tr"), 80, first=300),
    "lakh_clean": corpus("lakh_clean", ("flute", "bass"), 73, first=400),
    "midicaps": corpus("midicaps", ("piano",), first=500, caption="Piece {}, for the piano."),
    "adl_piano": corpus("adl_piano", ("piano",), first=600),
    "emopia": corpus("emopia", ("piano",), first=700),
    "pianist8": corpus("pianist8", ("piano",), first=800),
    "asap": Corpus(
        "asap", "t", "free", "here", "", partial(entries, first=900), read_played,
        labels={"alignment": ()}, others=("score",),
    ),
}  # fmt: skip


def build_all(folder: Path) -> None:
    """Builds all of them in `folder`, as `t5music corpora --build` would."""
    for each in CORPORA.values():
        build.build(each, folder, folder, workers=1, progress=False)
