"""Own modules: Python code of one's own, imported before a verb runs, for what it declares (`--module_import`)."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module

from t5music.errors import ConfigError

VARIABLE = "T5MUSIC_MODULES"


def add(parser: argparse.ArgumentParser) -> None:
    """Adds --module_import."""
    parser.add_argument(
        "--module_import",
        action="append",
        default=[],
        metavar="MODULE",
        help="Python module of your own to import first, for the tasks, examples, objectives and metrics it declares "
        f"and for what it registers with gin; may be repeated (environment: {VARIABLE}, separated by commas)",
    )


def load(modules: Sequence[str]) -> None:
    """Imports the modules of T5MUSIC_MODULES and these, also from the current folder.

    Processes that this one starts import them as well.

    Raises:
        ConfigError: a module that is not there, or that cannot be imported (its message is the reason).
    """
    named = [name.strip() for name in os.environ.get(VARIABLE, "").split(",") if name.strip()]
    sources = dict.fromkeys(named, VARIABLE) | dict.fromkeys(modules, "--module_import")
    if not sources:
        return
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())  # last: a folder here must not hide an installed package
    for name, source in sources.items():
        try:
            import_module(name)
        except Exception as error:
            raise ConfigError(f"{source} {name}: {type(error).__name__}: {error}") from error
    os.environ[VARIABLE] = ",".join(sources)
