"""The medium scale's stages, run: on tiny corpora under the names of real ones, tiny models, for two steps each."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("seqio")

import tiny_corpora

from t5music.cli.main import main
from t5music.corpora import build
from t5music.studies import runner, stage_folders
from t5music.studies.grid import Cell, Stage, Study

pytestmark = pytest.mark.slow

STUDIES = (
    "curve", "pretraining", "strategies", "mixing", "objectives", "spans", "lakhnes", "classical_jazz_pop",
)  # fmt: skip
PIANO = ("piano",)
CORPORA = {
    "web_midi": {"tracks": ("flute", "bass", "viola"), "program": 73},
    "piano_midi_de": {"tracks": PIANO},
    "piano_e_competition": {"tracks": PIANO},
    "jazz_piano": {"tracks": PIANO},
    "ryans_mammoth": {"tracks": ("melody",), "program": 40},
    "monteverdi": {"tracks": tiny_corpora.SATB, "program": 52},
    "trecento": {"tracks": tiny_corpora.SATB, "program": 52},
    "pianist8": {"tracks": PIANO, "composer": "Bethel"},
    "emopia": {"tracks": PIANO, "emotion": "Q1"},
    "nottingham": {"tracks": ("melody", "chords"), "program": 40},
    "jsb_chorales": {"tracks": tiny_corpora.SATB, "program": 52},
    "pop909": {"tracks": ("MELODY", "BRIDGE", "PIANO")},
    "nes_nsf": {"tracks": ("p1", "p2", "tr"), "program": 80},
}
TINY = ("T5Config.d_model = 16", "T5Config.d_kv = 8", "T5Config.num_heads = 2", "T5Config.d_ff = 16")
SHORT = {
    "train": (*TINY, "T5Config.num_decoder_layers = 1", "TRAIN_STEPS = 2"),
    "evaluate": ("evaluate.limit = 2",),
    "sample": ("sample.count = 1", "sample.words = 16", "sample.prompt_words = 16"),
}


def read(name: str) -> Study:
    return runner.read([f"studies/medium/{name}.gin"], [])


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A data folder with the stores of all that the studies read."""
    folder = tmp_path_factory.mktemp("data")
    for number, (name, form) in enumerate(CORPORA.items()):
        corpus = tiny_corpora.corpus(name, first=1000 * number, **form)
        build.build(corpus, folder, folder, workers=1, progress=False)
    names = dict.fromkeys(task for study in STUDIES for stage in read(study).stages() for task in stage.tasks)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("T5MUSIC_DATA", str(folder))
        assert main(["compile", *names, "--data_dir", str(folder), "--workers=1"]) == 0
        yield


def shortened(stage: Stage) -> Stage:
    bindings = SHORT[stage.kind]
    if stage.kind == "train" and "T5Config.num_encoder_layers = 0" not in stage.configuration:
        bindings = (*bindings, "T5Config.num_encoder_layers = 1")
    if "@warmup_linear()" in stage.configuration:
        bindings = (*bindings, "warmup_linear.warmup_steps = 1")
    parents = tuple(map(shortened, stage.parents))
    return dataclasses.replace(stage, parents=parents, bindings=(*stage.bindings, *bindings))


def telling(study: Study) -> list[Cell]:
    """Cells with stages of a shape that no cell before has, shortened."""
    seen: set[str] = set()
    cells = []
    for cell in study.cells:
        shapes = {stage.shape for stage in cell.stages.values()}
        if not shapes <= seen:
            seen |= shapes
            stages = {name: shortened(stage) for name, stage in cell.stages.items()}
            cells.append(dataclasses.replace(cell, stages=stages))
    return cells


@pytest.mark.parametrize("name", STUDIES)
def test_stages_run(name: str, stores: None, tmp_path: Path):
    study = read(name)
    cells = telling(study)
    assert {cell.setting for cell in cells} >= {study.baseline}
    runner.run(cells, tmp_path)
    for cell in cells:
        for stage in cell.stages.values():
            document = stage_folders.read(tmp_path / runner.RUNS / stage.folder)
            assert document["status"] == "finished", (cell.name, stage.name, document.get("reason"))
    results = {
        column.name: stage_folders.read(tmp_path / runner.RUNS / cells[0].stages[column.stage].folder)["results"]
        for column in study.columns
        if column.stage in cells[0].stages
    }
    for column in study.columns:
        assert column.metric in results[column.name][column.task], column.name
