"""Files below a folder: what is music, what is hidden, links, and folders that cannot be read."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from t5music.corpora.listing import MIDI_SUFFIXES, is_hidden, list_files, relative_id
from t5music.errors import DataError


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def ids(root: Path, *suffixes: str) -> list[str]:
    return [relative_id(path, root) for path in list_files(root, suffixes or MIDI_SUFFIXES).files]


def test_suffixes_in_any_case_at_any_depth(tmp_path: Path):
    names = ["a.mid", "b.MID", "deep/er/c.Midi", "d.kar", "e.KAR", "f.smf", "g.rmi"]
    touch(tmp_path, *names, "notes.txt", "a.mid.bak", "mid", "deep/x.mp3")
    assert sorted(ids(tmp_path)) == sorted(names)
    assert ids(tmp_path, ".txt") == ["notes.txt"]
    assert len(list_files(tmp_path).files) == len(names) + 4


def test_what_is_hidden_or_the_system_s_is_no_music(tmp_path: Path):
    hidden = [".a.mid", "._b.mid", ".git/c.mid", "x/.ipynb_checkpoints/d.mid", "__MACOSX/x/e.mid", "Thumbs.db/f.mid"]
    hidden += ["$RECYCLE.BIN/g.mid", "System Volume Information/h.mid", "@eaDir/i.mid"]
    touch(tmp_path, *hidden, "x/y.mid")
    assert ids(tmp_path) == ["x/y.mid"]
    inner = tmp_path / ".git"
    assert ids(inner) == ["c.mid"], "a folder that a person names is not hidden"


def test_links_are_followed_once_and_change_no_other_id(tmp_path: Path):
    touch(tmp_path / "music", "z/a.mid", "z/deep/b.mid")
    touch(tmp_path / "elsewhere", "c.mid")
    assert ids(tmp_path / "music") == ["z/a.mid", "z/deep/b.mid"]
    for name, target in (
        ("loop", "."),
        ("z/up", ".."),
        ("a_link", "z"),
        ("gone", "nowhere"),
        ("other", "../elsewhere"),
    ):
        (tmp_path / "music" / name).symlink_to(target)
    (tmp_path / "music" / "circle").symlink_to("circle")
    assert ids(tmp_path / "music") == ["other/c.mid", "z/a.mid", "z/deep/b.mid"]


def test_what_only_looks_like_music_is_listed_to_be_refused(tmp_path: Path):
    touch(tmp_path, "a.mid", "folder.mid/b.mid")
    os.mkfifo(tmp_path / "pipe.mid")
    (tmp_path / "gone.mid").symlink_to("nowhere")
    assert ids(tmp_path) == ["a.mid", "folder.mid", "folder.mid/b.mid", "gone.mid", "pipe.mid"]


def test_a_folder_that_cannot_be_listed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    touch(tmp_path, "a.mid", "private/b.mid")
    scandir = os.scandir

    def refused(path):  # the tests may run as root, whom no permission stops
        if Path(path).name == "private":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refused)
    listing = list_files(tmp_path)
    assert [path.name for path in listing.files] == ["a.mid"]
    assert listing.unreadable == {"private": "cannot be listed: Permission denied"}
    with pytest.raises(DataError, match="private: cannot be listed: Permission denied"):
        list_files(tmp_path / "private")


def test_no_folder(tmp_path: Path):
    touch(tmp_path, "a.mid")
    for name in ("none", "a.mid"):
        with pytest.raises(DataError, match=f"{name}: no such folder"):
            list_files(tmp_path / name)


NAMES = st.binary(min_size=1, max_size=12).filter(
    lambda name: not set(name) & set(b"/\0") and name not in (b".", b"..")
)


@given(st.sets(NAMES, max_size=6))
def test_any_names_have_different_ids(tmp_path_factory: pytest.TempPathFactory, names: set[bytes]):
    root = tmp_path_factory.mktemp("names")
    for name in names:
        (root / os.fsdecode(name)).touch()
    files = list_files(root).files
    shown = {os.fsdecode(name) for name in names if not is_hidden(PurePosixPath(os.fsdecode(name)))}
    assert {path.name for path in files} == shown
    assert len({relative_id(path, root).encode() for path in files}) == len(files)
