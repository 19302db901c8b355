"""A corpus whose files hold a number, from which the music is made; without TensorFlow, for worker processes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from t5music.corpora.base import Entry, Piece, Skipped
from t5music.music.score import NOTE, Score

PIECES = 40


def score_of(number: int, program: int = 0) -> Score:
    rng = np.random.default_rng(number)
    notes = np.zeros(60, NOTE)
    notes["onset"] = np.arange(60) * 480
    notes["duration"] = 480
    notes["pitch"] = 60 + rng.integers(0, 20, 60)
    notes["velocity"] = 80
    notes["program"] = program
    return Score(480, notes)


def entries(root: Path) -> list[Entry]:
    return [Entry(path.stem, path) for path in sorted(root.glob("*.number"))]


def read(entry: Entry, log: Path | None = None) -> Iterator[Piece | Skipped]:
    if log is not None:
        with log.open("a") as lines:
            lines.write(f"{entry.id}\n")
    number = int(entry.path.read_text())
    if number < 0:
        yield Skipped(entry.id, "it is bad")
        return
    labels = {"style": "odd" if number % 2 else "even"}
    printed = {"score": score_of(number, 7)} if number % 2 else {}
    yield Piece(
        entry.id, score_of(number), labels, "suite" if number < 3 else "", others=printed, mended=("a",) * (number == 5)
    )
