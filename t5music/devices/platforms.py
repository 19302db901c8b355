"""Platforms: what a command computes on, the processes it joins, and where compiled programs are kept.

`prepare` runs before anything asks JAX for devices; after it `jax.devices()` are those of all processes.
"""

from __future__ import annotations

import collections
import hashlib
import os
import platform as machine
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from t5music import files
from t5music.devices import allocator
from t5music.devices import processes as process_group
from t5music.errors import ConfigError, nearest

if TYPE_CHECKING:  # JAX takes a second to import; the command line reads this module's names before it is needed
    from jax.sharding import Mesh

PLATFORMS = ("cpu", "gpu", "tpu")
MEMORY_SHARES = ("XLA_CLIENT_MEM_FRACTION", "XLA_PYTHON_CLIENT_MEM_FRACTION")  # one at most; the second is the older
CACHE = "T5MUSIC_COMPILATION_CACHE"  # environment variable: a folder, or "off"

_INSTALL = {
    "gpu": 'pip install "jax[cuda13]" (or "jax[cuda12]" for an older driver)',
    "tpu": 'pip install "jax[tpu]"',
}


def prepare(
    platform: str | None = None,
    *,
    coordinator: str | None = None,
    processes: int | None = None,
    process_id: int | None = None,
    distributed: bool = False,
    wait: float = process_group.WAIT,
) -> None:
    """Chooses the platform, joins the other processes, keeps freed memory and turns the compilation cache on.

    Args:
        platform: "cpu", "gpu" or "tpu", which then must be there; None (or "") takes the best one there is.
        coordinator: "host:port" of process 0; with None there is one process.
        processes: how many processes there are.
        process_id: number of this one.
        distributed: take those three from the cluster that runs this job.
        wait: seconds to wait for the other processes.

    Raises:
        ConfigError: the platform is not there (says what is and what to install); a process is missing (says which).
    """
    import jax

    if platform and platform not in PLATFORMS:
        raise ConfigError(f"--platform {platform}: one of {', '.join(PLATFORMS)}{nearest(platform, PLATFORMS)}")
    if platform:
        # JAX alone knows which of its plugins is the GPU's; "cpu" is a choice, the others are what it prefers anyway.
        jax.config.update("jax_platforms", "cpu" if platform == "cpu" else None)
    allocator.keep_freed_memory()
    enable_compilation_cache()
    flags = (coordinator, processes, process_id)
    if distributed and any(flag is not None for flag in flags):
        raise ConfigError("--distributed finds the processes by itself: leave out --coordinator and the like")
    if distributed or any(flag is not None for flag in flags):
        if jax.distributed.is_initialized():
            raise ConfigError("this process has joined others already")
        place = process_group.place_from_cluster(wait) if distributed else process_group.place_from_flags(*flags)
        process_group.join(place, wait)
    if platform:
        require(platform)
    elif not os.environ.get("JAX_PLATFORMS") and jax.default_backend() == "cpu":
        for line in unused_accelerators():
            print(f"t5music: warning: {line}", file=sys.stderr)


def require(platform: str) -> None:
    """Raises ConfigError, saying what there is and what to install, unless JAX computes on `platform`."""
    import jax

    if jax.default_backend() == platform or (platform == "gpu" and jax.default_backend() in ("cuda", "rocm")):
        return
    if platform == "cpu":
        raise ConfigError(f"--platform cpu: this process computes on {describe()} already")
    trace = evidence(platform)
    hardware = f"this machine has one ({trace})" if trace else "no sign of one on this machine"
    raise ConfigError(
        f"--platform {platform}: JAX found only {describe()}; {hardware}. For JAX to use one: {_INSTALL[platform]}"
    )


def require_kind(device: str | None, count: int | None) -> None:
    """Raises ConfigError unless these are the devices that a run is meant for; None does not mind.

    Args:
        device: kind, by JAX's name or by that of `devices.chips`.
        count: how many, over all processes.
    """
    import jax

    from t5music.devices import chips

    devices = jax.devices()
    if device is not None and chips.require(device) != chips.find(devices[0].device_kind):
        raise ConfigError(f"train.device: this run is meant for {device}, here are {describe()}; None takes any")
    if count is not None and count != len(devices):
        raise ConfigError(f"train.device_count: this run is meant for {count} devices, here are {describe()}")


def evidence(platform: str, root: Path = Path("/")) -> str | None:
    """Returns what shows that a machine has a GPU or TPU, None where nothing does. `root` is where /dev is."""
    patterns = {"gpu": ["dev/nvidia[0-9]*", "dev/nvidiactl", "dev/dxg", "dev/kfd"], "tpu": ["dev/accel[0-9]*"]}
    traces = [f"/{path.relative_to(root)}" for pattern in patterns[platform] for path in sorted(root.glob(pattern))]
    if platform == "gpu" and not traces and shutil.which("nvidia-smi"):
        traces = ["nvidia-smi"]
    if platform == "tpu" and not traces and find_spec("libtpu"):
        traces = ["libtpu"]
    return traces[0] if traces else None


def unused_accelerators(root: Path = Path("/")) -> list[str]:
    """Returns one line for each kind of accelerator that the machine seems to have; ask it where JAX sees CPUs only."""
    lines = []
    for platform in ("gpu", "tpu"):
        trace = evidence(platform, root)
        if trace is not None:
            lines.append(
                f"this machine seems to have a {platform.upper()} ({trace}), but JAX sees only CPUs: "
                f"{_INSTALL[platform]}; --platform cpu computes on the CPU without this warning"
            )
    return lines


def describe(mesh: Mesh | None = None) -> str:
    """Returns one line: "8 x TPU v4, 2 processes, mesh data=2 fsdp=4 tensor=1"."""
    import jax

    kinds = collections.Counter(device.device_kind for device in jax.devices())
    parts = [f"{count} x {kind}" for kind, count in kinds.items()]
    count = jax.process_count()
    parts.append("1 process" if count == 1 else f"{count} processes")
    if mesh is not None:
        parts.append("mesh " + " ".join(f"{axis}={size}" for axis, size in mesh.shape.items()))
    return ", ".join(parts)


def enable_compilation_cache() -> None:
    """Keeps compiled programs on disk, so that a second start of the same command compiles nothing again.

    In the data folder, or where the environment's T5MUSIC_COMPILATION_CACHE says ("off": nowhere); JAX's own settings
    win. Processes may share the folder: JAX writes from process 0 alone, and never over a file.
    """
    import jax

    chosen = os.environ.get(CACHE, "")
    if chosen.lower() in ("off", "0", "no") or jax.config.jax_compilation_cache_dir:
        return
    folder = Path(chosen).expanduser() if chosen else files.data_dir() / "compiled"
    jax.config.update("jax_compilation_cache_dir", str(folder / _processor()))
    # Everything: a training is one large program and dozens of small ones.
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


def _processor() -> str:
    """A name for this machine's processor: programs for a CPU run only where it has the same instructions."""
    features = machine.machine() + machine.processor()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        features += "".join(sorted({line for line in lines if line.startswith(("model name", "flags", "Features"))}))
    except OSError:
        pass  # no Linux
    return f"{machine.machine()}-{hashlib.sha256(features.encode()).hexdigest()[:8]}"


def one_thread_each() -> None:
    """Has XLA's programs for the CPU use one thread each; to be called before JAX looks for devices.

    Two processes of one thread do more than one of two, and figures then do not depend on the number of cores. NPROC is
    the size of XLA's pool of threads; the flag xla_cpu_multi_thread_eigen no longer does anything. What is set stays.
    """
    os.environ.setdefault("NPROC", "1")


def share_memory(processes: int) -> None:
    """Has each of several processes take its share of a GPU's memory; to be called before JAX looks for devices.

    JAX takes three quarters of it at the start, so a second process would have none. What is set stays.
    """
    if processes > 1 and not any(name in os.environ for name in MEMORY_SHARES):
        os.environ[MEMORY_SHARES[0]] = f"{0.9 / processes:.3f}"
