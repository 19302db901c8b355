"""Tune books: several tunes in a text, free text, blocks, line ends, encodings of characters."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_abc import names

from t5music.errors import MidiError
from t5music.music import abc_notation
from t5music.music.abc_notation import decode, parse, parse_tunes, split

BOOK = """%abc-2.1
L:1/4
My tunes, of which a sentence can be read as music: Abe, Dad, Gabe.

X:1
T:The First
K:C
CDEF|

Collected by Abe from a fiddle book.
K: this is no field of a tune

%%text CCC
X: 2
T:The Second
M:2/4
L:1/8
K:D
% a comment does not end a tune
F|
"""


def test_several_tunes():
    first, second = parse_tunes(BOOK)
    assert [(tune.title, names(tune), str(tune.key)) for tune in (first, second)] == [
        ("The First", "CDEF", "C"), ("The Second", "F", "D")]  # fmt: skip
    assert first.items[0].length * 4 == 1, "the file's L: holds for every tune"
    assert second.items[0].length * 8 == 1
    assert parse(BOOK) == first, "the first one"
    assert [(tune.number, tune.value("T"), tune.value("Q")) for tune in split(BOOK)] == [
        ("1", "The First", ""), ("2", "The Second", "")]  # fmt: skip
    assert split(BOOK)[1].text == BOOK[BOOK.index("X: 2") :]


@pytest.mark.parametrize(
    "after",
    ["\nCollected by Abe from a fiddle book.\n", "\nX:2\nT:u\nM:3/4\nK:G\nGAB|\n", "X:2\nK:G\nGAB\n", " \t\nGAB\n",
     "\n\n\nGAB\n\nX:2\nK:G\nGAB", "\n%%begintext\nGAB\n%%endtext\n", "% GAB\n", "%%text GAB\n", "w:GAB\nW:GAB\n\nGAB"],
)  # fmt: skip
def test_what_follows_a_tune_is_not_its_music(after: str):
    assert names(parse(f"X:1\nT:t\nM:4/4\nL:1/4\nK:C\nCDEF|\n{after}")) == "CDEF"
    assert names(parse(f"M:4/4\nL:1/4\nK:C\nCDEF|\n{after}")) == "CDEF"


@pytest.mark.parametrize(
    "block",
    ["%%begintext\nGAB | K: X:\nX:3\n\nK:D\nGAB\n%%endtext", "%%beginps nosvg\n/GAB {} def\n\n%%endps",
     "%% begintext\n%%GAB\nGAB\n%% endtext", "%%beginsvg\n<g/>\n%%endsvg", "%%begintext a block that never ends"],
)  # fmt: skip
def test_blocks_of_text_are_passed_over(block: str):
    for text in (f"X:1\nK:C\nCD\n{block}\nEF", f"X:1\n{block}\nK:C\nCDEF", f"{block}\nX:1\nK:C\nCDEF",
                 f"X:1\nK:C\nC\n{block}\nD\n{block}\nEF"):  # fmt: skip
        assert names(parse(text)) == "CDEF"


def test_headers():
    assert names(parse("\n\n X:1\n\nT:an empty line in the header\n\nK:C\nCD")) == "CD"
    assert names(parse("T:t\nsome text, CDE\nH:history\nthat goes on, AB\nK:C\nCD")) == "CD", "text in the header"
    assert names(parse("Once upon a time.\nK:C\nCD")) == "CD"
    assert [names(tune) for tune in parse_tunes("K:C\nC\n\nM:2/4\nK:D\nD\n")] == ["C", "D"], "without X:"
    assert names(parse("X:1\nK:C\n\nCDEF")) == "", "an empty line ends a tune"
    assert parse("X:1\nK:C").to_score().notes.size == 0


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_line_ends_and_byte_order_marks(end: str, mark: str):
    first, second = parse_tunes(mark + BOOK.replace("\n", end))
    assert (first, second) == tuple(parse_tunes(BOOK))


@pytest.mark.parametrize(
    ("content", "title"),
    [("X:1\nT:Café\nK:C\nA".encode(), "Café"), ("X:1\nT:Café\nK:C\nA".encode("utf-8-sig"), "Café"),
     ("X:1\nT:Café\nK:C\nA".encode("latin-1"), "Café"), ("X:1\nT:Café\nK:C\nA".encode("utf-16"), "Café"),
     ("%%abc-charset iso-8859-2\nX:1\nT:Dvořák\nK:C\nA".encode("iso-8859-2"), "Dvořák"),
     ("I:abc-charset no-such-charset\nX:1\nT:Café\nK:C\nA".encode("latin-1"), "Café")],
)  # fmt: skip
def test_encodings_of_characters(tmp_path: Path, content: bytes, title: str):
    (tmp_path / "tune.abc").write_bytes(content)
    [tune] = abc_notation.read(tmp_path / "tune.abc")
    assert (tune.title, names(tune)) == (title, "A")
    assert parse(decode(content)) == tune


def test_files_that_cannot_be_read(tmp_path: Path):
    with pytest.raises(MidiError, match=r"none\.abc cannot be read: No such file"):
        abc_notation.read(tmp_path / "none.abc")
    (tmp_path / "bad.abc").write_text("X:1\nK:C\nC\n\nX:7\nT:t\nK:C\nCD\nE 2")
    with pytest.raises(MidiError, match=r"bad\.abc: tune 7: line 9, column 3: '2' cannot be read as music"):
        abc_notation.read(tmp_path / "bad.abc")
