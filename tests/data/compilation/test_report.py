"""Reports: sums that can be added up in any order, every number where it belongs, a picture."""

from __future__ import annotations

import itertools
import json
import struct

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from t5music.data.compilation import report
from t5music.data.store.sums import Reason, Sums, by_reason

EXAMPLES = st.lists(st.tuples(st.integers(0, 90), st.integers(0, 90), st.integers(0, 9)), max_size=20)


def counted(examples: list[tuple[int, int, int]]) -> Sums:
    sums = Sums()
    for inputs, targets, notes in examples:
        sums.add({"inputs": inputs, "targets": targets}, notes, float(notes))
    return sums


@given(EXAMPLES, st.integers(0, 20))
def test_parts_add_up_to_the_whole(examples, cut):
    one, two, whole = counted(examples[:cut]), counted(examples[cut:]), counted(examples)
    one.skipped, two.skipped = {"a": Reason(2, "x")}, {"a": Reason(1, "y"), "b": Reason(1, "z")}
    one.answers, two.answers = {"jazz": 1}, {"jazz": 2, "pop": 1}
    one.pieces, two.pieces, two.without = 5, 6, 1
    one.merge(Sums.from_json(json.loads(json.dumps(two.to_json()))))
    assert one.skipped == {"a": Reason(3, "x"), "b": Reason(1, "z")}
    assert one.answers == {"jazz": 3, "pop": 1}
    assert (one.pieces, one.without) == (11, 1)
    for name in ("examples", "notes", "seconds", "tokens", "max_length", "lengths"):
        assert getattr(one, name) == getattr(whole, name), name
    for name, bins in whole.lengths.items():
        lengths = np.array([example[name == "targets"] for example in examples])
        assert bins == np.bincount(lengths // 16).tolist()


def test_reasons_that_differ_in_numbers_are_one():
    reasons = by_reason([("a", "has 3 tracks"), ("b", "empty"), ("c", "has 12.5 tracks"), ("d", "has 4 tracks")])
    assert reasons == {"has # tracks": Reason(3, "a"), "empty": Reason(1, "b")}
    assert list(reasons) == ["has # tracks", "empty"]


CORPUS = {
    "remarks": ["labels.csv: 12 files, read as Windows-1252, semicolons"],
    "pieces": {"train": 1200, "test": 30},
    "groups": 1100,
    "duplicates": 77,
    "seconds": 7200.0,
    "notes": 654321,
    "mended": {"a.mid": ["bytes after the last track: 3", "no end"], "b.mid": ["bytes after the last track: 9"]},
    "skipped": {"c.mid": "the file is empty", "d|e.mid": "the file is empty"},
    "labels": {"style": {"jazz": 700, "": 530}},
}


def manifest(**more) -> dict:
    train = counted([(100, 20, 3)] * 90 + [(300, 200, 5)] * 10)
    train.pieces, train.without, train.skipped = 1200, 4, {"has # tracks": Reason(8, "f.mid")}
    train.answers = {"jazz": 99}
    test = Sums(pieces=30, without=30)
    return {
        "name": "styles",
        "encoding": "remi",
        "created_by": "t5music 0",
        "terms": [{"corpus": "some", "licence": "CC0"}],
        "labels": ["jazz", "pop"],
        "corpora": {"some": report.digest(CORPUS)},
        "left_out": {"train": 6},
        "splits": {"train": {**train.to_json(), "shards": []}},
        "without_examples": {"test": test.to_json()},
    } | more


def rows(text: str, title: str) -> list[list[str]]:
    """The cells of the first table below a title."""
    lines = text.split(f"## {title}\n", 1)[1].splitlines()
    table = itertools.takewhile(bool, itertools.dropwhile(lambda line: not line.startswith("|"), lines))
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table]


def test_every_number_has_its_place():
    text = report.markdown(json.loads(json.dumps(manifest())))
    assert rows(text, "Corpora")[2] == ["some", "1,232", "2", "2", "1,230", "1,100", "77", "2.00", "654,321"]
    assert "## some: its files\n\n- labels.csv: 12 files, read as Windows-1252, semicolons\n\n" in text
    assert rows(text, "some: skipped on reading")[2:] == [["the file is empty", "2", "c.mid"]]
    assert rows(text, "some: mended on reading")[2:] == [
        ["bytes after the last track: #", "2", "a.mid"],
        ["no end", "1", "a.mid"],
    ]
    assert rows(text, "some: labels")[2:] == [["style", "jazz", "700"], ["style", "-", "530"]]
    train, test = rows(text, "Examples")[2:]
    assert train == ["train", "1,200", "8", "4", "100", "12,000", "3,800", "320", "0.09"]
    assert test == ["test", "30", "0", "30", "0", "0", "0", "0", "0.00"]
    assert rows(text, "Pieces left out")[2:] == [["has # tracks", "8", "f.mid"]]
    assert rows(text, "Answers")[2:] == [["jazz", "99", "0"], ["pop", "0", "0"]]
    assert rows(text, "Lengths")[2:] == [
        ["train", "inputs", "120.00", "112", "112", "300", "300"],
        ["train", "targets", "38.00", "32", "32", "200", "200"],
    ]
    assert "6 train pieces open like held-out pieces" in text
    assert f"]({report.PICTURE})" in text


def test_many_reasons_are_cut_short():
    corpus = CORPUS | {"skipped": {f"{letter}.mid": f"reason {letter}" for letter in "abcdefghijklmnopqrstuvwxyz"}}
    table = rows(report.markdown(manifest(corpora={"some": report.digest(corpus)})), "some: skipped on reading")
    assert len(table) == 2 + report.MOST_REASONS + 1
    assert table[-1] == ["6 other reasons", "6", "u.mid"]


def test_the_short_form_says_what_was_left_out():
    lines = report.short(manifest())
    assert lines[0].split() == ["train", "100", "examples", "15,800", "tokens", "320", "notes", "0.09", "h"]
    assert lines[2:] == [
        "  some: 1,232 files read, 2 mended, 2 skipped, 77 near-duplicates",
        "  8 x left out: has # tracks (for example f.mid)",
    ]


def test_the_picture_shows_lengths_and_is_always_the_same():
    one, same = report.picture(manifest()), report.picture(manifest())
    assert one == same
    assert one[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", one[16:24]) == (900, 320)
    longer = manifest()
    longer["splits"]["train"] = counted([(5000, 20, 3)] * 3).to_json()
    assert report.picture(longer) != one
    assert report.picture(manifest(splits={}))  # nothing to draw is no error
