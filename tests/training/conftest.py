"""Compiled programs are kept for the session, so that every tiny run after the first starts at once."""

import os

import jax
import pytest


@pytest.fixture(scope="session", autouse=True)
def compilation_cache(tmp_path_factory):
    """Turns JAX's on-disk cache on, here and (through the environment) in processes that tests start."""
    folder = str(tmp_path_factory.mktemp("compilation_cache"))
    settings = {"jax_compilation_cache_dir": folder, "jax_persistent_cache_min_compile_time_secs": 0}
    former = {name: getattr(jax.config, name) for name in settings}
    for name, value in settings.items():
        jax.config.update(name, value)
        os.environ[name.upper()] = str(value)
    yield
    for name in settings:
        jax.config.update(name, former[name])
        del os.environ[name.upper()]
