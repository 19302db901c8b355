"""Samples of music in training: the same prompt each time, of every kind of task, and the same bytes again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tiny_models

from t5music.corpora.base import Piece
from t5music.data import examples
from t5music.data.examples import Accompany, Compose, Composes, Continue, Improvise, Infill
from t5music.data.store.codec import FeatureSpec
from t5music.data.store.token_store import StoreWriter, TokenStore
from t5music.data.vocabulary import default
from t5music.inference import training_samples
from t5music.inference.training_samples import Sampler
from t5music.music import midi

FEATURES = {"inputs": FeatureSpec(), "targets": FeatureSpec(), "piece": FeatureSpec("text", add_eos=False)}
TASKS = {
    "continue": Continue("band", "remi", words=60),
    "infill": Infill("band", "remi", words=300),
    "accompany": Accompany("band", "remi", part="violin", bars=2),
    "improvise": Improvise("band", "remi", words=60),
    "compose": Compose("remi", words=60),
}


def store_of(folder: Path, name: str, task: examples.Examples, splits: tuple[str, ...]) -> TokenStore:
    vocabulary = default()
    with StoreWriter(
        folder / name, features=FEATURES, vocabulary=vocabulary, encoding="remi", examples=examples.to_config(task)
    ) as writer:
        for number, split in enumerate(splits):
            piece = Piece(f"{split}/0", tiny_models.band(number), {"caption": "A waltz: for band."})
            for inputs, targets in task.examples(piece):
                ids = {"inputs": vocabulary.encode(inputs), "targets": vocabulary.encode(targets)}
                writer.write(split, {**ids, "piece": piece.id})
    return TokenStore.open(folder / name, vocabulary)


@pytest.mark.parametrize("name", TASKS)
def test_the_prompt_is_the_first_held_out_example(tmp_path: Path, name: str):
    task = TASKS[name]
    store = store_of(tmp_path, name, task, ("train", "validation"))
    (prompt,) = Sampler([store], default(), {"inputs": 400, "targets": 64}, tmp_path, 1).prompts
    question = default().decode(store.split("validation")[0]["inputs"])
    (asked,) = prompt.task.prompts(prompt.score)
    if isinstance(task, Continue):  # of one's own music, a model reads the end
        assert asked.startswith("continue band: ")
        assert question.startswith("continue band: ")
    else:
        assert asked == question


def test_tasks_without_music_to_write_and_prompts_without_room_have_none(tmp_path: Path):
    music = store_of(tmp_path, "music", examples.Pieces("remi"), ("train",))
    long = store_of(tmp_path, "long", TASKS["continue"], ("train",))
    short = store_of(tmp_path, "short", TASKS["improvise"], ("train",))
    lengths = {"inputs": 16, "targets": 64}
    assert [each.name for each in Sampler([music, long, short], default(), lengths, tmp_path, 2).prompts] == ["short"]
    assert Sampler([short], default(), lengths, tmp_path, 0).prompts == []


def test_samples_are_music_the_same_each_time_and_of_their_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(training_samples, "WORDS", 24)
    store = store_of(tmp_path, "song", TASKS["continue"], ("train", "test"))
    lengths = {"inputs": 100, "targets": 64}
    model = tiny_models.trained({}).model
    for run in ("one", "two"):
        Sampler([store], default(), lengths, tmp_path / run, 1).write(model, 40)
    names = ["song_000040.mid", "song_000040.svg"]
    for run in ("one", "two"):
        assert sorted(path.name for path in (tmp_path / run / "samples").iterdir()) == names
    music = [(tmp_path / run / "samples" / names[0]).read_bytes() for run in ("one", "two")]
    assert music[0] == music[1]
    prompt = Sampler([store], default(), lengths, tmp_path, 1).prompts[0]
    score = midi.read(tmp_path / "one" / "samples" / names[0])
    assert len(score.notes) >= len(prompt.score.notes)
    assert set(np.unique(prompt.score.notes["pitch"])) <= set(np.unique(score.notes["pitch"]))
    assert isinstance(prompt.task, Composes)
    assert set(score.notes["program"]) <= set(prompt.score.notes["program"]), "the instruments of the prompt"


def test_what_cannot_be_written_is_said_and_stops_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    store = store_of(tmp_path, "song", TASKS["improvise"], ("train",))
    (tmp_path / "file").write_bytes(b"")
    sampler = Sampler([store], default(), {"inputs": 64, "targets": 16}, tmp_path / "file", 1)
    sampler.write(tiny_models.trained({}).model, 1)
    assert "t5music: warning: no sample of song at step 1: cannot write" in capsys.readouterr().err
