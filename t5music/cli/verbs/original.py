"""`t5music original`: finds what music shares with the music that a model was trained on."""

from __future__ import annotations

import argparse

from t5music.cli import inputs
from t5music.cli.flags import choose_model
from t5music.cli.parser import model, place

HELP = "Find the longest passage that music shares with what a model was trained on, in any key and at any tempo."


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Adds the verb's flags."""
    parser.add_argument("midi", type=place, nargs="+", metavar="FILE", help="MIDI files or scores (MusicXML)")
    parser.add_argument(
        "--model_dir",
        type=model,
        metavar="MODEL",
        help="an exported model with fingerprints, or pretrained:NAME (default: pretrained:commons)",
    )


def run(flags: argparse.Namespace) -> None:
    """Runs the verb."""
    inputs.require_any(flags.midi)
    name = choose_model(flags)
    from t5music.analysis import originality

    originality.original(flags.midi, name)
