"""The house: who may import whom, what stays at the root, and which libraries each room may need.

CONTRIBUTING.md has the same table in words.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TENSORFLOW = {"tensorflow", "tensorflow_datasets", "tensorflow_text", "seqio", "note_seq", "music21"}

# Room -> the rooms it may import, beside itself and the leaves; from the top to the ground.
MAY_IMPORT = {
    "cli": {"comparison", "server", "studies", "configuration", "analysis", "runs", "evaluation", "inference", "tasks",
            "data", "training", "corpora", "devices", "music", "model"},
    "comparison": {"studies", "analysis", "inference", "training", "corpora", "sound", "music"},
    "server": {"inference", "data", "sound", "music"},
    "studies": {"configuration", "analysis", "runs", "evaluation", "inference", "data", "training", "devices", "music",
                "model"},
    "configuration": {"analysis", "runs", "evaluation", "inference", "data", "training", "model"},
    "analysis": {"runs", "evaluation", "inference", "data", "training", "corpora", "music", "model"},
    "runs": {"evaluation", "inference", "data", "training", "devices", "model"},
    "evaluation": {"inference", "data", "training", "music", "model"},
    "inference": {"data", "training", "corpora", "devices", "sound", "music", "model"},
    "tasks": {"data", "corpora", "music"},
    "data": {"corpora", "music"},
    "training": {"devices", "model"},
    "corpora": {"music"},
    "devices": set(),
    "sound": {"music"},
    "music": set(),
    "model": set(),
}  # fmt: skip
# What anybody may import: single files at the root, and the folder of buckets, which stands on errors alone.
LEAVES = {"errors", "files", "figures", "json_files", "locks", "parallel", "record_files", "storage", "terms",
          "written_text"}  # fmt: skip
LEAF_FOLDERS = {"storage"}
# Gin stays at the door.
WITH_GIN = {"cli", "studies", "configuration"}
# Only these may need the [data] extra; nothing else imports TensorFlow or seqio, at the top or inside a function.
WITH_TENSORFLOW = {
    "t5music/cli/data_extra.py",
    "t5music/corpora/datasets.py",  # TFDS alone, which reads without TensorFlow
    "t5music/corpora/sources/music21_corpus.py",
    "t5music/corpora/tfds_datasets.py",
    "t5music/data/seqio_bridge/cache.py",
    "t5music/data/seqio_bridge/objectives.py",
    "t5music/data/seqio_bridge/plain_tasks.py",
    "t5music/data/seqio_bridge/tasks.py",
    "t5music/data/seqio_bridge/vocabulary.py",
    "t5music/music/musicxml/converted.py",  # music21, inside its function
    "t5music/music/note_sequence.py",  # note_seq, inside its functions
}


def modules() -> dict[str, Path]:
    """Full name -> file, of every module of the package; `tasks/` is `t5music.tasks`."""
    found = {}
    for path in [*(ROOT / "t5music").rglob("*.py"), *(ROOT / "tasks").rglob("*.py")]:
        parts = path.relative_to(ROOT).with_suffix("").parts
        name = ".".join(parts if parts[0] == "t5music" else ("t5music", *parts))
        found[name.removesuffix(".__init__")] = path
    return found


MODULES = modules()


@cache
def imported(name: str, *, for_types: bool = True) -> frozenset[str]:
    """Full names of what a module imports, wherever in the file; or without what only type checkers read."""
    tree = ast.parse(MODULES[name].read_text(encoding="utf-8"))
    if not for_types:
        tree.body = [
            node for node in tree.body if not (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test))
        ]
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                names.add(full if full in MODULES else node.module)
    return frozenset(names - {name})


def room_of(name: str) -> str:
    """The room of a module: the folder under `t5music`, or the module's own name at the root."""
    return name.split(".")[1] if "." in name else ""


def own(name: str, **how: bool) -> set[str]:
    """The modules of t5music that a module imports."""
    return {other for other in imported(name, **how) if other.split(".")[0] == "t5music"}


def outside(name: str) -> set[str]:
    """The libraries that a module imports, without Python's own."""
    return {other.split(".")[0] for other in imported(name)} - set(sys.stdlib_module_names) - {"t5music"}


def test_every_folder_is_a_room_and_every_module_at_the_root_a_leaf():
    rooms = {room_of(name) for name in MODULES} - {""}
    assert rooms == {*MAY_IMPORT, *LEAVES, "__main__"}
    assert {path.stem for path in (ROOT / "t5music").glob("*.py")} == {"__init__", "__main__", *LEAVES - LEAF_FOLDERS}


@pytest.mark.parametrize("leaf", sorted(LEAVES))
def test_leaves_import_only_leaves(leaf: str):
    for name in MODULES:
        if room_of(name) == leaf:
            assert {room_of(other) for other in own(name)} <= LEAVES | {""}, name


def test_no_room_is_above_itself():
    rooms = list(MAY_IMPORT)
    for room, others in MAY_IMPORT.items():
        assert all(rooms.index(other) > rooms.index(room) for other in others)


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_imports_go_down_only(room: str):
    below = {room, *MAY_IMPORT[room], *LEAVES, ""}
    for name in MODULES:
        if room_of(name) == room:
            wrong = {other for other in own(name) if room_of(other) not in below}
            assert not wrong, f"{name} may not import {sorted(wrong)}"


def test_no_circle_of_files():
    """A file that imports another, at the top or inside a function, is imported by none of those that it needs."""
    state: dict[str, str] = {}

    def visit(name: str, path: tuple[str, ...]) -> None:
        if state.get(name) == "done":
            return
        assert name not in path, " -> ".join((*path[path.index(name) :], name))
        for other in sorted(own(name, for_types=False) & MODULES.keys()):
            visit(other, (*path, name))
        state[name] = "done"

    for name in MODULES:
        visit(name, ())


def test_gin_stays_at_the_door():
    assert {room_of(name) for name in MODULES if "gin" in outside(name)} <= WITH_GIN


def test_only_the_bridges_need_tensorflow():
    for name, path in MODULES.items():
        if path.relative_to(ROOT).as_posix() not in WITH_TENSORFLOW:
            assert not outside(name) & TENSORFLOW, name


@pytest.mark.parametrize(
    ("room", "libraries"),
    [
        ("music", {"numpy", "symusic", "mido", "matplotlib", "note_seq", "music21", "verovio"}),
        ("model", {"numpy", "jax", "flax"}),
    ],
)
def test_music_and_model_need_little(room: str, libraries: set[str]):
    for name in MODULES:
        if room_of(name) == room:
            assert outside(name) <= libraries, name


def run_python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_using_and_training_import_no_tensorflow():
    modules = ["inference.labels", "inference.embed", "inference.generate", "runs.train", "runs.evaluate"]
    modules += ["configuration.registry", "studies.quickstart"]
    code = f"""
import importlib, sys
for name in {modules}:
    importlib.import_module("t5music." + name)
    assert not {TENSORFLOW!r} & set(sys.modules), name
"""
    run_python(code)


def test_music_is_written_without_what_sound_needs():
    """SciPy's filters take as long to import as JAX."""
    assert run_python("import t5music.inference.generate, sys; print('scipy.signal' in sys.modules)") == "False"


def test_the_command_line_imports_nothing_heavy():
    heavy = {"jax", "flax", "numpy", "tensorflow", "symusic", "matplotlib", "fsspec", "gcsfs", "s3fs"}
    code = f"import t5music.cli.main, sys; print(sorted({heavy!r} & set(sys.modules)))"
    assert run_python(code) == "[]"


def test_contributing_has_the_same_table():
    table = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").split("## The rooms")[1].split("## Habits")[0]
    rows = re.findall(r"^\| `(\w+)/` \| .* \| ([^|]*) \|$", table, flags=re.MULTILINE)
    assert {room: set(re.findall(r"[a-z]+", rooms)) - {"none"} for room, rooms in rows} == MAY_IMPORT
    assert [room for room, _ in rows] == list(MAY_IMPORT)


def test_gin_folder_does_not_shadow_gin():
    assert not (ROOT / "gin" / "__init__.py").exists()


def test_built_corpora_are_read_without_tensorflow():
    code = "import t5music.corpora.datasets, tensorflow_datasets, sys; print('tensorflow' in sys.modules)"
    assert run_python(code) == "False"


def test_every_folder_of_modules_is_installed():
    """A wheel holds the packages that pyproject.toml lists, and nothing else."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    folders = {path.parent.relative_to(ROOT) for path in (ROOT / "t5music").rglob("*.py")}
    folders = {folder for folder in folders if not {"gin", "tasks"} & {*folder.parts}}  # these lie beside t5music/
    assert {".".join(folder.parts) for folder in folders} | set(settings["package-dir"]) == set(settings["packages"])


def test_every_file_that_is_no_module_is_installed():
    """What a wheel takes along is by package: a pattern of a package that is not listed takes nothing."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    patterns = settings["package-data"]
    assert set(patterns) <= set(settings["packages"])
    taken = {file for package, globs in patterns.items() if package.split(".")[-1] not in ("gin", "tasks")
             for pattern in globs for file in ROOT.joinpath(*package.split(".")).glob(pattern)}  # fmt: skip
    files = {path for path in (ROOT / "t5music").rglob("*") if path.is_file() and not {"gin", "tasks"} & {*path.parts}}
    assert {path for path in files if path.suffix not in (".py", ".pyc") and path.name != "README.md"} <= taken
    assert {path for path in files if "pretrained" in path.parts} <= taken
