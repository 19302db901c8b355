"""A folder of music that has changed is built again, and no other; TensorFlow leaves JAX its GPUs."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tiny_models

from t5music.cli import data_verbs
from t5music.corpora import catalogue
from t5music.corpora.sources import folder
from t5music.errors import DataError
from t5music.music import midi


def test_a_folder_is_built_again_when_it_has_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    music = tmp_path / "music"
    (music / "rock").mkdir(parents=True)
    (music / "rock" / "a.mid").write_bytes(b"one")
    monkeypatch.setenv("T5MUSIC_DATA", str(tmp_path / "data"))
    forced: list[bool] = []
    monkeypatch.setattr(data_verbs, "_build", lambda corpus, **how: forced.append(how["force"]))
    monkeypatch.setattr(data_verbs, "compile_names", lambda names, **how: forced.append(how["force"]))

    def compile_again(**more: Any) -> list[bool]:
        forced.clear()
        data_verbs.compile_([], str(music), "changing", **more)
        return list(forced)

    assert compile_again() == [False, False]
    assert compile_again() == [False, False]
    os.utime(music / "rock" / "a.mid", (0, 0))  # a file of the same size may have been put in its place
    assert compile_again() == [True, True]
    (music / "rock" / "a.mid").write_bytes(b"another")
    assert compile_again() == [True, True]
    assert compile_again() == [False, False]
    (music / "b.mid").write_bytes(b"three")
    assert compile_again() == [True, True]
    assert compile_again(folder_labels="folders") == [True, True], "labels are asked for"
    assert compile_again(folder_labels="folders") == [False, False]
    (music / "labels.csv").write_text("file,genre\nb.mid,jazz\nrock/a.mid,rock\n")
    assert compile_again() == [True, True]
    assert compile_again(force=True) == [True, True]
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "a.mid").write_bytes(b"one")
    message = f"changing was built of {music}: choose another name by --name, or replace it by --force"
    with pytest.raises(DataError, match=message):
        data_verbs.compile_([], str(tmp_path / "other"), "changing")
    assert compile_again() == [False, False], "the other folder's corpus is as it was"
    data_verbs.compile_([], str(tmp_path / "other"), "changing", force=True)


def test_a_folder_s_report_names_every_file_that_is_left_out(tmp_path: Path, monkeypatch, capsys):
    """Several files of one reason are printed as one line, which says where all of them stand."""
    monkeypatch.setenv("T5MUSIC_DATA", str(tmp_path / "data"))
    midi.write(tiny_models.band(), tmp_path / "music" / "good.mid")
    names = ["a.mid", os.fsdecode(b"Caf\xe9.mid"), "empty.mid"]
    for name in names:
        (tmp_path / "music" / name).write_bytes(b"" if name == "empty.mid" else b"<html>")
    corpus = folder.corpus(tmp_path / "music", "mine")
    report = data_verbs._build(corpus, source=str(tmp_path / "music"), workers=1)
    assert sorted(report["skipped"]) == [r"Caf\xe9.mid", "a.mid", "empty.mid"]
    *_, page, empty, place = capsys.readouterr().out.splitlines()
    assert page.startswith("  2 left out: not a standard MIDI file but a web page")
    assert empty == "  1 left out: the file is empty (for example empty.mid)"
    assert place.startswith("  all 3 by name, each with its reason: 'skipped' in ")
    assert json.loads(Path(place.partition("'skipped' in ")[2]).read_text("utf-8"))["skipped"] == report["skipped"]


class Terminal(io.StringIO):
    """A terminal at which a person types; `read` says how much of it was."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def labels_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """A function that compiles a folder of two sub-folders with what is typed; returns the labels that are taken."""
    for name in ("rock/a.mid", "jazz/b.mid"):
        (tmp_path / "music" / name).parent.mkdir(parents=True)
        (tmp_path / "music" / name).write_bytes(b"one")
    monkeypatch.setenv("T5MUSIC_DATA", str(tmp_path / "data"))
    labels: list[list[str]] = []
    monkeypatch.setattr(data_verbs, "_build", lambda corpus, **how: labels.append(list(corpus.labels)))
    monkeypatch.setattr(data_verbs, "compile_names", lambda names, **how: None)

    def compile_with(typed: str | None = None, folder: str = "music", **more: Any) -> list[str]:
        terminal = io.StringIO() if typed is None else Terminal(typed)
        monkeypatch.setattr("sys.stdin", terminal)
        data_verbs.compile_([], str(tmp_path / folder), "asking", **more)
        assert terminal.read() == "", "nothing is typed in vain"
        return labels.pop()

    return compile_with


def test_sub_folders_are_labels_only_if_a_person_says_so(labels_of: Callable[..., list[str]], tmp_path: Path, capsys):
    assert labels_of() == []
    assert labels_of(folder_labels="folders") == ["folder"]
    assert labels_of() == []
    assert labels_of("", folder_labels="none") == []
    assert labels_of("n\n") == []
    assert "music has 2 sub-folders: jazz, rock\nAre they labels" in capsys.readouterr().err
    assert labels_of("") == [], "asked once"
    assert labels_of("", folder_labels="folders") == ["folder"]
    assert labels_of("yes\n") == ["folder"], "what a flag said is not remembered"
    assert labels_of("") == labels_of() == ["folder"]
    capsys.readouterr()
    (tmp_path / "other" / "one").mkdir(parents=True)
    (tmp_path / "other" / "one" / "a.mid").write_bytes(b"one")
    assert labels_of("", folder="other", force=True) == [], "of one sub-folder nobody is asked"
    (tmp_path / "music" / "labels.csv").write_text("file,genre\nrock/a.mid,x\njazz/b.mid,y\n")
    assert labels_of("", force=True) == ["genre"], "nor where there is a table"
    assert capsys.readouterr().err == ""
    assert labels_of("", folder_labels="folders") == ["folder", "genre"]


def test_flags_of_midi_folders_need_one():
    with pytest.raises(DataError, match=r"--table, --label and --labels go with --midi FOLDER"):
        data_verbs.compile_(["bach_chorales_continue"], None, None, folder_labels="folders")


@pytest.mark.parametrize("visible", [None, "3"])
def test_jax_may_still_see_the_gpus(monkeypatch: pytest.MonkeyPatch, visible: str | None):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    pytest.importorskip("tensorflow")
    data_verbs._import_tensorflow()
    assert os.environ.get("CUDA_VISIBLE_DEVICES") == visible


def test_only_free_music_is_listed_where_weights_are_to_be_given_away(capsys):
    data_verbs.list_corpora(permissive=True)
    lines = capsys.readouterr().out.splitlines()
    names = {line for line in lines if line and not line.startswith(" ")}
    made_here = {f"synthetic_{language}" for language in ("random", "zipf", "nested", "flat")}
    assert names == {"openscore_lieder", "openscore_string_quartets", "pdmx", *made_here}
    for name in names:
        assert f"  weights: may be given away: {catalogue.get(name).permissive}" in lines
