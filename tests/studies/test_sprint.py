"""Sprints: the limit is kept, what fits is chosen, and the rest goes on to the bits of a study without sprints.

Time is simulated where it decides: a training's start takes START seconds, each of its steps STEP, a test TEST.
"""

from __future__ import annotations

import dataclasses
import json
import re
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import tiny_studies
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from t5music.cli.main import main
from t5music.studies import order, pace, progress, runner, sprint, stage_folders
from t5music.studies.grid import Stage, Study
from t5music.studies.pace import Paces
from t5music.studies.sprint import Sprint

START, STEP, TEST = 3.0, 1.0, 4.0
STUDY = """
study.name = "tiny"
study.title = "Two settings on random music"
study.seeds = (0,)
study.stages = {
    "pretrain": {"train": ["tiny.gin"], "TRAIN_STEPS": 40, "Records.save_period": 15, "Validation.period": 20},
    "finetune": {"train": ["tiny.gin"], "TRAIN_STEPS": 12, "after": "pretrain"},
    "test": {"evaluate": ["runs/eval.gin"], "after": "finetune", "MIXTURE_OR_TASK_NAME": "song", "SPLIT": "test"},
}
study.settings = {"whole": {}, "wide": {"pretrain": {"BATCH_SIZE": 4}}, "from nothing": {"pretrain": None}}
study.baseline = "from nothing"
study.columns = {"song": "test/song/bits_per_note"}
"""


class Time:
    """A clock that stands still unless it is told to go on."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.ran: list[str] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("sprints")
    tiny_studies.write_store(root / "data" / "stores" / "song")
    (root / "tiny.gin").write_text(tiny_studies.TINY)
    (root / "sprint.gin").write_text(STUDY)
    return root


@pytest.fixture(scope="module")
def data(place: Path) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("T5MUSIC_DATA", str(place / "data"))
        patch.setenv("NPROC", "1")
        yield


@pytest.fixture(scope="module")
def tiny_study(place: Path) -> Study:
    return runner.read(["sprint.gin"], [], [str(place)])


@pytest.fixture(scope="module")
def whole(place: Path, data: None, tiny_study: Study) -> dict[str, Any]:
    """What a run without sprints measures."""
    runner.run(tiny_study.cells, place / "whole", [str(place)])
    return results(tiny_study, place / "whole")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Time:
    """Simulated time for pace, sprints and stages; trainings and tests are real."""
    clock = Time()
    for module in (pace, sprint, runner):
        monkeypatch.setattr(module, "time", clock)
    monkeypatch.delattr(signal, "setitimer")  # it rings in real time
    call = runner.call

    def timed(stage: Stage, root: Path, paths: list[str], stops: Callable[[int], bool]) -> Any:
        clock.ran.append(stage.name)
        clock.now += START if stage.kind == "train" else TEST

        def after_step(step: int) -> bool:
            clock.now += STEP
            return stops(step)

        return call(stage, root, paths, after_step)

    monkeypatch.setattr(runner, "call", timed)
    return clock


@pytest.fixture
def pretended(clock: Time, monkeypatch: pytest.MonkeyPatch) -> Time:
    """The same, where stages do nothing: a training leaves folders with the numbers of its steps."""

    def call(stage: Stage, root: Path, paths: list[str], stops: Callable[[int], bool]) -> Any:
        clock.ran.append(stage.name)
        clock.now += START if stage.kind == "train" else TEST
        checkpoints = root / stage.folder / "checkpoints"
        for step in range(1 + Paces(root, []).steps_done(stage), 1 + stage.steps):
            clock.now += STEP
            stopping = step < stage.steps and stops(step)
            if stopping or step == stage.steps:
                (checkpoints / str(step)).mkdir(parents=True)
            if stopping:
                raise KeyboardInterrupt
        return {"song": {"bits_per_note": 1.0}}

    monkeypatch.setattr(runner, "call", call)
    return clock


def results(tiny_study: Study, root: Path) -> dict[str, Any]:
    """Fingerprint -> results and the lines of metrics, which are the same for the same bits."""
    records = stage_folders.collect(tiny_study, [root / runner.RUNS])
    assert {record.status for record in records.values()} == {"finished"}
    metrics = {name: record.folder / "metrics.jsonl" for name, record in records.items()}
    return {
        name: (record.results, metrics[name].read_bytes() if metrics[name].exists() else b"")
        for name, record in records.items()
    }


def begin(tiny_study: Study, root: Path, seconds: float) -> Sprint:
    return Sprint(seconds, Paces(root / runner.RUNS, list(order.by_value(tiny_study.cells))))


def run(tiny_study: Study, place: Path, root: Path, seconds: float) -> Sprint:
    limit = begin(tiny_study, root, seconds)
    runner.run(tiny_study.cells, root, [str(place)], sprint=limit)
    return limit


@pytest.mark.slow
def test_sprints_end_in_the_bits_of_a_study_without_them(
    place: Path, whole: dict[str, Any], tiny_study: Study, tmp_path: Path, clock: Time
):
    """Of 30 seconds each, in which no pre-training of 43 fits."""
    for count in range(20):
        begun = clock.now
        run(tiny_study, place, tmp_path, 30.0)
        assert clock.now - begun <= 30, f"sprint {count} was longer than its limit"
        if not runner.unfinished(tiny_study.cells, tmp_path):
            break
    assert results(tiny_study, tmp_path) == whole
    least = 2 * 43 + 3 * 15 + 3 * TEST
    assert count + 1 <= least / 30 + 5, "time was wasted"


@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(limits=st.lists(st.floats(1.0, 90.0), min_size=1, max_size=6))
def test_whatever_the_limits_they_are_kept_and_all_is_done_at_last(
    place: Path, tiny_study: Study, pretended: Time, limits: list[float]
):
    with tempfile.TemporaryDirectory() as folder:
        for seconds in [*limits, *[40.0] * 10]:
            begun = pretended.now
            run(tiny_study, place, Path(folder), seconds)
            # What was never measured may be begun too late: here nothing rings at the limit.
            assert pretended.now - begun <= seconds + START + 2 * STEP
        assert not runner.unfinished(tiny_study.cells, Path(folder))
        assert results(tiny_study, Path(folder))


def test_the_most_valuable_that_fits_is_begun(place: Path, tiny_study: Study, tmp_path: Path, pretended: Time):
    # A pre-training takes 43 seconds; "from nothing" is the baseline, and fits.
    run(tiny_study, place, tmp_path, 60.0)
    assert pretended.ran[:2] == ["finetune", "test"]
    # Of the pre-trainings there is only a guess. The first one is begun, and put off after a few steps, for the other
    # might fit; that one is no shorter, and then nothing fits and the first one goes on until the limit.
    assert pretended.ran[2:] == ["pretrain", "pretrain", "pretrain"]
    paces = Paces(tmp_path / runner.RUNS, [])
    first, second = (stage for stage in order.by_value(tiny_study.cells) if stage.name == "pretrain")
    assert paces.steps_done(first) > paces.steps_done(second) > 0
    documents = [stage_folders.read(path.parent) for path in (tmp_path / "runs").glob("pretrain-*/stage.json")]
    assert [document["status"] for document in documents] == ["begun", "begun"]
    assert all(document["timing"]["steps"] >= pace.TIMED_STEPS for document in documents)


def test_what_would_not_fit_is_not_begun(place: Path, tiny_study: Study, tmp_path: Path, pretended: Time):
    run(tiny_study, place, tmp_path, 300.0)
    assert not runner.unfinished(tiny_study.cells, tmp_path)
    tests = [path for path in (tmp_path / "runs").glob("test-*/stage.json")]
    for path in tests:  # as if no test had run, of which it is known what one takes
        document = json.loads(path.read_text())
        path.write_text(json.dumps(document | {"status": "begun", "stopped_after": 50.0}))
    pretended.ran.clear()
    run(tiny_study, place, tmp_path, 45.0)
    assert pretended.ran == []
    run(tiny_study, place, tmp_path, 60.0)
    assert pretended.ran == ["test"] * 3, "once one has run, the others are known to be as short"


def test_a_test_that_is_not_over_at_the_limit_begins_again(
    place: Path, data: None, tiny_study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """By an alarm, as nothing asks it whether it stops."""
    ran: list[str] = []

    def call(stage: Stage, *rest: Any) -> dict[str, Any]:
        ran.append(stage.name)
        if stage.kind != "train":
            time.sleep(60)
        return {}

    monkeypatch.setattr(runner, "call", call)
    handler = signal.getsignal(signal.SIGALRM)
    begun = time.monotonic()
    run(tiny_study, place, tmp_path, 2.5)
    assert 2.4 < time.monotonic() - begun < 10
    assert ran == ["pretrain", "pretrain", "finetune", "test"] or ran[-1] == "test"
    (document,) = [stage_folders.read(path.parent) for path in (tmp_path / "runs").glob("test-*/stage.json")]
    assert document["status"] == "begun"
    assert document["stopped_after"] > 0
    assert signal.getsignal(signal.SIGALRM) is handler
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)


def test_an_interrupt_is_no_sprint_s_end(
    place: Path, data: None, tiny_study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def call(*arguments: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(runner, "call", call)
    with pytest.raises(KeyboardInterrupt):
        run(tiny_study, place, tmp_path, 100.0)


def test_what_waits_for_another_process_is_waited_for(
    place: Path, tiny_study: Study, tmp_path: Path, pretended: Time, monkeypatch: pytest.MonkeyPatch
):
    """All stages that could run are held elsewhere; the sprint waits until its end, and does nothing."""
    monkeypatch.setattr(runner.locks, "holder", lambda path: "process 1 on anna")
    monkeypatch.setattr(runner.locks, "attempt", lambda path, patient: _held())
    begun = pretended.now
    run(tiny_study, place, tmp_path, 35.5)
    assert pretended.now - begun == 36
    assert pretended.ran == []


@dataclasses.dataclass
class _held:  # noqa: N801
    def __enter__(self) -> str:
        return "process 1 on anna"

    def __exit__(self, *error: object) -> None:
        pass


def test_the_end_says_what_is_done_and_how_long_the_rest_takes(
    place: Path, tiny_study: Study, tmp_path: Path, pretended: Time
):
    stages = order.by_value(tiny_study.cells)
    limit = begin(tiny_study, tmp_path, 40.0)
    report = progress.Progress(stages, tmp_path / "runs", limit.paces)
    assert report.after_sprint(0).splitlines() == [
        "sprint: 0 of 8 stages are finished, 0 by this sprint",
        f"next: finetune of 'from nothing', seed 0 ({next(iter(stages)).folder})",
        "the rest: 8 stages, not known yet",
    ]
    runner.run(tiny_study.cells, tmp_path, [str(place)], sprint=limit)
    lines = report.after_sprint(0).splitlines()
    assert lines[0] == "sprint: 2 of 8 stages are finished, 2 by this sprint"
    assert re.fullmatch(
        r"next: pretrain of 'whole', seed 0 \(pretrain-\w+\); \d+ of 40 steps are done; about \d+ s", lines[1]
    )
    assert re.fullmatch(
        r"the rest: 6 stages \(\d of them guessed by others\), about \d min \d+ s, one after the other", lines[2]
    )


@pytest.mark.parametrize("text", ["90s", "2m", "1h30m", "1h", "1m30s"])
def test_times_are_read(text: str):
    from t5music.cli.parser import duration

    expected = {"90s": 90, "2m": 120, "1h30m": 5400, "1h": 3600, "1m30s": 90}
    assert duration(text) == expected[text]


@pytest.mark.parametrize("text", ["0s", "9", "m", "-1m", "1m1h", "1.5h", "999999999h", "٣m", "90 s"])
def test_what_is_no_time_is_refused(text: str, capsys: pytest.CaptureFixture[str]):
    assert main(["study", "--gin_file=sprint.gin", f"--sprint={text}"]) == 2
    assert "--sprint must be a time such as 90s, 9m or 1h30m" in capsys.readouterr().err


@pytest.mark.parametrize("flag", ["--plan", "--cells", "--collect"])
def test_what_runs_nothing_has_no_sprint(place: Path, flag: str, capsys: pytest.CaptureFixture[str]):
    assert main(["study", "--gin_file=sprint.gin", f"--gin_search_paths={place}", "--sprint", "9m", flag]) == 2
    assert f"--sprint runs stages, and {flag} runs nothing" in capsys.readouterr().err


@pytest.mark.slow
def test_the_command_keeps_the_limit_and_the_next_one_goes_on(
    place: Path, data: None, whole: dict[str, Any], tiny_study: Study, tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    """In real time: sprints of a few seconds, and longer ones where the machine is too slow for them."""
    command = ["study", "--gin_file=sprint.gin", f"--gin_search_paths={place}", "--dir", str(tmp_path), "--workers=1"]
    command += ["--data_dir", str(place / "data"), "--sprint"]
    out = ""
    for seconds in (4, 4, 8, 8, 16, 32, 64, 128, 256):
        begun = time.monotonic()
        assert main([*command, f"{seconds}s"]) == 0
        assert time.monotonic() - begun < seconds + 60, "the report comes after it, and others use the machine"
        out = capfd.readouterr().out
        assert "\nsprint: " in out
        if "the rest: " not in out:
            break
    assert "sprint: 8 of 8 stages are finished" in out
    assert results(tiny_study, tmp_path) == whole
