"""Paths in buckets: pathlib's methods, and what must never become a folder of this machine."""

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from t5music import files
from t5music.errors import ConfigError, DataError
from t5music.files import AppendedFile
from t5music.storage import BucketPath, bucket_copies, bucket_path, is_bucket, path_of


@pytest.fixture(params=["google_bucket", "s3_bucket"])
def folder(request):
    return path_of(request.getfixturevalue(request.param)) / "a folder"


def test_files_are_written_read_listed_and_removed(folder):
    assert not folder.exists()
    with pytest.raises(FileNotFoundError):
        list(folder.iterdir())
    (folder / "one.txt").write_text("é")
    (folder / "below/two.bin").write_bytes(b"12345")
    assert (folder / "one.txt").read_text() == "é"
    assert folder.is_dir()
    assert not folder.is_file()
    assert (folder / "one.txt").is_file()
    assert not (folder / "one.txt").is_dir()
    assert [path.name for path in folder.iterdir()] == ["below", "one.txt"]
    assert list(folder.glob("*/*.bin")) == [folder / "below" / "two.bin"]
    assert folder.sizes() == {"below/two.bin": 5, "one.txt": 2}
    assert (folder / "below/two.bin").stat().st_size == 5
    version = (folder / "one.txt").version()
    (folder / "one.txt").write_text("e")
    assert (folder / "one.txt").version() != version
    (folder / "one.txt").unlink()
    (folder / "one.txt").unlink(missing_ok=True)
    with pytest.raises(FileNotFoundError):
        (folder / "one.txt").read_bytes()
    folder.remove_tree()
    folder.remove_tree()
    assert not folder.exists()


def test_a_large_object_is_read_in_parts(folder, monkeypatch):
    monkeypatch.setattr(bucket_path, "READ_BYTES", 1000)
    content = np.random.default_rng(0).bytes(3500)
    (folder / "large.bin").write_bytes(content)
    with (folder / "large.bin").open("rb") as file:
        assert file.read(10) == content[:10]
        file.seek(-5, os.SEEK_END)
        assert file.read() == content[-5:]
        file.seek(1234)
        assert file.read() == content[1234:]


def test_a_file_is_replaced_whole_or_not_at_all(folder):
    files.write_text(folder / "x.json", "before")

    def fail():
        with files.replacing(folder / "x.json") as temporary:
            temporary.write_text("half")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert (folder / "x.json").read_text() == "before"
    with files.replacing(folder / "x.json") as temporary:
        temporary.write_text("after")
    assert (folder / "x.json").read_text() == "after"
    assert not temporary.exists()
    assert [path.name for path in folder.iterdir()] == ["x.json"]


def test_a_growing_file_is_written_whole_at_times(folder, monkeypatch):
    path = folder / "metrics.jsonl"
    file = AppendedFile(path)
    file.write(b"one\n")
    assert not path.exists()
    file.sync()
    assert path.read_bytes() == b"one\n"
    monkeypatch.setattr(files, "WHOLE_FILE_SECONDS", 0.0)
    file.write(b"two\n")
    assert path.read_bytes() == b"one\n"  # it is not due yet
    file.close()
    again = AppendedFile(path)
    again.write(b"three\n")
    assert path.read_bytes() == b"one\ntwo\nthree\n"


def test_folders_are_copied_both_ways_the_last_file_last(folder, tmp_path, monkeypatch):
    (tmp_path / "local/below").mkdir(parents=True)
    for name in ("a", "below/b", "z"):
        (tmp_path / "local" / name).write_text(name)
    names = []
    upload = BucketPath.upload
    monkeypatch.setattr(BucketPath, "upload", lambda self, file: (names.append(self.name), upload(self, file)))
    bucket_copies.upload_tree(tmp_path / "local", folder, last="a")
    assert names[-1] == "a"
    copy = bucket_copies.copy_of_folder(folder)
    assert {str(path.relative_to(copy)) for path in copy.rglob("*") if path.is_file()} == {"a", "below/b", "z"}
    assert bucket_copies.copy_of_folder(folder) == copy
    assert bucket_copies.copy_of_folder(tmp_path) == tmp_path


def test_a_bucket_that_is_missing_is_named(folder):
    missing = path_of(f"{folder.scheme}://no-such-bucket-here/x")
    with pytest.raises(DataError, match=f"cannot write {missing}: "):
        files.write_text(missing, "x")


def test_nothing_takes_a_bucket_for_a_path_of_this_machine(google_bucket):
    path = path_of(f"{google_bucket}/x")
    for use in (Path, os.fspath, os.path.exists, open):
        with pytest.raises(TypeError):
            use(path)


@given(st.text(max_size=20))
def test_what_is_no_address_is_a_path_of_this_machine(text):
    if "://" not in text:
        assert path_of(text) == Path(text)
        assert not is_bucket(text)


@pytest.mark.parametrize("address", ["gs://", "gs:///", "s3://../x", "gs://b/../../x", "http://b/x", "az://b", "x://"])
def test_what_cannot_be_is_refused(address):
    with pytest.raises(ConfigError, match=address.split(":", maxsplit=1)[0]):
        path_of(address)


@given(st.lists(st.text("abc.-_ é", min_size=1, max_size=6).filter(lambda name: name.strip(".")), min_size=1))
def test_names_are_joined_and_parted_as_of_pathlib(names):
    path, local = path_of("gs://bucket"), Path("/bucket")
    for name in names:
        path, local = path / name, local / name
    assert str(path) == f"gs://{str(local)[1:]}"
    assert (path.name, path.stem, path.suffix) == (local.name, local.stem, local.suffix)
    assert path.parent / path.name == path == path_of(str(path))
    assert str(path.relative_to(path_of("gs://bucket"))) == str(local.relative_to("/bucket"))
