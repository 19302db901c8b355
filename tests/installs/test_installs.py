"""Installs: what the base needs, where there are wheels for it, and that Colab's own packages stay as they are.

The slow tests ask a package index.
"""

from __future__ import annotations

import importlib.util
import re
import tomllib
from importlib.metadata import version as installed_version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

FOLDER = Path(__file__).parent
[COLAB] = FOLDER.glob("colab_*.txt")
COLAB_PYTHON = "3.13"
LINUX = "x86_64-manylinux_2_28"
MOST_PACKAGES = 60
ROOT = FOLDER.parents[1]
PAGES = sorted(
    page for place in ("", "gin/**/", "notebooks/", "t5music/**/", "tasks/") for page in ROOT.glob(f"{place}*.md")
)
TOO_OLD_ON_COLAB = {"flax"}  # which alone may move there; the notebooks' install cell says so too
# A notebook's own machinery, of which a notebook has what it runs in.
MACHINERY = {"ipykernel", "ipython", "jupyter", "jupyterlab", "nbclient", "nbformat", "notebook", "tornado"}


def load(path: Path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


resolving = load(FOLDER / "resolve.py")


def pins() -> dict[str, Version]:
    """Colab's packages by name."""
    lines = (line.split("==") for line in COLAB.read_text(encoding="utf-8").splitlines() if "==" in line)
    return {canonicalize_name(name): Version(version) for name, version in lines}


def extras() -> set[str]:
    return set(tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"])


def names(*extras: str) -> set[str]:
    return {canonicalize_name(Requirement(line).name) for line in resolving.requirements(extras)}


def test_a_wheel_has_every_folder_of_the_package():
    """Tests run from the checkout, which has them all: a folder that is not listed is missing in wheels alone."""
    setuptools = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    elsewhere = {name for name, folder in setuptools["package-dir"].items() if name != folder}
    modules = (path.relative_to(ROOT) for path in (ROOT / "t5music").rglob("*.py"))
    folders = {".".join(path.parent.parts) for path in modules}
    assert sorted(setuptools["packages"]) == sorted(folders | elsewhere)


def test_the_base_needs_nothing_of_tensorflow():
    assert not names() & {
        "tensorflow",
        "seqio",
        "tensorflow-datasets",
        "note-seq",
        "array-record",
        "grain",
        "tensorboard",
    }


def test_the_base_draws_no_plots():
    """Matplotlib and what it brings are 97 MB."""
    assert "matplotlib" not in names()
    for extra in ("plots", "data", "score", "notebook", "dev"):
        assert "matplotlib" in names(extra), extra


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_pages_install_from_the_clone_with_extras_that_there_are(page: Path):
    """t5music is on no package index: its name installs something only where it is installed already."""
    text = page.read_text(encoding="utf-8")
    assert not re.findall(r"pip install\s+[\\\"'-]*t5music\b", text)
    for group in re.findall(r"(?:\.|whl|t5music)\[([a-z][a-z0-9_,]*)\]", text):
        assert set(group.split(",")) <= extras(), group


def test_errors_name_extras_that_there_are():
    for path in (ROOT / "t5music").rglob("*.py"):
        for extra in re.findall(r"t5music\[([a-z]\w*)\]", path.read_text(encoding="utf-8")):
            assert extra in extras(), f"{path.name}: {extra}"


def test_notebooks_bring_no_machinery():
    assert not names("notebook") & MACHINERY


def test_colabs_pins_are_dated_and_within_the_ranges():
    date = re.fullmatch(r"colab_(\d{4}_\d\d_\d\d)\.txt", COLAB.name)
    assert date
    colab = pins()
    assert (str(colab["ipykernel"]), str(colab["ipython"])) == ("6.17.1", "7.34.0")
    for line in resolving.requirements(["notebook"]):
        requirement = Requirement(line)
        if requirement.name in TOO_OLD_ON_COLAB:
            assert colab[requirement.name] not in requirement.specifier
            continue
        version = colab.get(canonicalize_name(requirement.name))
        assert version is None or version in requirement.specifier, f"Colab has {requirement.name} {version}"


def test_the_package_names_what_is_installed_here():
    for line in resolving.requirements():
        requirement = Requirement(line)
        assert installed_version(requirement.name) in requirement.specifier


@pytest.mark.slow
@pytest.mark.parametrize("python", resolving.PYTHONS)
@pytest.mark.parametrize("platform", resolving.PLATFORMS)
def test_there_are_wheels_for_the_base_everywhere(python: str, platform: str):
    pytest.importorskip("uv")
    packages = resolving.resolve(resolving.requirements(), python, resolving.PLATFORMS[platform])
    assert "jaxlib" in packages
    assert len(packages) <= MOST_PACKAGES


@pytest.mark.slow
def test_nothing_else_moves_on_colab(tmp_path: Path):
    pytest.importorskip("uv")
    colab = pins()
    held = tmp_path / "installed.txt"
    held.write_text("\n".join(f"{name}=={version}" for name, version in colab.items() if name not in TOO_OLD_ON_COLAB))
    packages = resolving.resolve(resolving.requirements(["notebook"]), COLAB_PYTHON, LINUX, held)
    moved = {name for name, version in packages.items() if Version(version) != colab.get(name, Version(version))}
    assert moved == TOO_OLD_ON_COLAB
    assert {"jax", "jaxlib", "numpy"} <= packages.keys() & colab.keys()
