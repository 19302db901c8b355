"""What every test may use."""

from __future__ import annotations

import contextlib
import os
import tarfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

# Tests that start processes of their own use the same helpers there (`pythonpath` in pyproject.toml is pytest's alone).
_HELPERS = str(Path(__file__).resolve().parent / "helpers")
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [_HELPERS, os.environ.get("PYTHONPATH")]))

# A command that a test calls keeps no compiled programs: JAX would go on writing into the test's folder after its end.
os.environ["T5MUSIC_COMPILATION_CACHE"] = "off"

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


LITTLE = {"jax_disable_most_optimizations": True}


@contextlib.contextmanager
def _configured(settings: Mapping[str, Any]) -> Iterator[None]:
    """JAX with these settings, here and (by the environment) in processes that tests start."""
    import jax  # a second, which tests of music alone do without

    former = {name: jax.config.values[name] for name in settings}
    for name, value in settings.items():
        jax.config.update(name, value)
        os.environ[name.upper()] = str(value)
    yield
    for name, value in former.items():
        jax.config.update(name, value)
        del os.environ[name.upper()]


@pytest.fixture
def quick_compilation() -> Iterator[None]:
    """XLA optimises little: for a test that compiles more than it computes, and compares programs with each other."""
    with _configured(LITTLE):
        yield


@pytest.fixture(scope="module")
def quickly_compiled() -> Iterator[None]:
    """The same for all tests of a module: `pytestmark = pytest.mark.usefixtures("quickly_compiled")`."""
    with _configured(LITTLE):
        yield


@pytest.fixture(scope="session")
def compilation_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where tests that compile the same few tiny programs keep them."""
    return tmp_path_factory.mktemp("compilation_cache")


@pytest.fixture(scope="module")
def compiled_once(compilation_cache: Path) -> Iterator[None]:
    """The same, and nothing is compiled twice: for modules whose runs compile the same few tiny programs."""
    keep = {"jax_compilation_cache_dir": str(compilation_cache), "jax_persistent_cache_min_compile_time_secs": 0.0}
    with _configured({**LITTLE, **keep}):
        yield
