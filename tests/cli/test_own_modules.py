"""Code of one's own: what a module declares works in every verb, and models and stores say which module they need."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import tiny_models

from t5music.cli import own_modules
from t5music.cli.main import main
from t5music.data import answer_metrics, examples, objectives
from t5music.errors import CheckpointError, ConfigError, DataError
from t5music.inference import trained_model
from t5music.music import midi

ROOT = Path(__file__).resolve().parents[2]

STUDY = """
study.name = "mine"
study.title = "An objective of one's own"
study.seeds = (0,)
study.stages = {
    "train": {
        "train": ["runs/train.gin", "models/t5_1_1/tiny.gin"],
        "MIXTURE_OR_TASK_NAME": "my_recall",
        "TASK_FEATURE_LENGTHS": {"inputs": 192, "targets": 32},
        "TRAIN_STEPS": 1,
        "BATCH_SIZE": 1,
        "Validation.examples": 1,
        "Validation.answers": 1,
        "Validation.best_metric": "validation/my_recall/same_length",
    },
    "test": {
        "evaluate": ["runs/eval.gin"],
        "after": "train",
        "MIXTURE_OR_TASK_NAME": "my_recall",
        "evaluate.limit": 1,
    },
}
study.settings = {"plain": {}, "backwards": {"train": {"TrainingData.augmentations": "[@Backwards()]"}}}
study.columns = {"same length": "test/my_recall/same_length"}
study.better = {"same length": "higher"}
"""


def example_module() -> str:
    """The module that gin/README.md shows."""
    text = (ROOT / "gin" / "README.md").read_text(encoding="utf-8")
    return text.split("### Code of your own")[1].split("```python\n")[1].split("```")[0]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder; what a test registers there is forgotten after it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delenv(own_modules.VARIABLE, raising=False)
    monkeypatch.setenv(own_modules.VARIABLE, "")  # and what `load` sets goes with the test
    for registry in (examples.KINDS, objectives.OBJECTIVES, answer_metrics.METRICS):
        for name in list(registry):
            monkeypatch.setitem(registry, name, registry[name])
    return tmp_path


@pytest.fixture
def my_tasks(folder: Path) -> Iterator[Path]:
    (folder / "my_tasks.py").write_text(example_module())
    yield folder
    for registry, name in (
        (examples.KINDS, "recall"),
        (objectives.OBJECTIVES, "backwards"),
        (answer_metrics.METRICS, "same_length"),
    ):
        registry.pop(name, None)
    sys.modules.pop("my_tasks", None)


@pytest.mark.parametrize(
    ("content", "message"), [(None, "No module named"), ("1 / 0\n", "ZeroDivisionError"), ("import", "SyntaxError")]
)
@pytest.mark.parametrize("variable", [False, True])
def test_a_module_that_cannot_be_imported_is_named(folder, monkeypatch, content, message, variable):
    name = f"my_broken_module_{message.split()[0].lower()}"
    if content is not None:
        (folder / f"{name}.py").write_text(content)
    source = own_modules.VARIABLE if variable else "--module_import"
    if variable:
        monkeypatch.setenv(own_modules.VARIABLE, f"json,{name}")
    with pytest.raises(ConfigError, match=rf"{source} {name}: .*{message}"):
        own_modules.load([] if variable else [name])


def test_a_name_that_is_taken_is_refused():
    class Other(examples.Pieces):
        kind = "continue"

    with pytest.raises(ConfigError, match=r"'continue' is the name of t5music.data.examples.continuation.Continue"):
        examples.register(Other)


def test_what_is_not_imported_is_named():
    with pytest.raises(DataError, match=r"'recal' is declared in the module theirs.*--module_import theirs"):
        examples.from_config({"kind": "recal", "module": "theirs"})
    with pytest.raises(DataError, match=r"unknown kind of examples 'contine'.*did you mean 'continue'"):
        examples.from_config({"kind": "contine"})
    with pytest.raises(DataError, match="objective 'x' is declared in the module theirs"):
        objectives.from_config({"name": "x", "module": "theirs"})
    with pytest.raises(DataError, match=r"unknown metric 'bleuu'.*did you mean 'bleu'"):
        answer_metrics.get("bleuu")


@pytest.mark.slow
def test_a_model_of_ones_own_task_says_which_module_it_needs(my_tasks, capsys):
    """Compiled, trained on, evaluated, in a study and asked for music, in one flow."""
    for number in range(6):
        midi.write(tiny_models.band(number, bars=8), my_tasks / "music" / f"{number}.mid")
    data, own = ["--data_dir", str(my_tasks / "data")], ["--module_import", "my_tasks"]
    assert main(["compile", "--midi", "music", "--name", "mine", *data]) == 0
    assert main(["compile", "my_recall", *own, *data]) == 0
    manifest = json.loads((my_tasks / "data" / "stores" / "my_recall" / "manifest.json").read_text())
    assert manifest["examples"]["module"] == manifest["objectives"][0]["module"] == "my_tasks"
    assert manifest["metrics"] == ["same_length"]
    size = ["--gin_file=runs/train.gin", "--gin_file=models/t5_1_1/tiny.gin", "--steps", "1", "--batch_size", "1"]
    lengths = '--gin.TASK_FEATURE_LENGTHS={"inputs": 192, "targets": 192}'
    assert main(["train", "my_recall", "--model_dir", "run", *size, lengths, *own, *data]) == 0
    one = ["--split", "train", "--gin.evaluate.limit=1"]
    assert main(["eval", "my_recall", "--model_dir", "run", *one, *own, *data]) == 0
    assert json.loads(Path("run/eval_train.json").read_text())["my_recall"]["same_length"] in (0, 1)
    Path("mine.gin").write_text(STUDY)
    assert main(["study", "--gin_file=mine.gin", "--workers=1", *own, *data]) == 0
    table = Path("studies/mine/table.md").read_text()
    assert "same length ↑" in table
    assert "Failed" not in table
    song = ["generate", "music/1.mid", "--model_dir", "run", "--words", "8", "--output", "out.mid", *data]
    assert main([*song, *own]) == 0
    assert Path("out.mid").is_file()
    del examples.KINDS["recall"]
    capsys.readouterr()
    with pytest.raises(CheckpointError, match=r"declared in the module my_tasks, which is not imported: add --module"):
        trained_model.load("run")
    assert main(["eval", "my_recall", "--model_dir", "run", *data]) == 2
    assert "'recall' is declared in the module my_tasks, which is not imported: add --module" in capsys.readouterr().err
