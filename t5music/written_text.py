"""Written text: what others wrote, put into CSV and Markdown files so that nothing in it acts.

A spreadsheet takes a cell that begins with = for a formula and runs it; a page of Markdown takes brackets for links and
tags for HTML. Names of files, labels, settings and errors come from other people, so all writers call this module.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_NUMBER = re.compile(r"[+-](\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
# What Markdown, and GitHub's, makes a tag, a link, code or the end of a cell of; and the escape itself.
_MARKUP = re.compile(r"[\\`\[\]|]|<(?=[A-Za-z/!?])|:(?=//)|(?<=\bwww)\.", re.IGNORECASE)


def csv_table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table as CSV, as RFC 4180 has it but with \\n between lines.

    A text that begins as a formula does gets an apostrophe before it, which spreadsheets take for "this is text";
    numbers do not, nor what is written of them. None is an empty cell.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    quoting = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL)  # the other one leaves \r without quotes
    for row in (header, *rows):
        cells = [_cell(value) if isinstance(value, str) else value for value in row]
        (quoting if any("\r" in cell for cell in cells if isinstance(cell, str)) else writer).writerow(cells)
    return text.getvalue()


def markdown(text: str) -> str:
    """A text on one line of Markdown, in which it shows as it is."""
    return _MARKUP.sub(r"\\\g<0>", " ".join(text.split()))


def _cell(text: str) -> str:
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULA) and not _NUMBER.fullmatch(text) else text
