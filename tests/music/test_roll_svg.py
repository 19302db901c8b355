"""Piano rolls as SVG: every note is on them, where its time and pitch are, and what is new has another colour."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np
import pytest
import tiny_models
from hypothesis import given, settings
from hypothesis import strategies as st

from t5music.music import roll_svg
from t5music.music.roll_layout import PROMPT_COLOUR, Classes
from t5music.music.score import DRUMS, METER, NOTE, Score

NOTES = st.lists(
    st.tuples(st.integers(0, 20_000), st.integers(1, 5_000), st.integers(0, 127), st.integers(1, 127),
              st.sampled_from([0, 40, DRUMS]), st.integers(0, 2)),
    max_size=40,
)  # fmt: skip
BOX = re.compile(r"M([\d.]+) ([\d.]+)h([\d.]+)v([\d.]+)h-[\d.]+z")


def boxes(element: ElementTree.Element) -> list[tuple[float, ...]]:
    """(x, y, width, height) of each note of a path."""
    return [tuple(map(float, box)) for box in BOX.findall(element.get("d") or "")]


@settings(max_examples=40)
@given(NOTES, st.integers(0, 2**40))
def test_every_note_is_a_box_where_it_sounds(rows: list[tuple], bits: int):
    score = Score(480, np.array(rows, NOTE))
    is_new = np.array([bits >> place & 1 == 1 for place in range(len(rows))], bool)
    roll = roll_svg.draw(score, is_new=is_new)
    root = ElementTree.fromstring(roll.svg)
    paths = [path for path in root.iter("path") if boxes(path)]
    drawn = [box for path in paths for box in boxes(path)]
    assert len(drawn) == len(rows)
    rate, left = float(root.get("data-rate")), float(root.get("data-left"))
    begins = sorted(score.seconds(score.notes["onset"]).tolist())
    assert sorted((x - left) / rate for x, *_ in drawn) == pytest.approx(begins, abs=0.1 / rate + 1e-3)
    width, height = float(root.get("width")), float(root.get("height"))
    assert all(y >= 0 and y + tall <= height and x <= width for x, y, _, tall in drawn)
    grey = sum(len(boxes(path)) for path in paths if path.get("fill") == PROMPT_COLOUR)
    assert grey == int((~is_new).sum())
    assert {colour for _, colour in roll.legend} == {path.get("fill") for path in paths}


def test_a_higher_note_is_drawn_higher():
    score = Score(480, np.array([(0, 480, 60, 80, 0, 0), (480, 480, 72, 80, 0, 0)], NOTE))
    (path,) = [path for path in ElementTree.fromstring(roll_svg.draw(score).svg).iter("path") if boxes(path)]
    (_, low, *_), (_, high, *_) = sorted(boxes(path))
    assert high < low


def test_classes_have_their_colours():
    score = tiny_models.band(bars=2)
    of_notes = np.arange(len(score.notes)) % 2
    roll = roll_svg.draw(score, classes=Classes(("one", "two"), ("#111111", "#222222"), of_notes))
    assert roll.legend == [("one", "#111111"), ("two", "#222222")]


def test_it_has_neither_script_nor_style_nor_address():
    svg = roll_svg.draw(tiny_models.band()).svg
    assert not re.search(r"<script|style=|https?:|\bon\w+=|href", svg)


def svg(name: str) -> str:
    return f"{{http://www.w3.org/2000/svg}}{name}"


@settings(max_examples=40)
@given(NOTES, st.integers(0, 2**40), st.text(st.characters(), max_size=120))
def test_a_file_is_xml_whose_size_holds_all_of_it(rows: list[tuple], bits: int, title: str):
    score = Score(480, np.array(rows, NOTE), track_names=(title, "other", "third"))
    is_new = np.array([bits >> place & 1 == 1 for place in range(len(rows))], bool)
    root = ElementTree.fromstring(roll_svg.document(score, is_new=is_new, title=title))
    assert root.tag == svg("svg")
    width, height = float(root.get("width")), float(root.get("height"))
    (roll,) = root.iter(svg("svg")) if root.get("class") == "roll" else root.findall(svg("svg"))
    assert float(roll.get("y")) + float(roll.get("height")) == height
    assert float(roll.get("width")) <= width
    left = [float(path.get("d")[1:].split()[0]) for path in roll.iter(svg("path")) if "H" in path.get("d")]
    for path in roll.iter(svg("path")):
        for x, _, wide, _ in boxes(path):
            assert min(left, default=0) - 0.1 <= x <= x + wide <= float(roll.get("width")) + 2
    keys = [entry for entry in root.findall(svg("rect")) if entry.get("fill") != "#ffffff"]
    assert all(float(key.get("y")) + roll_svg.KEY <= float(roll.get("y")) for key in keys)


def test_a_file_shows_the_new_notes_and_a_few_bars_around_them():
    notes = [(480 * beat, 480, 50 + beat % 12, 80, 0, 0) for beat in range(400)]
    score = Score(480, np.array([*notes, (480 * 200, 480, 90, 80, 0, 1)], NOTE), meters=np.array([(0, 4, 4)], METER))
    root = ElementTree.fromstring(roll_svg.document(score, is_new=score.notes["track"] == 1, title="song: infill"))
    numbers = [int(text.text) for text in root.iter(svg("text")) if (text.text or "").isdigit()]
    assert numbers == list(range(47, 56))  # bar 51 has the new note
    boxes_of = {path.get("fill"): boxes(path) for path in root.iter(svg("path")) if boxes(path)}
    assert len(boxes_of[PROMPT_COLOUR]) == 36
    assert sum(map(len, boxes_of.values())) == 37
    assert root.find(svg("title")).text == "song: infill"
