"""MidiCaps: files of the Lakh MIDI dataset with captions, written by a language model from features of the music."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from t5music.corpora.base import Corpus, Download, Entry
from t5music.errors import DataError
from t5music.music.keys import KEYS, key_index

_LABELS = {"caption": "caption", "key": "key", "meter": "time_signature", "genre": "genre", "mood": "mood"}
VALIDATION = 20  # one in so many of the training files is validation


def entries(root: Path) -> list[Entry]:
    """The lines of `train.json`, in the order of their files; of several genres and moods the likeliest is taken.

    `test_set` says which files are test. The authors give no validation set: ours is a twentieth of the rest, by the
    hash of the file's name.

    Raises:
        DataError: the table is missing or damaged.
    """
    table = root / "train.json"
    listing = []
    try:
        with open(table, encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    listing.append(_entry(line, root, f"{table}, line {number}"))
    except FileNotFoundError as error:
        raise DataError(f"{table}: no such file") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{table} is not UTF-8: {error}") from error
    return sorted(listing, key=lambda entry: entry.id)


def _entry(line: str, root: Path, where: str) -> Entry:
    try:
        row: Mapping[str, Any] = json.loads(line)
        location = PurePosixPath(row["location"])
        labels = {label: _first(row[column] if label == "caption" else row.get(column))
                  for label, column in _LABELS.items()}  # fmt: skip
    except ValueError as error:
        raise DataError(f"{where}: not JSON: {error}") from error
    except (KeyError, TypeError) as error:
        raise DataError(f"{where}: no 'location' or 'caption'") from error
    index = key_index(labels["key"])
    labels["key"] = "" if index is None else KEYS[index]
    if row.get("test_set"):
        split = "test"
    else:
        held_out = int(hashlib.sha256(location.stem.encode()).hexdigest(), 16) % VALIDATION == 0
        split = "validation" if held_out else "train"
    return Entry(str(location.with_suffix("")), root / location, labels, split=split)


def _first(value: Any) -> str:
    if isinstance(value, list):
        value = value[0] if value else ""
    return "" if value is None else str(value).strip()


# The data set's commit with the column test_set, as its page lists it.
_FILES = "https://huggingface.co/datasets/amaai-lab/MidiCaps/resolve/84d5b132f2776cc5276455fe90982b4ff768a6f5"
MIDICAPS = Corpus(
    name="midicaps",
    title="MidiCaps: files of the Lakh MIDI dataset with captions",
    licence="CC BY-SA 4.0",
    licence_id="cc-by-sa-4.0",
    source="https://huggingface.co/datasets/amaai-lab/MidiCaps",
    citation=("Melechovsky, Roy & Herremans, MidiCaps: a large-scale MIDI dataset with text captions, ISMIR 2024"),
    entries=entries,
    downloads=(Download(f"{_FILES}/midicaps.tar.gz"), Download(f"{_FILES}/train.json", file="train.json")),
    layout="train.json",
    labels={"caption": (), "key": KEYS, "meter": (), "genre": (), "mood": ()},
    splits="official test set; of the rest one in twenty is validation, by the hash of its name",
    files=168_385,
)

CORPORA = (MIDICAPS,)
