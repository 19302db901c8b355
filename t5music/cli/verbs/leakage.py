"""`t5music leakage`: which music is on both sides of splits."""

from __future__ import annotations

import argparse

from t5music.cli import inputs
from t5music.cli.parser import whole

HELP = "Find music that is on both sides of splits, corpora or token stores."


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Adds the verb's flags."""
    parser.add_argument(
        "names",
        nargs="+",
        metavar="NAME[:SPLIT]",
        help="built corpora or compiled tasks, to compare with each other; without a split, with all their splits",
    )
    parser.add_argument(
        "--listed",
        type=whole(0),
        default=5,
        metavar="N",
        help="print at most N pairs of pieces for each comparison (default: %(default)s)",
    )


def run(flags: argparse.Namespace) -> None:
    """Runs the verb."""
    inputs.require_built(flags.names)
    from t5music.cli import building

    building.leakage(flags.names, listed=flags.listed)
