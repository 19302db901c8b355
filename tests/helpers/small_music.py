"""Synthetic music in files, laid out as the corpora's authors do; and what a corpus makes of a folder."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from t5music.corpora.base import Corpus, Entry, Piece, Skipped, locate
from t5music.music import midi
from t5music.music.score import NOTE, Score


def score_of(seed: int, tracks: Sequence[str] = ("",), program: int = 0, quarter: int = 480) -> Score:
    """Sixteen quarter notes a track, beginning together; another melody for every seed."""
    rng = np.random.default_rng(seed)
    notes = np.zeros(16 * len(tracks), NOTE)
    notes["onset"] = np.tile(np.arange(16) * quarter, len(tracks))
    notes["duration"] = quarter
    notes["pitch"] = rng.integers(48, 80, len(notes))
    notes["velocity"] = 80
    notes["program"] = program
    notes["track"] = np.repeat(np.arange(len(tracks)), 16)
    return Score(quarter, notes, track_names=tuple(tracks))


def write_midi(path: Path, seed: int = 0, **more) -> Score:
    """Writes such a score; returns it."""
    score = score_of(seed, **more)
    midi.write(score, path)
    return score


def write_files(root: Path, *names: str) -> Path:
    """A MIDI file of each name; returns the folder."""
    for seed, name in enumerate(names):
        write_midi(root / name, seed)
    return root


def entries_of(corpus: Corpus, folder: Path) -> dict[str, Entry]:
    """What the corpus lists in a folder, by id; checks what holds of every corpus."""
    root = locate(corpus, folder)
    entries = list(corpus.entries(root))
    assert [entry.id for entry in entries] == [entry.id for entry in corpus.entries(root)], "a stable order"
    found = {entry.id: entry for entry in entries}
    assert len(found) == len(entries), "unique ids"
    assert pickle.loads(pickle.dumps(entries)) == entries
    for entry in entries:
        assert set(entry.labels) <= set(corpus.labels)
        assert entry.split in (None, "train", "validation", "test")
    return found


def pieces_of(corpus: Corpus, folder: Path) -> dict[str, Piece]:
    """What the corpus reads from a folder, by id; nothing may be skipped."""
    items = [item for entry in entries_of(corpus, folder).values() for item in corpus.read(entry)]
    pieces = {}
    for item in items:
        assert isinstance(item, Piece), item
        assert set(item.labels) == set(corpus.labels)
        assert set(item.others) <= set(corpus.others)
        for label, value in item.labels.items():
            assert not value or not corpus.labels[label] or value in corpus.labels[label], (label, value)
        pieces[item.id] = item
    return pieces


def skipped(corpus: Corpus, entry: Entry) -> str:
    """Why the corpus skips an entry."""
    [item] = corpus.read(entry)
    assert isinstance(item, Skipped)
    assert item.id == entry.id
    return item.reason


def splits_of(items: dict[str, Entry] | dict[str, Piece]) -> dict[str | None, int]:
    """Number of pieces of each split."""
    splits = [item.split for item in items.values()]
    return {split: splits.count(split) for split in sorted(set(splits), key=str)}
