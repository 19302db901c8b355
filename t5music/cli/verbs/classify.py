"""`t5music classify`: labels MIDI files with a trained model."""

from __future__ import annotations

import argparse

from t5music.cli import inputs
from t5music.cli.flags import add_force, add_model, choose_model, prepare_devices
from t5music.cli.parser import place
from t5music.files import require_free_file

HELP = "Label MIDI files with a trained model: each label of its set with a probability."


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Adds the verb's flags."""
    parser.add_argument("midi", type=place, nargs="+", metavar="FILE", help="MIDI files or scores (MusicXML)")
    add_model(parser)
    parser.add_argument(
        "--task",
        help="one of the model's tasks, or its label: composer, key ... (default: its first that classifies)",
    )
    parser.add_argument(
        "--csv", type=place, metavar="CSV", help="also write the labels and probabilities of all files to this table"
    )
    add_force(parser)


def run(flags: argparse.Namespace) -> None:
    """Runs the verb."""
    inputs.require_any(flags.midi)
    model_dir = choose_model(flags)
    if flags.csv is not None:
        require_free_file(flags.csv, "--csv", force=flags.force)
    prepare_devices(flags)
    from t5music.inference import labels

    labels.classify(flags.midi, model_dir, task=flags.task, table=flags.csv, checkpoint=flags.checkpoint)
