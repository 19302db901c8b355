"""The token stores that a run reads; what is missing is compiled."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec

from t5music import files
from t5music.data import mixing_rates, vocabulary
from t5music.data.store.token_store import TokenStore, find
from t5music.errors import DataError

STORES = "stores"

EVAL_BATCH = 32


def open_stores(name: str, *, compile_missing: bool = True) -> list[tuple[TokenStore, mixing_rates.Rate]]:
    """The token stores of a task or mixture with their rates; compiles what is missing where `[data]` is installed.

    Raises:
        DataError: not compiled and not compilable here (says which command to run where), or unknown.
    """
    folder = files.data_dir() / STORES
    vocab = vocabulary.default()
    try:
        found = find(folder, name, vocab)
    except DataError as error:  # not there, or of another version
        if not compile_missing:
            raise
        if find_spec("seqio") is None:
            raise DataError(f"{error}; do so where t5music[data] is installed and copy {folder} here") from error
        _compile(name)
        found = find(folder, name, vocab)
    return [(found, mixing_rates.EQUAL)] if isinstance(found, TokenStore) else list(found)


def _compile(name: str) -> None:
    """Runs `t5music compile` in a process of its own: TensorFlow stays out of this one."""
    done = subprocess.run([sys.executable, "-m", "t5music", "compile", name], check=False)
    if done.returncode:
        raise SystemExit(done.returncode)  # it has said why
