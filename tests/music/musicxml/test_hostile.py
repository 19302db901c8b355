"""Files that are no scores, or mean harm: refused in one line that names them, in little time and memory."""

from __future__ import annotations

import os
import time
import tracemalloc
from pathlib import Path

import pytest
from small_musicxml import CONTAINER, compressed, document, measure, note, start

from t5music.errors import MidiError
from t5music.music import music_files
from t5music.music.musicxml import limits, read_mended

TUNE = document([measure(start(), note("C4", 4))])
BOMB = '<!DOCTYPE x [<!ENTITY a "ha">' + "".join(
    f'<!ENTITY {chr(98 + depth)} "{f"&{chr(97 + depth)};" * 10}">' for depth in range(9)
) + "]>"  # fmt: skip
OUTSIDE = '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>'
DEEP = b"<score-partwise><part-list/>" + b'<part id="P1"><measure>' + b"<a>" * 100_000


def refusal(data: bytes) -> str:
    with pytest.raises(MidiError) as caught:
        read_mended(data, name="it.mxl")
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("it.mxl")
    return str(caught.value)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "is not well-formed XML: no element found"),
        (b"MThd\0\0\0\6", "is not well-formed XML"),
        (b"<html><p>404</p></html>", "is not a MusicXML score (its root is not a score)"),
        (b"<opus></opus>", "it lists other scores"),
        (b"<score-partwise></score-partwise>", "no measure in it"),
        (document([measure(start(), note("R", 4))]), "no notes in it"),
        (TUNE[:-30], "is not well-formed XML"),
        (TUNE.replace(b'"1.0"', b'"1.0" encoding="klingon"'), "cannot be read as XML: unknown encoding: klingon"),
        (document([measure(start(), note("H4", 4))]), "measure 1: a note without a pitch"),
        (document([measure(start(), note("C4", 4).replace(">4<", ">x<"))]), "measure 1: "),
        (document([measure(start(0), note("C4", 4))]), "measure 1: 0 divisions"),
        (document([measure(start(-3), note("C4", 4))]), "measure 1: -3 divisions"),
        (document([measure(start(), note("C4", 10**9))]), "a duration of more than 10000 quarter notes"),
        (document([measure(start(), note("C4", 9999)) for _ in range(200)]), "its notes go on for more than"),
        (document([measure(start(), '<sound tempo="nan"/>', note("C4", 4))]), "'nan' is no number"),
        (document([measure(start(), '<sound tempo="1e999"/>', note("C4", 4))]), "is no number"),
        (document([measure(start(), note("C4", 4)), *[measure()] * 10_000]), "it has more than 10000 measures"),
        (document([measure(start(), note("C4", 4))], head=BOMB), "declares entities of its own"),
        (document([measure(start(), note("C4", 4))], head=OUTSIDE), "declares entities of its own"),
        (DEEP, "its elements are nested more than 64 deep"),
        (compressed({"META-INF/container.xml": CONTAINER.format(path="../../etc/passwd")}), "which is not in it"),
        (compressed({"META-INF/container.xml": CONTAINER.format(path="/etc/passwd")}), "which is not in it"),
        (compressed({"META-INF/container.xml": BOMB + CONTAINER.format(path="x")}), "declares entities of its own"),
        (compressed({"picture.png": b"x"}), "and 0 scores in it instead of one"),
        (compressed({"a.xml": TUNE, "b.xml": TUNE}), "and 2 scores in it instead of one"),
        (compressed({"a.xml": TUNE})[:-40], "cannot be unpacked"),
        (compressed({f"{index}.txt": b"" for index in range(1001)}), "more than 1000 files in it"),
    ],
)  # fmt: skip
def test_refused(data: bytes, reason: str):
    tracemalloc.start()
    before = time.process_time()
    assert reason in refusal(data)
    assert time.process_time() - before < 10
    assert tracemalloc.get_traced_memory()[1] < 300 * 2**20
    tracemalloc.stop()


def test_a_zip_bomb_is_not_unpacked():
    data = compressed({"score.xml": b" " * (limits.MAX_BYTES + 2**20)})
    assert len(data) < 2**20
    assert "larger than" in refusal(data)


def test_many_elements_in_one_measure_or_in_what_is_skipped():
    many = "<lyric/>" * (limits.MAX_ELEMENTS + 1)
    assert "more than 200000 elements in one measure" in refusal(document([measure(start(), many)]))
    assert "more than 200000 elements" in refusal(document([measure(start(), note("C4", 4))]).replace(
        b"<part-list>", b"<credit>" + b"<a/>" * (limits.MAX_ELEMENTS + 1) + b"</credit><part-list>"))  # fmt: skip


def test_entities_of_xml_itself_and_an_outer_dtd_are_fine():
    head = '<!DOCTYPE score-partwise PUBLIC "-//Recordare//DTD MusicXML 4.0 Partwise//EN" "http://127.0.0.1:9/x.dtd">'
    listing = '<score-part id="P1"><part-name>Tom &amp; Ann&#233;</part-name></score-part>'
    score = read_mended(document([measure(start(), note("C4", 4))], listing=listing, head=head)).score
    assert score.track_names == ("Tom & Anné",)


@pytest.mark.parametrize(
    "members",
    [
        {"META-INF/container.xml": CONTAINER.format(path="a/b.xml"), "a/b.xml": TUNE, "other.xml": b"<x/>"},
        {"only.musicxml": TUNE},
        {"only.xml": TUNE, "__MACOSX/._only.xml": b"\0"},
    ],
)
def test_compressed_scores(members):
    assert read_mended(compressed(members)).score == read_mended(TUNE).score


def test_files_that_are_none(tmp_path: Path):
    (tmp_path / "folder.mxl").mkdir()
    os.mkfifo(tmp_path / "pipe.mxl")
    large = tmp_path / "large.xml"
    with large.open("wb") as file:
        file.truncate(limits.MAX_BYTES + 1)
    for name, reason in (
        ("none.mxl", "no such file"),
        ("folder.mxl", "is a folder, not a score"),
        ("pipe.mxl", "it is a pipe"),
        ("large.xml", "larger than"),
    ):
        with pytest.raises(MidiError, match=rf"{name}: .*{reason}"):
            music_files.read(tmp_path / name)


def test_parts_and_measures_that_are_not_in_the_list_or_out_of_step():
    listing = '<score-part id="P9"><part-name>Other</part-name></score-part>'
    uneven = document([measure(start(), note("C4", 4)), measure(note("D4", 4))], [measure(start(), note("C3", 4))],
                      listing=listing)  # fmt: skip
    assert read_mended(uneven).score.notes["pitch"].tolist() == [60, 48, 62]
