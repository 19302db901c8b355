"""`t5music average`: averages the weights of several checkpoints."""

from __future__ import annotations

import argparse

from t5music.cli import inputs
from t5music.cli.flags import add_force
from t5music.cli.parser import place, whole
from t5music.files import require_free

HELP = "Average the weights of several checkpoints into a new one."


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Adds the verb's flags."""
    parser.add_argument(
        "--model_dir",
        type=place,
        action="append",
        required=True,
        metavar="RUN",
        help="a run, or the folder of one step in its checkpoints; may be repeated",
    )
    parser.add_argument("--last", type=whole(1), metavar="K", help="average the last K checkpoints of each run")
    parser.add_argument(
        "--checkpoint",
        default="latest",
        help="without --last, the checkpoint of each run: latest, best or a step (default: %(default)s)",
    )
    parser.add_argument(
        "--output",
        type=place,
        required=True,
        metavar="FOLDER",
        help="the folder to write; every verb reads it like a run",
    )
    add_force(parser)


def run(flags: argparse.Namespace) -> None:
    """Runs the verb."""
    for model_dir in flags.model_dir:
        inputs.require_run(model_dir)
    require_free(flags.output, "--output", force=flags.force)
    from t5music.training.checkpoints import average

    checkpoints = average.sources(flags.model_dir, last=flags.last, checkpoint=flags.checkpoint)
    step = average.average(checkpoints, flags.output, force=flags.force)
    sources = ", ".join(str(checkpoint.folder) for checkpoint in checkpoints)
    print(f"{flags.output}: step {step}, the mean of {sources}")
