"""Chips: what accelerators can do, matrix rate and memory of one device as JAX counts them, by the makers' data sheets.

JAX shows the two cores of a TPU v2 or v3 chip as two devices, so theirs is half of the published figure; from v4 on a
chip is one device.

Sources: TPU v2 and v3, Jouppi et al. 2020, "A domain-specific supercomputer for training deep neural networks" (46 and
123 TFLOP/s, 16 and 32 GiB a chip); v4, Jouppi et al. 2023, "TPU v4", table 4; v5e, v5p and v6e, Google Cloud's pages of
each. V100, A100, H100, H200, L4 and T4: NVIDIA's data sheets, dense tensor rates, with float32 sums. V100 and T4 have
tensor cores for float16 only: theirs is that rate, which bfloat16 does not reach.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from t5music.errors import ConfigError, nearest

GIB = 2**30
GB = 10**9


class Chip(NamedTuple):
    """One device.

    Attributes:
        name: what plans call it.
        pattern: regular expression of the `device_kind` that JAX reports, in small letters.
        peak_flops: bfloat16 FLOP/s.
        memory: bytes.
    """

    name: str
    pattern: str
    peak_flops: float
    memory: int


# The first pattern found in a device's kind counts.
CHIPS = (
    Chip("TPU v2", r"tpu v2", 23e12, 8 * GIB),
    Chip("TPU v3", r"tpu v3", 61.5e12, 16 * GIB),
    Chip("TPU v4", r"tpu v4(?! ?(lite|i))", 275e12, 32 * GIB),
    Chip("TPU v5e", r"tpu v5( lite|e)", 197e12, 16 * GIB),
    Chip("TPU v5p", r"tpu v5p?$", 459e12, 95 * GIB),
    Chip("TPU v6e", r"tpu v6( lite|e)", 918e12, 32 * GIB),
    Chip("V100", r"v100.*32 ?gb", 125e12, 32 * GIB),
    Chip("V100 16GB", r"v100", 125e12, 16 * GIB),
    Chip("A100 80GB", r"a100.*80 ?gb", 312e12, 80 * GIB),
    Chip("A100 40GB", r"a100", 312e12, 40 * GIB),
    Chip("H100 PCIe", r"h100 pcie", 756e12, 80 * GIB),
    Chip("H100", r"h100", 989e12, 80 * GIB),
    Chip("H200", r"h200", 989e12, 141 * GB),
    Chip("L4", r"\bl4\b", 121e12, 24 * GB),
    Chip("T4", r"\bt4\b", 65e12, 16 * GB),
)


def find(device_kind: str) -> Chip | None:
    """Returns the chip of a `jax.Device.device_kind` or of one of our names; None for a CPU or an unknown one."""
    kind = device_kind.lower().strip()
    by_name = {chip.name.lower(): chip for chip in CHIPS}
    return by_name.get(kind) or next((chip for chip in CHIPS if re.search(chip.pattern, kind)), None)


def require(device_kind: str) -> Chip:
    """Returns the chip of that kind or name; ConfigError suggests the nearest."""
    chip = find(device_kind)
    if chip is None:
        names = [chip.name for chip in CHIPS]
        raise ConfigError(
            f"no chip {device_kind!r} in the table{nearest(device_kind, names)} (known: {', '.join(names)})"
        )
    return chip


def peak_flops(device_kind: str) -> float | None:
    """Returns the peak bfloat16 FLOP/s of one device of that `device_kind`; None for a CPU or an unknown one."""
    chip = find(device_kind)
    return None if chip is None else chip.peak_flops
