"""What every test may use."""

from __future__ import annotations

import gc
import os
import sys
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

# Tests that start processes of their own use the same helpers there (`pythonpath` in pyproject.toml is pytest's alone).
_HELPERS = str(Path(__file__).resolve().parent / "helpers")
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [_HELPERS, os.environ.get("PYTHONPATH")]))

# Tests compile more than they compute, so XLA optimises little, and takes the faster compiler of its two for the CPU.
# What the environment sets stays.
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1")

# Without a time limit, as a busy machine is not a failure. The default tests take the same examples each time, so that
# what they say of a change is about the change; `--hypothesis-profile=thorough` looks for faults among new ones.
hypothesis.settings.register_profile("t5music", deadline=None, max_examples=50, derandomize=True)
hypothesis.settings.register_profile("thorough", deadline=None, max_examples=1000)
hypothesis.settings.load_profile("t5music")

ARCHIVES = Path(__file__).resolve().parents[2] / "shared" / "data"


def pytest_collection_finish() -> None:
    """Tests and imported modules stay to the end, so the collector of garbage need not look at them again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)  # Python's 700, 10, 10 took a fifteenth of the time of all tests


@pytest.fixture(scope="session", autouse=True)
def compiled_once(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Nothing is compiled twice: all tests of a process, and the processes they start, share a folder of programs."""
    settings = {
        "jax_compilation_cache_dir": str(tmp_path_factory.mktemp("compiled")),
        "jax_persistent_cache_min_compile_time_secs": 0.0,
    }
    os.environ |= {name.upper(): str(value) for name, value in settings.items()}
    if "jax" in sys.modules:  # else it is imported with these; tests of music alone do without the second that takes
        for name, value in settings.items():
            sys.modules["jax"].config.update(name, value)


@pytest.fixture(scope="session")
def real_music(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Returns a function that unpacks an archive of real music and gives its folder, or skips the test by name.

    The archives belong to nobody here and are never part of the project; they lie beside the checkout.
    """
    unpacked: dict[str, Path] = {}

    def unpack(name: str) -> Path:
        archive = ARCHIVES / f"{name}.tar.gz"
        if not archive.is_file():
            pytest.skip(f"real music {name!r} is not at hand")
        if name not in unpacked:
            folder = tmp_path_factory.mktemp("real_music")
            with tarfile.open(archive) as content:
                content.extractall(folder, filter="data")
            unpacked[name] = folder / name
        return unpacked[name]

    return unpack


@pytest.fixture(scope="session")
def google_server() -> Iterator[Any]:
    """A server of Google's buckets on this machine (`bucket_servers.GoogleBuckets`), or a skip by name."""
    for package in ("gcp_storage_emulator", "gcsfs"):
        pytest.importorskip(package)
    import bucket_servers

    with bucket_servers.google_buckets() as server:
        os.environ["STORAGE_EMULATOR_HOST"] = server.address  # for this process, and those that tests start
        yield server


@pytest.fixture
def google_bucket(google_server: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    """The address of a new bucket, gs://NAME; nothing may be made in the current folder, which is an empty one."""
    name = f"bucket-{len(google_server.storage.buckets)}"
    google_server.add_bucket(name)
    google_server.fault = lambda method, url: None
    monkeypatch.setenv("T5MUSIC_BUCKET_CACHE", str(tmp_path / "bucket_cache"))
    folder = tmp_path / "current"
    folder.mkdir()
    monkeypatch.chdir(folder)
    yield f"gs://{name}"
    google_server.fault = lambda method, url: None
    assert not list(folder.glob("gs*")), "a local folder is called like a bucket"


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """The address of a server of S3's buckets on this machine, or a skip by name."""
    for package in ("moto", "flask", "flask_cors", "s3fs"):
        pytest.importorskip(package)
    import bucket_servers

    with bucket_servers.s3_buckets() as address:
        # For this process, and those that tests start.
        os.environ["AWS_ENDPOINT_URL"] = address
        os.environ |= {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": "us-east-1"}
        yield address


@pytest.fixture
def s3_bucket(s3_server: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """The address of a new bucket, s3://NAME."""
    from t5music.storage import libraries

    name = f"bucket-{len(libraries.file_system('s3').ls(''))}"
    libraries.file_system("s3").mkdir(name)
    monkeypatch.setenv("T5MUSIC_BUCKET_CACHE", str(tmp_path / "bucket_cache"))
    return f"s3://{name}"


@pytest.fixture
def optimised(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Programs as XLA compiles them for users: for what they cost, and for products in bfloat16."""
    import jax  # a second, which tests of music alone do without
    from jax._src import compiler  # options of a single program have no other way in

    emitters = {"xla_cpu_use_fusion_emitters": "True"}
    options = compiler.get_compile_options
    monkeypatch.setattr(
        compiler,
        "get_compile_options",
        lambda *sizes, env_options_overrides=None, **more: options(
            *sizes, env_options_overrides={**emitters, **(env_options_overrides or {})}, **more
        ),
    )
    former = jax.config.values["jax_disable_most_optimizations"]
    jax.config.update("jax_disable_most_optimizations", False)
    yield
    jax.config.update("jax_disable_most_optimizations", former)
