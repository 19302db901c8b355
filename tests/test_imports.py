"""Who may import whom: the top of this list may import what is below it, never back."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TENSORFLOW = {"tensorflow", "tensorflow_datasets", "tensorflow_text", "seqio", "note_seq", "music21"}

# Package -> the t5music packages and modules it may import. `errors`, `files` and `metrics` are everybody's.
LEAVES = {"errors", "files", "metrics"}
MAY_IMPORT = {
    "music": set(),
    "data": {"music"},
    "tasks": {"data"},
    "model": set(),
    "training": {"model"},
}
# Only these may need the [data] extra; nothing else imports TensorFlow or seqio, at the top or inside a function.
WITH_TENSORFLOW = {
    "t5music/building.py",
    "t5music/data/compile.py",
    "t5music/data/corpora/build.py",
    "t5music/data/corpora/built.py",  # TFDS alone, which reads without TensorFlow
    "t5music/data/corpora/music21_corpus.py",
    "t5music/data/seqio_cache.py",
    "t5music/data/seqio_objectives.py",
    "t5music/data/seqio_tasks.py",
    "t5music/data/seqio_vocabulary.py",
    "t5music/music/note_sequence.py",  # note_seq, inside its functions
}


def modules() -> list[Path]:
    return sorted([*(ROOT / "t5music").rglob("*.py"), *(ROOT / "tasks").rglob("*.py")])


def imported(path: Path) -> set[str]:
    """Full names of everything a file imports, wherever in the file."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def package_of(path: Path) -> str:
    parts = path.relative_to(ROOT).parts
    return "tasks" if parts[0] == "tasks" else parts[1] if len(parts) > 2 else ""


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_down_only(path: Path):
    package = package_of(path)
    own = {name.split(".")[1] for name in imported(path) if name.startswith("t5music.")}
    if package in MAY_IMPORT:
        assert own <= MAY_IMPORT[package] | {package} | LEAVES
    if package in ("music", "data", "model", "training", "tasks"):
        assert "gin" not in {name.split(".")[0] for name in imported(path)}, "gin binds at the entry points only"
    relative = path.relative_to(ROOT).as_posix()
    if relative not in WITH_TENSORFLOW and package != "tasks":
        assert not {name.split(".")[0] for name in imported(path)} & TENSORFLOW
    if package == "music":
        outside = {name.split(".")[0] for name in imported(path)} - set(sys.stdlib_module_names) - {"t5music"}
        assert outside <= {"numpy", "symusic", "mido", "matplotlib", "note_seq"}
    if package == "model":
        outside = {name.split(".")[0] for name in imported(path)} - set(sys.stdlib_module_names) - {"t5music"}
        assert outside <= {"numpy", "jax", "flax"}


def run_python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.parametrize(
    "module", ["t5music.labelling, t5music.embedding", "t5music.runs", "t5music.registry", "t5music.studies.quickstart"]
)
def test_using_and_training_import_no_tensorflow(module: str):
    code = f"import {module}, sys; print(sorted({TENSORFLOW!r} & set(sys.modules)))"
    assert run_python(code) == "[]"


def test_the_command_line_imports_nothing_heavy():
    heavy = {"jax", "flax", "tensorflow", "symusic", "matplotlib"}
    code = f"import t5music.cli, sys; print(sorted({heavy!r} & set(sys.modules)))"
    assert run_python(code) == "[]"


def test_gin_folder_does_not_shadow_gin():
    assert not (ROOT / "gin" / "__init__.py").exists()


def test_built_corpora_are_read_without_tensorflow():
    code = "import t5music.data.corpora.built, tensorflow_datasets, sys; print('tensorflow' in sys.modules)"
    assert run_python(code) == "False"
