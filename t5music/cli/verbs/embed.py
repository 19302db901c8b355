"""`t5music embed`: writes a vector for each MIDI file of a folder."""

from __future__ import annotations

import argparse

from t5music.cli import inputs
from t5music.cli.flags import add_force, add_layer, add_model, choose_model, prepare_devices
from t5music.cli.parser import place
from t5music.files import require_free_file

HELP = "Write a vector for each MIDI file of a folder: the averaged states of a trained encoder."


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Adds the verb's flags."""
    parser.add_argument(
        "folder", type=place, metavar="FOLDER", help="a folder of MIDI files and scores, also in sub-folders"
    )
    add_model(parser)
    parser.add_argument(
        "--output",
        type=place,
        default="vectors.npz",
        metavar="VECTORS",
        help="the file to write, .npz or .parquet (default: %(default)s)",
    )
    add_layer(parser, "the last")
    add_force(parser)


def run(flags: argparse.Namespace) -> None:
    """Runs the verb."""
    inputs.require_folder(flags.folder)
    model_dir = choose_model(flags)
    require_free_file(flags.output, "--output", force=flags.force)
    prepare_devices(flags)
    from t5music.inference import embed

    embed.embed(flags.folder, model_dir, output=flags.output, layer=flags.layer, checkpoint=flags.checkpoint)
