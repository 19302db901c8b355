"""`t5music train`: trains a model on a task or mixture."""

from __future__ import annotations

import argparse

from t5music.cli import flags as shared
from t5music.cli import gin_flags, inputs
from t5music.cli.parser import place, real, whole

HELP = "Train a model on a task or mixture. The same command continues an interrupted run."

_MACROS = {
    "mixture": "MIXTURE_OR_TASK_NAME",
    "model_dir": "MODEL_DIR",
    "steps": "TRAIN_STEPS",
    "batch_size": "BATCH_SIZE",
    "init": "INITIAL_CHECKPOINT_PATH",
    "dropout": "DROPOUT_RATE",
}
_FROM_SCRATCH, _FROM_WEIGHTS = "runs/train.gin", "runs/finetune.gin"


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Adds the verb's flags."""
    parser.add_argument(
        "mixture", nargs="?", metavar="TASK_OR_MIXTURE", help="what to train on (gin: MIXTURE_OR_TASK_NAME)"
    )
    parser.add_argument("--model_dir", type=place, metavar="RUN", help="folder of the run (gin: MODEL_DIR)")
    parser.add_argument(
        "--init",
        type=place,
        metavar="RUN",
        help="start from the weights of this run, checkpoint or Hugging Face folder (gin: INITIAL_CHECKPOINT_PATH)",
    )
    parser.add_argument("--steps", type=whole(1), metavar="N", help="number of training steps (gin: TRAIN_STEPS)")
    parser.add_argument("--batch_size", type=whole(1), metavar="N", help="packed rows in a batch (gin: BATCH_SIZE)")
    parser.add_argument("--dropout", type=real(0, 1), metavar="RATE", help="dropout rate (gin: DROPOUT_RATE)")
    gin_flags.add(parser, f"{_FROM_SCRATCH}, with --init {_FROM_WEIGHTS}")
    shared.add_platform(parser)
    shared.add_processes(parser)
    shared.add_plan(parser)


def run(flags: argparse.Namespace) -> None:
    """Runs the verb."""
    start = gin_flags.literal(flags, "INITIAL_CHECKPOINT_PATH") or flags.init
    inputs.require_run(None if start is None else str(start))
    gin_flags.require_files(flags)
    shared.prepare_devices(flags)
    if flags.plan and flags.model_dir is None:
        flags.model_dir = "planned"  # a plan writes nothing
    gin_flags.configure(flags, _FROM_WEIGHTS if flags.init else _FROM_SCRATCH, _MACROS)
    from t5music.configuration import registry

    if flags.plan:
        registry.train(plan=shared.plan_request(flags))
    else:
        registry.train()
