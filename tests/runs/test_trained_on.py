"""The terms of all data that weights were trained on: through pre-training, resuming, averages and export."""

from __future__ import annotations

import json
import shutil
from functools import partial
from pathlib import Path

import flat_settings
import gin
import jax
import numpy as np
import pytest
import tiny_music
from safetensors.numpy import save_file

from t5music import files
from t5music.data.vocabulary import default
from t5music.files import STORES
from t5music.inference import export
from t5music.inference.hf_folder import HuggingFaceFolder
from t5music.model import huggingface, sharding
from t5music.terms import NOT_STATED, Terms, TrainingRun
from t5music.training import optimizers, schedules
from t5music.training.checkpoints import average
from t5music.training.checkpoints.checkpoint import Checkpoint

pytestmark = pytest.mark.usefixtures("compiled_once")

FREE = Terms("songs", "CC0 1.0", "cc0-1.0", "CC0: the transcribers gave up their rights", "songs.org", "Ann, Songs")
OTHER = Terms("quartets", "CC0 1.0", "cc0-1.0", "CC0", "quartets.org", "Bob, Quartets")
CLOSED = Terms("piano", "CC BY-NC-SA 4.0", "cc-by-nc-sa-4.0", "", "piano.org", "Cleo, Piano | 88 keys")
DATA = {"songs_lm": FREE, "quartets_lm": OTHER, "piano_lm": CLOSED}


@pytest.fixture(scope="module", autouse=True)
def stores(tmp_path_factory: pytest.TempPathFactory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("T5MUSIC_DATA", str(tmp_path_factory.mktemp("data")))
        for name, terms in DATA.items():
            tiny_music.write_music(files.data_dir() / STORES / name, [tiny_music.line(1)], terms=[terms])
        yield


def train(task: str, folder: Path, init: Path | None = None, steps: int = 1) -> tuple[TrainingRun, ...]:
    """Trains for a few steps and returns what the checkpoint says its weights were trained on."""
    gin.clear_config()
    start = {"initial_checkpoint_path": str(init)} if init else {"model": lambda vocab_size: tiny_music.CONFIG}
    flat_settings.train(
        mixture_or_task_name=task,
        model_dir=str(folder),
        task_feature_lengths={"inputs": 8, "targets": 16},
        mesh=partial(sharding.make_mesh, devices=jax.devices()[:1]),
        train_steps=steps,
        batch_size=1,
        optimizer=optimizers.adamw(schedules.constant(0.01)),
        **start,
    )
    return Checkpoint.open(folder).metadata.trained_on


@pytest.fixture(scope="module")
def songs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "songs"
    assert train("songs_lm", folder, steps=2) == (TrainingRun("songs_lm", (FREE,)),)
    return folder


@pytest.fixture(scope="module")
def tuned(songs: Path) -> Path:
    folder = songs.with_name("tuned")
    train("piano_lm", folder, songs)
    return folder


def card_of(run: Path, folder: Path) -> str:
    return (export.export(Checkpoint.open(run), str(folder), default()) / "README.md").read_text()


def test_what_was_pre_trained_on_what(tuned: Path, tmp_path: Path):
    pretrained = TrainingRun("songs_lm", (FREE,), steps=2)
    assert Checkpoint.open(tuned).metadata.trained_on == (pretrained, TrainingRun("piano_lm", (CLOSED,)))
    exported = export.export(Checkpoint.open(tuned), str(tmp_path / "model"), default())
    runs = train("quartets_lm", tmp_path / "again", exported)
    assert runs == (pretrained, TrainingRun("piano_lm", (CLOSED,), 1), TrainingRun("quartets_lm", (OTHER,)))


def test_a_run_that_goes_on_keeps_what_it_began_from(songs: Path, tmp_path: Path):
    initial, run = tmp_path / "initial", tmp_path / "run"
    shutil.copytree(songs, initial)
    began = train("piano_lm", run, initial)
    train("songs_lm", initial, steps=3)  # the initial model goes on, too
    assert train("piano_lm", run, initial, steps=2) == began


def test_data_that_change_during_a_run_are_all_named(tmp_path: Path):
    store = files.data_dir() / STORES / "changing_lm"
    tiny_music.write_music(store, [tiny_music.line(1)], terms=[FREE])
    train("changing_lm", tmp_path)
    tiny_music.write_music(store, [tiny_music.line(1)], terms=[CLOSED])
    runs = train("changing_lm", tmp_path, steps=2)
    assert runs == (TrainingRun("changing_lm", (FREE,)), TrainingRun("changing_lm", (CLOSED,)))


def test_an_average_names_the_data_of_all(songs: Path, tuned: Path, tmp_path: Path):
    runs = [Checkpoint.open(songs), Checkpoint.open(tuned)]
    average.average(runs, tmp_path / "mean")
    trained_on = Checkpoint.open(tmp_path / "mean").metadata.trained_on
    assert {terms for run in trained_on for terms in run.data} == {FREE, CLOSED}


def test_the_card_of_free_data_names_their_licence(songs: Path, tmp_path: Path):
    card = card_of(songs, tmp_path / "model")
    assert card.startswith("---\nlibrary_name: t5music\ntags: [music, midi, t5]\nlicense: cc0-1.0\n---\n")
    assert f"| songs_lm | 2 | songs | CC0 1.0 | {FREE.permissive} | songs.org |" in card
    assert "may be given away." in card
    assert "- Ann, Songs" in card


def test_the_card_of_mixed_data_names_no_licence_and_has_them_all(tuned: Path, tmp_path: Path):
    card = card_of(tuned, tmp_path / "model")
    head = card.split("---")[1]
    assert "license" not in head
    rows = [line for line in card.splitlines() if line.startswith("| ")]
    assert [row.split(" | ")[1:4] for row in rows[1:]] == [["2", "songs", "CC0 1.0"], ["1", "piano", "CC BY-NC-SA 4.0"]]
    assert "Before you give these weights away" in card
    assert "- Cleo, Piano \\| 88 keys" in card


@pytest.mark.parametrize(
    ("card", "licence"),
    [
        ("---\ntags: [a]\nlicense: apache-2.0\n---\n# T5\n", f"{NOT_STATED} for the data; apache-2.0 for the model"),
        ("# T5\n\n---\nlicense: mit\n", NOT_STATED),
        (None, NOT_STATED),
    ],
)
def test_of_a_foreign_model_its_card_is_asked(tmp_path: Path, card: str | None, licence: str):
    folder = tmp_path / "t5-tiny"
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "t5", "vocab_size": 384, "d_model": 8, "d_kv": 4, '
                                        '"num_heads": 2, "d_ff": 8, "num_layers": 1}')  # fmt: skip
    if card is not None:
        (folder / "README.md").write_text(card)
    opened = HuggingFaceFolder(folder, default())
    assert opened.trained_on == (TrainingRun("t5-tiny", (Terms("the data of t5-tiny", licence),)),)


def test_weights_from_elsewhere_stay_in_the_chain(tmp_path: Path):
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    config = tiny_music.CONFIG
    fields = huggingface.config_to(config)
    (folder / "config.json").write_text(json.dumps(fields))
    rng = np.random.default_rng(0)
    shapes = huggingface.names(huggingface.config_from(fields))
    save_file({name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()},
              folder / "model.safetensors")  # fmt: skip
    first, second = train("songs_lm", tmp_path / "run", folder)
    assert (first.task, first.data[0].licence) == ("elsewhere", NOT_STATED)
    assert second == TrainingRun("songs_lm", (FREE,))
