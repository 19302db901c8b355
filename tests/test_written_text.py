"""Nothing that others wrote acts in the CSV and Markdown files that are written."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from t5music import written_text

NASTY = st.text(st.characters(exclude_categories=("Cs",)), max_size=8).flatmap(
    lambda text: st.sampled_from(["", "=", "+", "-", "@", "\t", "\r", " ="]).map(lambda start: start + text)
)


@given(rows=st.lists(st.lists(NASTY, min_size=2, max_size=2), max_size=4))
def test_no_cell_is_a_formula_and_every_text_can_be_read_back(rows):
    content = written_text.csv_table(["a", "b"], rows)
    cells = list(csv.reader(io.StringIO(content, newline="")))
    for row, written in zip(rows, cells[1:], strict=True):
        for text, cell in zip(row, written, strict=True):
            assert cell.removeprefix("'") == text.removeprefix("'")
            if cell.lstrip(" ").startswith(("=", "+", "-", "@", "\t", "\r")):
                float(cell)  # or the test fails


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("+1-555", "'+1-555"),
        ("-x", "'-x"),
        ("-1", "-1"),
        ("-1.5e-3", "-1.5e-3"),
        ("+.5", "+.5"),
        ("-", "'-"),
        (-0.25, "-0.25"),
        (None, ""),
        ("a=b", "a=b"),
        ("-inf", "'-inf"),
    ],
)
def test_cells(value, cell):
    assert written_text.csv_table(["x", "y"], [[value, "z"]]) == f"x,y\n{cell},z\n"


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("a|b", "a\\|b"),
        ("[x](http://evil)", "\\[x\\](http\\://evil)"),
        ("![](x)", "!\\[\\](x)"),
        ("<script>", "\\<script>"),
        ("www.evil.org", "www\\.evil.org"),
        ("p < 0.05", "p < 0.05"),
        ("`a`", "\\`a\\`"),
        ("a\n# b", "a # b"),
        ("a\\|b", "a\\\\\\|b"),
        ("two_words 3 * 4", "two_words 3 * 4"),
    ],
)
def test_markdown(text, written):
    assert written_text.markdown(text) == written
