"""`t5music eval`: evaluates a trained model on held-out pieces."""

from __future__ import annotations

import argparse

from t5music.cli import flags as shared
from t5music.cli import gin_flags, inputs
from t5music.cli.parser import model

HELP = "Evaluate a trained model on the held-out pieces of a task or mixture."

_MACROS = {
    "mixture": "MIXTURE_OR_TASK_NAME",
    "model_dir": "MODEL_DIR",
    "split": "SPLIT",
    "checkpoint": "CHECKPOINT",
    "follow": "FOLLOW",
}
_GIN_FILE = "runs/eval.gin"


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Adds the verb's flags."""
    parser.add_argument(
        "mixture", nargs="?", metavar="TASK_OR_MIXTURE", help="what to evaluate on (gin: MIXTURE_OR_TASK_NAME)"
    )
    parser.add_argument(
        "--model_dir",
        type=model,
        action="append",
        metavar="RUN",
        help="folder of the run, or pretrained:NAME (gin: MODEL_DIR); several make an ensemble, "
        "the mean of their logits",
    )
    parser.add_argument("--split", help="the split to evaluate (default: validation; gin: SPLIT)")
    parser.add_argument(
        "--checkpoint",
        help="the run's checkpoint: latest, best, best_for_task or a step (default: latest; gin: CHECKPOINT)",
    )
    parser.add_argument(
        "--follow",
        action="store_const",
        const=True,
        help="evaluate every checkpoint in order, and new ones as they come, until the run is finished (gin: FOLLOW)",
    )
    gin_flags.add(parser, _GIN_FILE)
    shared.add_platform(parser)


def run(flags: argparse.Namespace) -> None:
    """Runs the verb."""
    if not (flags.follow or gin_flags.literal(flags, "FOLLOW")):  # a run that is followed may start later
        runs = gin_flags.literal(flags, "MODEL_DIR") or flags.model_dir or []
        checkpoint = gin_flags.literal(flags, "CHECKPOINT") or flags.checkpoint or "latest"
        for model_dir in runs if isinstance(runs, list | tuple) else [runs]:
            inputs.require_run(str(model_dir), "latest" if checkpoint == "best_for_task" else checkpoint)
    gin_flags.require_files(flags)
    shared.prepare_devices(flags)
    gin_flags.configure(flags, _GIN_FILE, _MACROS)
    from t5music.configuration import registry

    registry.evaluate()
