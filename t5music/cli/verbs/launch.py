"""`t5music launch`: prints the script of a training on a TPU, in Kubernetes or by SLURM, or the recipe of an image."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence

from t5music.cli import gin_flags, launch
from t5music.cli.parser import choice, whole
from t5music.errors import ConfigError

HELP = "Print a script that trains on a Cloud TPU, in Kubernetes or by SLURM, or the recipe of a container for it."
_MOST = 2**20


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Adds the verb's flags."""
    parser.add_argument(
        "place", type=choice(*launch.PLACES), metavar="|".join(launch.PLACES), help="where; each says what it needs"
    )
    parser.add_argument(
        "--command",
        metavar="'train ...'",
        help="what every machine runs, without t5music before it; it is given --distributed and --platform",
    )
    for name, text in launch.SETTINGS.items():
        defaults = [
            f"{place}: {kind.defaults[name]}" for place, kind in launch.PLACES.items() if kind.defaults.get(name)
        ]
        shown = f" ({', '.join(defaults)})" if defaults else ""
        number = {"type": whole(1, _MOST), "metavar": "N"} if name in launch.WHOLE else {"metavar": name.upper()}
        parser.add_argument(f"--{name}", help=text + shown, **number)  # type: ignore[arg-type]


def run(flags: argparse.Namespace) -> None:
    """Runs the verb."""
    changes = {name: str(value) for name in launch.SETTINGS if (value := getattr(flags, name)) is not None}
    try:
        words = shlex.split(flags.command or "")
    except ValueError as error:
        raise ConfigError(f"--command {flags.command}: {error}") from error
    text = launch.script(flags.place, changes, words)
    if words:
        _check(words)
    sys.stdout.write(text)


def _check(words: Sequence[str]) -> None:
    """Refuses what `t5music train` would refuse on every machine of a pod: a flag that is not there, a gin file."""
    from t5music.cli.main import build_parser

    bindings, rest = gin_flags.split(words)
    flags = build_parser().parse_line(rest)
    flags.bindings = bindings
    gin_flags.require_files(flags)
