"""Event files: the bytes that TensorBoard's own protocol buffers and record writer give."""

from __future__ import annotations

import io
import tempfile
import time
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from t5music.training.event_files import EventFile

pytest.importorskip("tensorboard")

STEPS = st.integers(0, 2**63 - 1)
NUMBERS = st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), st.floats(), max_size=5)


@settings(deadline=None)
@given(first_step=st.integers(1, 2**40), written=st.lists(st.tuples(STEPS.filter(bool), NUMBERS), max_size=4))
def test_bytes_are_those_of_tensorboard(first_step: int, written: list[tuple[int, dict[str, float]]]):
    from tensorboard.compat.proto.event_pb2 import Event, SessionLog
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.record_writer import RecordWriter

    events = [
        Event(wall_time=12.5, file_version="brain.Event:2"),
        Event(wall_time=12.5, step=first_step, session_log=SessionLog(status=SessionLog.START)),
    ]
    for step, numbers in written:
        values = [Summary.Value(tag=name, simple_value=number) for name, number in numbers.items()]
        events.append(Event(wall_time=12.5, step=step, summary=Summary(value=values)))
    content = io.BytesIO()
    writer = RecordWriter(content)
    for event in events:
        writer.write(event.SerializeToString())
    with tempfile.TemporaryDirectory() as folder, patch.object(time, "time", lambda: 12.5):
        file = EventFile(folder, first_step=first_step)
        for step, numbers in written:
            file.write(step, numbers)
        file.close()
        [path] = Path(folder).iterdir()
        assert path.read_bytes() == content.getvalue()
