"""`t5music export`: writes a trained model as a Hugging Face folder."""

from __future__ import annotations

import argparse

from t5music.cli import inputs
from t5music.cli.flags import add_checkpoint
from t5music.cli.parser import place

HELP = "Write a trained model as a Hugging Face T5, for transformers and for other runs to start from."


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Adds the verb's flags."""
    parser.add_argument("--model_dir", type=place, required=True, metavar="RUN", help="folder of the trained model")
    add_checkpoint(parser)
    parser.add_argument("--to", type=place, required=True, metavar="FOLDER", help="the folder to write")


def run(flags: argparse.Namespace) -> None:
    """Runs the verb."""
    inputs.require_run(flags.model_dir, flags.checkpoint)
    from t5music.data import vocabulary
    from t5music.inference import export
    from t5music.training.checkpoints.checkpoint import Checkpoint

    export.export(Checkpoint.open(flags.model_dir, flags.checkpoint), flags.to, vocabulary.default())
