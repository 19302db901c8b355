"""A folder of one's own, from MIDI files to a trained model and its answers, with nothing but the base install."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import blocked_imports
import numpy as np
import pytest

from t5music.music import midi
from t5music.music.score import METER, NOTE, Score

LENGTHS = '--gin.TASK_FEATURE_LENGTHS={"inputs": 320, "targets": 320}'
SMALL = [LENGTHS, "--batch_size", "2"]
TINY = ["--gin_file=runs/train.gin", "--gin_file=models/t5_1_1/tiny.gin", *SMALL]


class Place:
    """A folder with music, and t5music in processes of their own that have the base install alone."""

    def __init__(self, root: Path) -> None:
        self.root, self.data = root, root / "data"
        self.errors: list[str] = []  # what each verb said on stderr
        for index in range(12):
            rng = np.random.default_rng(index)
            notes = np.zeros(64, NOTE)
            notes["onset"], notes["duration"], notes["velocity"] = np.arange(64) * 480, 240, 80
            notes["pitch"] = (72 if index % 2 else 40) + rng.integers(0, 20, 64)
            score = Score(480, notes, meters=np.array([(0, 4, 4)], METER))
            midi.write(score, root / "music" / ("high" if index % 2 else "low") / f"{index}.mid")

    def run(self, *arguments: str) -> str:
        """What a verb prints."""
        command = [sys.executable, blocked_imports.__file__, ",".join(blocked_imports.NOT_IN_THE_BASE), *arguments]
        done = subprocess.run(
            [*command, "--data_dir", str(self.data)], cwd=self.root, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        self.errors.append(done.stderr)
        return done.stdout


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A compiled folder."""
    place = Place(tmp_path_factory.mktemp("base"))
    place.run("compile", "--midi", "music", "--name", "mine", "--labels", "folders", "--workers", "1")
    return place


def test_a_folder_is_compiled(place: Place):
    manifest = json.loads((place.data / "stores" / "mine_classify" / "manifest.json").read_text())
    assert manifest["labels"] == ["high", "low"]
    assert set(manifest["splits"]) == {"train", "validation", "test"}


def test_plots_are_left_out_and_that_is_said_once(place: Place):
    told = place.errors[0]
    assert told.count("left out") == told.count('pip install "t5music[plots]"') == 1
    assert "t5music: left out: lengths.png and all other plots, as Matplotlib is not installed: " in told
    store = place.data / "stores" / "mine_continue"
    assert not (store / "lengths.png").exists()
    assert "![" not in (store / "report.md").read_text()


def test_its_tasks_are_known_afterwards(place: Place):
    (place.data / "stores" / "mine_continue" / "manifest.json").unlink()
    for file in (place.data / "stores" / "mine_continue").iterdir():
        file.unlink()
    (place.data / "stores" / "mine_continue").rmdir()
    assert place.run("compile", "mine_continue", "--workers", "1").startswith("mine_continue: ")
    assert "mine.mixture.json" in place.run("compile", "mine", "--workers", "1")


@pytest.mark.slow
def test_it_is_learned_and_asked(place: Place):
    (place.root / "texts").mkdir()
    (place.root / "texts" / "a.txt").write_text("\n\n".join(f"Story {n}. " + "It goes on. " * 40 for n in range(60)))
    place.run("compile", "--text", "texts", "--name", "tales", "--workers", "1")
    place.run("train", "mine", "--model_dir", "run", "--steps", "4", *TINY)
    assert list((place.root / "run").glob("events.out.tfevents.*"))
    assert place.errors[-1].count("left out: loss.png") == place.errors[-1].count("left out") == 1
    assert list((place.root / "run" / "samples").glob("*.svg"))
    place.run("train", "tales_language_model", "--model_dir", "tales", "--steps", "2", *TINY)
    place.run("train", "mine_classify", "--init", "run", "--model_dir", "labels", "--steps", "2", *SMALL)
    assert "mine_classify" in place.run("eval", "mine_classify", "--model_dir", "labels", "--split", "test")
    assert place.errors[-1].count("left out") == 1
    song = "music/high/1.mid"
    place.run("generate", song, "--model_dir", "run", "--task", "continue", "--words", "8", "--output", "more.mid")
    assert midi.read(place.root / "more.mid").end_tick > 0
    assert (place.root / "more_roll.svg").is_file()
    assert "left out" not in place.errors[-1]
    assert "high" in place.run("classify", song, "--model_dir", "labels")
    place.run("embed", "music", "--model_dir", "run", "--output", "vectors.npz")
    assert (place.root / "vectors.npz").is_file()
