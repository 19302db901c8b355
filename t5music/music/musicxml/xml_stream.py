"""XML, read as a stream and with suspicion: only the measure at hand is in memory.

Entities of a file's own are refused, so none can grow; no other file is ever opened; depth and numbers of elements are
bounded. What plays no part in how a score sounds (lyrics, beams, layout) is skipped on the way.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from t5music.errors import MidiError
from t5music.music.musicxml.limits import MAX_DEPTH, MAX_ELEMENTS

_BLOCK = 1 << 16
_SILENT = frozenset(
    ("lyric", "stem", "beam", "print", "defaults", "credit", "identification", "harmony", "figured-bass", "notehead",
     "accidental", "listen", "listening", "part-link", "technical")
)  # fmt: skip
_ROOTS = {"score-partwise": "part", "score-timewise": "measure"}


class Measure(NamedTuple):
    """One measure of one part.

    Attributes:
        part: the part's id.
        number: which of the part's measures it is, from 0.
        element: its content; a measure of a score by time has the attributes of that.
    """

    part: str
    number: int
    element: Element


def elements(data: bytes, name: str) -> Iterator[Element]:
    """Every element of a small document, without its children."""
    parser = _Parser(name)
    elements: list[Element] = []
    parser.expat.StartElementHandler = lambda tag, attributes: elements.append(parser.checked(tag, attributes))
    parser.expat.EndElementHandler = parser.leave
    parser.feed(data, last=True)
    return iter(elements)


def read(data: bytes, name: str) -> Iterator[Element | Measure]:
    """The list of parts, as an element, and the measures of a score, as they come.

    Raises:
        MidiError: what is no MusicXML, is not well-formed, or is refused, in one line.
    """
    parser = _ScoreParser(name)
    view = memoryview(data)
    for start in range(0, max(len(view), 1), _BLOCK):
        parser.feed(view[start : start + _BLOCK].tobytes(), last=start + _BLOCK >= len(view))
        yield from parser.items
        parser.items.clear()


class _Parser:
    """An expat parser that refuses what only an attacker needs."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.depth = 0
        self.count = 0
        self.expat = expat.ParserCreate()
        self.expat.buffer_text = True
        self.expat.EntityDeclHandler = self._entity
        self.expat.SetParamEntityParsing(expat.XML_PARAM_ENTITY_PARSING_NEVER)

    def _entity(self, *_: object) -> None:
        raise MidiError(f"{self.name}: declares entities of its own, which no score needs: refused")

    def checked(self, tag: str, attributes: dict[str, str]) -> Element:
        """Counts an element that begins. Raises MidiError where there are too many, or too deep."""
        self.depth += 1
        self.count += 1
        if self.depth > MAX_DEPTH:
            raise MidiError(f"{self.name}: its elements are nested more than {MAX_DEPTH} deep")
        if self.count > MAX_ELEMENTS:
            raise MidiError(f"{self.name}: more than {MAX_ELEMENTS} elements in one measure or list")
        return Element(tag, attributes)

    def leave(self, tag: str) -> None:
        """Counts an element that ends."""
        self.depth -= 1

    def feed(self, block: bytes, *, last: bool) -> None:
        """Parses some more. Raises MidiError where that is no XML."""
        try:
            self.expat.Parse(block, last)
        except expat.ExpatError as error:
            raise MidiError(f"{self.name}: is not well-formed XML: {error}") from None
        except (LookupError, ValueError, UnicodeError) as error:  # an encoding that nobody has heard of
            raise MidiError(f"{self.name}: cannot be read as XML: {' '.join(str(error).split())}") from None


class _ScoreParser(_Parser):
    """Builds the list of parts and each measure, and nothing else."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.items: list[Element | Measure] = []
        self.root = self.outer_name = ""
        self.outer: dict[str, str] = {}
        self.measures: dict[str, int] = {}  # so far, by part
        self.skipping = 0  # the depth of the element that is skipped
        self.builder: TreeBuilder | None = None
        self.expat.StartElementHandler = self.start
        self.expat.EndElementHandler = self.end
        self.expat.CharacterDataHandler = self.text

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        depth = self.depth = self.depth + 1
        self.count += 1
        if depth > MAX_DEPTH or self.count > MAX_ELEMENTS:
            self.depth -= 1
            self.count -= 1
            self.checked(tag, attributes)
        if self.skipping:
            return
        if self.builder is not None:
            if tag in _SILENT:
                self.skipping = depth
            else:
                self.builder.start(tag, attributes)
        elif depth == 1:
            if tag not in _ROOTS:
                hint = "it lists other scores: give them one by one" if tag == "opus" else "its root is not a score"
                raise MidiError(f"{self.name}: is not a MusicXML score ({hint})")
            self.root = tag
        elif depth == 2 and tag in ("part", "measure"):
            self.outer_name, self.outer = tag, attributes
        elif (depth == 2 and tag == "part-list") or (depth == 3 and tag == self._inner and self._outer_is_right):
            self.count = 0
            self.builder = TreeBuilder()
            self.builder.start(tag, attributes)
        else:
            self.skipping = depth

    @property
    def _inner(self) -> str:
        return "measure" if self.root == "score-partwise" else "part"

    @property
    def _outer_is_right(self) -> bool:
        return self.outer_name == _ROOTS[self.root]

    def end(self, tag: str) -> None:
        depth, self.depth = self.depth, self.depth - 1
        if self.skipping:
            if self.skipping == depth:
                self.skipping = 0
                self.count = self.count if self.builder is not None else 0
            return
        if self.builder is None:
            return
        self.builder.end(tag)
        if depth > 3 or (depth == 3 and tag not in ("measure", "part")):
            return
        element = self.builder.close()
        self.builder = None
        self.count = 0
        if depth == 2:
            self.items.append(element)
            return
        part = self.outer.get("id", "") if tag == "measure" else element.get("id", "")
        if tag == "part":
            element.attrib.update({key: value for key, value in self.outer.items() if key != "id"})
        number = self.measures.get(part, 0)
        self.measures[part] = number + 1
        self.items.append(Measure(part, number, element))

    def text(self, text: str) -> None:
        if self.builder is not None and not self.skipping:
            self.builder.data(text)
