"""A study's gin file spelt out: which stages there are, which are shared, and what every mistake says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from t5music.configuration import registry
from t5music.errors import ConfigError
from t5music.studies import grid, runner
from t5music.studies.expand import expand as expand_description

STAGES = {
    "pretrain": {"train": ["runs/pretrain.gin"], "MIXTURE_OR_TASK_NAME": "music"},
    "finetune": {"train": ["first.gin"], "after": "pretrain"},
    "test": {"evaluate": ["runs/eval.gin"], "after": "finetune", "MIXTURE_OR_TASK_NAME": "downstream"},
}
TEST_FIRST = {**STAGES, "test": {**STAGES["test"], "after": "pretrain"}}
FIRST = """
include "runs/train.gin"
MIXTURE_OR_TASK_NAME = "downstream"
"""


def expand(place: Path, settings: dict[str, Any], stages: dict[str, Any] = STAGES, **more: Any) -> grid.Study:
    (place / "first.gin").write_text(FIRST)
    fields = {"columns": {"continue": "test/song/bits_per_note"}, "seeds": (0, 1), **more}
    description = grid.Description("grid", "A grid", stages, settings, **fields)
    return expand_description(description, registry.STAGES, [str(place)])


def test_cells_share_the_stages_they_have_in_common(tmp_path: Path):
    study = expand(
        tmp_path,
        {
            "all": {},
            "rate .01": {"finetune": {"schedules.constant.rate": 0.01, "adafactor.rate": "@schedules.constant()"}},
        },
    )
    assert [cell.name for cell in study.cells] == ["all:0", "rate .01:0", "all:1", "rate .01:1"]
    assert [stage.name for stage in study.stages()] == ["pretrain", *["finetune", "test"] * 2] * 2
    first, other = study.cells[0].stages, study.cells[1].stages
    assert first["pretrain"] is not other["pretrain"]
    assert first["pretrain"] == other["pretrain"]
    assert first["finetune"].folder != other["finetune"].folder
    assert first["test"].fingerprint != other["test"].fingerprint  # of another model
    assert "schedules.constant.rate = 0.01" in other["finetune"].configuration
    assert f"INITIAL_CHECKPOINT_PATH = '{first['pretrain'].folder}'" in first["finetune"].configuration
    assert "SEED = 1" in study.cells[2].stages["pretrain"].configuration
    # What a stage is does not depend on the study, its settings' names or their order.
    again = expand(tmp_path, {"other": {}}, seeds=[1])
    assert again.cells[0].stages["test"] == study.cells[2].stages["test"]


def test_stages_are_left_out_added_and_moved(tmp_path: Path):
    more = {"train": ["first.gin"], "after": "pretrain", "TRAIN_STEPS": 7, "seed_offset": 1000}
    study = expand(
        tmp_path,
        {
            "none": {"pretrain": None},
            "ensemble": {"finetune b": more, "test": {"after": ["finetune", "finetune b"]}},
            "pre-trained alone": {"finetune": None},
            "nothing": {"pretrain": None, "finetune": None},
            "tiny": {"*": {"gin_files": ["models/t5_1_1/tiny.gin"]}},
            "patterns": {
                "*": {"TRAIN_STEPS": 9, "BATCH_SIZE": 2},
                "fine*": {"BATCH_SIZE": 3},
                "finetune": {"SEED": 4},
                "t*": {"SPLIT": "train"},
            },
            "none of them": {"*tune": None},
        },
        seeds=[3],
    )
    none, ensemble, alone, nothing, tiny, patterns, fewer = (cell.stages for cell in study.cells)
    assert list(none) == ["finetune", "test"]
    assert none["finetune"].parents == ()
    assert "INITIAL_CHECKPOINT_PATH = None" in none["finetune"].configuration
    assert ensemble["finetune b"].seed == 1003
    assert ensemble["test"].parents == (ensemble["finetune"], ensemble["finetune b"])
    folders = [ensemble[name].folder for name in ("finetune", "finetune b")]
    assert f"MODEL_DIR = {folders!r}" in " ".join(ensemble["test"].configuration.split()).replace("[ ", "[")
    assert alone["test"].parents == (alone["pretrain"],)
    assert nothing == {}  # no model, so nothing to look at
    assert "T5Config.d_model = 32" in tiny["pretrain"].configuration
    assert "T5Config.d_model = 32" in tiny["finetune"].configuration
    assert "T5Config" not in tiny["test"].configuration
    assert patterns["pretrain"].bindings == ("MIXTURE_OR_TASK_NAME = 'music'", "TRAIN_STEPS = 9", "BATCH_SIZE = 2")
    assert patterns["finetune"].bindings == ("TRAIN_STEPS = 9", "BATCH_SIZE = 3", "SEED = 4")
    assert patterns["test"].bindings == ("MIXTURE_OR_TASK_NAME = 'downstream'", "SPLIT = 'train'")  # * is what trains
    assert list(fewer) == ["pretrain", "test"]
    assert [stage.tasks for stage in patterns.values()] == [("music",), ("downstream",), ("downstream",)]


def test_what_every_setting_says_comes_before_its_own(tmp_path: Path):
    study = expand(
        tmp_path,
        {
            "as shared": {},
            "a pattern": {"fine*": {"TRAIN_STEPS": 8}, "other*": {"TRAIN_STEPS": 8}},
            "its own": {"finetune": {"TRAIN_STEPS": 9}, "other": {}},
        },
        shared={
            "fine*": {"TRAIN_STEPS": 7},
            "finetune": {"BATCH_SIZE": 2},
            "other": {"train": ["first.gin"], "after": "pretrain"},
            "o*": None,
        },
        seeds=[0],
    )
    shared, pattern, exact = (cell.stages for cell in study.cells)
    assert shared["finetune"].bindings == ("TRAIN_STEPS = 7", "BATCH_SIZE = 2")
    assert pattern["finetune"].bindings == ("TRAIN_STEPS = 8", "BATCH_SIZE = 2")
    assert exact["finetune"].bindings == ("TRAIN_STEPS = 9", "BATCH_SIZE = 2")
    assert pattern["other"].bindings == ("TRAIN_STEPS = 8",)
    # Here the stage is asked for by its own name, and that wins over what leaves it out.
    assert [list(cell) for cell in (shared, pattern, exact)] == [["pretrain", "finetune", "test", "other"]] * 3


def test_what_a_pattern_leaves_out_other_patterns_do_not_bring_back(tmp_path: Path):
    settings = {"out": {"*tune": {"TRAIN_STEPS": 8}}, "back": {"finetune": {}}}
    out, back = (cell.stages for cell in expand(tmp_path, settings, shared={"fine*": None}, seeds=[0]).cells)
    assert list(out) == ["pretrain", "test"]
    assert list(back) == ["pretrain", "finetune", "test"]


def test_a_scale_chooses_gin_files_and_names_the_folder(tmp_path: Path):
    (tmp_path / "paper.gin").write_text('include "runs/pretrain.gin"\nMIXTURE_OR_TASK_NAME = "large"\n')
    stages = {"pretrain": {"train": ["{scale}.gin"]}, "test": {**STAGES["test"], "after": "pretrain"}}
    study = expand(tmp_path, {"one": {}}, stages, scale="paper")
    assert study.name == "grid_paper"
    assert "'large'" in study.cells[0].stages["pretrain"].configuration


@pytest.mark.parametrize(
    ("settings", "more", "message"),
    [
        ({}, {}, "at least one setting and one seed"),
        ({"a": {}}, {"seeds": []}, "at least one setting and one seed"),
        ({"a": {}}, {"baseline": "b"}, "study.baseline names 'b', which is no setting"),
        ({"a": {}}, {"controls": ("b",)}, "study.controls names 'b', which is no setting"),
        ({"a": {}}, {"chosen": {"best": ("a", "b")}}, "study.chosen names 'b', which is no setting"),
        ({"a": {}}, {"axis": {"name": "K", "values": {"aa": 1}}}, r"study.axis names 'aa', .*did you mean 'a'"),
        ({"a": {"pretrian *": {}}}, {}, r"no stage is called like 'pretrian \*'; did you mean 'pretrain'"),
        ({"a": {"pretrian": {}}}, {}, "setting 'a': no stage 'pretrian'; did you mean 'pretrain'"),
        ({"a": {"test": {"after": "fine"}}}, {}, "'test' comes after 'fine', which is no stage; did you mean 'f"),
        ({"a": {"pretrain": {"after": "finetune"}}}, {}, "pretrain after finetune after pretrain is a circle"),
        ({"a": {"finetune": {"after": "test"}}}, {"stages": TEST_FIRST},
         "'finetune' comes after 'test', which makes no model"),
        ({"a": {"more": {"train": ["runs/eval.gin"], "after": "pretrain", "MIXTURE_OR_TASK_NAME": "x"}}}, {},
         "needs gin files with the macro INITIAL_CHECKPOINT_PATH"),
        ({"a": {"more": {"train": ["first.gin"], "after": ["pretrain", "finetune"]}}}, {}, "comes after one stage,"),
        ({"a": {}}, {"stages": {"test": {"evalute": ["runs/eval.gin"]}}}, "stage 'test' has none of the kinds train,"),
        ({"a": {"pretrain": {"train.sed": 1}}}, {}, "train has no parameter 'sed'; did you mean 'seed'"),
        ({"a": {"pretrain": {"gin_files": ["models/huge.gin"]}}}, {}, "models/huge.gin: not found in"),
        ({"a": {}}, {"columns": {"c": "tset/a/loss"}}, "'c' is of stage 'tset'; did you mean 'test'"),
        ({"a": {}}, {"columns": {"c": "test/loss"}}, 'write "stage/task/metric"'),
        ({"a": {}}, {"literature": {"paper": {"d": 1.0}}}, "'paper' has a figure for 'd', which is no column"),
    ],
)  # fmt: skip
def test_mistakes_are_named(tmp_path: Path, settings: dict, more: dict, message: str):
    with pytest.raises(ConfigError, match=message):
        expand(tmp_path, settings, **more)


@pytest.mark.parametrize(
    ("metric", "higher", "scale", "unit"),
    [
        ("accuracy", True, 100, "%"),
        ("macro_f1", True, 100, "%"),
        ("unigram_bits_per_note", False, 1, "bits/note"),
        ("perplexity", False, 1, ""),
        ("auc_100", True, 1, ""),
    ],
)
def test_a_column_knows_its_metric(metric: str, higher: bool, scale: float, unit: str):
    column = grid.Column("c", "test", "song", metric)
    assert (column.higher_is_better, column.scale, column.unit) == (higher, scale, unit)


def test_a_heading_says_its_unit_once():
    assert grid.Column("continue", "test", "song", "bits_per_note").heading == "continue (bits/note) ↓"
    assert grid.Column("bits per note", "test", "song", "bits_per_note").heading == "bits per note ↓"
    assert grid.Column("hits", "test", "song", "accuracy").heading == "hits (%) ↑"


def test_a_study_is_read_from_gin(tmp_path: Path):
    path = tmp_path / "mine.gin"
    path.write_text(
        'study.name = "mine"\nstudy.title = "Mine"\nstudy.settings = {"one": {}}\n'
        'study.stages = {"pretrain": {"train": ["runs/pretrain.gin"], "MIXTURE_OR_TASK_NAME": "music"},\n'
        ' "test": {"evaluate": ["runs/eval.gin"], "after": "pretrain", "MIXTURE_OR_TASK_NAME": "music"}}\n'
        'study.columns = {"loss": "test/music/loss"}\n'
    )
    study = runner.read([str(path)], ["study.seeds = (5,)"])
    assert [cell.name for cell in runner.choose(study, [])] == ["one:5"]
    with pytest.raises(ConfigError, match="no such cell; did you mean 'one:5'"):
        runner.choose(study, ["one:4"])
    with pytest.raises(ConfigError, match="has no parameter 'seed'; did you mean 'seeds'"):
        runner.read([str(path)], ["study.seed = 5"])


def test_a_column_says_what_is_better(tmp_path: Path):
    columns = {"mine": "test/song/same_length", "loss": "test/song/loss", "accuracy": "test/song/accuracy"}
    plain = expand(tmp_path, {"all": {}}, columns=columns)
    assert [column.higher_is_better for column in plain.columns] == [False, False, True]
    study = expand(tmp_path, {"all": {}}, columns=columns, better={"mine": "higher", "accuracy": "lower"})
    assert [column.higher_is_better for column in study.columns] == [True, False, False]
    assert study.columns[0].heading == "mine ↑"
    with pytest.raises(ConfigError, match=r"study.better names 'min', which is no column; did you mean 'mine'"):
        expand(tmp_path, {"all": {}}, columns=columns, better={"min": "higher"})
    with pytest.raises(ConfigError, match=r"study.better: 'mine' must be 'higher' or 'lower', not 'up'"):
        expand(tmp_path, {"all": {}}, columns=columns, better={"mine": "up"})
