"""Left out: of several files those that cannot be used. Each is named with its reason, and none stops the others."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path

from tqdm import tqdm

from t5music.errors import DataError, MidiError
from t5music.files import printable_name


class LeftOut:
    """The files of a command that cannot be used.

    Args:
        number: of all its files.
        folder: the folder that holds them; None where they are named one by one.

    Attributes:
        reasons: a file's name, as `files.printable_name` writes it -> why.
    """

    def __init__(self, number: int, folder: Path | None = None) -> None:
        self.reasons: dict[str, str] = {}
        self._number, self._folder = number, folder

    def add(self, name: str, reason: str | MidiError) -> None:
        """Writes down a file, and says so on stderr."""
        self.reasons[name] = " ".join(str(reason).removeprefix(f"{name}: ").split())
        if self._number > 1 or self._folder:
            tqdm.write(f"left out: {name}: {self.reasons[name]}", file=sys.stderr)

    def check(self) -> None:
        """Raises DataError where all of them are left out."""
        if len(self.reasons) < self._number:
            return
        name, reason = next(iter(self.reasons.items()))
        if self._folder:
            whole = f"{printable_name(self._folder)}: none of its {self._number} files could be used"
        else:
            whole = f"none of the {self._number} files could be used"
        alone = self._number == 1 and not self._folder
        raise DataError(f"{name}: {reason}" if alone else f"{whole} (the first: {name}: {reason})")

    def count(self) -> None:
        """Says on stderr how many are left out, if any."""
        if self.reasons:
            tqdm.write(f"{len(self.reasons)} of {self._number} files left out", file=sys.stderr)


def by_name(files: Iterable[str | os.PathLike[str]]) -> dict[str, str]:
    """The files of a command line, once each: a file's name in print -> its path."""
    return {printable_name(file): os.fspath(file) for file in files}
