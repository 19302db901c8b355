"""Gin flags, as T5X has them: `--gin_file`, `--gin_search_paths` and `--gin.NAME=value`."""

from __future__ import annotations

import argparse
import ast
from collections.abc import Mapping, Sequence
from typing import Any

from t5music.cli.parser import place
from t5music.errors import ConfigError


def split(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Separates the `--gin.NAME=value` flags from the others.

    A value that is no gin value (a number, a quoted text, a list, `@reference`, `%MACRO`) is taken as text, so that
    `--gin.MODEL_DIR=/tmp/run` needs no second pair of quotes.

    Args:
        arguments: the words of a command line.

    Returns:
        (bindings "NAME = value", the other words).

    Raises:
        ConfigError: a flag without a name or without a value.
    """
    bindings, rest = [], []
    for argument in arguments:
        if not argument.startswith("--gin."):
            rest.append(argument)
            continue
        name, equals, value = argument.removeprefix("--gin.").partition("=")
        if not equals or not name:
            raise ConfigError(f"{argument}: write --gin.NAME=value")
        from t5music.configuration import gin_files  # only here: importing gin takes longer than all of --help

        bindings.append(gin_files.binding(name, value))
    return bindings, rest


def add(parser: argparse.ArgumentParser, default: str | None = None) -> None:
    """Adds the flags of a verb that gin configures. `default` is the gin file it reads where none is named."""
    group = parser.add_argument_group("gin", "--gin.NAME=value sets a macro or a binding: --gin.TRAIN_STEPS=500")
    read = f" (default: {default})" if default else ""
    group.add_argument(
        "--gin_file", type=place, action="append", metavar="FILE", help=f"gin file to read; may be repeated{read}"
    )
    group.add_argument(
        "--gin_search_paths",
        default="",
        metavar="FOLDERS",
        help="folders to search for gin files first, separated by commas",
    )


def are_taken(flags: argparse.Namespace) -> bool:
    """Whether the verb of these flags is one that gin configures."""
    return hasattr(flags, "gin_file")


def search_paths(flags: argparse.Namespace) -> list[str]:
    """Returns the folders of --gin_search_paths."""
    return [path for path in flags.gin_search_paths.split(",") if path]


def literal(flags: argparse.Namespace, name: str) -> Any:
    """Returns what a --gin flag of the command line sets a macro to; None if none does, or sets it to a reference."""
    for line in reversed(flags.bindings):
        macro, _, value = line.partition(" = ")
        if macro == name:
            try:
                return ast.literal_eval(value)
            except (SyntaxError, ValueError):
                return None
    return None


def require_files(flags: argparse.Namespace) -> None:
    """Raises ConfigError where a --gin_file is not there, before anything heavy is imported."""
    from t5music.configuration import gin_files

    gin_files.require_files(flags.gin_file or [], search_paths(flags))


def configure(flags: argparse.Namespace, default: str, macros: Mapping[str, str]) -> None:
    """Reads the gin files and the bindings of a run, after importing t5music's own that they may name.

    Args:
        flags: of the verb.
        default: the gin file to read where none is named.
        macros: flag -> the macro that it is short for. They are set before the --gin flags, so that those win.
    """
    from t5music.configuration import gin_files, registry

    registry.register()
    short = [
        gin_files.binding(macro, str(value))
        for flag, macro in macros.items()
        if (value := getattr(flags, flag)) is not None
    ]
    gin_files.configure(flags.gin_file or [default], [*short, *flags.bindings], search_paths(flags))
