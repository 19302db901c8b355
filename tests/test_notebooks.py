"""The notebooks: each runs from top to bottom, as a student would run it, on a dozen pieces and with a tiny model."""

from __future__ import annotations

import ast
import dataclasses
import os
import re
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pytest

import t5music
from t5music.corpora.base import Entry

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Jupyter's own
    import nbclient
    import nbformat
    from IPython.core.inputtransformer2 import TransformerManager

FOLDER = Path(__file__).resolve().parents[1] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
CELL_SECONDS = 600  # on a machine that does other things too

TINY = 'MODEL = "models/t5_1_1/tiny.gin"\nSTEPS = 21\n'


class Trial(NamedTuple):
    """How a notebook is tried: cells' overrides, and what it must have made at the end."""

    overrides: str
    pictures: int
    sounds: int
    files: Sequence[str]


TRIALS = {
    "1_tokens_and_tasks": Trial("BARS = 2", 5, 2, ["music/*.mid"]),
    "2_fine_tune_on_your_own_midi": Trial(
        f"{TINY}PRETRAIN_STEPS = 21\nBATCH = 2", 3, 1, ["my_music/*.mid", "runs/*/finished.json", "continued.mid"]
    ),
    "3_generate": Trial(f"{TINY}BATCH = 2", 9, 5, ["runs/chorales/finished.json", "continued.mid"]),
    "4_read_a_study": Trial(
        f"{TINY}SEEDS = (0,)\nWORKERS = 1", 3, 0, ["studies/madrigals/index.html", "studies/runs/test-*/stage.json"]
    ),
}
SLOW = ("2_fine_tune_on_your_own_midi", "3_generate", "4_read_a_study")  # half a minute each, and more


def read(path: Path) -> nbformat.NotebookNode:
    return nbformat.read(path, as_version=4)


def code_cells(path: Path) -> list[nbformat.NotebookNode]:
    return [cell for cell in read(path).cells if cell.cell_type == "code"]


def assigned(source: str) -> set[str]:
    names = (node.targets for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Assign))
    return {target.id for targets in names for target in targets if isinstance(target, ast.Name)}


every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


# ------------------------------------------------------------------------------------------------------- as they are


@every_notebook
def test_is_valid_and_has_no_output(path: Path):
    book = read(path)
    nbformat.validate(book)
    assert book.nbformat_minor >= 5  # cells have ids: a change to one is a small change
    assert set(book.metadata) == {"kernelspec", "language_info"}  # nothing of whoever saved it last
    for cell in code_cells(path):
        assert (cell.outputs, cell.execution_count) == ([], None)
        ast.parse(TransformerManager().transform_cell(cell.source))
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"/(home|root|tmp|Users)/|[A-Z]:\\\\", text)
    for link in re.findall(r"\]\((?!http)([^)]*)\)", text):
        assert (FOLDER / link).is_file()


@every_notebook
def test_opens_in_colab_with_one_cell_that_installs(path: Path):
    cells = code_cells(path)
    assert read(path).cells[0].source.startswith(f"# {path.stem[0]}. ")
    assert ["%pip" in cell.source for cell in cells] == [True] + [False] * (len(cells) - 1)
    assert 'if find_spec("t5music") is None:' in cells[0].source
    assert f'PACKAGE = "t5music-{t5music.__version__}-py3-none-any.whl"' in cells[0].source


@every_notebook
def test_has_one_cell_of_parameters(path: Path):
    (parameters,) = [cell.source for cell in code_cells(path) if "parameters" in cell.metadata.get("tags", [])]
    assert assigned(TRIALS[path.stem].overrides) <= assigned(parameters)


@every_notebook
def test_everything_of_t5music_that_is_named_exists(path: Path):
    """Imports, and attributes of imported modules: the slow notebooks do not run by default."""
    tree = ast.parse("\n".join(TransformerManager().transform_cell(cell.source) for cell in code_cells(path)))
    modules: dict[str, ModuleType] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("t5music"):
            for alias in node.names:
                package = import_module(node.module)
                value = getattr(package, alias.name, None) or import_module(f"{node.module}.{alias.name}")
                if isinstance(value, ModuleType):
                    modules[alias.asname or alias.name] = value
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in modules:
            assert hasattr(modules[node.value.id], node.attr), f"{node.value.id}.{node.attr}"


def test_all_are_here_and_say_the_same_in_the_same_way():
    assert [path.stem for path in NOTEBOOKS] == list(TRIALS)
    for mark in ("%pip", "def run(", "def hear("):
        versions = {cell.source for path in NOTEBOOKS for cell in code_cells(path) if mark in cell.source}
        assert len(versions) == 1, mark


# ------------------------------------------------------------------------------------------------------------ running


def every(step: int, entries: Callable[[Path], list[Entry]], root: Path) -> list[Entry]:
    return entries(root)[::step]


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with a few pieces of each corpus that the notebooks use, and two compiled tasks."""
    from t5music.cli import compiling
    from t5music.corpora import build, catalogue

    folder = tmp_path_factory.mktemp("data")
    for name, step in (("bach_chorales", 34), ("monteverdi", 10)):  # such that no split is empty
        corpus = catalogue.get(name)
        assert corpus.installed is not None
        few = dataclasses.replace(corpus, entries=partial(every, step, corpus.entries))
        build.build(few, corpus.installed(), folder, workers=1, progress=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("T5MUSIC_DATA", str(folder))
        compiling.compile_names(["bach_chorales_continue", "monteverdi_span_corruption"], workers=1)
    return folder


def execute(path: Path, overrides: str, folder: Path) -> list[dict[str, Any]]:
    """Runs a notebook in a folder; returns what its cells put out."""
    book = read(path)
    place = next(at for at, cell in enumerate(book.cells) if "parameters" in cell.metadata.get("tags", []))
    book.cells.insert(place + 1, nbformat.v4.new_code_cell(overrides))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Jupyter's own; the notebook runs in another process
        resources = {"metadata": {"path": str(folder)}}
        nbclient.NotebookClient(book, timeout=CELL_SECONDS, kernel_name="python3", resources=resources).execute()
    return [output for cell in book.cells if cell.cell_type == "code" for output in cell.outputs]


@pytest.mark.parametrize(
    "path", [pytest.param(path, id=path.stem, marks=[pytest.mark.slow] * (path.stem in SLOW)) for path in NOTEBOOKS]
)
def test_runs_from_top_to_bottom(path: Path, data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("T5MUSIC_DATA", str(data_dir))
    monkeypatch.delenv("MPLBACKEND", raising=False)  # the kernel shows what is drawn
    for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR"):
        monkeypatch.setenv(name, str(tmp_path / "jupyter"))  # no settings or kernels of whoever runs this
    work = tmp_path / "work"
    work.mkdir()
    trial = TRIALS[path.stem]
    outputs = execute(path, trial.overrides, work)
    shown = [output["data"] for output in outputs if "data" in output]
    assert sum(bool({"image/png", "image/svg+xml"} & data.keys()) for data in shown) == trial.pictures
    assert sum("<audio" in data.get("text/html", "") for data in shown) == trial.sounds
    for pattern in trial.files:
        assert list(work.glob(pattern)), pattern
    said = "".join(output["text"] for output in outputs if output["output_type"] == "stream")
    assert "Warning" not in said
    if path.stem.startswith("4"):
        assert said.count("(1 finished, 2 missing)") == 1  # one line was changed, and the pre-training stands


# ------------------------------------------------------------------------------------- from the wheel, and it alone


def without_links(folder: str, names: list[str]) -> list[str]:
    return [name for name in names if name == "__pycache__" or Path(folder, name).is_symlink()]


@pytest.fixture(scope="module")
def fresh_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment with the wheel's [notebook] and, of a notebook's machinery, IPython."""
    pytest.importorskip("uv")
    folder = tmp_path_factory.mktemp("fresh")
    for name in ("t5music", "tasks", "gin"):
        shutil.copytree(FOLDER.parent / name, folder / "source" / name, ignore=without_links)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(FOLDER.parent / name, folder / "source" / name)
    uv("build", "--wheel", "--out-dir", folder, folder / "source")
    uv("venv", "--python", sys.executable, folder / "env")
    python = folder / "env" / "bin" / "python"
    wheel = folder / f"t5music-{t5music.__version__}-py3-none-any.whl"
    uv("pip", "install", "--python", python, f"{wheel}[notebook]", "ipython")
    return python


def uv(*arguments: object) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "uv", *map(str, arguments)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def clean_environment(**more: str) -> dict[str, str]:
    """This process' environment without what would lead Python back to the checkout."""
    return {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")} | more


@pytest.mark.slow
@pytest.mark.parametrize("name", ["2_fine_tune_on_your_own_midi", "3_generate"])
def test_the_wheel_is_all_that_a_notebook_needs(name: str, fresh_python: Path, data_dir: Path, tmp_path: Path):
    parts = ['import t5music\nassert "site-packages" in t5music.__file__, t5music.__file__']
    for cell in code_cells(FOLDER / f"{name}.ipynb"):
        parts.append(cell.source)
        if "parameters" in cell.metadata.get("tags", []):
            parts.append(TRIALS[name].overrides)
    script = tmp_path / "notebook.ipy"
    script.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    settings = {
        "T5MUSIC_DATA": str(data_dir),
        "IPYTHONDIR": str(tmp_path / "ipython"),
        "XLA_FLAGS": "--xla_backend_optimization_level=0",
        "MPLBACKEND": "agg",
    }
    done = subprocess.run(
        [fresh_python, "-m", "IPython", "--quick", script],
        cwd=tmp_path, env=clean_environment(**settings), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    for pattern in TRIALS[name].files:
        assert list(tmp_path.glob(pattern)), pattern
