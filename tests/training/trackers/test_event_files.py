"""Event files: the bytes that TensorBoard's own protocol buffers and record writer give."""

from __future__ import annotations

import io
import struct
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from t5music.sound import sound_files
from t5music.training.trackers.event_files import EventFile

pytest.importorskip("tensorboard")

SAMPLES = st.tuples(
    st.integers(1, 64), st.integers(1, 64), st.integers(1, 48_000), st.integers(1, 2), st.integers(0, 9), st.text()
)
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


def png_of(width: int, height: int) -> bytes:
    content = io.BytesIO()
    Image.new("RGB", (width, height), "red").save(content, "PNG")
    return content.getvalue()


def wav_of(rate: int, channels: int, frames: int) -> bytes:
    return sound_files.to_bytes(np.zeros((channels, frames), np.float32), rate, "a.wav")


@settings(deadline=None)
@given(step=STEPS.filter(bool), sample=SAMPLES)
def test_samples_are_those_of_tensorboard(step: int, sample: tuple[int, int, int, int, int, str]):
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import DATA_CLASS_TENSOR, Summary, SummaryMetadata
    from tensorboard.compat.proto.tensor_pb2 import TensorProto
    from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto

    width, height, rate, channels, frames, text = sample
    text = text.encode(errors="replace").decode()
    png, wav = png_of(width, height), wav_of(rate, channels, frames)
    plugin = SummaryMetadata.PluginData(plugin_name="text")
    values = [
        Summary.Value(
            tag="text",
            tensor=TensorProto(dtype=7, tensor_shape=TensorShapeProto(), string_val=[text.encode()]),
            metadata=SummaryMetadata(plugin_data=plugin, data_class=DATA_CLASS_TENSOR),
        ),
        Summary.Value(
            tag="picture", image=Summary.Image(height=height, width=width, colorspace=3, encoded_image_string=png)
        ),
        Summary.Value(
            tag="sound",
            audio=Summary.Audio(
                sample_rate=rate,
                num_channels=channels,
                length_frames=frames,
                encoded_audio_string=wav,
                content_type="audio/wav",
            ),
        ),
    ]
    with tempfile.TemporaryDirectory() as folder:
        file = EventFile(folder, first_step=step)
        file.write_text(step, "text", text)
        file.write_picture(step, "picture", png)
        file.write_sound(step, "sound", wav)
        file.close()
        [path] = Path(folder).iterdir()
        events = [Event.FromString(record) for record in records(path.read_bytes())]
    for value, event in zip(values, events[2:], strict=True):
        assert (event.step, event.summary) == (step, Summary(value=[value]))


def records(content: bytes) -> Iterator[bytes]:
    """The records of an event file, whose checksums `test_bytes_are_those_of_tensorboard` compares."""
    while content:
        (length,) = struct.unpack_from("<Q", content)
        yield content[12 : 12 + length]
        content = content[16 + length :]
