"""Plan: the memory, tokens, operations and time of a training, computed on shapes without any device.

    plan = make_plan(Training(config, optimizer, rows=128, lengths={"inputs": 512, "targets": 114}, steps=100_000),
                     make_mesh(1, None, devices=64), require("TPU v4"))
    print(plan.report())

If the training does not fit, `suggest` tries alternatives, the cheapest first: rematerialisation in scanned layers,
microbatches, parameters spread over more devices, layers divided over devices.
"""

from __future__ import annotations

import collections
import dataclasses
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence

from flax import nnx
from jax.sharding import AbstractMesh

from t5music.devices.chips import GIB, Chip
from t5music.errors import ConfigError
from t5music.model import parameters, sharding
from t5music.model.config import T5Config
from t5music.training import freezing
from t5music.training.cost import memory
from t5music.training.cost.flops import train_flops
from t5music.training.optimizers import Optimizer

UTILISATION = 0.4  # share of the peak that well-tuned T5 trainings reach
USABLE = 0.92  # share of a device's memory for the program; the runtime and gaps between buffers take the rest


@dataclasses.dataclass(frozen=True)
class Training:
    """A training to plan.

    Attributes:
        config: the model.
        optimizer: see `optimizers`.
        rows: of a batch, over all devices.
        lengths: positions of a row, {"inputs": n, "targets": n}; an encoder alone has those of inputs only.
        steps: number of updates.
        microbatches: number of parts of a batch.
        trainable: which parameters train, see `freezing.choose`; None for all.
    """

    config: T5Config
    optimizer: Optimizer
    rows: int
    lengths: Mapping[str, int]
    steps: int
    microbatches: int = 1
    trainable: Sequence[str] | None = None

    @property
    def row(self) -> list[int]:
        """Positions of a row, padding included: [inputs, targets], or [inputs] for an encoder alone."""
        return [self.lengths["inputs"]] if self.config.encoder_only else list(self.lengths.values())

    @property
    def positions(self) -> int:
        """Positions of a batch, padding included."""
        return self.rows * sum(self.row)

    @property
    def flops(self) -> float:
        """Operations of one step."""
        return train_flops(self.config, rows=self.rows, **self.lengths, trainable=self.trainable)


@dataclasses.dataclass(frozen=True)
class Plan:
    """The needs of a training.

    Attributes:
        training: the training.
        mesh: abstract, of the devices.
        chip: the kind of the devices; its memory and its peak are 0 if unknown.
        memory: on one device.
        seconds: of all steps; None if neither the chip's peak nor a throughput is known.
        utilisation: the share of the peak that `seconds` assumes; None if it comes from a throughput.
    """

    training: Training
    mesh: AbstractMesh
    chip: Chip
    memory: memory.Memory
    seconds: float | None
    utilisation: float | None

    @property
    def fits(self) -> bool:
        """Whether the training fits into a device's memory; True if that is not known."""
        return not self.chip.memory or self.memory.total <= USABLE * self.chip.memory

    def report(self) -> str:
        """Returns the plan as text."""
        training, config = self.training, self.training.config
        sizes = " ".join(f"{axis}={size}" for axis, size in self.mesh.shape.items())
        form = "scanned" if config.scan_layers else "unrolled"
        lengths = " + ".join(map(str, training.row))
        parts = parameter_counts(config)
        lines = [
            f"devices    {self.mesh.size} x {self.chip.name}, {_device(self.chip)}; mesh {sizes}",
            f"model      T5 {config.version} {config.architecture}, {sum(parts.values()):,} parameters",
            f"           {', '.join(f'{name} {count:,}' for name, count in parts.items())}",
            f"           products in {config.products}, layers {form}, remat {config.remat_policy}",
            f"batch      {training.rows:,} rows of {lengths} = {training.positions:,} tokens, "
            f"in {training.microbatches} microbatch{'es' if training.microbatches > 1 else ''}",
            f"training   {training.steps:,} steps = {training.steps * training.positions:,} tokens, padding included",
            f"compute    {training.flops:.3g} FLOPs a step, {training.flops * training.steps:.3g} in all",
            f"time       {self._time()}",
            "memory     of one device, estimated",
        ]
        if training.trainable is not None:
            params = parameters.abstract(config)[1]
            lines.insert(3, f"           {freezing.describe(params, freezing.choose(params, training.trainable))}")
        for kind, size in dataclasses.asdict(self.memory).items():
            lines.append(f"    {kind:<12} {size / GIB:10.3f} GiB")
        room = f" of {self.chip.memory / GIB:.0f} GiB: {'fits' if self.fits else 'DOES NOT FIT'}"
        lines.append(f"    {'total':<12} {self.memory.total / GIB:10.3f} GiB{room if self.chip.memory else ''}")
        return "\n".join(lines)

    def _time(self) -> str:
        if self.seconds is None:
            return f"not known for {self.chip.name}: state --plan_throughput tokens per second"
        step = self.seconds / self.training.steps
        basis = "at the stated throughput" if self.utilisation is None else f"at {self.utilisation:.0%} of the peak"
        return f"{duration(self.seconds)} {basis}: {step:.3g} s a step, {self.training.positions / step:,.0f} tokens/s"


def make_plan(
    training: Training,
    mesh: AbstractMesh,
    chip: Chip,
    *,
    utilisation: float = UTILISATION,
    throughput: float | None = None,
) -> Plan:
    """Returns the plan of a training on an abstract mesh of such chips.

    Args:
        training: what is to be trained.
        mesh: from `sharding.make_mesh` with a number of devices.
        chip: from `chips`; its memory and its peak are 0 if unknown.
        utilisation: the share of the peak that will be reached.
        throughput: tokens per second over all devices, padding included, instead of `utilisation`.

    Raises:
        ConfigError: a batch that devices and microbatches cannot share evenly; a utilisation or throughput out of
            range.
    """
    if not 0 < utilisation <= 1:
        raise ConfigError(f"--plan_utilisation must be above 0 and at most 1, not {utilisation:g}")
    if throughput is not None and throughput <= 0:
        raise ConfigError(f"--plan_throughput must be above 0, not {throughput:g}")
    shares = sharding.batch_parts(mesh) * training.microbatches
    if training.rows % shares:
        raise ConfigError(
            f"BATCH_SIZE {training.rows} cannot be divided over the {shares} parts of data, fsdp and microbatches: "
            f"{math.ceil(training.rows / shares) * shares} can"
        )
    step_memory = memory.of_step(
        training.config,
        training.optimizer,
        mesh,
        rows=training.rows,
        lengths=training.lengths,
        microbatches=training.microbatches,
        trainable=training.trainable,
    )
    seconds = None
    if throughput is not None:
        seconds = training.steps * training.positions / throughput
    elif chip.peak_flops:
        seconds = training.steps * training.flops / (chip.peak_flops * mesh.size * utilisation)
    return Plan(training, mesh, chip, step_memory, seconds, None if throughput is not None else utilisation)


def suggest(plan: Plan) -> tuple[Plan, list[str]] | None:
    """Returns the cheapest alternative that fits, and the gin lines for it; None if no alternative fits."""
    for training, mesh in _alternatives(plan):
        alternative = make_plan(training, mesh, plan.chip)
        if alternative.fits:
            return alternative, _changes(plan, alternative)
    return None


def parameter_counts(config: T5Config) -> dict[str, int]:
    """Returns the number of parameters by part: embedding, encoder, decoder, head."""
    counts: collections.Counter[str] = collections.Counter()
    for path, param in nnx.to_flat_state(parameters.abstract(config)[1]):
        counts[str(path[0])] += math.prod(param.shape)
    return dict(counts)


def _alternatives(plan: Plan) -> Iterator[tuple[Training, AbstractMesh]]:
    """Other ways to run the same training, the cheapest first."""
    training, config = plan.training, plan.training.config
    configs = [config]
    for remat in ("dots", "full"):
        remat_config = dataclasses.replace(config, scan_layers=True, remat_policy=remat)
        if config.remat_policy != "full" and remat_config != config:
            configs.append(remat_config)
    counts = [training.microbatches << power for power in range(8)]
    for sizes, count, alternative in itertools.product(_meshes(plan.mesh), counts, configs):
        mesh = sharding.make_mesh(*sizes, dcn=plan.mesh.shape.get(sharding.SLICES, 1), devices=plan.mesh.size)
        if training.rows % (sharding.batch_parts(mesh) * count) == 0:
            yield dataclasses.replace(training, config=alternative, microbatches=count), mesh


def _meshes(mesh: AbstractMesh) -> Iterator[tuple[int, int, int]]:
    """Yields (data, fsdp, tensor): of the mesh, then with more devices along fsdp, then along tensor."""
    data, fsdp, tensor = (mesh.shape[axis] for axis in sharding.MESH_AXES)
    while True:
        yield data, fsdp, tensor
        if data % 2:
            break
        data, fsdp = data // 2, fsdp * 2
    data, fsdp = 1, data * fsdp
    while fsdp % 2 == 0 and tensor < 16:
        fsdp, tensor = fsdp // 2, tensor * 2
        yield data, fsdp, tensor


def _changes(before: Plan, after: Plan) -> list[str]:
    """The gin lines that turn one plan into another."""
    lines = []
    for name in ("scan_layers", "remat_policy"):
        value = getattr(after.training.config, name)
        if value != getattr(before.training.config, name):
            lines.append(f"T5Config.{name} = {value!r}")
    if after.training.microbatches != before.training.microbatches:
        lines.append(f"Update.microbatches = {after.training.microbatches}")
    if after.mesh.shape != before.mesh.shape:
        lines.append("train.mesh = @make_mesh")
        lines += [f"make_mesh.{axis} = {size}" for axis, size in after.mesh.shape.items()]
    return lines


def _device(chip: Chip) -> str:
    room = f"{chip.memory / GIB:.0f} GiB" if chip.memory else "memory not known"
    return f"{room} and {chip.peak_flops / 1e12:g} TFLOP/s (bfloat16) each" if chip.peak_flops else f"{room} each"


def duration(seconds: float) -> str:
    """A duration in its two largest units, as "3 d 4 h", "2 h 10 min" or "45 s"."""
    units = [("d", 86400), ("h", 3600), ("min", 60), ("s", 1)]
    for (name, size), (below, below_size) in itertools.pairwise(units):
        count, rest = divmod(round(seconds / below_size), size // below_size)
        if count:
            return f"{count} {name} {rest} {below}"
    return f"{seconds:.0f} s"
