"""Words: names that say what a thing is, and docstrings in one form, in the rooms that are written so."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1] / "t5music"
ROOMS = ("comparison", "studies", "configuration", "analysis", "runs", "training")
OTHERS = ("training/checkpoints/", "runs/initial_weights.py")  # written by other rules so far
# What happened to a thing says nothing of what it is.
VAGUE = {"found", "made", "kept", "own", "asked", "said", "told", "known", "theirs", "given"}
SECTION = re.compile(r"^( *)(Args|Attributes|Raises|Returns|Yields):$")

FILES = sorted(
    path
    for room in ROOMS
    for path in (ROOT / room).rglob("*.py")
    if not path.relative_to(ROOT).as_posix().startswith(OTHERS)
)


def names(tree: ast.AST) -> Iterator[str]:
    """Yields every name that code binds or reads."""
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name):
                yield name
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                yield name


def docstrings(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Yields (name, docstring as it stands) of a module and everything in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node):
            yield getattr(node, "name", "the module"), ast.get_docstring(node, clean=False) or ""


def flaws(docstring: str) -> Iterator[str]:
    """Yields what is wrong with a docstring's form."""
    lines = docstring.splitlines()
    for number, line in enumerate(lines):
        if section := SECTION.match(line):
            item = lines[number + 1]
            if len(item) - len(item.lstrip()) != len(section[1]) + 4:
                yield f"the items of {section[2]} are not indented by four spaces: {item!r}"
    if prose := re.search(r"(?:^|[.;] |\n *)(Raises [A-Z]\w+.*)", docstring):
        yield f"write a section Raises: {prose[1]!r}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_names_say_what_things_are(path: Path):
    parts = {name: set(name.lower().split("_")) for name in names(ast.parse(path.read_text("utf-8")))}
    assert not {name for name, words in parts.items() if words & VAGUE}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_docstrings_have_one_form(path: Path):
    tree = ast.parse(path.read_text("utf-8"))
    assert [(name, flaw) for name, docstring in docstrings(tree) for flaw in flaws(docstring)] == []


@pytest.mark.parametrize(
    ("docstring", "count"),
    [
        ("Trains.\n\n    Args:\n        steps: of it.\n    ", 0),
        ("Trains.\n\n    Args:\n      steps: of it.\n    ", 1),
        ("Trains. Raises ConfigError for no steps.", 1),
        ("Trains.\n\n    Raises:\n        ConfigError: no steps.\n    ", 0),
    ],
)
def test_flaws_are_seen(docstring: str, count: int):
    assert len(list(flaws(docstring))) == count
