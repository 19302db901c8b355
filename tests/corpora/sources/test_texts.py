"""A folder of text files as a corpus."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest

from t5music.corpora.base import Piece, Skipped
from t5music.corpora.sources import texts
from t5music.errors import DataError


@pytest.mark.parametrize(
    ("text", "most", "expected"),
    [
        ("one\n\ntwo", 100, ["one\n\ntwo"]),
        ("one\n\ntwo", 8, ["one\n\ntwo"]),
        ("one\n\ntwo", 7, ["one", "two"]),
        ("a line\r\nand\tanother\r\n \r\nnext", 100, ["a line and another\n\nnext"]),
        ("four words of it", 10, ["four words", "of it"]),
        ("unbreakable", 5, ["unbre", "akabl", "e"]),
        ("ähö", 3, ["äh", "ö"]),
        ("  \n\n ", 5, []),
    ],
)
def test_chunks_are_whole_paragraphs_where_they_fit(text: str, most: int, expected: list[str]):
    assert list(texts.chunks(text, most)) == expected
    assert all(len(chunk.encode()) <= most for chunk in expected)


def read(root: Path) -> dict[str, Piece | Skipped]:
    corpus = texts.corpus(root, "mine")
    assert pickle.loads(pickle.dumps(corpus.read)) is not None
    return {item.id: item for entry in corpus.entries(root) for item in corpus.read(entry)}


def test_runs_of_chunks_of_few_files_stay_together(tmp_path: Path):
    (tmp_path / "book.txt").write_text("\n\n".join("word " * 199 + str(number) for number in range(40)))
    pieces = read(tmp_path)
    assert [piece.group for piece in pieces.values()] == [f"book.txt#{number // texts.RUN}" for number in range(40)]
    assert pieces["book.txt#00003"].text.endswith("word 3")


def test_many_files_are_dealt_whole(tmp_path: Path):
    for number in range(texts.ENOUGH_FILES):
        (tmp_path / f"{number}.TXT").write_text(f"Story {number}.")
    assert {piece.id: piece.group for piece in read(tmp_path).values()} == {
        f"{number}.TXT#00000": f"{number}.TXT" for number in range(texts.ENOUGH_FILES)
    }


def test_of_chunks_that_say_the_same_the_first_is_taken(tmp_path: Path):
    for name, own in (("a", "One."), ("b", "Two.")):
        (tmp_path / f"{name}.txt").write_text(own + " More." * 160 + "\n\n" + "Free to copy. " * 50)
    found = read(tmp_path)
    assert [name for name, item in found.items() if isinstance(item, Piece)] == [
        "a.txt#00000",
        "a.txt#00001",
        "b.txt#00000",
    ]
    assert found["b.txt#00001"] == Skipped("b.txt#00001", "the same is said before")


def test_what_is_no_text_is_skipped_with_its_reason(tmp_path: Path):
    (tmp_path / "good.txt").write_text("Fine.")
    (tmp_path / "latin.txt").write_bytes("caf\xe9 au lait".encode("latin-1"))
    (tmp_path / "empty.txt").write_text(" \n")
    reasons = {name: item.reason for name, item in read(tmp_path).items() if isinstance(item, Skipped)}
    assert reasons == {
        "latin.txt": "it is not UTF-8 (invalid continuation byte at byte 3)",
        "empty.txt": "there is no text in it",
    }


def test_a_folder_without_text_and_a_name_that_cannot_be_are_refused(tmp_path: Path):
    with pytest.raises(DataError, match=r"--text .*: no text in it"):
        texts.corpus(tmp_path, "mine")
    with pytest.raises(DataError, match=r"--text .*nowhere: no such folder"):
        texts.corpus(tmp_path / "nowhere", "mine")
    with pytest.raises(DataError, match="--name My-Text"):
        texts.corpus(tmp_path, "My-Text")


def test_what_cannot_be_read_is_left_out_by_name(tmp_path: Path):
    (tmp_path / "a.TXT").write_text("Bar by bar.")
    os.mkfifo(tmp_path / "pipe.txt")
    (tmp_path / "folder.txt").mkdir()
    (tmp_path / os.fsdecode(b"Caf\xe9.txt")).write_bytes(b"Caf\xe9")
    (tmp_path / ".hidden.txt").write_text("nothing")
    corpus = texts.corpus(tmp_path, "mine")
    items = [item for entry in corpus.entries(tmp_path) for item in corpus.read(entry)]
    assert {item.id: getattr(item, "text", "") or item.reason for item in items} == {
        "a.TXT#00000": "Bar by bar.",
        "pipe.txt": "it cannot be read: it is a pipe, not a file",
        "folder.txt": "it cannot be read: it is a folder, not a file",
        r"Caf\xe9.txt": "it is not UTF-8 (unexpected end of data at byte 3)",
    }
