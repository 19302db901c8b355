"""A folder of text files as a corpus: what a model of music makes of language, as bytes.

A piece is a chunk of whole paragraphs, of at most CHUNK bytes; a longer paragraph is cut between words. Chunks that lie
together stay together in a split: those of a file where there are enough files, else runs of RUN chunks. Of chunks that
say the same, such as a licence at the end of every book, only the first is taken.

Words that happen to be an event word of the vocabulary (`Bar`) are one token in place of a few bytes.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from t5music.corpora.base import SILENCE, Corpus, Entry, Piece, Skipped
from t5music.corpora.listing import list_files, relative_id
from t5music.errors import DataError
from t5music.files import printable_name, read_bytes

SUFFIX = ".txt"
CHUNK = 1000  # bytes
RUN = 16  # chunks of a file that stay on one side of a split where files cannot
ENOUGH_FILES = 20  # for the files themselves to be dealt


def entries(root: Path) -> list[Entry]:
    """Every text file below `root`, by its path. Raises DataError where there is no folder or no such file."""
    if not root.is_dir():
        raise DataError(f"--text {printable_name(root)}: no such folder")
    files = list_files(root, (SUFFIX,)).files
    if not files:
        raise DataError(f"--text {printable_name(root)}: no text in it (looked for {SUFFIX})")
    return [Entry(relative_id(path, root), path) for path in files]


def read(entry: Entry, whole: bool, firsts: Mapping[bytes, str]) -> Iterator[Piece | Skipped]:
    """The chunks of a file, UTF-8.

    Args:
        entry: the file.
        whole: its chunks stay on one side of a split.
        firsts: of every chunk that is there more than once, its digest and the first one's id.
    """
    try:
        texts = _chunks_of(entry)
    except UnicodeDecodeError as error:
        yield Skipped(entry.id, f"it is not UTF-8 ({error.reason} at byte {error.start})")
        return
    except OSError as error:
        yield Skipped(entry.id, f"it cannot be read: {error.strerror or error}")
        return
    if not texts:
        yield Skipped(entry.id, "there is no text in it")
    for number, (name, chunk) in enumerate(texts.items()):
        if firsts.get(_digest(chunk), name) != name:
            yield Skipped(name, "the same is said before")
        else:
            group = entry.id if whole else f"{entry.id}#{number // RUN}"
            yield Piece(name, SILENCE, group=group, text=chunk)


def _chunks_of(entry: Entry) -> dict[str, str]:
    """The chunks of a file by id. Raises UnicodeDecodeError, or OSError for what cannot be read."""
    text = read_bytes(entry.path).decode("utf-8-sig")
    return {f"{entry.id}#{number:05d}": chunk for number, chunk in enumerate(chunks(text))}


def _digest(chunk: str) -> bytes:
    return hashlib.sha256(" ".join(chunk.split()).encode()).digest()


def _firsts(entries: Sequence[Entry]) -> dict[bytes, str]:
    """The first of every chunk that is there more than once, by digest."""
    seen: dict[bytes, str] = {}
    repeated: dict[bytes, str] = {}
    for entry in entries:
        with contextlib.suppress(UnicodeDecodeError, OSError):  # told on reading
            for name, chunk in _chunks_of(entry).items():
                digest = _digest(chunk)
                if digest in seen:
                    repeated[digest] = seen[digest]
                else:
                    seen[digest] = name
    return repeated


def chunks(text: str, most: int = CHUNK) -> Iterator[str]:
    """Cuts text into chunks of at most `most` bytes: whole paragraphs, with an empty line between them, where they fit.

    Lines of a paragraph are joined by a space.
    """
    held: list[str] = []
    room = most
    for paragraph in re.split(r"\n\s*\n", text.replace("\r\n", "\n").replace("\r", "\n")):
        for part in _parts(" ".join(paragraph.split()), most):
            size = len(part.encode()) + (2 if held else 0)
            if size > room and held:
                yield "\n\n".join(held)
                held, room, size = [], most, len(part.encode())
            held.append(part)
            room -= size
    if held:
        yield "\n\n".join(held)


def _parts(paragraph: str, most: int) -> Iterator[str]:
    """A paragraph in parts of at most `most` bytes, cut between words, or within one that is longer itself."""
    rest = paragraph.encode()
    while len(rest) > most:
        cut = rest.rfind(b" ", 0, most + 1)
        if cut <= 0:
            cut = most
            while rest[cut] & 0xC0 == 0x80:  # not within a character
                cut -= 1
        yield rest[:cut].decode()
        rest = rest[cut:].lstrip(b" ")
    if rest:
        yield rest.decode()


def corpus(root: Path, name: str) -> Corpus:
    """A corpus of the text files below `root`.

    Raises:
        DataError: no such folder, no text file in it, or a name that TFDS and seqio could not take.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise DataError(f"--name {name}: a corpus' name is lower-case letters, digits and _, beginning with a letter")
    root = root.expanduser().resolve()
    listing = entries(root)
    whole = len(listing) >= ENOUGH_FILES
    return Corpus(
        name=name,
        title=f"Text files of the folder {printable_name(root.name)}",
        licence="as the owner of the files states",
        source=printable_name(root.name),
        citation="",
        entries=entries,
        read=partial(read, whole=whole, firsts=_firsts(listing)),
        text=True,
        splits=f"ours: 80/10/10 by {'file' if whole else f'runs of {RUN} chunks'}, without copies",
        files=len(listing),
    )
