"""Tune book: a text or a file of ABC, taken apart into its tunes, and each tune into its lines.

As in the ABC standard 2.1, section 2: a tune goes from its field X: to the next empty line or the next X:. What stands
between tunes is free text. Fields M:, L: and I: before the first X: hold for every tune. Tunes before the first X:, or
in a text without one, are read too: each goes from its first field to the next empty line after its field K:.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

_FIELD = re.compile(r"\s*([H-WYh-wy+](?=:)|[A-GXZa-gxz](?=:(?![|:\]]))):\s*(.*)")  # 'e:|' is a note before a bar line
_BLOCK = re.compile(r"%%\s*begin(\w+)")  # of text, PostScript, ... up to %%endtext, %%endps, ...
_BLOCK_END = re.compile(r"%%\s*end(\w+)")
_INSTRUCTION = re.compile(r"%%\s*(propagate-accidentals)\s+(.*)")  # written as I:propagate-accidentals too
_CHARSET = re.compile(rb"(?m)^(?:%%|I:)\s*abc-charset\s+([\w-]+)")
_FILE_HEADER = "LMI"


@dataclass(frozen=True)
class Line:
    """A line of a tune without its comment.

    Attributes:
        number: Counted from 1 in the text.
        field: The letter of an information field; '' for music.
        text: The field's value, or the music.
    """

    number: int
    field: str
    text: str


@dataclass
class TuneText:
    """One tune as it stands in the text.

    Attributes:
        number: What X: says; '' without X:.
        lines: Its numbered raw lines, from X: on.
        file_header: Those before the first tune that hold for every tune.
    """

    number: str = ""
    lines: list[tuple[int, str]] = field(default_factory=list)
    file_header: list[tuple[int, str]] = field(default_factory=list)

    @property
    def text(self) -> str:
        """The raw lines, without the file's header."""
        return "\n".join(line for _, line in self.lines).strip() + "\n"

    def value(self, name: str) -> str:
        """The first field of that name as it is written; '' if there is none."""
        return next((line.text for line in logical_lines(self.lines) if line.field == name), "")

    def __iter__(self) -> Iterator[Line]:
        yield from (line for line in logical_lines(self.file_header) if line.field and line.field in _FILE_HEADER)
        yield from logical_lines(self.lines)


def decode(content: bytes) -> str:
    """The text of an ABC file: UTF-8, UTF-16 with a byte-order mark, or else the charset it names or Latin-1."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16", errors="replace")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        charset = _CHARSET.search(content)
        try:
            return content.decode(charset[1].decode("ascii") if charset else "latin-1")
        except (LookupError, UnicodeDecodeError):
            return content.decode("latin-1")


def split(text: str) -> list[TuneText]:
    """The tunes of a text, in order.

    Args:
        text: Tunes, a file's header, free text. Lines may end as on any system, and a byte-order mark may stand first.

    Returns:
        Every tune, those without K: too: they cannot be read, and reading them says so.
    """
    lines = list(_without_blocks(re.split(r"\r\n|\r|\n", text.lstrip("\ufeff"))))
    fields = [match[1] if (match := _FIELD.match(line)) else "" for _, line in lines]
    first = fields.index("X") if "X" in fields else len(fields)
    without_number = "K" in fields[:first]  # what stands before the first X: are tunes; else it is the file's header
    tunes: list[TuneText] = []
    file_header: list[tuple[int, str]] = []
    tune: TuneText | None = None
    has_key = False
    for index, ((number, line), name) in enumerate(zip(lines, fields, strict=True)):
        if name == "X" or (tune is None and name and without_number and index < first):
            tune = TuneText(_value(line) if name == "X" else "", file_header=file_header)
            tunes.append(tune)
            has_key = False
        elif not line.strip() and has_key:
            tune = None
        if tune is not None:
            tune.lines.append((number, line))
            has_key = has_key or name == "K"
        elif not tunes:
            file_header.append((number, line))
    return tunes


def _value(line: str) -> str:
    return _without_comment(line).partition(":")[2].strip()


def _without_blocks(lines: list[str]) -> Iterator[tuple[int, str]]:
    """Numbered lines without blocks of text: %%begintext ... %%endtext; one that never ends is no block."""
    ends: dict[str, list[int]] = {}  # name of a block -> where one ends, the first one last
    for index in reversed(range(len(lines))):
        if match := _BLOCK_END.match(lines[index]):
            ends.setdefault(match[1], []).append(index)
    inside = -1  # the index at which the block ends
    for index, line in enumerate(lines):
        if index > inside and (match := _BLOCK.match(line)):
            places = ends.get(match[1], [])
            while places and places[-1] < index:
                places.pop()
            inside = places[-1] if places else index
        if index > inside:
            yield index + 1, line


def _without_comment(line: str) -> str:
    return re.split(r"(?<!\\)%", line, maxsplit=1)[0]


def logical_lines(lines: Iterable[tuple[int, str]]) -> Iterator[Line]:
    """Fields and lines of music, without comments; what +: continues is joined to the field before it."""
    last: Line | None = None
    for number, raw in lines:
        instruction = _INSTRUCTION.match(raw)
        text = f"I:{instruction[1]} {instruction[2]}" if instruction else _without_comment(raw)
        if not text.strip():
            continue
        match = _FIELD.match(text)
        if match and match[1] == "+":
            if last is not None and last.field:  # after a line of music there is nothing to continue
                last = Line(last.number, last.field, f"{last.text} {match[2].strip()}")
            continue
        if last is not None:
            yield last
        last = Line(number, match[1], match[2].strip()) if match else Line(number, "", text)
    if last is not None:
        yield last
