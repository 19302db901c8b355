"""Trackers: each shows what it is given, a resumed run is the same one there, and none of them stops a training."""

from __future__ import annotations

import io
import json
import os
import struct
import subprocess
import sys
import threading
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
import tiny_runs
from PIL import Image

from t5music.errors import ConfigError
from t5music.sound import sound_files
from t5music.training import trackers
from t5music.training.metric_writers import MetricWriter
from t5music.training.settings import Records
from t5music.training.trackers import guarded, opening
from t5music.training.trackers.base import Sample, Tracker, as_file
from t5music.training.trackers.guarded import Background, Guarded
from t5music.training.trackers.tensorboard import TensorBoard

_PNG = io.BytesIO()
Image.new("RGB", (3, 2), "red").save(_PNG, "PNG")
SAMPLE = Sample(
    "song",
    "continue a: <b>\n-> c",
    _PNG.getvalue(),
    sound_files.to_bytes(np.zeros((1, 80), np.float32), 8_000, "a.wav"),
)
TEXT_ALONE = Sample("silence", "nothing")
WANDB_HEADER = 7  # bytes
SETTINGS = {"task": "random", "config": {"d_model": 16}}


def track(folder: Path, name: str, *, resume_step: int = 0, steps: range = range(1, 3)) -> None:
    """What a run does, from a step on."""
    tracker = opening.open_tracker(name, folder, SETTINGS)
    writer = MetricWriter(folder, resume_step=resume_step, further=[tracker])
    for step in steps:
        writer.write_timing(step, {"speed": 2.0})
        writer.write(step, {"loss": 1 / step})
        writer.show(step, [SAMPLE, TEXT_ALONE])
        writer.sync()
    writer.close()


def test_tensorboard_reads_numbers_and_samples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("tensorboard")
    # Where this module exists, TensorBoard makes do without TensorFlow, whose import takes seconds.
    monkeypatch.setitem(sys.modules, "tensorboard.compat.notf", types.ModuleType("tensorboard.compat.notf"))
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for resume_step, steps in ((0, range(1, 4)), (1, range(2, 4))):  # killed after step 3, with a checkpoint of step 1
        writer = MetricWriter(tmp_path, resume_step=resume_step)
        for step in steps:
            writer.write(step, {"loss": float(step)})
            writer.show(step, [SAMPLE, TEXT_ALONE])
        writer.close()
    samples = EventAccumulator(str(tmp_path / "samples"), size_guidance={"tensors": 0})
    samples.Reload()

    pictures = [(each.step, each.width, each.height) for each in samples.Images("song/picture")]
    assert pictures == [(step, 3, 2) for step in (1, 2, 3)]
    assert [each.encoded_image_string for each in samples.Images("song/picture")] == [SAMPLE.picture] * 3
    sounds = [(each.step, each.encoded_audio_string) for each in samples.Audio("song/sound")]
    assert sounds == [(step, SAMPLE.sound) for step in (1, 2, 3)]
    texts = {(each.step, *each.tensor_proto.string_val) for each in samples.Tensors("song/text")}  # it hides none
    assert texts == {(step, b"    continue a: <b>\n    -> c") for step in (1, 2, 3)}
    assert samples.PluginTagToContent("text").keys() == {"song/text", "silence/text"}


def wandb_records(content: bytes) -> Iterator[bytes]:
    """The records of Weights & Biases' file: a header, then LevelDB's log (blocks of 32 KiB)."""
    place, record = WANDB_HEADER, b""
    while place < len(content):
        if place % 2**15 > 2**15 - 7:  # no room for a part's header
            place += -place % 2**15
            continue
        _, length, part = struct.unpack_from("<IHB", content, place)
        record += content[place + 7 : place + 7 + length]
        place += 7 + length
        if part in (1, 4):  # whole, or the last part
            yield record
            record = b""


def test_wandb_shows_a_run_that_goes_on_as_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    wandb = pytest.importorskip("wandb")
    from wandb.proto.wandb_internal_pb2 import Record

    monkeypatch.setenv("WANDB_MODE", "offline")
    history: dict[int, dict[str, object]] = {}
    ids = set()
    for resume_step in (0, 2):
        track(tmp_path, "wandb", resume_step=resume_step, steps=range(resume_step + 1, resume_step + 3))
        run = opening.read(tmp_path)["wandb"]
        ids.add(run["id"])
        folder = Path(run["url"].removeprefix("file://"))
        assert folder.parent == tmp_path / "wandb"
        content = (folder / f"run-{run['id']}.wandb").read_bytes()
        if len(content) == WANDB_HEADER:  # where processors are busy, wandb 0.31 loses what it has not written yet
            pytest.skip("wandb wrote nothing at all, not even which run it is")
        for line in wandb_records(content):
            record = Record.FromString(line)
            if record.run.run_id:
                assert (record.run.run_id, record.run.project) == (run["id"], "t5music")
                assert "d_model" in str(record.run.config)
            if record.history.item:
                items = {"/".join(item.nested_key): json.loads(item.value_json) for item in record.history.item}
                history.setdefault(items["_step"], {}).update(items)
        media = {path.suffix for path in (folder / "files" / "media").rglob("*") if path.is_file()}
        assert media == {".png", ".wav", ".html"}
    assert len(ids) == 1
    assert {step: (items["loss"], items["speed"]) for step, items in history.items()} == {
        step: (1 / step, 2.0) for step in (1, 2, 3, 4)
    }
    assert history[4]["samples/song/sound/_type"] == "audio-file"
    wandb.teardown()


TWO_TRACKIO_RUNS = """
import json, sys
from pathlib import Path

sys.path.insert(0, sys.argv[1])
import test_trackers
from trackio.sqlite_storage import SQLiteStorage

folder = Path(sys.argv[2])
test_trackers.track(folder, "trackio")
test_trackers.track(folder, "trackio", resume_step=2, steps=range(3, 5))
[run] = SQLiteStorage.get_runs("t5music")
print("@", json.dumps([run, SQLiteStorage.get_logs("t5music", run), test_trackers.opening.read(folder)]))
"""


@pytest.mark.slow
def test_trackio_shows_a_run_that_goes_on_as_the_same(tmp_path: Path):
    pytest.importorskip("trackio")
    environment = {**os.environ, "TRACKIO_DIR": str(tmp_path / "trackio")}  # which is read when it is imported
    command = [sys.executable, "-c", TWO_TRACKIO_RUNS, str(Path(__file__).parent), str(tmp_path / "run")]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    run, logs, file = json.loads(done.stdout.split("@")[-1])
    assert run == f"run-{file['trackio']['id']}"
    assert file["trackio"]["url"] == (tmp_path / "trackio").as_uri()
    numbers: dict[int, dict[str, object]] = {}
    for line in logs:
        numbers.setdefault(line["step"], {}).update(line)
    assert {step: (line["loss"], line["speed"]) for step, line in numbers.items()} == {
        step: (1 / step, 2.0) for step in (1, 2, 3, 4)
    }
    assert numbers[4]["samples/song/sound"]["_type"] == "trackio.audio"
    assert {path.suffix for path in (tmp_path / "trackio" / "media").rglob("*") if path.is_file()} == {".png", ".wav"}


class Failing:
    """A tracker of which one method fails."""

    name = "failing"

    def __init__(self, method: str) -> None:
        self.calls: list[str] = []
        self._method = method
        self._do("open")

    def _do(self, method: str) -> None:
        self.calls.append(method)
        if method == self._method:
            raise ConnectionError(f"no network at {method}\nand more")

    def url(self) -> str:
        return "https://example.org/run"

    def write(self, step: int, numbers: Mapping[str, float]) -> None:
        self._do("write")

    def show(self, step: int, samples: Sequence[Sample]) -> None:
        self._do("show")

    def sync(self) -> None:
        self._do("sync")

    def close(self) -> None:
        self._do("close")


def use(tracker: Tracker) -> None:
    for step in (1, 2):
        tracker.write(step, {"loss": 1.0})
        tracker.show(step, [SAMPLE])
        tracker.sync()
    tracker.close()


@pytest.mark.parametrize("method", ["open", "write", "show", "sync", "close", "none"])
def test_one_that_fails_is_said_once_and_left_alone(method: str, capsys: pytest.CaptureFixture[str]):
    use(Guarded("failing", lambda: Failing(method)))
    text = capsys.readouterr().err
    warning = f"t5music: warning: failing shows this run no longer: no network at {method}\n"
    assert text == ("" if method == "none" else warning)


@pytest.mark.parametrize("method", ["open", "write", "show", "close"])
def test_in_the_background_too(method: str, capsys: pytest.CaptureFixture[str]):
    addresses: list[str] = []
    use(Background("failing", lambda: Failing(method), addresses.append))
    assert capsys.readouterr().err.count(f"no longer: no network at {method}\n") == 1
    assert addresses == ([] if method == "open" else ["https://example.org/run"])


def opened_after(event: threading.Event) -> Callable[[], Tracker]:
    """What opens a tracker once the event is set."""

    def make() -> Tracker:
        event.wait(60)
        return Failing("none")

    return make


def test_one_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setattr(guarded, "CLOSE_SECONDS", 0.1)
    over = threading.Event()
    tracker = Background("slow", opened_after(over), str)
    use(tracker)
    assert capsys.readouterr().err.startswith("t5music: warning: slow does not answer")
    over.set()
    tracker._thread.join()  # what it says late is not the next test's


def test_what_comes_faster_than_a_tracker_takes_it_is_dropped_and_counted(monkeypatch, capsys):
    monkeypatch.setattr(guarded, "WAITING", 3)
    begun = threading.Event()
    tracker = Background("slow", opened_after(begun), str)
    for step in range(1, 11):
        tracker.write(step, {"loss": 1.0})
    begun.set()
    tracker.close()
    lines = capsys.readouterr().err.splitlines()
    assert lines[1:] == ["t5music: warning: slow was too slow for 7 lines and samples; they are in the run's folder"]


@pytest.mark.slow
def test_a_training_goes_on_bit_for_bit_when_all_its_trackers_fail(
    tmp_path: Path, uninterrupted, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def fail(*_: object) -> None:
        raise RuntimeError("it is broken")

    monkeypatch.setattr(trackers, "require", lambda name: None)
    monkeypatch.setitem(trackers.TRACKERS, "mine", "Mine")
    module = types.SimpleNamespace(Mine=fail)
    monkeypatch.setitem(sys.modules, "t5music.training.trackers.mine", module)  # type: ignore[arg-type]
    monkeypatch.setattr(TensorBoard, "show", fail)
    result = tiny_runs.train(tmp_path, tracker="mine", illustration=lambda model, step: [SAMPLE])
    tiny_runs.assert_same_run(tmp_path, result, uninterrupted)
    text = capsys.readouterr().err
    for name in ("mine", "TensorBoard"):
        assert text.count(f"t5music: warning: {name} shows this run no longer: it is broken") == 1


def test_missing_extras_and_names_that_are_none_are_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(trackers, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"--track wandb: wandb is not installed: pip install 't5music\[wandb\]'"):
        Records(tracker="wandb")
    with pytest.raises(ConfigError, match=r"Records\.tracker is 'wndb'; did you mean 'wandb'\?"):
        Records(tracker="wndb")


@pytest.mark.parametrize("content", ["", "{", "[]", '{"wandb": 3}'])
def test_a_damaged_file_begins_a_new_run(tmp_path: Path, content: str):
    (tmp_path / opening.FILE).write_text(content)
    assert opening.read(tmp_path) == {}


def test_files_for_libraries_are_removed_again():
    with as_file(b"content", ".wav") as path:
        assert Path(path).read_bytes() == b"content"
    assert not Path(path).exists()
