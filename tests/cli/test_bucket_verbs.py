"""The verbs, with data, gin files, models, music and outputs in buckets."""

import json
import shutil

import mido_files
import numpy as np
import pytest
import tiny_models

from t5music.cli.main import main
from t5music.data.examples import Classify, Continue
from t5music.data.vocabulary import default
from t5music.inference.model_folder import open_model
from t5music.music import midi
from t5music.storage import path_of
from t5music.storage.bucket_copies import cache_dir

TASKS = {
    "continue": Continue("pop", "remi", words=300),
    "genre": Classify("genre", ("jazz", "rock"), "remi", words=64),
}


@pytest.fixture(params=["google_bucket", "s3_bucket"])
def bucket(request):
    """A bucket with a run and a song."""
    address = request.getfixturevalue(request.param)
    tiny_models.write_run(path_of(address) / "runs/pop", TASKS)
    (path_of(address) / "song.mid").write_bytes(mido_files.drawn_file(0, bars=4))
    return address


def test_music_is_read_from_a_bucket_and_written_to_one(bucket):
    song, run = f"{bucket}/song.mid", f"{bucket}/runs/pop"
    flags = ["--model_dir", run, "--output", f"{bucket}/out/new.mid", "--words", "8"]
    assert main(["generate", song, *flags]) == 0
    assert midi.read(path_of(f"{bucket}/out/new.mid")).notes.size
    assert path_of(f"{bucket}/out/new_roll.svg").read_text().startswith("<svg ")
    assert main(["classify", song, "--model_dir", run, "--csv", f"{bucket}/out/labels.csv"]) == 0
    assert "jazz" in path_of(f"{bucket}/out/labels.csv").read_text()


def test_nothing_is_replaced_unless_it_is_said(bucket, capsys):
    flags = ["--model_dir", f"{bucket}/runs/pop", "--output", f"{bucket}/song.mid"]
    assert main(["generate", f"{bucket}/song.mid", *flags]) == 2
    assert "is the prompt itself" in capsys.readouterr().err


def test_exported_and_averaged_models_are_those_of_the_run(bucket):
    run = f"{bucket}/runs/pop"
    assert main(["export", "--model_dir", run, "--to", f"{bucket}/model"]) == 0
    assert main(["average", "--model_dir", run, "--model_dir", run, "--output", f"{bucket}/mean"]) == 0
    expected = open_model(run, default()).params()
    for folder in ("model", "mean"):
        weights = open_model(f"{bucket}/{folder}", default()).params()
        np.testing.assert_array_equal(weights["embedding"], expected["embedding"])
    assert main(["export", "--model_dir", run, "--to", f"{bucket}/model"]) == 2  # it is there


@pytest.mark.parametrize("fixture", ["google_bucket", "s3_bucket"])
def test_what_is_missing_is_named(fixture, request, capsys):
    bucket = request.getfixturevalue(fixture)
    assert main(["generate", f"{bucket}/none.mid", "--model_dir", f"{bucket}/run"]) == 2
    assert f"{bucket}/none.mid: no such file or folder" in capsys.readouterr().err
    (path_of(bucket) / "song.mid").write_bytes(b"MThd")
    assert main(["generate", f"{bucket}/song.mid", "--model_dir", f"{bucket}/run"]) == 2
    assert f"no checkpoint at {bucket}/run: no such folder" in capsys.readouterr().err


TINY = """
include "runs/train.gin"
include "models/t5_1_1/tiny.gin"
TASK_FEATURE_LENGTHS = {"inputs": 320, "targets": 320}
Records.save_period = 3
"""


@pytest.mark.slow
@pytest.mark.parametrize("fixture", ["google_bucket", "s3_bucket"])
def test_all_of_a_study_of_one_s_own_music_is_in_a_bucket(fixture, request, monkeypatch, capsys):
    bucket = request.getfixturevalue(fixture)
    monkeypatch.setenv("T5MUSIC_DATA", f"{bucket}/data")
    for number in range(8):
        midi.write(tiny_models.band(number, bars=16), path_of(f"{bucket}/music/{'ab'[number % 2]}/{number}.mid"))
    path_of(f"{bucket}/gin/mine.gin").write_text(TINY)
    assert main(["compile", "--midi", f"{bucket}/music", "--labels", "folders", "--workers", "1"]) == 0
    stores = path_of(f"{bucket}/data/stores")
    mixture = json.loads((stores / "music.mixture.json").read_text())
    assert all((stores / task / "manifest.json").is_file() for task in mixture["tasks"])

    shutil.rmtree(cache_dir())  # another host
    train = ["train", "music", "--model_dir", f"{bucket}/run", "--gin_file", f"{bucket}/gin/mine.gin"]
    assert main([*train, "--steps", "4", "--batch_size", "2"]) == 0
    assert json.loads(path_of(f"{bucket}/run/finished.json").read_text())["step"] == 4
    assert not (cache_dir() / "data" / path_of(bucket).scheme / path_of(bucket).bucket / "data" / "stores").exists()
    assert main(["eval", "music", "--model_dir", f"{bucket}/run", "--split", "validation"]) == 0
    assert path_of(f"{bucket}/run/eval_validation.json").is_file()
    assert main(["embed", f"{bucket}/music", "--model_dir", f"{bucket}/run", "--output", f"{bucket}/v.npz"]) == 0
    capsys.readouterr()
    assert main(["similar", f"{bucket}/music/a/0.mid", f"{bucket}/v.npz", "--model_dir", f"{bucket}/run"]) == 0
    assert "a/0.mid" in capsys.readouterr().out
