"""`t5music generate` of a melody to harmonise: the melody stays, three voices come to it, on the file's own beats."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import tiny_models
from small_scores import tune

from t5music.cli.main import main
from t5music.data.examples import Harmonise, Infill
from t5music.inference import answers, requests
from t5music.inference.trained_model import load
from t5music.music import encodings, midi
from t5music.music.encodings.satb.grid import REST, to_grid
from t5music.music.score import TEMPO

TASKS = {"harmonise": Harmonise("chorale", words=64), "infill": Infill("chorale", "satb", words=192)}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny_models.write_run(tmp_path_factory.mktemp("harmonise") / "run", TASKS))


@pytest.fixture
def melody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Six beats of a flute, slower than satb's clock."""
    monkeypatch.chdir(tmp_path)
    score = dataclasses.replace(tune([67, 69, 71, 0, 72, 74], program=73), tempos=np.array([(0, 900_000)], TEMPO))
    (tmp_path / "melody.mid").write_bytes(midi.to_bytes(score))
    return tmp_path / "melody.mid"


def test_a_melody_is_harmonised(run: str, melody: Path):
    assert main(["generate", str(melody), "--model_dir", run, "--task", "harmonise", "--output", "out.mid"]) == 0
    before, after = midi.read(melody), midi.read("out.mid")
    assert after.notes[: len(before.notes)].size
    old, new = (after.notes[(after.notes["track"] > 0) == is_new] for is_new in (False, True))
    for field in ("onset", "duration", "pitch", "program"):
        assert np.array_equal(old[field], before.notes[field])
    assert len(new)
    assert set(new["program"].tolist()) == {73}  # the file's own instrument
    assert (new["onset"] % 120 == 0).all()  # on the file's sixteenths, whatever its tempo
    assert (new["onset"] + new["duration"]).max() <= 6 * 480
    assert new["pitch"].min() >= 36
    assert new["pitch"].max() <= 81


def test_what_is_given_of_an_answer_stands_in_it(run: str, melody: Path):
    """The soprano between the chosen voices is the melody, word by word, in each window."""
    trained, score = load(run), midi.read(melody)
    task, _ = requests.fitted(trained, TASKS["harmonise"], score, "melody")
    assert task.words == 63  # as many as the model writes
    seen = []

    class Spy(Harmonise):
        def music(self, score, answers):
            seen.extend(answers)
            return super().music(score, answers)

    answer = answers.answer(trained, Spy(**dataclasses.asdict(task)), score, "melody")
    grid = to_grid(score)
    assert len(seen) == 2
    for words, begin in zip(seen, (0, 12), strict=True):
        window = encodings.get("satb").grid(words)[:12, 0]
        assert np.array_equal(window, grid[begin : begin + 12, 0])
    assert np.array_equal(to_grid(answer.score)[:, 0], grid[:, 0])
    assert (to_grid(answer.score)[:, 1:] != REST).any()
    assert answer.repairs == 0


def test_a_gap_is_filled_on_the_file_s_beats(run: str, melody: Path):
    region = ["--region", "0.9", "1.8"]  # the second beat
    assert main(["generate", str(melody), "--model_dir", run, "--task", "infill", *region, "--output", "o.mid"]) == 0
    score = midi.read("o.mid")
    old, new = (score.notes[(score.notes["track"] > 0) == is_new] for is_new in (False, True))
    assert old["pitch"].tolist() == [67, 71, 72, 74]
    assert ((new["onset"] >= 480) & (new["onset"] + new["duration"] <= 960)).all()
