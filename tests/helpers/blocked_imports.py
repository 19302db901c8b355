"""The command line where some packages are not installed: python blocked_imports.py PACKAGE,PACKAGE VERB ..."""

from __future__ import annotations

import importlib.abc
import importlib.util
import sys
from collections.abc import Sequence
from typing import Any

# Of extras; and what the base install could do without only lately.
NOT_IN_THE_BASE = (
    "PIL", "apache_beam", "array_record", "clu", "grain", "matplotlib", "music21", "note_seq", "pretty_midi", "pyarrow",
    "seqio", "sklearn", "tensorboard", "tensorflow", "tensorflow_datasets", "tensorflow_text",
)  # fmt: skip


class Blocker(importlib.abc.MetaPathFinder):
    """Finds none of some packages, and no other finder is asked for them."""

    def __init__(self, packages: Sequence[str]) -> None:
        self.packages = frozenset(packages)

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        if name.split(".")[0] in self.packages:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def block(packages: Sequence[str]) -> None:
    """From now on in this process, the packages are not installed, whichever way one asks."""
    sys.meta_path.insert(0, Blocker(packages))
    find_spec = importlib.util.find_spec
    importlib.util.find_spec = lambda name, package=None: (
        None if name.split(".")[0] in packages else find_spec(name, package)
    )


if __name__ == "__main__":
    block(sys.argv[1].split(","))
    from t5music.cli.main import main

    sys.exit(main(sys.argv[2:]))
