"""A study run for real on a small store: what is shared, resumed, repeated, refused and reported."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
import tiny_studies
from hypothesis import given
from hypothesis import strategies as st
from lock_holders import other_process

from t5music import locks
from t5music.cli.main import main
from t5music.configuration import gin_files
from t5music.errors import ConfigError, DataError
from t5music.studies import preparation, runner, stage_folders
from t5music.studies.grid import Study

STAGES = """{
    "pretrain": {"train": ["tiny.gin"], "TRAIN_STEPS": 2},
    "finetune": {"train": ["tiny.gin"], "after": "pretrain"},
    "test": {"evaluate": ["runs/eval.gin"], "after": "finetune", "MIXTURE_OR_TASK_NAME": "song", "SPLIT": "test"},
}"""
STUDY = f"""
study.name = "tiny"
study.title = "Two settings on random music"
study.seeds = (0,)
study.stages = {STAGES}
study.settings = {{
    "whole": {{}}, "broken": {{"finetune": {{"TrainingData.lanes": 3}}}}, "from nothing": {{"pretrain": None}}
}}
study.columns = {{"song": "test/song/bits_per_note"}}
"""
LONGER = """{
    "pretrain": {"train": ["tiny.gin"], "TRAIN_STEPS": 60, "Records.save_period": 20},
    "finetune": {"train": ["tiny.gin"], "after": "pretrain"},
    "test": {"evaluate": ["runs/eval.gin"], "after": "finetune", "MIXTURE_OR_TASK_NAME": "song", "SPLIT": "test"},
}"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with the task `song`, a study's gin files, and the studies' folder after one run of it."""
    root = tmp_path_factory.mktemp("studies")
    tiny_studies.write_store(root / "data" / "stores" / "song")
    write_gin(root)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("T5MUSIC_DATA", str(root / "data"))
        patch.setenv("NPROC", "1")  # what the command sets is taken back after it
        assert study(root) == 0
    return root


def write_gin(root: Path) -> None:
    (root / "tiny.gin").write_text(tiny_studies.TINY)
    (root / "study.gin").write_text(STUDY)


def study(root: Path, *more: str) -> int:
    paths = ["--gin_file=study.gin", f"--gin_search_paths={root}", "--dir", str(root / "studies")]
    return main(["study", *paths, "--workers=1", "--data_dir", str(root / "data"), *more])


def read(root: Path) -> tuple[Study, dict[str, stage_folders.Record]]:
    tiny_study = runner.read(["study.gin"], [], [str(root)])
    return tiny_study, stage_folders.collect(tiny_study, [root / "studies" / "runs"])


def test_reading_a_study_leaves_no_bindings_behind(place: Path):
    read(place)
    assert gin_files.as_set().strip() == ""
    with pytest.raises(ConfigError, match="nothing"):
        runner.read(["study.gin"], ["study.baseline = 'nothing'"], [str(place)])
    assert gin_files.as_set().strip() == ""


def test_what_fails_is_written_down_and_stops_nothing_else(place: Path):
    tiny_study, records = read(place)
    whole, broken, scratch = tiny_study.cells
    assert {stage.folder for stage in tiny_study.stages()} >= {
        path.parent.name for path in (place / "studies" / "runs").glob("*/stage.json")
    }
    for cell in (whole, scratch):
        record = records[cell.stages["test"].fingerprint]
        assert (record.status, record.seconds > 0, record.version != "") == ("finished", True, True)
        assert record.results["song"]["bits_per_note"] > 0
    tuned, tested = (records[broken.stages[name].fingerprint] for name in ("finetune", "test"))
    assert tuned.status == tested.status == "failed"
    assert tuned.reason.startswith("the batch size (2) must be a multiple of the number of lanes (3)")
    assert tested.reason == f"finetune: {tuned.reason}"
    assert "Traceback" in (tuned.folder / "error.txt").read_text()
    assert not tested.folder.exists()
    pretrained = records[whole.stages["pretrain"].fingerprint]
    lines = [json.loads(line) for line in (pretrained.folder / "timing.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [2]  # the first step compiles and is not measured
    assert pretrained.flops == pytest.approx(2 * lines[0]["flops_per_second"] / lines[0]["steps_per_second"])
    text = (place / "studies" / "tiny" / "table.md").read_text()
    assert "failed" in text
    assert "must be a multiple of the number of lanes" in text


def test_only_what_is_gone_runs_again_and_gives_the_same_figures(place: Path, monkeypatch: pytest.MonkeyPatch):
    tiny_study, records = read(place)
    cell = tiny_study.cells[2]
    table = without_time(place / "studies" / "tiny" / "table.csv")
    before = records[cell.stages["test"].fingerprint]
    untouched = records[tiny_study.cells[0].stages["finetune"].fingerprint].folder / "stage.json"
    stamp = untouched.stat().st_mtime_ns
    for name in ("finetune", "test"):
        shutil.rmtree(records[cell.stages[name].fingerprint].folder)
    assert read(place)[1][before.stage.fingerprint].status == "missing"
    ran: list[str] = []
    call = runner.call
    monkeypatch.setattr(runner, "call", lambda stage, *rest: ran.append(stage.name) or call(stage, *rest))
    assert study(place, "--cell", "from nothing:0") == 0
    assert ran == ["finetune", "test"]
    assert read(place)[1][before.stage.fingerprint].results == before.results  # to the last bit
    assert untouched.stat().st_mtime_ns == stamp
    assert without_time(place / "studies" / "tiny" / "table.csv") == table


@given(st.floats(1e-3, 1e5), st.integers(1, 10**15), st.integers(1, 10**6))
def test_what_a_run_cost_does_not_depend_on_its_speed(rate: float, flops: int, tokens: int):
    line = {"step": 3, "steps_per_second": rate, "tokens_per_second": tokens * rate, "flops_per_second": flops * rate}
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "timing.jsonl").write_text(json.dumps(line) + "\n")
        assert stage_folders.cost(Path(folder)) == (3 * tokens, 3 * flops)


def without_time(path: Path) -> list[dict[str, str]]:
    rows = list(csv.DictReader(path.read_text().splitlines()))
    return [{name: value for name, value in row.items() if name != "hours"} for row in rows]


def test_a_table_is_made_of_run_folders_alone(place: Path, tmp_path: Path):
    shutil.copytree(place / "studies" / "runs", tmp_path / "elsewhere")
    arguments = ["--gin_file=study.gin", f"--gin_search_paths={place}", "--dir", str(tmp_path / "new")]
    assert main(["study", *arguments, "--collect", str(tmp_path / "elsewhere")]) == 0
    for name in ("table.md", "table.csv"):
        assert (tmp_path / "new" / "tiny" / name).read_bytes() == (place / "studies" / "tiny" / name).read_bytes()


def test_a_stage_another_process_has_is_waited_for(place: Path, monkeypatch: pytest.MonkeyPatch):
    tiny_study, records = read(place)
    cell = tiny_study.cells[0]
    folder = records[cell.stages["test"].fingerprint].folder
    text = (folder / "stage.json").read_text()
    stage_folders.write(folder, json.loads(text) | {"status": "begun"})
    waits: list[float] = []

    def sleep(seconds: float) -> None:  # the other process finishes meanwhile
        if seconds == runner.WAIT_SECONDS:
            waits.append(seconds)
            assert read(place)[1][cell.stages["test"].fingerprint].status == "running"
            (folder / "stage.json").write_text(text)

    monkeypatch.setattr(runner.time, "sleep", sleep)
    monkeypatch.setattr(runner, "_run", lambda *arguments: pytest.fail("it is not ours"))
    with other_process(folder / locks.FILE):
        runner.run([cell], place / "studies")
    assert waits == [runner.WAIT_SECONDS]
    assert read(place)[1][cell.stages["test"].fingerprint].status == "finished"


def test_what_is_missing_is_said_once_before_anything_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    write_gin(tmp_path)
    monkeypatch.setenv("NPROC", "1")
    asked: list[str] = []
    reason = "song_spans reads corpus 'lakh', which is not built: build it with t5music corpora --build lakh"

    def open_stores(name: str) -> None:
        asked.append(name)
        if name == "song_spans":
            raise DataError(reason)

    ran: list[str] = []
    monkeypatch.setattr(preparation, "open_stores", open_stores)
    monkeypatch.setattr(runner, "call", lambda stage, *rest: ran.append(stage.name) or {"song": {"bits_per_note": 1.0}})
    stages = STAGES.replace('"TRAIN_STEPS": 2', '"MIXTURE_OR_TASK_NAME": "song_spans"')
    capfd.readouterr()
    assert study(tmp_path, "--gin.study.stages=" + stages, "--gin.study.seeds=(0, 1)") == 0
    lines = capfd.readouterr().err.splitlines()
    assert lines[:2] == [f"t5music: {reason}", "t5music: stages that read song_spans fail; all others run"]
    assert sum("lakh" in line for line in lines) == 1
    assert sorted(asked) == ["song", "song_spans"]
    assert ran == ["finetune", "test"] * 2, "those of the setting without pre-training"
    table = (tmp_path / "studies" / "tiny" / "table.md").read_text()
    assert f'**failed** pretrain of "whole", "broken", seeds 0, 1: {reason}' in table
    assert "SystemExit" not in table


def test_cells_commands_and_plans_are_printed(place: Path, capsys: pytest.CaptureFixture[str]):
    capsys.readouterr()
    assert study(place, "--cells") == 0
    assert capsys.readouterr().out.splitlines() == [
        "whole:0  (3 finished)",
        "broken:0  (2 failed, 1 finished)",
        "from nothing:0  (2 finished)",
    ]
    assert study(place, "--print_commands") == 0
    commands = capsys.readouterr().out.splitlines()
    assert len(commands) == 3
    assert commands[2].startswith("t5music study --gin_file=study.gin")
    assert commands[2].endswith("--quiet --cell 'from nothing:0'")
    assert study(place, "--plan", "--plan_device", "TPU v4", "--plan_count", "1") == 0
    planned = capsys.readouterr().out
    assert planned.count("\n| pretrain-") == 1
    assert planned.count("\n| finetune-") == 2  # with other lanes it is another training, without an ancestor the same
    assert "All runs: " in planned
    assert main(["study"]) == 2
    assert "say which with --gin_file" in capsys.readouterr().err


@pytest.mark.slow
def test_a_killed_study_goes_on_with_two_processes_to_the_same_figures(place: Path, tmp_path: Path):
    command = [sys.executable, "-m", "t5music", "study", "--gin_file=study.gin", f"--gin_search_paths={place}"]
    command += ["--dir", str(tmp_path), "--data_dir", str(place / "data"), "--workers"]
    steps = ["--gin.study.stages=" + LONGER]
    killed = subprocess.Popen([*command, "1", *steps], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not list((tmp_path / "runs").glob("pretrain-*/checkpoints/*/_CHECKPOINT_METADATA")):
        assert killed.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    killed.kill()
    killed.wait()
    assert not list((tmp_path / "runs").glob("test-*"))
    subprocess.run([*command, "2", *steps], check=True, capture_output=True)
    assert study(place, *steps, "--dir", str(tmp_path / "whole")) == 0
    values = [
        list(csv.DictReader((root / "tiny" / "values.csv").read_text().splitlines()))
        for root in (tmp_path, tmp_path / "whole")
    ]
    figures = [[(row["row"], row["fingerprint"], row["value"], row["status"]) for row in rows] for rows in values]
    assert figures[0] == figures[1]
    assert {row[3] for row in figures[0]} == {"finished", "failed"}
