"""Metric files: what TensorBoard's own reader finds in the events, and resuming without duplicate steps."""

import json
import subprocess
import sys
import types
from pathlib import Path

import pytest

from t5music.errors import DataError
from t5music.files import AppendedFile
from t5music.training.metric_writers import MetricWriter, read_metrics


@pytest.fixture
def scalars(monkeypatch):
    """TensorBoard's own reader: (folder, tag) -> [(step, value)]."""
    # Where this module exists, TensorBoard makes do without TensorFlow, whose import takes seconds.
    monkeypatch.setitem(sys.modules, "tensorboard.compat.notf", types.ModuleType("tensorboard.compat.notf"))
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    def read(folder, tag):
        events = EventAccumulator(str(folder))
        events.Reload()
        return [(event.step, event.value) for event in events.Scalars(tag)]

    return read


def test_lines_and_events_hold_the_same(tmp_path, scalars):
    writer = MetricWriter(tmp_path)
    writer.write(10, {"loss": 2.5, "accuracy": 0.25})
    writer.write(20, {"loss": 1.5, "accuracy": 0.5})
    writer.write_timing(20, {"steps_per_second": 3.0})
    writer.close()
    assert (tmp_path / "metrics.jsonl").read_text() == (
        '{"step": 10, "loss": 2.5, "accuracy": 0.25}\n{"step": 20, "loss": 1.5, "accuracy": 0.5}\n'
    )
    assert read_metrics(tmp_path / "timing.jsonl") == [{"step": 20, "steps_per_second": 3.0}]
    assert scalars(tmp_path, "loss") == [(10, 2.5), (20, 1.5)]
    assert scalars(tmp_path, "steps_per_second") == [(20, 3.0)]


def test_resuming_drops_later_steps_and_a_torn_line(tmp_path):
    writer = MetricWriter(tmp_path)
    for step in range(1, 6):
        writer.write(step, {"loss": 1 / 3 / step})
    uninterrupted = (tmp_path / "metrics.jsonl").read_bytes()
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 6, "lo')  # killed in the middle of a write
    writer.close()

    resumed = MetricWriter(tmp_path, resume_step=3)
    assert [line["step"] for line in read_metrics(tmp_path / "metrics.jsonl")] == [1, 2, 3]
    for step in (4, 5):
        resumed.write(step, {"loss": 1 / 3 / step})
    resumed.close()
    assert (tmp_path / "metrics.jsonl").read_bytes() == uninterrupted


def test_tensorboard_forgets_what_was_written_after_the_resumed_step(tmp_path, scalars):
    first = MetricWriter(tmp_path)
    for step in range(1, 6):
        first.write(step, {"loss": 100.0})
    first.close()
    second = MetricWriter(tmp_path, resume_step=3)
    second.write(4, {"loss": 1.0})
    second.close()
    assert scalars(tmp_path, "loss") == [(1, 100.0), (2, 100.0), (3, 100.0), (4, 1.0)]


def test_a_number_that_is_not_finite_is_null(tmp_path):
    writer = MetricWriter(tmp_path)
    writer.write(1, {"perplexity": float("inf")})
    writer.close()
    assert json.loads((tmp_path / "metrics.jsonl").read_text()) == {"step": 1, "perplexity": None}


def test_a_damaged_line_is_named(tmp_path):
    (tmp_path / "metrics.jsonl").write_text('{"step": 1}\nnonsense\n{"step": 2}\n')
    with pytest.raises(DataError, match="line 2"):
        MetricWriter(tmp_path)


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="file"):
        MetricWriter(tmp_path / "file" / "run")


def test_writing_imports_no_tensorflow(tmp_path):
    code = (
        "import sys; from t5music.training.metric_writers import MetricWriter\n"
        f"writer = MetricWriter({str(tmp_path)!r}); writer.write(1, {{'loss': 1.0}}); writer.close()\n"
        "print(sorted(name for name in ('tensorflow', 'clu', 'seqio', 'jax') if name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_is_named_and_closing_adds_nothing_to_it(tmp_path, monkeypatch):
    writer = MetricWriter(tmp_path)
    writer.write(1, {"loss": 2.0})
    writer._lines["metrics.jsonl"].close()
    monkeypatch.setitem(writer._lines, "metrics.jsonl", AppendedFile("/dev/full"))
    with pytest.raises(DataError, match=r"cannot write metrics into .*No space left"):
        writer.write(2, {"loss": 1.0})
    writer.close()
    assert read_metrics(tmp_path / "metrics.jsonl") == [{"step": 1, "loss": 2.0}]
