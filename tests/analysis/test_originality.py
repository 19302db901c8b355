"""Originality: what music shares with what a model was trained on is found by fingerprints that travel with it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import tiny_models

from t5music import files
from t5music.analysis import originality
from t5music.analysis.run_fingerprints import FILE, RUN
from t5music.cli.main import main
from t5music.corpora import datasets
from t5music.data.examples import Continue
from t5music.data.vocabulary import default
from t5music.errors import DataError
from t5music.inference import export
from t5music.music import midi
from t5music.terms import Terms, TrainingRun
from t5music.training.checkpoints.checkpoint import Checkpoint

TRAINED_ON = (TrainingRun("mine", (Terms("mine", "CC0 1.0"),)),)


@pytest.fixture(scope="module")
def music(tmp_path_factory: pytest.TempPathFactory):
    """A folder of eight pieces, compiled as `mine`."""
    folder = tmp_path_factory.mktemp("music")
    for seed in range(8):
        midi.write(tiny_models.band(seed, bars=20), folder / f"{seed}.mid")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("T5MUSIC_DATA", str(tmp_path_factory.mktemp("data")))
        assert main(["compile", "--midi", str(folder), "--name", "mine", "--labels", "none", "--workers", "1"]) == 0
        yield folder


@pytest.fixture(scope="module")
def model(music: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An exported model with the fingerprints of `mine`."""
    run = tiny_models.write_run(tmp_path_factory.mktemp("run") / "run", {"continue": Continue("pop", "remi")})
    folder = export.export(Checkpoint.open(run), str(run.with_name("model")), default())
    originality.training_music(TRAINED_ON).fingerprints.save(folder / FILE)
    return folder


def test_the_music_it_was_trained_on_is_known_in_another_key_and_other_music_is_not(model, music, tmp_path, capsys):
    data_dir = files.data_dir()
    training = {
        datasets.to_piece(record).id: datasets.to_piece(record).score
        for record in datasets.records("mine", "train", data_dir)
    }
    name, score = next(iter(training.items()))
    copy, other = tmp_path / "copy.mid", tmp_path / "other.mid"
    midi.write(score.transpose(3), copy)
    midi.write(tiny_models.band(99, bars=20), other)
    assert main(["original", str(copy), str(other), "--model_dir", str(model)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert f"trained on {len(training)} pieces" in lines[0]
    assert f"are also in mine/{name} (" in lines[2]
    assert lines[2].startswith(f"{copy}: ")
    assert lines[3] == f"{other}: nothing of more than {RUN} notes"


def test_one_bad_file_stops_no_others(model, music, tmp_path, capsys):
    bad, latin, good = tmp_path / "bad.mid", tmp_path / os.fsdecode(b"Caf\xe9.mid"), music / "0.mid"
    bad.write_bytes(b"<html>no music</html>")
    midi.write(tiny_models.band(99, bars=20), latin)
    missing = tmp_path / "none.mid"
    assert main(["original", *map(str, (bad, latin, missing, good)), "--model_dir", str(model)]) == 0
    printed = capsys.readouterr()
    names = [line.rpartition(".mid: ")[0] for line in printed.out.splitlines()[2:]]
    assert names == [rf"{tmp_path}/Caf\xe9", str(good.with_suffix(""))]
    assert printed.err.splitlines() == [
        f"left out: {bad}: not a standard MIDI file but a web page: there is no MIDI header in it",
        f"left out: {missing}: no such file",
        "2 of 4 files left out",
    ]
    assert main(["original", str(bad), str(bad), "--model_dir", str(model)]) == 2
    assert capsys.readouterr().err == (
        f"t5music: error: {bad}: not a standard MIDI file but a web page: there is no MIDI header in it\n"
    )


def test_pieces_that_were_held_out_are_not_in_it(music):
    held_out = {datasets.to_piece(record).id for record in datasets.records("mine", "test", files.data_dir())}
    names = originality.training_music(TRAINED_ON).fingerprints.names
    assert held_out
    assert not {f"mine/{name}" for name in held_out} & set(names)


def test_a_corpus_that_is_not_built_is_named_before_anything_is_written(music):
    with pytest.raises(DataError, match="maestro"):
        originality.training_music((TrainingRun("piano", (Terms("maestro"),)),))


def test_a_model_without_fingerprints_says_how_to_get_them(music, tmp_path, capsys):
    run = tiny_models.write_run(tmp_path / "run", {"continue": Continue("pop", "remi")})
    folder = export.export(Checkpoint.open(run), str(tmp_path / "model"), default())
    assert main(["original", str(music / "0.mid"), "--model_dir", str(folder)]) == 2
    assert f"{folder} has no {FILE}: export it with --fingerprints" in capsys.readouterr().err
