"""TensorFlow leaves JAX its GPUs."""

from __future__ import annotations

import os

import pytest

from t5music.cli import data_extra


@pytest.mark.parametrize("visible", [None, "3"])
def test_jax_may_still_see_the_gpus(monkeypatch: pytest.MonkeyPatch, visible: str | None):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    pytest.importorskip("tensorflow")
    data_extra.import_tensorflow()
    assert os.environ.get("CUDA_VISIBLE_DEVICES") == visible
