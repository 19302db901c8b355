"""Sheet music as PDF: what Verovio draws as SVG, drawn again by Matplotlib, glyphs as outlines and words as text.

Read is the SVG that Verovio writes: groups and nested pictures, each with a shift or a scale, outlines of the music
font that are used again by name, lines, curves, polygons, rectangles, ellipses and text.
"""

from __future__ import annotations

import functools
import io
import re
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from t5music.music.fonts import fonts_for

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.path import Path as Outline

A4 = (8.2677, 11.6929)  # inches
POINTS = 72  # an inch
SERIF = "STIXGeneral"  # comes with Matplotlib, and is as wide as Times, with which Verovio measures
_NUMBER = re.compile(r"-?\d*\.?\d+(?:e-?\d+)?")
_COMMAND = re.compile(r"([A-Za-z])([^A-Za-z]*)")
_TRANSFORM = re.compile(r"(translate|scale)\(([^)]*)\)")
_BOLD = {"ending", "fing", "reh", "tempo"}  # classes of Verovio's style sheet
_ITALIC = {"dir", "dynam", "mNum"}
_ANCHORS = {"start": "left", "middle": "center", "end": "right"}


def to_bytes(pages: list[str]) -> bytes:
    """A PDF of pages, SVG documents as Verovio writes them."""
    from matplotlib.backends.backend_pdf import FigureCanvasPdf, PdfPages
    from matplotlib.figure import Figure

    content = io.BytesIO()
    metadata = {"Creator": "t5music", "Producer": None, "CreationDate": None}
    with PdfPages(content, metadata=metadata) as document, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")  # a script that no font here has
        for page in pages:
            figure = Figure(figsize=A4)
            FigureCanvasPdf(figure)
            axes = figure.add_axes((0, 0, 1, 1))
            _draw_page(axes, ElementTree.fromstring(page))
            document.savefig(figure)
    return content.getvalue()


class _Style(NamedTuple):
    """What an element hands down: where it lies (x, y = shift + factor * own), and how its words look."""

    shift: NDArray[np.float64]
    factor: NDArray[np.float64]
    bold: bool = False
    italic: bool = False
    line_width: float | None = None
    fill: bool = True


def _draw_page(axes: Axes, root: Any) -> None:
    width, height = [float(number) for number in root.get("viewBox").split()][2:]
    axes.set_xlim(0, width)
    axes.set_ylim(height, 0)
    axes.axis("off")
    glyphs = {f"#{group.get('id')}": group for group in root.iter() if _tag(group) == "g" and group.get("id")}
    unit = A4[0] * POINTS / width  # points
    _draw(axes, root, _Style(np.zeros(2), np.ones(2)), glyphs, unit, width)


def _draw(axes: Axes, element: Any, style: _Style, glyphs: dict[str, Any], unit: float, width: float) -> None:
    """Draws an element and what is in it."""
    tag = _tag(element)
    if tag in ("defs", "desc", "style", "title") or "placeholder" in (element.get("class") or "").split():
        return
    style = _inherited(element, style, width)
    if tag == "text":
        _write(axes, element, style, unit)
        return
    if tag == "use":
        glyph = glyphs.get(element.get("href") or "")
        for child in () if glyph is None else glyph:
            _draw(axes, child, style, glyphs, unit, width)
        return
    outline = _outline(element, tag)
    if outline is not None:
        _add(axes, outline, element, style, unit)
    for child in element:
        _draw(axes, child, style, glyphs, unit, width)


def _inherited(element: Any, style: _Style, width: float) -> _Style:
    """The style within an element."""
    shift, factor = style.shift, style.factor
    if _tag(element) == "svg" and element.get("class") == "definition-scale":
        factor = factor * width / float(element.get("viewBox").split()[2])
    for kind, numbers in _TRANSFORM.findall(element.get("transform") or ""):
        pair = np.array([float(number) for number in _NUMBER.findall(numbers)] * 2)[:2]
        shift, factor = (shift + factor * pair, factor) if kind == "translate" else (shift, factor * pair)
    classes = set((element.get("class") or "").split())
    line_width = element.get("stroke-width")
    return _Style(
        shift,
        factor,
        style.bold or bool(classes & _BOLD) or element.get("font-weight") == "bold",
        (style.italic or bool(classes & _ITALIC) or element.get("font-style") == "italic")
        and element.get("font-style") != "normal",
        style.line_width if line_width is None else float(line_width.removesuffix("px")),
        style.fill and element.get("fill") != "none",
    )


def _outline(element: Any, tag: str) -> Outline | None:
    """The outline of a shape in its own units; None for what is no shape."""
    from matplotlib.path import Path as Outline

    def value(name: str) -> float:
        return float(element.get(name) or 0)

    if tag == "path":
        return _curves(element.get("d"))
    if tag in ("polygon", "polyline"):
        points = np.array([float(number) for number in _NUMBER.findall(element.get("points"))]).reshape(-1, 2)
        return Outline(np.concatenate([points, points[:1]]) if tag == "polygon" else points, closed=tag == "polygon")
    if tag == "rect":
        corners = np.array([(0, 0), (1, 0), (1, 1), (0, 1), (0, 0)]) * (value("width"), value("height"))
        return Outline(corners + np.array([value("x"), value("y")]), closed=True)
    if tag == "ellipse":
        circle = Outline.unit_circle()
        return Outline(circle.vertices * (value("rx"), value("ry")) + (value("cx"), value("cy")), circle.codes)
    return None


@functools.lru_cache(maxsize=512)  # the glyphs of a font come again and again
def _curves(text: str) -> Outline:
    """The outline of SVG path data: the commands that Verovio and its music fonts use."""
    from matplotlib.path import Path as Outline

    points: list[NDArray] = []
    codes: list[int] = []
    here = begin = control = np.zeros(2)
    for command, body in _COMMAND.findall(text):
        numbers = [float(number) for number in _NUMBER.findall(body)]
        kind, base = command.upper(), here if command.islower() else np.zeros(2)
        if kind == "Z":
            points.append(begin)
            codes.append(Outline.CLOSEPOLY)
            here = control = begin
            continue
        for count, values in enumerate(_groups(kind, numbers)):
            base = here if command.islower() else np.zeros(2)
            if kind in "HV":
                axis = int(kind == "V")
                end = here.copy()
                end[axis] = values[0] + base[axis]
                pairs = [end]
            else:
                pairs = [base + values[place : place + 2] for place in range(0, len(values), 2)]
            if kind == "S":  # the first control point mirrors the last one
                pairs = [2 * here - control, *pairs]
            points += pairs
            codes += [_code(Outline, kind, first=not count)] * len(pairs)
            control = pairs[-2] if len(pairs) > 1 else pairs[-1]
            here = pairs[-1]
            begin = here if kind == "M" and not count else begin
    return Outline(np.array(points), codes)


def _groups(kind: str, numbers: list[float]) -> Iterator[NDArray]:
    """The arguments of a command, as often as it is repeated."""
    size = {"H": 1, "V": 1, "C": 6, "S": 4, "Q": 4}.get(kind, 2)
    for place in range(0, len(numbers), size):
        yield np.array(numbers[place : place + size])


def _code(outline: Any, kind: str, *, first: bool) -> int:
    if kind == "M":
        return outline.MOVETO if first else outline.LINETO
    return {"C": outline.CURVE4, "S": outline.CURVE4, "Q": outline.CURVE3}.get(kind, outline.LINETO)


def _add(axes: Axes, outline: Outline, element: Any, style: _Style, unit: float) -> None:
    """Adds a shape: lines have a width, all else is filled unless it says otherwise."""
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path as Outline

    placed = Outline(outline.vertices * style.factor + style.shift, outline.codes)
    stroke = (style.line_width or 0) * abs(style.factor[0]) * unit
    is_line = len(outline.vertices) == 2
    patch = PathPatch(
        placed,
        facecolor="black" if style.fill and not is_line else "none",
        edgecolor="black" if stroke else "none",
        linewidth=stroke,
        capstyle="butt",
    )
    if dashes := element.get("stroke-dasharray"):
        lengths = [float(number) * abs(style.factor[0]) * unit for number in _NUMBER.findall(dashes)]
        patch.set_linestyle((0, lengths * (2 if len(lengths) % 2 else 1)))
    axes.add_artist(patch)  # `add_patch` works out limits, which are a page's


def _write(axes: Axes, element: Any, style: _Style, unit: float) -> None:
    """Writes a text; the sizes are those of its innermost spans."""
    spans = [part for part in element.iter() if part.text and part.text.strip()]
    if not spans:
        return
    sizes = [float(part.get("font-size").removesuffix("px")) for part in element.iter() if part.get("font-size")]
    size = next((size for size in reversed(sizes) if size), 405.0)
    place = style.shift + style.factor * [_coordinate(element, name) for name in ("x", "y")]
    for part in spans:
        style = _inherited(part, style._replace(shift=np.zeros(2), factor=style.factor), 1)
    words = " ".join(part.text.strip() for part in spans)
    axes.text(
        *place,
        words,
        fontsize=size * abs(style.factor[0]) * unit,
        fontfamily=[SERIF, *fonts_for(words)],
        weight="bold" if style.bold else "normal",
        style="italic" if style.italic else "normal",
        ha=_ANCHORS[_first(element, "text-anchor") or "start"],
        va="baseline",
        parse_math=False,
    )


def _first(element: Any, name: str) -> str | None:
    """The value of an attribute of an element, or of the first in it that has it."""
    return next((part.get(name) for part in element.iter() if part.get(name)), None)


def _coordinate(element: Any, name: str) -> float:
    return float(_first(element, name) or 0)


def _tag(element: Any) -> str:
    return element.tag.rpartition("}")[2]
