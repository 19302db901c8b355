"""`t5music label`: labels every note of MIDI files with a trained model."""

from __future__ import annotations

import argparse

from t5music.cli import inputs
from t5music.cli.flags import add_force, add_model, choose_model, prepare_devices
from t5music.cli.parser import place

HELP = "Label every note of a MIDI file: its role or its loudness. Writes MIDI and a coloured piano roll."


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Adds the verb's flags."""
    parser.add_argument("midi", type=place, nargs="+", metavar="FILE", help="MIDI files or scores (MusicXML)")
    add_model(parser)
    parser.add_argument(
        "--task",
        help="one of the model's tasks, or its label: melody, velocity (default: its first that labels notes)",
    )
    parser.add_argument(
        "--output",
        type=place,
        metavar="MIDI",
        help="the MIDI file to write, or the folder for several FILEs (default: FILE_LABEL.mid in the current folder)",
    )
    add_force(parser)


def run(flags: argparse.Namespace) -> None:
    """Runs the verb."""
    inputs.require_any(flags.midi)
    model_dir = choose_model(flags)
    prepare_devices(flags)
    from t5music.inference import labels

    labels.label(
        flags.midi,
        model_dir,
        task=flags.task,
        output=flags.output,
        checkpoint=flags.checkpoint,
        force=flags.force,
    )
