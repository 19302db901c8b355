"""`t5music similar`: ranks the pieces of a collection by their likeness to a MIDI file."""

from __future__ import annotations

import argparse

from t5music.cli import inputs
from t5music.cli.flags import add_layer, add_model, choose_model, prepare_devices
from t5music.cli.parser import place, whole

HELP = "Rank the pieces of a folder by how similar they are to a MIDI file."


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Adds the verb's flags."""
    parser.add_argument("midi", type=place, metavar="FILE", help="the MIDI file or score")
    parser.add_argument(
        "collection",
        type=place,
        metavar="FOLDER|VECTORS",
        help="a folder of MIDI files and scores, or the vectors that `embed` wrote",
    )
    add_model(parser)
    parser.add_argument(
        "--top", type=whole(1), default=10, metavar="N", help="number of pieces to print (default: %(default)s)"
    )
    add_layer(parser, "the layer of VECTORS, or the last")


def run(flags: argparse.Namespace) -> None:
    """Runs the verb."""
    inputs.require_path(flags.midi)
    inputs.require_path(flags.collection)
    model_dir = choose_model(flags)
    prepare_devices(flags)
    from t5music.inference import embed

    embed.similar(
        flags.midi,
        flags.collection,
        model_dir,
        top=flags.top,
        layer=flags.layer,
        checkpoint=flags.checkpoint,
    )
