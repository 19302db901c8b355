"""Listing: the files below a folder, without what is hidden and what systems leave behind; and what they are called.

A listing opens no file. A pipe, a device or a folder that is called like music is listed too: whoever reads it says
what it is, so that nothing that looks like music is left out without a word.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath

from t5music.errors import DataError
from t5music.files import printable_name
from t5music.music.musicxml import SCORE_SUFFIXES

MIDI_SUFFIXES = (".mid", ".midi", ".smf", ".kar", ".rmi")
MUSIC_SUFFIXES = (*MIDI_SUFFIXES, *SCORE_SUFFIXES)

# Folders and files of macOS, Windows and network drives, in lower case; what begins with a dot is hidden anyway.
_SYSTEM = frozenset(
    ("__macosx", "thumbs.db", "desktop.ini", "$recycle.bin", "system volume information", "@eadir", "lost+found")
)


@dataclass(frozen=True)
class Listing:
    """The files below a folder.

    Attributes:
        root: the folder.
        files: sorted.
        unreadable: folders below it that cannot be listed, by id -> why.
    """

    root: Path
    files: tuple[Path, ...]
    unreadable: dict[str, str]


def relative_id(path: Path, root: Path) -> str:
    """A file's id: its path below the corpus' root in printable text, with forward slashes on every system."""
    return printable_name(path.relative_to(root).as_posix())


def is_hidden(path: PurePath) -> bool:
    """Whether a path below a folder is hidden or the system's, or lies in a folder that is."""
    return any(part.startswith(".") or part.lower() in _SYSTEM for part in path.parts)


def list_files(root: Path, suffixes: Collection[str] = ()) -> Listing:
    """Lists what lies below a folder, at any depth.

    Folders that are reached by a link are listed too, once each and after those that lie there themselves: a link that
    leads back to where it stands does no harm, and a link more changes no id of the others.

    Args:
        root: the folder.
        suffixes: in lower case, with their dots; all files if there are none.

    Raises:
        DataError: the folder is not there, or cannot be listed.
    """
    if not os.path.isdir(root):
        raise DataError(f"{printable_name(root)}: no such folder")
    unreadable: dict[Path, OSError] = {}
    paths = sorted(_walk(root, suffixes, unreadable))
    if root in unreadable:
        raise DataError(f"{printable_name(root)}: cannot be listed: {unreadable[root].strerror}")
    reasons = {relative_id(path, root): f"cannot be listed: {error.strerror}" for path, error in unreadable.items()}
    return Listing(root, tuple(paths), reasons)


def _walk(root: Path, suffixes: Collection[str], unreadable: dict[Path, OSError]) -> Iterator[Path]:
    """Yields what has one of the suffixes, also a folder that has; without suffixes, everything but folders."""
    listed: set[tuple[int, int]] = set()
    waiting, links = [root], list[Path]()
    while waiting or links:
        folder = waiting.pop() if waiting else links.pop(0)
        try:
            status = os.stat(folder)
            if (status.st_dev, status.st_ino) in listed:
                continue
            listed.add((status.st_dev, status.st_ino))
            with os.scandir(folder) as entries:
                names = sorted((entry.name, entry.is_symlink()) for entry in entries)
        except OSError as error:
            unreadable[folder] = error
            continue
        for name, is_link in names:
            path = folder / name
            if is_hidden(path.relative_to(root)):
                continue
            if is_folder := os.path.isdir(path):  # False where that cannot be told
                (links if is_link else waiting).append(path)
            if path.suffix.lower() in suffixes if suffixes else not is_folder:
                yield path
