"""`t5music train`: what a training starts from where nobody says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from t5music.cli.main import build_parser, main
from t5music.cli.verbs import train
from t5music.corpora import folder_records
from t5music.corpora.folder_records import FolderRecord
from t5music.inference import pretrained
from t5music.tasks import folder


@pytest.fixture
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where three folders were compiled: two of music, `mine` and `bach`, and one of text, `letters`."""
    monkeypatch.setenv("T5MUSIC_DATA", str(tmp_path))
    folder_records.write(FolderRecord("mine", "/music", "key", labels={"mood": ("calm", "wild")}), tmp_path)
    folder_records.write(FolderRecord("bach", "/bach", "key"), tmp_path)
    folder_records.write(FolderRecord("letters", "/text", "key", text=True), tmp_path)
    yield tmp_path
    for name in ("mine", "bach", "letters"):
        folder._begin(name)


@pytest.mark.parametrize(
    ("words", "init", "file"),
    [
        (["mine"], pretrained.DEFAULT, "runs/personalise.gin"),
        (["mine_continue"], pretrained.DEFAULT, "runs/personalise.gin"),
        (["mine_classify_mood"], pretrained.DEFAULT, "runs/personalise.gin"),
        (["bach_chorales_continue"], None, "runs/train.gin"),  # a task of the catalogue, whatever a folder is called
        (["mine", "--init", "none"], None, "runs/train.gin"),
        (["mine", "--init", "runs/a"], "runs/a", "runs/finetune.gin"),
        (["mine", "--gin_file", "runs/train.gin"], None, "runs/train.gin"),
        (["mines"], None, "runs/train.gin"),
        (["letters_language_model"], None, "runs/train.gin"),
        (["nottingham_continue"], None, "runs/train.gin"),
    ],
)
def test_a_folder_of_ones_own_music_begins_with_the_model_that_comes_with_t5music(data_dir, words, init, file):
    flags = build_parser().parse_line(["train", *words, "--data_dir", str(data_dir)])
    flags.bindings = []
    assert train._beginning(flags) == (init, file)


def test_it_is_said(data_dir, capsys):
    flags = build_parser().parse_line(["train", "mine", "--data_dir", str(data_dir)])
    flags.bindings = []
    train._beginning(flags)
    error = capsys.readouterr().err
    assert error.startswith(f"no --init: from {pretrained.DEFAULT} (")
    assert error.endswith("--init none begins from scratch\n")


def test_adapters_need_weights(data_dir, capsys):
    words = ["train", "nottingham_continue", "--model_dir", "run", "--adapters", "--data_dir", str(data_dir)]
    assert main(words) == 2
    assert "--adapters needs weights to adapt: name them with --init" in capsys.readouterr().err
