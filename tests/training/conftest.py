"""Cheap compilation for every test of training, and a run to compare with."""

import pytest
import tiny_runs


@pytest.fixture(scope="module", autouse=True)
def cheap_compilation(compiled_once):
    """These tests compile the same few tiny programs again and again, and never run one for long."""


@pytest.fixture(scope="module")
def uninterrupted(compiled_once, tmp_path_factory):
    """A run of tiny_runs.STEPS steps that nothing stopped: (folder, result)."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    return folder, tiny_runs.train(folder)
