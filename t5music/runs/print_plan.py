"""`t5music train --plan`: prints the plan of the training that flags and gin files describe, without starting it."""

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

SAMPLED_ROWS = 64  # rows of data from which padding and epochs are estimated


class Request(NamedTuple):
    """What to plan for.

    Attributes:
        device: the kind of devices; None for the run's (`train.device`) or, without one, this machine's.
        number: the number of devices; None likewise.
        utilisation: the share of their peak that is reached.
        throughput: tokens per second over all devices, instead of the utilisation; None takes the utilisation.
        silent: only return the plan; read no data and print nothing.
    """

    device: str | None = None
    number: int | None = None
    utilisation: float = plan.UTILISATION
    throughput: float | None = None
    silent: bool = False


def devices(request: Request) -> tuple[chips.Chip, int]:
    """Returns the kind and the number of the devices to plan for; memory and peak of an unknown kind are 0.

    Raises:
        ConfigError: a number below 1, or a kind that is unknown or has no number.
    """
    if request.number is not None and request.number < 1:
        raise ConfigError(f"--plan_count must be at least 1, not {request.number}")
    if request.device is not None:
        chip = chips.require(request.device)
        if request.number is None:
            raise ConfigError(f"--plan_device {request.device}: say how many with --plan_count (or train.device_count)")
        return chip, request.number
    local_devices = jax.devices()
    kind = local_devices[0].device_kind
    return chips.find(kind) or chips.Chip(kind, "", 0.0, _memory(local_devices[0])), request.number or len(
        local_devices
    )


def show(
    training: plan.Training,
    request: Request,
    chip: chips.Chip,
    mesh: AbstractMesh,
    open_batches: Callable[[int], loader.TrainBatches],
) -> plan.Plan:
    """Prints the plan, padding and epochs of its data, the sharding table, and an alternative if it does not fit.

    Args:
        training: the training.
        request: with the utilisation or the throughput.
        chip: the kind of devices.
        mesh: abstract, of the devices.
        open_batches: number of rows -> training batches; raises DataError if there are no data yet.

    Returns:
        The plan.
    """
    training_plan = plan.make_plan(training, mesh, chip, utilisation=request.utilisation, throughput=request.throughput)
    if request.silent:
        return training_plan
    print(training_plan.report())
    print(f"data       {_data(training, open_batches)}")
    print(f"\n{sharding.describe(parameters.abstract(training.config)[1], mesh)}")
    if not training_plan.fits:
        print(f"\n{_alternative(training_plan)}")
    return training_plan


def _memory(device: jax.Device) -> int:
    """Bytes that a device of this machine may use, 0 if that is not known; CPU devices share the machine's memory."""
    if device.platform == "cpu":
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // jax.local_device_count()
    return int((device.memory_stats() or {}).get("bytes_limit", 0))


def _data(training: plan.Training, open_batches: Callable[[int], loader.TrainBatches]) -> str:
    """Estimates padding, and epochs of every task, from a few rows of the data."""
    try:
        batches = open_batches(SAMPLED_ROWS)
    except DataError as error:
        return f"not there yet ({error}): epochs are not known"
    batch = next(batches)
    signature, counts = batches.get_state()["signature"], batches.examples_per_task
    batches.close()
    features = {"encoder_input_tokens", "decoder_target_tokens"}
    if training.config.encoder_only:  # its targets may be classes, and one of these is 0
        features.remove("decoder_target_tokens")
    arrays = [array for name, array in batch.items() if name in features]
    share = sum(int((array != 0).sum()) for array in arrays) / sum(array.size for array in arrays)  # not padding
    rows = training.rows * training.steps / SAMPLED_ROWS
    sizes = zip(signature["tasks"], signature["examples"], strict=True)
    epochs = ", ".join(f"{task} {rows * counts[task] / examples:.3g}" for task, examples in sizes)
    return f"{1 - share:.0%} padding; epochs: {epochs}"


def _alternative(unfit_plan: plan.Plan) -> str:
    suggestion = plan.suggest(unfit_plan)
    if suggestion is None:
        return (
            "no alternative fits (rematerialisation, microbatches, fsdp, tensor): use more devices or a smaller batch"
        )
    better, lines = suggestion
    room = f"{better.memory.total / chips.GIB:.3f} GiB a device"
    return "\n".join([f"this fits ({room}); add to the gin file, or as --gin.NAME=value:", *lines])
