"""`t5music launch`: prints the script of a training on a TPU, in Kubernetes or by SLURM, or the recipe of an image."""

from __future__ import annotations

import argparse
import re
import shlex
import sys
from collections.abc import Callable, Sequence

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
        examples = _defaults(name)
        shown = f" ({', '.join(f'{place}: {value}' for place, value in examples.items())})" if examples else ""
        number = name in launch.WHOLE
        parser.add_argument(
            f"--{name}",
            type=whole(1, _MOST) if number else _line(name),
            metavar="N" if number else name.upper(),
            help=text + shown,
        )


def _defaults(name: str) -> dict[str, str]:
    """Place -> a setting's value there, where there is one."""
    return {place: value for place, kind in launch.PLACES.items() if (value := kind.defaults.get(name, ""))}


def _line(name: str) -> Callable[[str], str]:
    """The type of a setting: one line, and where it has a form, of that form."""

    def read(text: str) -> str:
        form = launch.FORMS.get(name)
        if not text.isprintable() or (form is not None and not re.fullmatch(form, text)):
            example = next(
                (kind.defaults[name] for kind in launch.PLACES.values() if kind.defaults.get(name)), "one line"
            )
            raise argparse.ArgumentTypeError(f"must be like {example}, not {text[:40]!r}")
        return text

    return read


def run(flags: argparse.Namespace) -> None:
    """Runs the verb."""
    changes = {name: str(value) for name in launch.SETTINGS if (value := getattr(flags, name)) is not None}
    try:
        words = shlex.split(flags.command or "")
    except ValueError as error:
        raise ConfigError(f"--command {flags.command}: {error}") from error
    if words:
        _check(words)
    sys.stdout.write(launch.script(flags.place, changes, words))


def _check(words: Sequence[str]) -> None:
    """Refuses what `t5music train` would refuse on every machine of a pod: a flag that is not there, a gin file."""
    from t5music.cli.main import build_parser

    bindings, rest = gin_flags.split(words)
    flags = build_parser().parse_line(rest)
    flags.bindings = bindings
    gin_flags.require_files(flags)
