"""Flags that several verbs share: devices, processes, the model that is used, the plan of a training."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from t5music.cli import inputs
from t5music.cli.parser import choice, model, place, real, whole
from t5music.errors import ConfigError
from t5music.inference import pretrained
from t5music.training.checkpoints import selection

if TYPE_CHECKING:
    from t5music.runs.print_plan import Request

MOST_PROCESSES = 1024  # on one machine
MOST_DEVICES = 2**20
MAX_SEED = 2**63 - 1
WEEK = 7 * 24 * 3600  # in seconds
_PROCESS_FLAGS = ("coordinator", "processes", "process_id", "distributed", "wait")


def add_workers(parser: argparse.ArgumentParser) -> None:
    """Adds --workers."""
    parser.add_argument(
        "--workers",
        type=whole(1, MOST_PROCESSES),
        metavar="N",
        help="number of processes that share the work (default: one per core)",
    )


def add_checkpoint(parser: argparse.ArgumentParser) -> None:
    """Adds --checkpoint, for verbs that read one of a run's checkpoints."""
    parser.add_argument(
        "--checkpoint",
        default="latest",
        help="the run's checkpoint to use: latest, best or a step (default: %(default)s)",
    )


def add_model(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of a verb that uses a trained model."""
    parser.add_argument(
        "--model_dir",
        type=model,
        metavar="MODEL",
        help="the trained model: the folder of a run or of an exported model, pretrained:NAME (see t5music models) or "
        "hf://OWNER/NAME (default: pretrained:commons, which comes with t5music)",
    )
    add_checkpoint(parser)
    add_platform(parser)


def choose_model(flags: argparse.Namespace) -> str:
    """Returns the model of --model_dir, a path or a name; without one the model that comes with t5music, and says so.

    Raises CheckpointError where there is no such model, before anything heavy is imported.
    """
    if flags.model_dir is None:
        print(f"no --model_dir: {pretrained.about(pretrained.DEFAULT)}", file=sys.stderr)
    name = flags.model_dir or pretrained.DEFAULT
    inputs.require_run(name, getattr(flags, "checkpoint", selection.LATEST))
    return name


def add_force(parser: argparse.ArgumentParser) -> None:
    """Adds --force, for verbs that write files of one's own."""
    parser.add_argument("--force", action="store_true", help="replace files that exist")


def add_seed(parser: argparse.ArgumentParser, meaning: str) -> None:
    """Adds --seed, for verbs that draw something; `meaning` says of what it is the seed."""
    parser.add_argument("--seed", type=whole(0, MAX_SEED), default=0, help=f"{meaning} (default: %(default)s)")


def add_sound_font(parser: argparse.ArgumentParser) -> None:
    """Adds --sound_font, for verbs that play music."""
    parser.add_argument(
        "--sound_font",
        type=place,
        metavar="FILE",
        help="the sound font (.sf2) that plays (default: the environment's T5MUSIC_SOUND_FONT, or an installed one)",
    )


def require_span(region: Sequence[float] | None) -> tuple[float, float] | None:
    """Returns the BEGIN and END of --region in seconds, None where it is not given.

    Raises ConfigError where the end does not come after the begin.
    """
    if region is None:
        return None
    begin, end = region
    if not begin < end:
        raise ConfigError(f"--region must be BEGIN and END in seconds, BEGIN before END, not {begin:g} {end:g}")
    return begin, end


def add_platform(parser: argparse.ArgumentParser) -> None:
    """Adds --platform, for verbs that compute; they call `prepare_devices` first."""
    parser.add_argument(
        "--platform",
        type=choice("cpu", "gpu", "tpu"),
        default=os.environ.get("T5MUSIC_PLATFORM") or None,
        metavar="cpu|gpu|tpu",
        help="what to compute on; an error where the machine does not have it "
        "(default: the best that JAX can use; environment: T5MUSIC_PLATFORM)",
    )


def add_processes(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of a verb that several processes may run together."""
    group = parser.add_argument_group("several processes", "Give the same command on every machine.")
    group.add_argument("--coordinator", metavar="HOST:PORT", help="address of process 0, with a free port")
    group.add_argument("--processes", type=whole(1, MOST_DEVICES), metavar="N", help="number of processes")
    group.add_argument("--process_id", type=whole(0, MOST_DEVICES), metavar="I", help="number of this process, from 0")
    group.add_argument(
        "--distributed", action="store_true", help="take these three from the cluster: Cloud TPU, SLURM, Open MPI"
    )
    group.add_argument(
        "--wait",
        type=real(above=0, most=WEEK),
        default=300,
        metavar="SECONDS",
        help="how long to wait for the other processes (default: %(default)s)",
    )


def add_layer(parser: argparse.ArgumentParser, default: str) -> None:
    """Adds --layer, for verbs that make vectors of an encoder's states; `default` says which layer that is."""
    parser.add_argument(
        "--layer", type=whole(0), metavar="N", help=f"layer of the encoder; 0 is the embeddings (default: {default})"
    )


def prepare_devices(flags: argparse.Namespace) -> None:
    """Chooses the platform and, unless only a plan is to be printed, joins the other processes; imports JAX."""
    from t5music.devices import platforms

    alone = getattr(flags, "plan", False)
    together = {} if alone else {name: value for name, value in vars(flags).items() if name in _PROCESS_FLAGS}
    platforms.prepare(flags.platform, **together)


def add_plan(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of a verb that can say what a training needs; see `plan_request`."""
    group = parser.add_argument_group("plan", "What the training needs, worked out without starting it.")
    group.add_argument(
        "--plan", action="store_true", help="print memory, tokens, FLOPs and time; works without the training data"
    )
    group.add_argument(
        "--plan_device",
        metavar="CHIP",
        help='plan for this chip, for example "TPU v4" (default: train.device, or the chip of this machine)',
    )
    group.add_argument(
        "--plan_count",
        type=whole(1, MOST_DEVICES),
        metavar="N",
        help="plan for this many chips (default: train.device_count, or those of this machine)",
    )
    group.add_argument(
        "--plan_utilisation",
        type=real(above=0, most=1),
        default=0.4,
        metavar="SHARE",
        help="share of the chips' peak FLOPs that the training reaches (default: %(default)s)",
    )
    group.add_argument(
        "--plan_throughput",
        type=real(above=0),
        metavar="TOKENS",
        help="tokens per second over all chips, instead of --plan_utilisation",
    )


def plan_request(flags: argparse.Namespace) -> Request | None:
    """Returns what to plan for; None without --plan."""
    if not flags.plan:
        return None
    from t5music.runs import print_plan

    return print_plan.Request(flags.plan_device, flags.plan_count, flags.plan_utilisation, flags.plan_throughput)
