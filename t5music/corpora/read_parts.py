"""Reading a corpus' files in parts, in processes that know nothing of TensorFlow; the pieces wait on disk."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from t5music import files, parallel
from t5music.corpora import datasets
from t5music.corpora.base import Entry, Piece, Skipped
from t5music.errors import DataError, MidiError
from t5music.music import fingerprint, midi


class Read(NamedTuple):
    """A piece as it waits on disk between reading and writing: its TFDS fields, and what the report needs."""

    fields: dict[str, str | bytes]
    declared_group: str
    split: str | None
    seconds: float
    notes: int
    mended: tuple[str, ...]


def read_part(read: Callable[[Entry], Iterator[Piece | Skipped]], part: parallel.Part[Entry]) -> None:
    """Reads the pieces of a part's entries into the part's file; an entry that cannot be read is Skipped there."""
    results: list[Read | Skipped] = []
    for entry in part.items:
        try:
            results.extend(
                _skipped(item.id, item.reason) if isinstance(item, Skipped) else _to_read(item) for item in read(entry)
            )
        except (MidiError, DataError, OSError, UnicodeError) as error:  # one bad file does not stop the others
            results.append(_skipped(entry.id, str(error).removeprefix(f"{entry.id}: ")))
        except Exception as error:
            error.add_note(f"while reading {entry.id!r}")
            raise
    files.write_bytes(part.file, pickle.dumps(results))


def _skipped(name: str, reason: str) -> Skipped:
    return Skipped(_storable(name), _storable(" ".join(reason.split())))


def _to_read(piece: Piece) -> Read | Skipped:
    try:
        fields: dict[str, str | bytes] = {
            "id": _storable(piece.id),
            **_content(piece),
            **{label: _storable(value) for label, value in piece.labels.items()},
            **{f"{name}{datasets.OTHER}": midi.to_bytes(score) for name, score in piece.others.items()},
        }
    except MidiError as error:  # music that MIDI cannot hold
        return _skipped(piece.id, str(error))
    mended = tuple(map(_storable, piece.mended))
    return Read(fields, piece.group, piece.split, piece.score.duration_seconds, len(piece.score.notes), mended)


def _storable(text: str) -> str:
    """The text; where a corpus made it of a file name that is not UTF-8, as `files.printable_name` writes it."""
    return text if not any("\ud800" <= character <= "\udfff" for character in text) else files.printable_name(text)


def _content(piece: Piece) -> dict[str, str | bytes]:
    """The fields that hold the music or the text, and by what it is known again elsewhere."""
    if piece.text:
        opening = hashlib.sha256(" ".join(piece.text.split()).encode()).hexdigest()
        return {"midi": b"", datasets.TEXT: piece.text, "opening": opening}
    return {"midi": midi.to_bytes(piece.score), "opening": fingerprint.opening(piece.score)}


def items(todo: Sequence[parallel.Part[Entry]]) -> Iterator[Read | Skipped]:
    """What came of all the parts, in order; in memory one part at a time."""
    for part in todo:
        yield from pickle.loads(part.file.read_bytes())
