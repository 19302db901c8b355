"""`t5music eval` and `t5music average` as their users would use them, on runs of random weights and random music."""

from __future__ import annotations

import dataclasses
import json
import shutil
import threading
from pathlib import Path
from typing import Any, ClassVar

import jax
import numpy as np
import pytest
from flax import nnx

from t5music.cli.main import main
from t5music.data import examples, mixing_rates
from t5music.data.store.codec import FeatureSpec
from t5music.data.store.token_store import StoreWriter, write_mixture
from t5music.data.vocabulary import default
from t5music.errors import CheckpointError
from t5music.evaluation import checkpoint_choice, example_tallies, follow, results
from t5music.evaluation import evaluator as evaluating
from t5music.evaluation.task_evaluations import OwnMetric
from t5music.model import parameters
from t5music.model.config import PREFIX_LM, T5Config
from t5music.runs.stores import open_stores
from t5music.training.checkpoints.layout import steps_of
from t5music.training.checkpoints.save import Checkpoints
from t5music.training.loop import FINISHED_FILE
from t5music.training.metric_writers import read_metrics
from t5music.training.train_state import TrainState

CONFIG = T5Config(
    vocab_size=default().rows,
    d_model=16,
    d_kv=4,
    num_heads=2,
    d_ff=16,
    num_encoder_layers=1,
    num_decoder_layers=1,
    dropout_rate=0.0,
)
LENGTHS = {"inputs": 24, "targets": 12}
LABELS = ["high", "low"]
ASKED: dict[str, dict[str, Any]] = {
    "music": {"examples": examples.to_config(examples.Continue("folk", "remi"))},
    "kind": {"examples": examples.to_config(examples.Classify("kind", tuple(LABELS), "remi")), "labels": LABELS},
}


def write_stores(folder: Path) -> None:
    """A task of music, one of labels, and the mixture "both" of them."""
    vocabulary = default()
    features = {feature: FeatureSpec("tokens", True) for feature in ("inputs", "targets")}
    rng = np.random.default_rng(0)
    ids = vocabulary.event_ids("remi")
    for name, settings in ASKED.items():
        with StoreWriter(
            folder / name, features=features, vocabulary=vocabulary, encoding="remi", **settings
        ) as writer:
            for split, count in (("train", 20), ("validation", 5)):
                for number in range(count):
                    targets = rng.choice(ids, 9) if name == "music" else vocabulary.encode(LABELS[number % 2])
                    writer.write(split, {"inputs": rng.choice(ids, 15), "targets": targets}, notes=3)
    write_mixture(folder, "both", {name: mixing_rates.EQUAL for name in ASKED})


def write_run(folder: Path, seed: int, config: T5Config = CONFIG) -> None:
    """A finished run's folder with the steps 2, 3 and 4, of which 3 is the best, each with weights of its own."""
    vocabulary = default()
    metadata = {
        "config": config.to_dict(),
        "vocabulary": {"fingerprint": vocabulary.fingerprint, "size": vocabulary.size},
        "tasks": {name: settings["examples"] for name, settings in ASKED.items()},
        "feature_lengths": LENGTHS,
    }
    checkpoints = Checkpoints(folder)
    for step in (2, 3, 4):
        _, params = parameters.initialise(config, jax.random.key(10 * seed + step))
        state = TrainState(np.asarray(step), nnx.to_pure_dict(params), (), np.zeros(2), np.zeros(1))
        checkpoints.save(state, {"best_step": 3}, metadata, best_step=3)
    checkpoints.close()
    (folder / FINISHED_FILE).write_text("{}")


def data_dir(root: Path) -> list[str]:
    return ["--data_dir", str(root / "data")]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("evaluating")
    write_stores(root / "data" / "stores")
    for seed, run in enumerate(("a", "b")):
        write_run(root / run, seed)
    return root


def evaluate(root: Path, *arguments: str) -> None:
    assert main(["eval", "both", *arguments, *data_dir(root)]) == 0


def error(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Runs a command that must fail as a mistake of the input; returns its line."""
    capsys.readouterr()
    assert main(arguments) == 2
    return capsys.readouterr().err


def test_a_checkpoint_is_chosen(place: Path):
    run = place / "a"
    evaluate(place, "--model_dir", str(run))
    evaluate(place, "--model_dir", str(run), "--checkpoint=4")
    evaluate(place, "--model_dir", str(run), "--checkpoint=best", "--gin.evaluate.samples=2")
    evaluate(place, "--model_dir", str(run / "checkpoints" / "3"))
    latest, last, best = (json.loads((run / f"eval_validation{name}.json").read_text()) for name in ("", "_4", "_best"))
    assert latest == last != best
    assert best == json.loads((run / "checkpoints" / "3" / "eval_validation.json").read_text())
    assert latest["music"]["examples"] == latest["kind"]["examples"] == 5
    assert (run / "samples_validation_best.txt").read_text().count("answer:") == 4
    confused = json.loads((run / "eval_validation_confusion.json").read_text())
    assert confused["kind"]["labels"] == LABELS
    assert np.sum(confused["kind"]["confusion"]) == 5
    assert (run / "eval_validation_best_confusion.png").is_file()


def test_each_task_takes_the_checkpoint_that_is_best_by_its_own_metric(place: Path, capsys):
    """The choice, made by hand from the validation figures of every checkpoint; the test split is evaluated with it."""
    run = place / "a"
    figures = {}
    for step in (2, 3, 4):
        evaluate(place, "--model_dir", str(run), f"--checkpoint={step}")
        figures[step] = json.loads((run / f"eval_validation_{step}.json").read_text())
    music = min(figures, key=lambda step: figures[step]["music"]["loss"])
    kind = max(figures, key=lambda step: figures[step]["kind"]["accuracy"])
    evaluate(place, "--model_dir", str(run), "--split=train", "--checkpoint=best_for_task")
    assert f"music takes step {music} of 2, 3, 4 by loss on validation" in capsys.readouterr().out
    chosen = json.loads((run / "eval_train_best_for_task.json").read_text())
    for task, step, metric in (("music", music, "loss"), ("kind", kind, "accuracy")):
        evaluate(place, "--model_dir", str(run), "--split=train", f"--checkpoint={step}")
        expected = json.loads((run / f"eval_train_{step}.json").read_text())[task]
        validation = {"checkpoint_step": step, f"validation_{metric}": figures[step][task][metric]}
        assert chosen[task] == expected | validation


def test_the_choice_is_made_on_all_of_the_validation_set(place: Path):
    """A limit on the examples of the split that is evaluated is none on those that choose."""
    run = place / "b"
    evaluate(place, "--model_dir", str(run), "--checkpoint=best_for_task")
    whole = json.loads((run / "eval_validation_best_for_task.json").read_text())
    evaluate(place, "--model_dir", str(run), "--checkpoint=best_for_task", "--gin.evaluate.limit=2")
    part = json.loads((run / "eval_validation_best_for_task.json").read_text())
    for task, metric in (("music", "loss"), ("kind", "accuracy")):
        assert part[task]["examples"] == 2
        assert part[task]["checkpoint_step"] == whole[task]["checkpoint_step"]
        assert part[task][f"validation_{metric}"] == whole[task][f"validation_{metric}"] == whole[task][metric]


def test_every_member_of_an_ensemble_takes_its_best_for_each_task(place: Path, capsys):
    runs = [str(place / run) for run in ("a", "b")]
    evaluate(place, "--model_dir", runs[0], "--model_dir", runs[1], "--checkpoint=best_for_task")
    output = capsys.readouterr().out
    assert all(f"{run}: {task} takes step" in output for run in runs for task in ASKED)
    document = json.loads((place / "a" / "ensemble_validation_best_for_task.json").read_text())
    assert "checkpoint_step" not in document["results"]["music"]


def test_what_each_example_adds_to_a_figure_is_written_where_asked(place: Path, tmp_path: Path):
    run = place / "a"
    evaluate(place, "--model_dir", str(run), f"--gin.OUTPUT_DIR='{tmp_path / 'stage'}'")
    figures = json.loads((tmp_path / "stage" / "eval_validation.json").read_text())
    tallies = example_tallies.read(tmp_path / "stage", "kind", "accuracy")
    assert tallies is not None
    assert set(tallies.parts) <= {0.0, 1.0}
    assert tallies.wholes == [1.0] * 5
    assert sum(tallies.parts) / 5 == pytest.approx(figures["kind"]["accuracy"])
    assert example_tallies.read(tmp_path / "stage", "kind", "macro_f1") is None
    assert example_tallies.read(tmp_path / "stage", "music", "bits_per_note") is None
    assert example_tallies.read(tmp_path, "kind", "accuracy") is None


def test_samples_are_of_one_checkpoint(place: Path, capsys):
    command = ["eval", "both", "--model_dir", str(place / "a"), "--checkpoint=best_for_task", *data_dir(place)]
    assert "evaluate.samples are of one checkpoint" in error(capsys, *command, "--gin.evaluate.samples=1")


def test_of_equally_good_checkpoints_the_first_is_chosen_and_of_none_that_is_finite_none(tmp_path: Path):
    class Fixed:
        """Figures of the steps 1 to 4."""

        own_metrics: ClassVar = {"kind": OwnMetric("accuracy", True), "music": OwnMetric("loss", False)}
        losses: ClassVar = [float("nan"), 3.0, 2.0, 2.0]

        def evaluate(self, folders):
            step = int(folders[0].name)
            return {"kind": {"accuracy": (0.2, 0.5, 0.5, 0.4)[step - 1]}, "music": {"loss": self.losses[step - 1]}}

    for step in range(1, 5):
        (tmp_path / "checkpoints" / str(step)).mkdir(parents=True)
    choices = checkpoint_choice.choose(Fixed(), tmp_path)
    assert {task: choice.step for task, choice in choices.items()} == {"kind": 2, "music": 3}
    assert choices["kind"].scores == {"checkpoint_step": 2.0, "validation_accuracy": 0.5}
    Fixed.losses = [float("nan")] * 4
    with pytest.raises(CheckpointError, match="no checkpoint has a finite loss on the validation set of music"):
        checkpoint_choice.choose(Fixed(), tmp_path)
    with pytest.raises(CheckpointError, match="no checkpoint at"):
        checkpoint_choice.choose(Fixed(), tmp_path / "nowhere")


def test_an_ensemble_of_two_equal_models_is_the_model_and_of_different_ones_is_not(place: Path):
    a, b = str(place / "a"), str(place / "b")
    evaluate(place, "--model_dir", a)
    alone = json.loads((place / "a" / "eval_validation.json").read_text())
    evaluate(place, "--model_dir", a, "--model_dir", a)
    twice = json.loads((place / "a" / "ensemble_validation.json").read_text())
    assert twice["ensemble_of"] == [a, a]
    for task in ("music", "kind"):
        assert twice["results"][task] == pytest.approx(alone[task], rel=1e-5)
    evaluate(place, "--model_dir", a, "--model_dir", b)
    both = json.loads((place / "a" / "ensemble_validation.json").read_text())
    assert abs(both["results"]["music"]["loss"] - alone["music"]["loss"]) > 1e-4


def test_an_average_is_evaluated(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    mean = tmp_path / "mean"
    assert main(["average", "--model_dir", str(place / "a"), "--last=2", "--output", str(mean), *data_dir(place)]) == 0
    assert f"{mean}: step 4, the mean of" in capsys.readouterr().out
    evaluate(place, "--model_dir", str(mean))
    assert json.loads((mean / "eval_validation.json").read_text())["music"]["examples"] == 5


def test_what_goes_not_together_is_refused(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    a, there = str(place / "a"), data_dir(place)
    several = ["eval", "both", "--model_dir", a, "--model_dir", a, *there]
    assert "evaluate.follow takes one model_dir" in error(capsys, *several, "--follow")
    assert "an ensemble measures likelihoods" in error(capsys, *several, "--gin.evaluate.samples=1")
    assert "no checkpoint of step 7; there are: 2, 3, 4" in error(capsys, *several, "--checkpoint=7")
    write_run(tmp_path / "other", 0, dataclasses.replace(CONFIG, architecture=PREFIX_LM, num_encoder_layers=0))
    mixed = ["eval", "both", "--model_dir", a, "--model_dir", str(tmp_path / "other"), *there]
    assert "other: its decoder_only is True and the first model's False" in error(capsys, *mixed)
    assert "two checkpoints or more" in error(
        capsys, "average", "--model_dir", a, "--output", str(tmp_path / "mean"), *there
    )


def test_following_a_finished_run_evaluates_what_is_there_once(place: Path, tmp_path: Path):
    run = tmp_path / "run"
    shutil.copytree(place / "a", run)
    evaluate(place, "--model_dir", str(run), "--follow")
    path = run / "eval_validation" / "both" / "metrics.jsonl"
    lines = read_metrics(path)
    assert [line["step"] for line in lines] == [2, 3, 4]
    evaluate(place, "--model_dir", str(run))
    latest = json.loads((run / "eval_validation.json").read_text())
    assert {name: value for name, value in lines[-1].items() if name.startswith("music/")} == {
        f"music/{name}": value for name, value in latest["music"].items()
    }
    before = path.read_bytes()
    evaluate(place, "--model_dir", str(run), "--follow")
    assert path.read_bytes() == before


def test_a_checkpoint_that_goes_or_is_damaged_while_it_is_read_is_passed_over(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    run = tmp_path / "run"
    shutil.copytree(place / "a", run)
    (run / "checkpoints" / "3" / "digests.json").unlink()
    evaluator = evaluator_of(place)
    read = evaluator.evaluate

    def deleted_meanwhile(folders: list[Path]) -> results.Results:
        if folders[0].name == "2":
            shutil.rmtree(folders[0])
        return read(folders)

    monkeypatch.setattr(evaluator, "evaluate", deleted_meanwhile)
    monkeypatch.setattr(follow, "DELETION_SECONDS", 0.1)
    follow.follow(evaluator, run, "both")
    said = capsys.readouterr().err
    assert "step 2: its run deleted it" in said
    assert "step 3: left out" in said
    assert [line["step"] for line in read_metrics(run / "eval_validation" / "both" / "metrics.jsonl")] == [4]


def test_following_ends_when_nothing_comes(place: Path, tmp_path: Path):
    assert follow.follow(evaluator_of(place), tmp_path / "never", "both", idle_minutes=0) == {}


@pytest.mark.slow
def test_a_run_is_followed_while_it_trains(place: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(follow, "POLL_SECONDS", 0.02)
    run, evaluator = place / "followed", evaluator_of(place)
    follower = threading.Thread(target=follow.follow, args=(evaluator, run, "both"), daemon=True)
    follower.start()
    tiny = ["--gin_file=runs/train.gin", "--gin_file=models/t5_1_1/tiny.gin", f"--gin.TASK_FEATURE_LENGTHS={LENGTHS}"]
    often = ["--gin.Records.save_period=1", "--gin.Records.keep=1", "--batch_size=2", "--steps=8"]
    assert main(["train", "both", "--model_dir", str(run), *tiny, *often, *data_dir(place)]) == 0
    follower.join(120)
    assert not follower.is_alive()
    steps = [line["step"] for line in read_metrics(run / "eval_validation" / "both" / "metrics.jsonl")]
    assert steps == sorted(set(steps))
    assert len(steps) > 1
    assert steps[-1] == 8 == steps_of(run / "checkpoints")[-1]


def evaluator_of(root: Path) -> evaluating.Evaluator:
    stores = [store for store, _ in open_stores("both")]
    return evaluating.Evaluator(stores, "validation", lengths=None, batch_size=4, limit=None)
