"""`t5music train --plan`: the plan of the training that the flags and gin files describe, printed and not begun."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import NamedTuple

import jax
from jax.sharding import AbstractMesh

from t5music.data.loading import loader
from t5music.devices import chips
from t5music.errors import ConfigError, DataError
from t5music.model import parameters, sharding
from t5music.training.cost import plan

SAMPLED_ROWS = 64  # of the data, to see how full rows are


class Request(NamedTuple):
    """What to plan for.

    Attributes:
        device: kind of the devices; None for those that the run is meant for, or else this machine's.
        number: how many; None likewise.
        utilisation: share of their peak that is reached.
        throughput: tokens per second over all devices instead; None takes the utilisation.
        silent: only make the plan, look at no data and print nothing.
    """

    device: str | None = None
    number: int | None = None
    utilisation: float = plan.UTILISATION
    throughput: float | None = None
    silent: bool = False


def devices(request: Request) -> tuple[chips.Chip, int]:
    """Returns what kind of devices to plan for, and how many; memory and peak of an unknown kind are 0."""
    if request.number is not None and request.number < 1:
        raise ConfigError(f"--plan_count must be at least 1, not {request.number}")
    if request.device is not None:
        chip = chips.require(request.device)
        if request.number is None:
            raise ConfigError(f"--plan_device {request.device}: say how many with --plan_count (or train.device_count)")
        return chip, request.number
    own = jax.devices()
    kind = own[0].device_kind
    return chips.find(kind) or chips.Chip(kind, "", 0.0, _memory(own[0])), request.number or len(own)


def show(
    training: plan.Training,
    request: Request,
    chip: chips.Chip,
    mesh: AbstractMesh,
    open_batches: Callable[[int], loader.TrainBatches],
) -> plan.Plan:
    """Prints the plan, what the data say of it if they are there, the sharding table, and a way out if it does not fit.

    Args:
        training: what is to be trained.
        request: how fast.
        chip: on what; see `devices`.
        mesh: of how many; abstract.
        open_batches: rows -> training batches of so many rows; DataError where there are no data yet.
    """
    made = plan.make_plan(training, mesh, chip, utilisation=request.utilisation, throughput=request.throughput)
    if request.silent:
        return made
    print(made.report())
    print(f"data       {_data(training, open_batches)}")
    print(f"\n{sharding.describe(parameters.abstract(training.config)[1], mesh)}")
    if not made.fits:
        print(f"\n{_way_out(made)}")
    return made


def _memory(device: jax.Device) -> int:
    """Bytes that a device of this machine may use, 0 where that is not known; CPU devices share what there is."""
    if device.platform == "cpu":
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // jax.local_device_count()
    return int((device.memory_stats() or {}).get("bytes_limit", 0))


def _data(training: plan.Training, open_batches: Callable[[int], loader.TrainBatches]) -> str:
    """Padding, and epochs of every task, from a few rows of the data."""
    try:
        batches = open_batches(SAMPLED_ROWS)
    except DataError as error:
        return f"not there yet ({error}): epochs are not known"
    batch = next(batches)
    signature, drawn = batches.get_state()["signature"], batches.examples_per_task
    batches.close()
    words = {"encoder_input_tokens", "decoder_target_tokens"}
    if training.config.encoder_only:  # whose targets may be classes, of which one is 0
        words.remove("decoder_target_tokens")
    read = [array for name, array in batch.items() if name in words]
    full = sum(int((array != 0).sum()) for array in read) / sum(array.size for array in read)
    rows = training.rows * training.steps / SAMPLED_ROWS
    sizes = zip(signature["tasks"], signature["examples"], strict=True)
    epochs = ", ".join(f"{task} {rows * drawn[task] / examples:.3g}" for task, examples in sizes)
    return f"{1 - full:.0%} padding; epochs: {epochs}"


def _way_out(made: plan.Plan) -> str:
    found = plan.suggest(made)
    if found is None:
        return "nothing tried fits (rematerialisation, microbatches, fsdp, tensor): more devices, or a smaller batch"
    better, lines = found
    room = f"{better.memory.total / chips.GIB:.3f} GiB a device"
    return "\n".join([f"this fits ({room}); add to the gin file, or as --gin.NAME=value:", *lines])
