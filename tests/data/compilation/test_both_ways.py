"""A corpus as a TFDS dataset and as piece files: the same pieces in the same order, and stores of the same bytes."""

from __future__ import annotations

from pathlib import Path

import numbered_files
import numpy as np
import pytest

from t5music.corpora import build, datasets, folder_records
from t5music.corpora.base import Corpus, read_report
from t5music.corpora.folder_records import FolderRecord
from t5music.data import declaration
from t5music.data.compilation import compile_task as compiling
from t5music.data.declaration import Declaration, get_task
from t5music.data.examples import Continue
from t5music.data.store.token_store import TokenStore
from t5music.tasks import folder

pytest.importorskip("tensorflow")
seqio = pytest.importorskip("seqio")

CORPUS = Corpus(
    "small",
    "t",
    "free",
    "here",
    "",
    numbered_files.entries,
    numbered_files.read,
    labels={"style": ()},
    others=("score",),
)
TASK = Declaration("small_some", ("small",), Continue("small", "remi", words=64), (), ("word_accuracy",))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("files")
    for number in range(numbered_files.PIECES):
        (root / f"{number:03d}.number").write_text(str(number))
    return root


@pytest.fixture(scope="module")
def ways(files: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[bool, Path]:
    """Whether a corpus is a TFDS dataset -> the data folder it is in."""
    folders = {as_tfds: tmp_path_factory.mktemp("data") for as_tfds in (False, True)}
    for as_tfds, data_dir in folders.items():
        build.build(CORPUS, files, data_dir, workers=1, progress=False, as_tfds=as_tfds)
    return folders


def test_pieces_and_their_order_are_the_same(ways: dict[bool, Path]):
    ours, tfds = ways[False], ways[True]
    assert (tfds / "corpora" / "small" / "1.0.0" / "dataset_info.json").exists()
    assert (ours / "corpora" / "small" / "1.0.0" / "pieces.json").exists()
    assert read_report("small", ours) == read_report("small", tfds)
    assert datasets.splits("small", ours) == datasets.splits("small", tfds)
    for split in datasets.splits("small", ours):
        one, other = (datasets.records("small", split, data_dir) for data_dir in (ours, tfds))
        assert [dict(record) for record in one] == [dict(other[index]) for index in range(len(other))]


def contents(store: TokenStore) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(store.path.iterdir())}


def test_stores_have_the_same_bytes(ways: dict[bool, Path]):
    one, other = (
        contents(compiling.compile_task(TASK, data_dir, workers=1, progress=False)) for data_dir in ways.values()
    )
    assert one == other
    assert any(name.endswith(".records") for name in one)


def test_tasks_of_a_folder_are_seqios_after_the_import(ways: dict[bool, Path], monkeypatch: pytest.MonkeyPatch):
    data_dir = ways[False]
    monkeypatch.setenv("T5MUSIC_DATA", str(data_dir))
    folder_records.write(FolderRecord("small", "here", "", labels={"style": ("even", "odd")}), data_dir)
    import t5music.tasks.mixtures  # noqa: F401

    folder.declare_built(data_dir)  # another test may have imported it before
    try:
        assert {task.name for task in seqio.get_subtasks(seqio.get_mixture_or_task("small"))} == {
            "small_continue",
            "small_infill",
            "small_classify_style",
        }
        name = "small_classify_style"
        task = seqio.get_mixture_or_task(name)
        store = compiling.compile_task(get_task(name), data_dir, workers=1, progress=False)
        stored = store.split("validation")
        expected = list(task.get_dataset({"inputs": 512, "targets": 512}, split="validation", shuffle=False))
        assert len(stored) == len(expected) > 0
        for index, example in enumerate(expected):
            for feature in ("inputs", "targets"):
                assert np.array_equal(example[feature].numpy(), np.append(stored[index][feature], 1))
        assert name not in folder.declare("small", {})
        assert name not in seqio.TaskRegistry.names()
    finally:
        declaration.remove(["small", *(name for name in declaration.TASKS if name.startswith("small_"))])
    assert "small_continue" not in seqio.TaskRegistry.names()
