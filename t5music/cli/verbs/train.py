"""`t5music train`: trains a model on a task or mixture."""

from __future__ import annotations

import argparse
import sys

from t5music.cli import flags as shared
from t5music.cli import gin_flags, inputs
from t5music.cli.parser import choice, model, place, real, whole
from t5music.errors import ConfigError
from t5music.inference import pretrained
from t5music.training import trackers

HELP = "Train a model on a task or mixture. The same command continues an interrupted run."

_MACROS = {
    "mixture": "MIXTURE_OR_TASK_NAME",
    "model_dir": "MODEL_DIR",
    "steps": "TRAIN_STEPS",
    "batch_size": "BATCH_SIZE",
    "init": "INITIAL_CHECKPOINT_PATH",
    "dropout": "DROPOUT_RATE",
    "replay": "TrainingData.replay",
    "track": "Records.tracker",
}
_FROM_SCRATCH, _FROM_WEIGHTS, _PERSONALISE = "runs/train.gin", "runs/finetune.gin", "runs/personalise.gin"
_ADAPTERS = "models/adapters.gin"
_NONE = "none"


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Adds the verb's flags."""
    parser.add_argument(
        "mixture", nargs="?", metavar="TASK_OR_MIXTURE", help="what to train on (gin: MIXTURE_OR_TASK_NAME)"
    )
    parser.add_argument("--model_dir", type=place, metavar="RUN", help="folder of the run (gin: MODEL_DIR)")
    parser.add_argument(
        "--init",
        type=model,
        metavar="RUN",
        help="start from the weights of this run, checkpoint, Hugging Face folder or pretrained:NAME; none begins from "
        "scratch (default: pretrained:commons for a folder of your own, else none; gin: INITIAL_CHECKPOINT_PATH)",
    )
    parser.add_argument(
        "--steps", type=whole(1, 2**31 - 1), metavar="N", help="number of training steps (gin: TRAIN_STEPS)"
    )
    parser.add_argument("--batch_size", type=whole(1), metavar="N", help="packed rows in a batch (gin: BATCH_SIZE)")
    parser.add_argument("--dropout", type=real(0, 1), metavar="RATE", help="dropout rate (gin: DROPOUT_RATE)")
    parser.add_argument(
        "--replay",
        type=real(0, 99),
        metavar="PERCENT",
        help="of the examples drawn, so many are of the mixture that pretrained:commons was trained on, which is "
        "forgotten otherwise; it must be compiled (gin: TrainingData.replay, TrainingData.replayed)",
    )
    parser.add_argument(
        "--adapters", action="store_true", help=f"train small adapters and the norms alone ({_ADAPTERS}); needs weights"
    )
    gin_flags.add(parser, f"{_FROM_SCRATCH}, with --init {_FROM_WEIGHTS}, for a folder of your own {_PERSONALISE}")
    shared.add_platform(parser)
    parser.add_argument(
        "--track",
        type=choice(*trackers.TRACKERS),
        metavar="|".join(trackers.TRACKERS),
        help="also show the run there; needs the extra of that name (gin: Records.tracker)",
    )
    shared.add_processes(parser)
    shared.add_plan(parser)


def run(flags: argparse.Namespace) -> None:
    """Runs the verb."""
    flags.init, gin_file = _beginning(flags)
    start = gin_flags.literal(flags, "INITIAL_CHECKPOINT_PATH") or flags.init
    if flags.adapters and start is None and not flags.gin_file:
        raise ConfigError("--adapters needs weights to adapt: name them with --init")
    inputs.require_run(None if start is None else str(start))
    gin_flags.require_files(flags)
    shared.prepare_devices(flags)
    if flags.plan and flags.model_dir is None:
        flags.model_dir = "planned"  # a plan writes nothing
    if flags.adapters:
        flags.gin_file = [*(flags.gin_file or [gin_file]), _ADAPTERS]
    gin_flags.configure(flags, gin_file, _MACROS)
    from t5music.configuration import registry

    if flags.plan:
        registry.train(plan=shared.plan_request(flags))
    else:
        registry.train()


def _beginning(flags: argparse.Namespace) -> tuple[str | None, str]:
    """Returns (the weights to start from, the gin file to read where none is named), as the flags have them.

    Where they name neither weights nor a gin file, a folder of one's own begins with the model that comes with t5music.
    """
    if flags.init == _NONE:
        return None, _FROM_SCRATCH
    if flags.init is not None:
        return flags.init, _FROM_WEIGHTS
    if flags.gin_file or gin_flags.literal(flags, "INITIAL_CHECKPOINT_PATH") or not _of_a_folder(flags.mixture):
        return None, _FROM_SCRATCH
    print(f"no --init: from {pretrained.about(pretrained.DEFAULT)}; --init none begins from scratch", file=sys.stderr)
    return pretrained.DEFAULT, _PERSONALISE


def _of_a_folder(name: str | None) -> bool:
    """Whether this is the mixture or a task of a folder of one's own music."""
    from t5music import files
    from t5music.tasks import folder

    return name in folder.names_built(files.data_dir())
