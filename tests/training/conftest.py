"""Cheap compilation: these tests compile the same few tiny programs again and again, and never run one for long."""

import os

import jax
import pytest
import tiny_runs


@pytest.fixture(scope="package", autouse=True)
def cheap_compilation(tmp_path_factory):
    """Optimises little, and keeps what is compiled on disk, here and (by the environment) in processes of the tests."""
    settings = {
        "jax_compilation_cache_dir": str(tmp_path_factory.mktemp("compilation_cache")),
        "jax_persistent_cache_min_compile_time_secs": 0.0,
        "jax_disable_most_optimizations": True,
    }
    former = {name: jax.config.values[name] for name in settings}
    for name, value in settings.items():
        jax.config.update(name, value)
        os.environ[name.upper()] = str(value)
    yield
    for name, value in former.items():
        jax.config.update(name, value)
        del os.environ[name.upper()]


@pytest.fixture(scope="package")
def uninterrupted(tmp_path_factory):
    """A run of tiny_runs.STEPS steps that nothing stopped: (folder, result)."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    return folder, tiny_runs.train(folder)
