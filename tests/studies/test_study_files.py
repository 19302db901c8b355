"""The studies' own gin files: each can be spelt out, and trains and tests on what is declared."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from t5music.cli.main import main
from t5music.studies import runner
from t5music.studies.grid import TRAIN

ROOT = Path(__file__).resolve().parents[2] / "gin"
STUDIES = sorted(
    str(path.relative_to(ROOT)) for path in (ROOT / "studies").rglob("*.gin") if "study.name" in path.read_text()
)
SCALES = {
    scale: sorted(path.name for path in (ROOT / "studies" / scale).glob("*.gin") if "t5music study" in path.read_text())
    for scale in ("medium", "paper")
}
EVERY = [*STUDIES, *(f"studies/{scale}/{name}" for scale, names in SCALES.items() for name in names)]
NAMED = re.compile(r"^MIXTURE_OR_TASK_NAME = \\?\s*'(\w+)'", re.MULTILINE)
FOLDERS = {"english_language_model"}  # of the reader's own: the study says how to compile it


def test_every_study_is_there_at_the_papers_scale_and_some_between():
    names = [Path(name).name for name in STUDIES]
    assert names == SCALES["paper"]
    assert set(SCALES["medium"]) < set(names)


@pytest.mark.parametrize("name", EVERY)
def test_a_study_can_be_spelt_out(name: str):
    from t5music.data.declaration import MIXTURES, TASKS
    from t5music.tasks import study_mixtures  # noqa: F401

    study = runner.read([name], ["study.seeds = (0,)", "study.baseline_seeds = ()"])
    for scale in SCALES:
        assert study.name.endswith(f"_{scale}") == (f"{scale}/" in name)
    declared = {*TASKS, *MIXTURES, *FOLDERS}
    stages = study.stages()
    for stage in stages:
        assert set(NAMED.findall(stage.configuration)) <= declared, stage.name
        if stage.kind == TRAIN:
            assert NAMED.search(stage.configuration), stage.name
    cells = {cell.setting: cell.stages for cell in study.cells}
    for column in study.columns:
        assert column.stage in cells[study.baseline], column.name


@pytest.mark.slow
@pytest.mark.parametrize("name", EVERY)
def test_the_plan_of_every_training_can_be_made(name: str, capsys: pytest.CaptureFixture[str]):
    """By the command in the header, where it has one: what the gin files set is read, and the rows fit the chips."""
    commands = re.findall(r"t5music (study .*--plan .*)", (ROOT / name).read_text())
    if not commands:
        commands = [f'study --gin_file={name} --plan --plan_device "TPU v4" --plan_count {4 if "paper" in name else 1}']
    assert main(shlex.split(commands[0])) == 0
    plan = capsys.readouterr().out
    assert "All runs: " in plan
    assert "TOO MUCH" not in plan
