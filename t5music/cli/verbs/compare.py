"""`t5music compare`: compares a folder of music with another."""

from __future__ import annotations

import argparse

from t5music.cli import inputs
from t5music.cli.flags import add_force, add_model, add_seed, choose_model, prepare_devices, require_span
from t5music.cli.parser import place, real
from t5music.errors import ConfigError
from t5music.files import require_free_file

HELP = "Compare a folder of music with another: descriptors, distances, copied notes, with intervals."


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Adds the verb's flags."""
    parser.add_argument("folder", type=place, metavar="FOLDER", help="the music to judge: MIDI files and scores")
    parser.add_argument("reference", type=place, metavar="REFERENCE", help="a folder of what it should be like")
    add_model(parser)
    parser.add_argument("--no_model", action="store_true", help="leave out the distances in a model's encoder")
    parser.add_argument(
        "--region",
        type=real(0),
        nargs=2,
        metavar=("BEGIN", "END"),
        help="of files of the same name in both folders, compare only the notes that begin in these seconds",
    )
    parser.add_argument(
        "--output",
        type=place,
        action="append",
        default=[],
        metavar="FILE",
        help="also write the figures: .json, .md, .csv, .html (one page, with plots where the "
        "[plots] extra is installed) or .png (which needs it); may be repeated",
    )
    add_seed(parser, "of the bootstrap intervals")
    add_force(parser)


def run(flags: argparse.Namespace) -> None:
    """Runs the verb."""
    inputs.require_folder(flags.folder)
    inputs.require_folder(flags.reference)
    region = require_span(flags.region)
    if flags.no_model and flags.model_dir:
        raise ConfigError("--no_model and --model_dir contradict each other: leave one out")
    for output in flags.output:
        require_free_file(output, "--output", force=flags.force)
    model_dir = None if flags.no_model else choose_model(flags)
    prepare_devices(flags)
    from t5music.comparison import compare

    compare.compare(
        flags.folder,
        flags.reference,
        model_dir,
        outputs=flags.output,
        region=region,
        checkpoint=flags.checkpoint,
        seed=flags.seed,
    )
