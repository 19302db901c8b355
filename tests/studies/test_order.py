"""Order: the first seeds, what most cells wait for, the baseline and its controls, and what a selection says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from t5music.errors import ConfigError
from t5music.studies.expand import expand
from t5music.studies.grid import Cell, Description, Stage, Study
from t5music.studies.order import by_value

STAGES = {
    "pretrain": {"train": ["runs/pretrain.gin"], "MIXTURE_OR_TASK_NAME": "music"},
    "finetune": {"train": ["runs/finetune.gin"], "after": "pretrain", "MIXTURE_OR_TASK_NAME": "songs"},
    "test": {"evaluate": ["runs/eval.gin"], "after": "finetune", "MIXTURE_OR_TASK_NAME": "songs"},
}
# "none" is without a model to start from, so it is given one here.
SETTINGS = {
    "larger": {"pretrain": {"BATCH_SIZE": 16}},
    "whole": {},
    "moments": {"finetune": {"InitialModel.optimizer_state": True}},
    "none": {"pretrain": {"TRAIN_STEPS": 1}},
}


def study(**more: object) -> Study:
    fields = {"settings": SETTINGS, "stages": STAGES, "columns": {"loss": "test/songs/loss"}, "seeds": (0, 1), **more}
    return expand(Description(name="grid", title="Grid", **fields), ("train", "evaluate"))  # type: ignore[arg-type]


def order(grid: Study) -> list[str]:
    return [f"{stage.name} {cell.name}" for stage, cell in by_value(grid.cells).items()]


def test_what_most_wait_for_comes_first_then_the_baseline_and_its_controls():
    first = [
        "pretrain whole",
        *("finetune whole", "test whole", "pretrain none", "finetune none", "test none"),
        *("pretrain larger", "finetune larger", "test larger", "finetune moments", "test moments"),
    ]
    expected = [f"{name}:{seed}" for seed in (0, 1) for name in first]
    assert order(study(baseline="whole", controls=("none",))) == expected


def test_further_seeds_of_the_baseline_come_last():
    names = order(study(baseline="whole", seeds=(0,), baseline_seeds=(0, 1, 2)))
    assert [name[-1] for name in names] == sorted(name[-1] for name in names)
    assert names[-3:] == ["pretrain whole:2", "finetune whole:2", "test whole:2"]


def test_a_selection_runs_alone_and_in_its_order():
    grid = study(
        baseline="whole",
        controls=("none",),
        selection=("moments", "larger", "whole"),
        chosen={"best": ("larger", "none"), "other": ("none",)},
        axis={"name": "size", "values": {"larger": 2, "none": 0}},
    )
    assert [cell.name for cell in grid.cells] == [
        f"{name}:{seed}" for seed in (0, 1) for name in ("moments", "larger", "whole")
    ]
    assert grid.settings == ("larger", "whole", "moments"), "rows of the table stay in their order"
    assert (grid.controls, grid.chosen) == ((), {"best": ("larger",)})
    assert grid.axis is not None
    assert grid.axis.values == {"larger": 2}
    assert order(grid)[0] == "pretrain moments:0", "of two that wait for it, the first is named"


@pytest.mark.parametrize(
    ("selection", "message"),
    [
        (("larger",), r"study.selection leaves out the baseline, 'whole': name it, too"),
        (("whole", "large"), r"study.selection names 'large', which is no setting; did you mean 'larger'"),
    ],
)
def test_mistakes_in_a_selection_are_named(selection: Sequence[str], message: str):
    with pytest.raises(ConfigError, match=message):
        study(baseline="whole", selection=selection)


@st.composite
def grids(draw: st.DrawFn) -> list[Cell]:
    """Cells of two seeds, whose stages are chains that share their beginnings."""
    cells = []
    for seed in (3, 1):
        for setting in range(draw(st.integers(1, 4))):
            stages: dict[str, Stage] = {}
            parents: tuple[Stage, ...] = ()
            for depth in range(draw(st.integers(1, 4))):
                text = f"{depth} {draw(st.integers(0, 2))}" if depth < 2 else f"{depth} {setting}"
                stage = Stage(
                    str(depth), "train", seed, parents, configuration=f"{text} {draw(st.sampled_from(['', seed]))}"
                )
                stages[stage.name], parents = stage, (stage,)
            cells.append(Cell(str(setting), seed, stages))
    return cells


@given(grids())
def test_every_stage_comes_once_after_its_parents_and_seeds_one_after_the_other(cells: list[Cell]):
    stages = by_value(cells)
    places = {stage: place for place, stage in enumerate(stages)}
    needs: Mapping[str, set[Stage]] = {
        cell.name: {need for stage in cell.stages.values() for need in stage.all()} for cell in cells
    }
    assert set(stages) == set().union(*needs.values())
    for stage, cell in stages.items():
        assert stage in needs[cell.name]
        assert all(places[parent] < places[stage] for parent in stage.parents)
    seeds = [cell.seed for cell in stages.values()]
    assert seeds == sorted(seeds, key=[3, 1].index)
