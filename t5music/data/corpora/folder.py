"""Anyone's folder of MIDI files as a corpus: the label of a piece is the sub-folder it lies in."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from t5music.data.corpora.base import Corpus, Piece, Skipped, relative_id
from t5music.errors import DataError, MidiError
from t5music.music import fingerprint, midi

SUFFIXES = (".mid", ".midi", ".smf", ".kar", ".rmi")
LABEL = "folder"  # the one label of such a corpus


def find_files(root: Path) -> list[Path]:
    """Every file below `root` with a MIDI suffix, sorted. Raises DataError if there is no folder or no such file."""
    if not root.is_dir():
        raise DataError(f"--midi {root}: no such folder")
    files = sorted(path for path in root.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    if not files:
        raise DataError(f"--midi {root}: no MIDI files in it (looked for {', '.join(SUFFIXES)})")
    return files


def label_of(path: Path, root: Path) -> str:
    """The first folder between `root` and the file, as a word; '' for a file that lies in `root` itself."""
    parts = path.relative_to(root).parts[:-1]
    return re.sub(r"\s+", "_", parts[0].strip()) if parts else ""


def _read(root: Path) -> Iterator[Piece | Skipped]:
    for path in find_files(root):
        name = relative_id(path, root)
        try:
            score = midi.read(path)
        except MidiError as error:
            yield Skipped(name, str(error).removeprefix(f"{path}: "))
            continue
        yield Piece(name, score, {LABEL: label_of(path, root)}, fingerprint.opening(score))


def corpus(root: Path, name: str) -> Corpus:
    """A corpus of the MIDI files below `root`.

    Raises:
      DataError: no such folder, no MIDI file in it, or a name that TFDS and seqio could not take.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise DataError(f"--name {name}: a corpus' name is lower-case letters, digits and _, beginning with a letter")
    root = root.expanduser().resolve()
    files = find_files(root)
    labels = tuple(sorted({label_of(path, root) for path in files} - {""}))
    return Corpus(
        name=name,
        title=f"MIDI files of the folder {root.name}",
        licence="as the owner of the files states",
        source=root.name,
        citation="",
        read=partial(_read, root),
        size=lambda: len(files),
        labels={LABEL: labels} if len(labels) > 1 else {},
    )
