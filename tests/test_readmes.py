"""The READMEs: their links lead somewhere, their commands have flags that exist, their gin names are known to gin."""

from __future__ import annotations

import contextlib
import inspect
import io
import re
import shlex
from pathlib import Path

import gin
import pytest

from t5music.cli import gin_flags
from t5music.cli.main import build_parser
from t5music.cli.verbs import VERBS
from t5music.configuration import registry  # noqa: F401  (registers what gin may set)
from t5music.errors import ConfigError

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("", "gin/**/", "notebooks/", "t5music/**/", "tasks/", "tests/**/")
PAGES = sorted({page for folder in FOLDERS for page in ROOT.glob(f"{folder}*.md") if "t5music/gin" not in str(page)})

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def commands(page: Path) -> list[str]:
    """The `t5music ...` commands of a page's indented code and of its inline code, without comments."""
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    lines = re.findall(r"^    (t5music .*)$", text, flags=re.MULTILINE)
    lines += [line.replace("\n", " ") for line in re.findall(r"`(t5music (?:\w+) [^`]*)`", text)]
    return [line.split(" #")[0].strip() for line in lines if " | " not in line]


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@every_page
def test_links_lead_somewhere(page: Path):
    for link in re.findall(r"\]\((?!https?:)([^)\s]*)\)", page.read_text(encoding="utf-8")):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target), link


@every_page
def test_commands_have_flags_that_exist(page: Path):
    parser = build_parser()
    for command in commands(page):
        _, verb, *words = shlex.split(command)
        if verb == "VERB":
            continue
        assert verb in VERBS, command
        _, rest = gin_flags.split(words)
        message = ""
        with contextlib.redirect_stdout(io.StringIO()):
            try:
                parser.parse_line([verb, *rest])
            except SystemExit as end:
                message = "" if end.code == 0 else "left"  # 0: --help
            except ConfigError as error:
                message = str(error)
        # In running text a command may leave out what it needs; it may not have flags that are not there.
        assert not message or "are required" in message, f"{command}: {message}"


@every_page
def test_gin_names_are_known(page: Path):
    """Of the bindings in commands, and of the names in tables: functions and classes have these parameters."""
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    names = [*re.findall(r"--gin\.([\w.]+)=", text), *re.findall(r"`([\w.]+\.\w+)(?:=[^`]*)?`", text)]
    configurables = {name.rpartition(".")[2] for name, _ in gin.config._REGISTRY.items()}
    for name in names:
        *path, parameter = name.split(".")
        if path and parameter != "gin" and (path[-1] in configurables or f"--gin.{name}=" in text):
            function = gin.config._REGISTRY.get_match(".".join(path))
            assert function is not None, name
            assert parameter in inspect.signature(function.wrapped).parameters, name


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 180
