"""Stores: opens the token stores of a task or mixture, and compiles those that are missing."""

from __future__ import annotations

from t5music import files
from t5music.data import mixing_rates, vocabulary
from t5music.data.own_kinds import NotImportedError
from t5music.data.store.token_store import TokenStore, find
from t5music.errors import DataError
from t5music.runs.other_verbs import run_verb

EVAL_BATCH = 32


def open_stores(name: str, *, compile_missing: bool = True) -> list[tuple[TokenStore, mixing_rates.Rate]]:
    """Opens the token stores of a task or mixture.

    Args:
        name: of the task or mixture.
        compile_missing: compile the stores that are missing.

    Returns:
        The stores with their rates.

    Raises:
        DataError: a store is missing and is not to be compiled, cannot be compiled, or the name is unknown; the message
            says what to run.
    """
    folder = files.stores_dir()
    vocab = vocabulary.default()
    try:
        store_or_members = find(folder, name, vocab)
    except NotImportedError:  # compiling it needs the same module
        raise
    except DataError:  # missing, or of another version
        if not compile_missing:
            raise
        run_verb("compile", name)  # another process, so that this one does not import TensorFlow
        store_or_members = find(folder, name, vocab)
    if isinstance(store_or_members, TokenStore):
        return [(store_or_members, mixing_rates.EQUAL)]
    return list(store_or_members)
