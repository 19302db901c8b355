"""Pace: what a stage takes, by those of its shape on this machine, else by those of its name."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from t5music.studies import pace, stage_folders
from t5music.studies.grid import Stage
from t5music.studies.pace import Paces

CONFIGURATION = """\
BATCH_SIZE = 4
InitialModel.model = @T5Config
MODEL_DIR = 'FOLDER'
SEED = {seed}
TRAIN_STEPS = {steps}
INITIAL_CHECKPOINT_PATH = \\
    'pretrain-0123456789abcdef'
train.train_steps = %TRAIN_STEPS
"""


def training(steps: int = 100, seed: int = 0, name: str = "pretrain", more: str = "") -> Stage:
    text = CONFIGURATION.format(seed=seed, steps=steps) + more
    return Stage(name, "train", seed, (), configuration=text, steps=steps)


def looking_at(stage: Stage, more: str = "") -> Stage:
    return Stage("test", "evaluate", 0, (stage,), configuration=f"MODEL_DIR = '{stage.folder}'\n{more}")


def record(folder: Path, stage: Stage, **document: Any) -> None:
    path = folder / stage.folder
    stage_folders.write(path, stage_folders.begin(stage, path) | document)


def timing(start: float, steps: int, seconds: float, end: float = 0.0) -> dict[str, float]:
    return {"start": start, "steps": steps, "seconds": seconds, "end": end}


def test_shapes_are_what_time_depends_on():
    assert training().shape == training(steps=7, seed=3, name="other").shape
    moved = dataclasses.replace(training(), configuration=training().configuration.replace("0123456789", "9876543210"))
    assert moved.shape == training().shape, "a value on a line of its own belongs to its name"
    assert training().shape != training(more="Update.microbatches = 2\n").shape
    first, second = looking_at(training()), looking_at(training(seed=1))
    assert first.shape == second.shape
    assert first.shape != looking_at(training(steps=50)).shape, "it may have other checkpoints"
    # A training whose architecture is that of what it starts from.
    stages = [
        dataclasses.replace(training(), configuration="BATCH_SIZE = 4\n", parents=(training(more=more),))
        for more in ("", "T5Config.d_model = 8\n")
    ]
    assert stages[0].shape != stages[1].shape


def test_steps_of_a_shape_take_as_long(tmp_path: Path):
    record(tmp_path, training(steps=50), status="finished", timing=timing(10, 40, 20, 3))
    record(tmp_path, training(steps=60), status="begun", timing=timing(99, 5, 99))  # fewer steps say less
    paces = Paces(tmp_path, [training(200)])
    assert paces.measured(training(200)) == 10 + 200 * 0.5 + 3
    assert paces.measured(training(more="Update.microbatches = 2\n")) is None
    assert paces.start(training(more="Update.microbatches = 2\n")) == pytest.approx((10 + 99) / 2)


def test_its_own_time_comes_first_and_what_is_done_is_not_counted(tmp_path: Path):
    stage = training(200)
    record(tmp_path, training(steps=50), status="finished", timing=timing(10, 40, 20))
    record(tmp_path, stage, status="begun", timing=timing(6, 30, 30))
    step = tmp_path / stage.folder / "checkpoints" / "120"
    step.mkdir(parents=True)
    (step / "_CHECKPOINT_METADATA").write_text("{}")
    assert Paces(tmp_path, [stage]).steps_done(stage) == 120
    assert Paces(tmp_path, [stage]).measured(stage) == 6 + 80


def test_another_machine_says_nothing(tmp_path: Path):
    record(tmp_path, training(50), status="finished", timing=timing(1, 40, 20), machine={"devices": "8 x TPU v9"})
    assert Paces(tmp_path, [training(50)]).expected(training(200)) is None
    record(tmp_path, training(50), status="begun")
    assert "timing" not in stage_folders.read(tmp_path / training(50).folder), "nor is it taken over"


def test_what_looks_at_a_model_takes_as_long_as_a_whole(tmp_path: Path):
    stage = looking_at(training(seed=1))
    record(tmp_path, looking_at(training(seed=3)), status="failed", seconds=99.0)
    assert Paces(tmp_path, [stage]).measured(stage) is None
    record(tmp_path, stage, status="begun", stopped_after=30.0)
    assert Paces(tmp_path, [stage]).measured(stage) == 30, "it was stopped after so long, and was not over"
    record(tmp_path, looking_at(training(seed=2)), status="finished", seconds=7.0)
    assert Paces(tmp_path, [stage]).measured(stage) == 7


def test_others_of_the_same_name_are_a_guess(tmp_path: Path):
    other = training(40, name="pretrain", more="Update.microbatches = 2\n")
    further = training(40, name="finetune", more="Update.microbatches = 4\n")
    record(tmp_path, other, status="finished", timing=timing(4, 30, 30))
    record(tmp_path, further, status="finished", timing=timing(8, 30, 60))
    stage, mine = training(100), [training(100), other, further]
    assert Paces(tmp_path, mine).measured(stage) is None
    assert Paces(tmp_path, mine).expected(stage) == 4 + 100
    assert Paces(tmp_path, [stage, further]).expected(stage) == 8 + 200, "of those studies, another name at least"
    assert Paces(tmp_path, [stage]).expected(stage) is None
    assert Paces(tmp_path, mine).expected(looking_at(stage)) is None
    record(tmp_path, looking_at(other, "evaluate.limit = 3"), status="finished", seconds=5.0)
    looks = [*mine, looking_at(other, "evaluate.limit = 3")]
    assert Paces(tmp_path, looks).expected(looking_at(stage)) == 5


@given(st.lists(st.floats(0.01, 100), min_size=1, max_size=30))
def test_a_meter_adds_up(seconds: list[float]):
    now = [0.0]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pace.time, "monotonic", lambda: now[0])
        meter = pace.Meter()
        assert not meter.begun
        for passed in seconds:
            now[0] += passed
            meter.count()
        now[0] += 1.0
        meter.finish()
    assert meter.begun
    assert meter.start == pytest.approx(seconds[0])
    assert meter.steps == len(seconds) - 1
    assert meter.seconds == pytest.approx(sum(seconds[1:]))
    assert meter.longest == pytest.approx(max(seconds[1:], default=0.0))
    assert meter.end == pytest.approx(1.0)
    assert meter.credible == (len(seconds) > pace.TIMED_STEPS and meter.seconds >= pace.TIMED_SECONDS)
