"""Stores: opens the token stores of a task or mixture, and compiles those that are missing."""

from __future__ import annotations

import subprocess
import sys

from t5music import files
from t5music.data import mixing_rates, vocabulary
from t5music.data.store.token_store import TokenStore, find
from t5music.errors import DataError

STORES = "stores"

EVAL_BATCH = 32


def open_stores(name: str, *, compile_missing: bool = True) -> list[tuple[TokenStore, mixing_rates.Rate]]:
    """Opens the token stores of a task or mixture.

    Args:
        name: of the task or mixture.
        compile_missing: compile the stores that are missing.

    Returns:
        The stores with their rates.

    Raises:
        DataError: a store is missing and is not to be compiled, or the name is unknown; the message says what to run.
    """
    folder = files.data_dir() / STORES
    vocab = vocabulary.default()
    try:
        store_or_members = find(folder, name, vocab)
    except DataError:  # missing, or of another version
        if not compile_missing:
            raise
        _compile(name)
        store_or_members = find(folder, name, vocab)
    if isinstance(store_or_members, TokenStore):
        return [(store_or_members, mixing_rates.EQUAL)]
    return list(store_or_members)


def _compile(name: str) -> None:
    """Runs `t5music compile` in another process, so that this one does not import TensorFlow."""
    process = subprocess.run([sys.executable, "-m", "t5music", "compile", name], check=False)
    if process.returncode:
        raise SystemExit(process.returncode)  # the process has printed why
