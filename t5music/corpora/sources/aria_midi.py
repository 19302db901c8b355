"""Aria-MIDI: piano music of the web, transcribed from recordings by a network.

A file 'data/aa/000123_0.mid' is a stretch of piano music in recording 123; `metadata.json` beside `data` says of the
recordings what was extracted from the texts around them: {"123": {"metadata": {"genre": "classical", ...}}}.
Recordings of one work (composer, opus and number) are a group, and else the stretches of one recording.

Where this comes from: counts, licence, names of files, the form of `metadata.json` and the addresses are the README's
(github.com/loubbrad/aria-midi). The names of the categories are not in it: "genre" is what programs that read the
dataset use, the others are its words for them and may have other names in the file. Sizes are those of such a program.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from t5music.corpora.base import Corpus, Download, Entry
from t5music.corpora.tables import music_files, read_json
from t5music.errors import DataError

_TABLE = "metadata.json"
_FILES = "data/**/*_*.mid"
_NAME = re.compile(r"(\d+)_(\d+)")


def entries(root: Path) -> list[Entry]:
    """Every stretch of piano music.

    Raises:
        DataError: `metadata.json` is missing or damaged.
    """
    recordings = read_json(root / _TABLE)
    if not isinstance(recordings, dict):
        raise DataError(f"{root / _TABLE}: not an object with an entry for each recording")
    listing = []
    for path in music_files(root, _FILES):
        if not (name := _NAME.fullmatch(path.stem)):
            continue
        number = str(int(name[1]))
        recording = recordings.get(number)
        metadata = recording.get("metadata") if isinstance(recording, dict) else None
        texts = {key: _text(value) for key, value in metadata.items()} if isinstance(metadata, dict) else {}
        labels = {label: texts.get(label, "") for label in ("genre", "composer", "performer")}
        listing.append(Entry(path.stem, path, labels, _group(texts, number)))
    return listing


def _text(value: Any) -> str:
    """A category's value: a text, a number, or the first of several."""
    value = value[0] if isinstance(value, list) and value else value
    return str(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else ""


def _group(texts: Mapping[str, str], number: str) -> str:
    work = [texts.get(key, "") for key in ("composer", "opus", "piece_number")]
    return f"work {' '.join(work)}".casefold() if all(work) else f"recording {number}"


def _corpus(name: str, subset: str, title: str, files: int, megabytes: int) -> Corpus:
    archive = f"aria-midi-v1-{subset}-ext.tar.gz"
    address = f"https://huggingface.co/datasets/loubb/aria-midi/resolve/main/{archive}?download=true"
    return Corpus(
        name=name,
        title=f"Aria-MIDI: {title}; about {megabytes:,} MB to fetch",
        licence="CC BY-NC-SA 4.0, and a disclaimer to agree to (DISCLAIMER.md of the repository)",
        source="https://github.com/loubbrad/aria-midi",
        citation="Bradshaw & Colton, Aria-MIDI: a dataset of piano MIDI files for symbolic music modeling, ICLR 2025",
        entries=entries,
        downloads=(Download(address, file=archive),),
        layout=_FILES,
        labels={"genre": (), "composer": (), "performer": ()},
        files=files,
    )


CORPORA = (
    _corpus("aria_midi", "pruned", "recordings of piano music, the poor ones left out", 820_944, 5410),
    _corpus("aria_midi_deduped", "deduped", "each work of a well-known composer once", 371_053, 2010),
    _corpus("aria_midi_unique", "unique", "works that are known by opus and number, once each", 32_522, 254),
)
