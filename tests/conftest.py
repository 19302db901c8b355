"""What every test may use."""

from __future__ import annotations

import contextlib
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

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


@contextlib.contextmanager
def _little_optimisation() -> Iterator[None]:
    import jax  # a second, which tests of music alone do without

    name = "jax_disable_most_optimizations"
    former = jax.config.values[name]
    jax.config.update(name, True)
    yield
    jax.config.update(name, former)


@pytest.fixture
def quick_compilation() -> Iterator[None]:
    """XLA optimises little: for a test that compiles more than it computes, and compares programs with each other."""
    with _little_optimisation():
        yield


@pytest.fixture(scope="module")
def quickly_compiled() -> Iterator[None]:
    """The same for all tests of a module: `pytestmark = pytest.mark.usefixtures("quickly_compiled")`."""
    with _little_optimisation():
        yield
