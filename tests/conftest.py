"""What every test may use."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

# Tests that start processes of their own use the same helpers there (`pythonpath` in pyproject.toml is pytest's alone).
_HELPERS = str(Path(__file__).resolve().parent / "helpers")
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [_HELPERS, os.environ.get("PYTHONPATH")]))

# A command that a test calls keeps no compiled programs: JAX would go on writing into the test's folder after its end.
os.environ["T5MUSIC_COMPILATION_CACHE"] = "off"
# XLA optimises little: tests compile more than they compute.
os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "1"

ARCHIVES = Path(__file__).resolve().parents[2] / "shared" / "data"


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
    from t5music import storage

    name = f"bucket-{len(storage.file_system('s3').ls(''))}"
    storage.file_system("s3").mkdir(name)
    monkeypatch.setenv("T5MUSIC_BUCKET_CACHE", str(tmp_path / "bucket_cache"))
    return f"s3://{name}"


@pytest.fixture
def optimised() -> Iterator[None]:
    """Programs as XLA compiles them for users: for what they cost, and for products in bfloat16."""
    import jax  # a second, which tests of music alone do without

    jax.config.update("jax_disable_most_optimizations", False)
    yield
    jax.config.update("jax_disable_most_optimizations", True)


@pytest.fixture(scope="session")
def compilation_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where modules that compile the same few tiny programs keep them."""
    return tmp_path_factory.mktemp("compilation_cache")


@pytest.fixture(scope="module")
def compiled_once(compilation_cache: Path) -> Iterator[None]:
    """Nothing is compiled twice: for modules whose runs compile the same few tiny programs."""
    import jax  # a second, which tests of music alone do without

    keep = {"jax_compilation_cache_dir": str(compilation_cache), "jax_persistent_cache_min_compile_time_secs": 0.0}
    former = {name: jax.config.values[name] for name in keep}
    for name, value in keep.items():
        jax.config.update(name, value)
        os.environ[name.upper()] = str(value)  # for processes that tests start
    yield
    for name, value in former.items():
        jax.config.update(name, value)
        del os.environ[name.upper()]
