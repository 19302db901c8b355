"""`t5music quickstart`: the main job, small."""

from __future__ import annotations

import argparse

HELP = "The main job, small: pre-train, fine-tune, compare with baselines, and write music."


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Adds the verb's flags."""
    parser.add_argument(
        "--dir", default="quickstart", metavar="FOLDER", help="folder for everything it makes (default: %(default)s)"
    )


def run(flags: argparse.Namespace) -> None:
    """Runs the verb."""
    from t5music.studies import quickstart

    quickstart.run(flags.dir)
