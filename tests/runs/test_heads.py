"""Classifiers on an encoder through a whole training: learnt, restored, resumed, planned, read again and refused."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import flat_settings
import gin
import jax
import numpy as np
import pytest
from flax import nnx

from t5music import files
from t5music.configuration import gin_files, registry
from t5music.data import examples
from t5music.data.loading import loader
from t5music.data.mixing_rates import EQUAL
from t5music.data.store.codec import FeatureSpec
from t5music.data.store.token_store import StoreWriter, TokenStore, write_mixture
from t5music.data.vocabulary import ROLES, default
from t5music.errors import ConfigError
from t5music.evaluation import likelihood
from t5music.files import STORES
from t5music.inference import trained_model
from t5music.model import parameters, sharding
from t5music.model.config import PREFIX_LM, T5Config
from t5music.model.network import T5
from t5music.runs import initial_weights, print_plan
from t5music.runs.settings import InitialModel
from t5music.training import optimizers, schedules
from t5music.training.checkpoints.checkpoint import Checkpoint
from t5music.training.checkpoints.save import Checkpoints
from t5music.training.train_state import Params, TrainState

CONFIG = T5Config(
    vocab_size=default().rows,
    d_model=16,
    d_kv=8,
    num_heads=2,
    d_ff=16,
    num_encoder_layers=1,
    num_decoder_layers=1,
    dropout_rate=0.0,
)
LENGTHS = {"inputs": 12, "targets": 6}
LOUD, QUIET = EMOTIONS = ("loud", "quiet")
NOTES = {"architecture": "encoder", "num_decoder_layers": 0, "head": "notes", "num_labels": 3}
STEPS = 25
OPTIMIZER = optimizers.adamw(schedules.constant(0.02))
KINDS: dict[str, tuple[examples.Examples, Sequence[str] | None]] = {
    "melody": (examples.LabelNotes("melody"), None),  # the higher of two pitches is the melody
    "emotion": (examples.Classify("emotion", EMOTIONS, "remi"), EMOTIONS),  # how a piece with a C is
    "velocity": (examples.LabelNotes("velocity"), None),
    "continue": (examples.Continue("folk", "remi"), None),
}


@pytest.fixture(scope="module", autouse=True)
def stores(tmp_path_factory: pytest.TempPathFactory):
    """Tasks of toys, in the data folder of all these tests, and a mixture of two that have not the same labels."""
    vocabulary, rng = default(), np.random.default_rng(0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("T5MUSIC_DATA", str(tmp_path_factory.mktemp("data")))
        folder = files.data_dir() / STORES
        for name, (asked, labels) in KINDS.items():
            with StoreWriter(
                folder / name,
                features={feature: FeatureSpec("tokens", True) for feature in ("inputs", "targets")},
                vocabulary=vocabulary,
                encoding="remi",
                labels=labels,
                examples=examples.to_config(asked),
                objectives=getattr(asked, "objectives", ()),
            ) as out:
                for split, count in (("train", 64), ("validation", 16)):
                    for _ in range(count):
                        pitches = rng.choice([60, 62, 64, 65], int(rng.integers(2, 5)))
                        words = " ".join(f"Pitch_{pitch} Duration_12" for pitch in pitches)
                        answer = {
                            "melody": " ".join(ROLES[0] if pitch > 62 else ROLES[2] for pitch in pitches),
                            "emotion": LOUD if 60 in pitches else QUIET,
                            "velocity": " ".join(["Dynamic_f"] * len(pitches)),
                            "continue": "Pitch_60 Duration_12",
                        }[name]
                        out.write(split, {"inputs": vocabulary.encode(words), "targets": vocabulary.encode(answer)})
        write_mixture(folder, "both", {name: EQUAL for name in ("melody", "velocity")})
        yield folder


def drawn(config: T5Config, seed: int = 0) -> Params:
    """Parameters of small random numbers, made in numpy, which takes no compilation."""
    rng = np.random.default_rng(seed)
    shapes = nnx.to_pure_dict(parameters.abstract(config)[1])
    return jax.tree.map(lambda leaf: rng.normal(scale=0.3, size=leaf.shape).astype(np.float32), shapes)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory):
    """written(**changes) -> the folder of a run of CONFIG with these changes, which has `drawn` parameters."""

    def make(**changes) -> str:
        config, vocabulary = dataclasses.replace(CONFIG, **changes), default()
        folder = tmp_path_factory.mktemp("written")
        metadata = {
            "config": config.to_dict(),
            "vocabulary": {"fingerprint": vocabulary.fingerprint, "size": vocabulary.size},
            "tasks": {},
            "feature_lengths": LENGTHS,
        }
        saved = Checkpoints(folder)
        saved.save(TrainState(np.asarray(1), drawn(config), (), np.zeros(2), np.zeros(1)), {}, metadata, best_step=None)
        saved.close()
        return str(folder)

    return make


def train(task: str, folder: Path, head: str | None = None, **settings):
    """A training of a few seconds, as a gin file would set it; from scratch where no checkpoint is given."""
    gin.clear_config()
    scratch = {} if "initial_checkpoint_path" in settings else {"model": lambda vocab_size: CONFIG}
    defaults = {"train_steps": 2, "batch_size": 16, "optimizer": OPTIMIZER, "pack": False, "save_period": 100}
    mesh = partial(sharding.make_mesh, devices=jax.devices()[:1])
    names = {"mixture_or_task_name": task, "model_dir": str(folder), "task_feature_lengths": LENGTHS, "head": head}
    return flat_settings.train(**names, mesh=mesh, **{**defaults, **scratch, **settings})


# ------------------------------------------------------------------------------------------------ learning


def validation(task: str, head: str) -> loader.EvalBatches:
    store = TokenStore.open(files.data_dir() / STORES / task)
    return loader.eval_batches(
        store, "validation", feature_lengths=LENGTHS, batch_size=8, vocabulary=default(), head=head
    )


def answers(model: T5, batches: loader.EvalBatches):
    """Batches with the logits of their classes and the weights."""
    for batch in batches:
        logits = np.asarray(jax.jit(lambda tokens: model(tokens, None))(batch["encoder_input_tokens"]))
        yield batch, (logits, batch["decoder_loss_weights"])


@pytest.mark.parametrize(
    ("task", "head", "classes"),
    [("melody", "notes", 3), pytest.param("emotion", "sequence", 2, marks=pytest.mark.slow)],
)
def test_a_label_that_can_be_heard_is_learnt(tmp_path: Path, task: str, head: str, classes: int):
    result = train(task, tmp_path, head, train_steps=STEPS, period=STEPS)
    assert result.metrics["validation/loss"] < 0.3  # one who knows the classes but not which pays log 2
    trained = trained_model.load(tmp_path)
    assert (trained.model.config.encoder_head, trained.model.config.num_labels) == (head, classes)
    assert isinstance(trained.tasks[task], type(KINDS[task][0]))
    right = [
        logits.argmax(-1)[weights > 0] == batch["decoder_target_tokens"][weights > 0]
        for batch, (logits, weights) in answers(trained.model, validation(task, head))
    ]
    assert np.concatenate(right).mean() > 0.9
    assert result.metrics["validation/accuracy"] == pytest.approx(np.concatenate(right).mean(), rel=1e-6)


@pytest.mark.parametrize(
    ("task", "head", "classes"),
    [("melody", "notes", 3), pytest.param("emotion", "sequence", 2, marks=pytest.mark.slow)],
)
def test_figures_are_those_of_the_logits(task: str, head: str, classes: int):
    config = dataclasses.replace(initial_weights.with_head(CONFIG, head), num_labels=classes)
    model = nnx.merge(parameters.abstract(config)[0], jax.device_put(drawn(config)))
    batches, nats, right, asked = validation(task, head), 0.0, 0, 0
    for batch, (logits, weights) in answers(model, batches):
        assert logits.shape == (8, 12 if head == "notes" else 1, classes)
        truth = batch["decoder_target_tokens"][weights > 0]
        of_truth = logits[weights > 0].astype(np.float64)
        nats += (np.log(np.exp(of_truth).sum(-1)) - of_truth[np.arange(len(truth)), truth]).sum()
        right += (of_truth.argmax(-1) == truth).sum()
        asked += len(truth)
    found = likelihood.evaluate(model, batches, default().is_note)
    assert found["loss"] == pytest.approx(nats / asked, rel=1e-5)
    assert found["accuracy"] == pytest.approx(right / asked)
    assert (found["tokens"], found["examples"]) == (asked, 16)
    assert found["notes"] == (asked if head == "notes" else 0)


@pytest.mark.slow
def test_a_run_resumed_is_the_run_that_was_not_stopped(tmp_path: Path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    for folder, steps in ((whole, 4), (parts, 2), (parts, 4)):
        train("emotion", folder, "sequence", train_steps=steps, dropout_rate=0.3, period=100)
    config = Checkpoint.open(whole).config
    assert (config.architecture, config.head, config.num_labels) == ("encoder", "sequence", 2)
    one, other = (Checkpoint.open(folder).params(config) for folder in (whole, parts))
    jax.tree.map(np.testing.assert_array_equal, one, other)


# ------------------------------------------------------------------------------------------------ weights


def leaves(params: Params) -> dict[tuple, np.ndarray]:
    return nnx.traversals.flatten_mapping(params)


@pytest.mark.parametrize(
    ("changes", "adapters"),
    [
        pytest.param({}, 0, id="encoder_decoder"),
        pytest.param({"shared_layers": True}, 4, id="shared, to adapters", marks=pytest.mark.slow),
    ],
)
def test_embedding_and_encoder_are_restored(written, capsys, changes: dict, adapters: int):
    config = dataclasses.replace(initial_weights.with_head(CONFIG, "notes"), num_labels=3, adapter_dim=adapters)
    folder = written(**changes)
    made = leaves(initial_weights.initial_params(folder, config, default(), new_head=True, key=jax.random.key(0)))
    theirs = dataclasses.replace(CONFIG, **changes)
    model = nnx.merge(parameters.abstract(theirs)[0], drawn(theirs))
    fresh = leaves(nnx.to_pure_dict(parameters.initialise(config, jax.random.key(0))[1]))
    np.testing.assert_array_equal(made["embedding",], model.embedding[...])
    restored = leaves(nnx.to_pure_dict(nnx.state(model.encoder)))
    for path, array in made.items():
        own = path[0] == "encoder" and "adapter" not in path
        if path != ("embedding",):
            np.testing.assert_array_equal(array, restored[path[1:]] if own else fresh[path])
    table = capsys.readouterr().err
    for line in ("restored     embedding", "restored     encoder.layers.*.mlp.wo", "initialised  head.out.kernel"):
        assert line in table
    assert re.search(r"ignored      decoder\.layers\.\*\.cross_attention\.query", table)
    assert re.search(r"ignored      head  ", table)


def test_a_trained_classifier_goes_on_or_gives_way_to_a_new_one(tmp_path: Path, written):
    folder = written(**NOTES)
    with pytest.raises(
        ConfigError, match=r"has 3 classes and the tasks have 6 .*InitialModel\.head = 'notes' begins a new"
    ):
        train("velocity", tmp_path / "run", initial_checkpoint_path=folder)
    config = dataclasses.replace(CONFIG, **NOTES)
    theirs, key = drawn(config), jax.random.key(0)
    same = initial_weights.initial_params(folder, config, default(), key=key)
    jax.tree.map(np.testing.assert_array_equal, same, theirs)
    new = initial_weights.initial_params(folder, config, default(), new_head=True, key=key)
    np.testing.assert_array_equal(new["embedding"], theirs["embedding"])
    assert not np.array_equal(new["head"]["out"]["kernel"], theirs["head"]["out"]["kernel"])


# ------------------------------------------------------------------------------------------------ refusals, plans


@pytest.mark.parametrize(
    ("task", "head", "settings", "message"),
    [
        ("melody", "tokens", {}, "InitialModel.head must be 'notes' or 'sequence', not 'tokens'"),
        ("continue", "notes", {}, "needs tasks that label notes, which continue does not"),
        ("continue", "sequence", {}, "needs tasks that choose one label of a set, which continue does not"),
        ("both", "notes", {}, "one set of labels: melody has Role_melody"),
        ("melody", "notes", {"pack": True}, "TrainingData.pack must be False"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path: Path, task: str, head: str, settings: dict, message: str):
    with pytest.raises(ConfigError, match=message):
        train(task, tmp_path / "run", head, **settings)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "goes on with all of a checkpoint: set INITIAL_CHECKPOINT_PATH"),
        ({"initial_checkpoint_path": "run", "head": "notes"}, "go without InitialModel.head"),
        ({"initial_checkpoint_path": "run", "restore": ["encoder.*"]}, "go without InitialModel.restore"),
        ({"initial_checkpoint_path": "run", "adapter_dim": 8}, "go without InitialModel.adapter_dim"),
    ],
)
def test_an_optimizer_state_goes_with_all_of_its_checkpoint(settings: dict, message: str):
    with pytest.raises(ConfigError, match=message):
        InitialModel(optimizer_state=True, **settings)


def test_a_decoder_only_checkpoint_has_no_encoder(tmp_path: Path, written):
    folder = written(architecture=PREFIX_LM, num_encoder_layers=0)
    with pytest.raises(ConfigError, match="a classifier stands on an encoder, and a prefix_lm has none"):
        train("melody", tmp_path / "run", "notes", initial_checkpoint_path=folder)
    config = initial_weights.with_head(CONFIG, "notes")
    with pytest.raises(ConfigError, match=f"and {folder}/checkpoints/1 is a prefix_lm"):
        initial_weights.initial_params(folder, config, default(), new_head=True, key=jax.random.key(0))


@pytest.mark.parametrize("head", ["notes", "sequence"])
def test_the_gin_file_makes_a_classifier_and_its_plan(head: str, capsys):
    task = {"notes": "melody", "sequence": "not_compiled"}[head]
    gin_files.configure(
        ["runs/train.gin", f"models/heads/{head}.gin"], [f"MIXTURE_OR_TASK_NAME = '{task}'", "MODEL_DIR = 'run'"]
    )
    made = registry.train(plan=print_plan.Request(device="TPU v4", number=8))
    gin.clear_config()
    assert made.fits
    assert made.training.config.encoder_head == head
    assert made.training.positions == 8 * 512
    report = capsys.readouterr().out
    assert "8 rows of 512 = 4,096 tokens" in report
    assert ("epochs: melody" in report) == (head == "notes")
