"""The picture of its losses that a run leaves: every curve it has, whatever is in its metrics."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path

import drawn_figures
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure

from t5music.training import learning_curves


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that were drawn, instead of their bytes."""
    return drawn_figures.collect(monkeypatch)


def write(folder: Path, *lines: Mapping[str, float | None]) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def curves(figure: Figure) -> dict[str, list[float]]:
    return {str(line.get_label()): list(line.get_ydata()) for line in figure.axes[0].lines}


def test_training_and_each_tasks_validation_are_drawn(tmp_path: Path, drawn: list[Figure]):
    tasks = {"validation/a/loss": 3.0, "validation/b/loss": 1.0}
    lines = [{"step": 5, "loss": 4.0}, {"step": 10, "loss": 2.0, "validation/loss": 2.0, **tasks}]
    learning_curves.write_picture(write(tmp_path, *lines))
    assert curves(drawn[0]) == {
        "training, all tasks": [4.0, 2.0],
        "validation, all tasks": [2.0],
        "validation, a": [3.0],
        "validation, b": [1.0],
    }
    assert (tmp_path / "loss.png").exists()


def test_of_one_task_the_loss_over_all_is_not_drawn_twice(tmp_path: Path, drawn: list[Figure]):
    learning_curves.write_picture(write(tmp_path, {"step": 5, "validation/loss": 2.0, "validation/a/loss": 2.0}))
    assert curves(drawn[0]) == {"validation, a": [2.0]}


def test_before_the_first_line_there_is_no_picture(tmp_path: Path):
    learning_curves.write_picture(tmp_path)
    learning_curves.write_picture(write(tmp_path, {"step": 1, "accuracy": 1.0}))
    assert not (tmp_path / "loss.png").exists()


def test_the_first_steps_do_not_flatten_the_rest(tmp_path: Path, drawn: list[Figure]):
    losses = [1000.0, *(3.0 - step / 100 for step in range(50))]
    learning_curves.write_picture(write(tmp_path, *({"step": i, "loss": x} for i, x in enumerate(losses))))
    low, high = drawn[0].axes[0].get_ylim()
    assert 2.4 < low < 2.52
    assert 2.9 < high < 3.1


@settings(max_examples=8, deadline=None)
@given(st.lists(st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False)), min_size=1, max_size=4))
def test_any_losses_can_be_drawn(losses: list[float | None]):
    with tempfile.TemporaryDirectory() as folder:
        lines = [{"step": step, "loss": loss, "validation/$_x/loss": loss} for step, loss in enumerate(losses)]
        learning_curves.write_picture(write(Path(folder), *lines))
        assert (Path(folder) / "loss.png").read_bytes().startswith(b"\x89PNG")
