"""A folder of music that has changed is built again, and no other; its sub-folders are labels if a person says so."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from t5music.cli import building, compiling
from t5music.errors import DataError


def test_a_folder_is_built_again_when_it_has_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    music = tmp_path / "music"
    (music / "rock").mkdir(parents=True)
    (music / "rock" / "a.mid").write_bytes(b"one")
    monkeypatch.setenv("T5MUSIC_DATA", str(tmp_path / "data"))
    forced: list[bool] = []
    monkeypatch.setattr(building, "build_corpus", lambda corpus, **how: forced.append(how["force"]))
    monkeypatch.setattr(compiling, "compile_names", lambda names, **how: forced.append(how["force"]))

    def compile_again(**more: Any) -> list[bool]:
        forced.clear()
        compiling.compile_([], str(music), "changing", **more)
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
        compiling.compile_([], str(tmp_path / "other"), "changing")
    assert compile_again() == [False, False], "the other folder's corpus is as it was"
    compiling.compile_([], str(tmp_path / "other"), "changing", force=True)


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
    monkeypatch.setattr(building, "build_corpus", lambda corpus, **how: labels.append(list(corpus.labels)))
    monkeypatch.setattr(compiling, "compile_names", lambda names, **how: None)

    def compile_with(typed: str | None = None, folder: str = "music", **more: Any) -> list[str]:
        terminal = io.StringIO() if typed is None else Terminal(typed)
        monkeypatch.setattr("sys.stdin", terminal)
        compiling.compile_([], str(tmp_path / folder), "asking", **more)
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
        compiling.compile_(["bach_chorales_continue"], None, None, folder_labels="folders")
