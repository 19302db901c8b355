"""A folder of music that has changed is built again, and no other; TensorFlow leaves JAX its GPUs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from t5music.cli import data_verbs

pytest.importorskip("seqio")


def test_a_folder_is_built_again_when_it_has_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    music = tmp_path / "music"
    (music / "rock").mkdir(parents=True)
    (music / "rock" / "a.mid").write_bytes(b"one")
    monkeypatch.setenv("T5MUSIC_DATA", str(tmp_path / "data"))
    forced: list[bool] = []
    monkeypatch.setattr(data_verbs, "_build", lambda corpus, **how: forced.append(how["force"]))
    monkeypatch.setattr(data_verbs, "compile_names", lambda names, **how: forced.append(how["force"]))

    def compile_again(**more: Any) -> list[bool]:
        forced.clear()
        data_verbs.compile_([], str(music), "changing", **more)
        return list(forced)

    assert compile_again() == [False, False]
    assert compile_again() == [False, False]
    os.utime(music / "rock" / "a.mid", (0, 0))  # a file of the same size may have been put in its place
    assert compile_again() == [True, True]
    (music / "rock" / "a.mid").write_bytes(b"another")
    assert compile_again() == [True, True]
    assert compile_again() == [False, False]
    (music / "b.mid").write_bytes(b"three")
    assert compile_again() == [True, True]
    (music / "labels.csv").write_text("file,genre\nb.mid,jazz\nrock/a.mid,rock\n")
    assert compile_again() == [True, True]
    assert compile_again(force=True) == [True, True]


@pytest.mark.parametrize("visible", [None, "3"])
def test_jax_may_still_see_the_gpus(monkeypatch: pytest.MonkeyPatch, visible: str | None):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    data_verbs._needs_data_extra()
    assert os.environ.get("CUDA_VISIBLE_DEVICES") == visible
