"""Platforms asked for, machines that have more than JAX sees, and compiled programs that are kept."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import jax
import pytest

from t5music.devices import platforms
from t5music.errors import ConfigError
from t5music.model.sharding import make_mesh


def touch(root: Path, name: str) -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return root


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch):
    """A machine without nvidia-smi and libtpu."""
    monkeypatch.setattr(platforms.shutil, "which", lambda name: None)
    monkeypatch.setattr(platforms, "find_spec", lambda name: None)


@pytest.mark.usefixtures("bare")
def test_accelerators_that_jax_does_not_see_are_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    assert platforms.unused_accelerators(tmp_path) == []
    (line,) = platforms.unused_accelerators(touch(tmp_path / "gpu", "dev/nvidia0"))
    assert "seems to have a GPU (/dev/nvidia0), but JAX sees only CPUs" in line
    assert 'pip install "jax[cuda13]"' in line
    (line,) = platforms.unused_accelerators(touch(tmp_path / "tpu", "dev/accel3"))
    assert "TPU (/dev/accel3)" in line
    monkeypatch.setattr(platforms.shutil, "which", lambda name: "/usr/bin/nvidia-smi")
    monkeypatch.setattr(platforms, "find_spec", lambda name: object())
    assert [line.split("(")[1].split(")")[0] for line in platforms.unused_accelerators(tmp_path)] == [
        "nvidia-smi",
        "libtpu",
    ]


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="this machine has an accelerator")
def test_a_platform_that_is_not_there_is_an_error_that_says_what_to_install():
    with pytest.raises(ConfigError, match=r"--platform gpu: JAX found only 1 x cpu, 1 process; .*jax\[cuda13\]"):
        platforms.require("gpu")
    with pytest.raises(ConfigError, match=r"--platform tpu: .*jax\[tpu\]"):
        platforms.require("tpu")
    platforms.require("cpu")
    with pytest.raises(ConfigError, match=r"--platform gpus: .*did you mean 'gpu'"):
        platforms.prepare("gpus")


def test_a_run_meant_for_other_devices_does_not_begin():
    platforms.require_kind(None, None)
    platforms.require_kind(None, len(jax.devices()))
    with pytest.raises(ConfigError, match="meant for TPU v4, here are"):
        platforms.require_kind("TPU v4", None)
    with pytest.raises(ConfigError, match="meant for 99 devices"):
        platforms.require_kind(None, 99)
    with pytest.raises(ConfigError, match="did you mean 'TPU v4'"):
        platforms.require_kind("TPUv4", None)


def test_devices_are_described():
    mesh = make_mesh(devices=jax.devices()[:1])
    assert platforms.describe(mesh).endswith("1 process, mesh data=1 fsdp=1 tensor=1")


@pytest.mark.parametrize("setting", [None, *platforms.MEMORY_SHARES])
@pytest.mark.parametrize(("processes", "share"), [(1, None), (4, "0.225"), (1024, "0.001")])
def test_processes_share_a_gpu_s_memory(
    setting: str | None, processes: int, share: str | None, monkeypatch: pytest.MonkeyPatch
):
    for name in platforms.MEMORY_SHARES:
        monkeypatch.setenv(name, "0.5")  # so that what the function sets is taken back
        if name != setting:
            monkeypatch.delenv(name)
    platforms.share_memory(processes)
    shares = {name: os.environ[name] for name in platforms.MEMORY_SHARES if name in os.environ}
    expected = {"XLA_CLIENT_MEM_FRACTION": share} if share else {}
    assert shares == ({setting: "0.5"} if setting else expected)


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="threads are counted as Linux lists them")
@pytest.mark.parametrize(("given", "threads"), [(None, 1), ("3", 3)])
def test_one_thread_each(given: str | None, threads: int):
    program = """
        from pathlib import Path
        from t5music.devices import platforms
        platforms.one_thread_each()
        import jax
        jax.devices()
        names = [path.read_text().strip() for path in Path("/proc/self/task").glob("*/comm")]
        print(sum(name.startswith("tf_XLAEigen") for name in names))
    """
    environment = {name: value for name, value in os.environ.items() if name != "NPROC"}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        env={**environment, "JAX_PLATFORMS": "cpu", **({"NPROC": given} if given else {})},
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(done.stdout) == threads


START = """
    import collections, json, sys
    from pathlib import Path
    import jax
    counts = collections.Counter()
    jax.monitoring.register_event_listener(lambda event, **_: counts.update([event.rsplit("/", 1)[-1]]))
    from t5music.devices import platforms
    sys.path.insert(0, sys.argv[1])
    import tiny_runs
    platforms.prepare("cpu")
    jax.config.update("jax_disable_most_optimizations", True)
    result = tiny_runs.train(sys.argv[2])
    print(json.dumps([counts["cache_misses"], counts["cache_hits"], result.metrics]))
"""


@pytest.mark.slow
def test_a_second_start_compiles_nothing(tmp_path: Path):
    """Nor does it compute anything else: what comes from the cache gives the same numbers, to the last bit."""

    def start(model_dir: str) -> list:
        program = [sys.executable, "-W", "error", "-c", textwrap.dedent(START)]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("JAX_")}
        done = subprocess.run(
            [*program, str(Path(__file__).parents[1] / "helpers"), str(tmp_path / model_dir)],
            env={**environment, platforms.CACHE: "", "T5MUSIC_DATA": str(tmp_path / "data")},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        assert "machine" not in done.stderr.lower(), "XLA says that a program is for another processor"
        return json.loads(done.stdout.splitlines()[-1])

    first, second = start("first"), start("second")
    assert first[0] > 0
    assert second[:2] == [0, first[0] + first[1]]
    assert second[2] == first[2]
    metrics = [(tmp_path / run / "metrics.jsonl").read_bytes() for run in ("first", "second")]
    assert metrics[0] == metrics[1]


def test_the_cache_can_be_elsewhere_or_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    settings = (
        "jax_compilation_cache_dir",
        "jax_persistent_cache_min_compile_time_secs",
        "jax_persistent_cache_min_entry_size_bytes",
    )
    former = {name: jax.config.values[name] for name in settings}
    try:
        jax.config.update("jax_compilation_cache_dir", None)
        monkeypatch.setenv(platforms.CACHE, "off")
        platforms.enable_compilation_cache()
        assert jax.config.values["jax_compilation_cache_dir"] is None
        monkeypatch.setenv(platforms.CACHE, str(tmp_path))
        platforms.enable_compilation_cache()
        assert Path(jax.config.values["jax_compilation_cache_dir"]).parent == tmp_path
        jax.config.update("jax_compilation_cache_dir", "/mine")
        platforms.enable_compilation_cache()
        assert jax.config.values["jax_compilation_cache_dir"] == "/mine"
    finally:
        for name, value in former.items():
            jax.config.update(name, value)
