"""A run to compare with."""

import pytest
import tiny_runs


@pytest.fixture(scope="session")
def uninterrupted(tmp_path_factory):
    """A run of tiny_runs.STEPS steps that nothing stopped: (folder, result)."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    return folder, tiny_runs.train(folder)
