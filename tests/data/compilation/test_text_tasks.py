"""Corpora of text, made-up or in files, as tasks: built, compiled, and the same through seqio."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from t5music import files
from t5music.corpora import datasets
from t5music.corpora.base import SILENCE
from t5music.corpora.sources import synthetic, texts
from t5music.data.vocabulary import default
from t5music.errors import DataError

seqio = pytest.importorskip("seqio")
pytest.importorskip("tensorflow")

import t5music.tasks.mixtures  # noqa: E402, F401  (registers everything with seqio)
from t5music.corpora import build  # noqa: E402
from t5music.data.compilation import compile_task as compiling  # noqa: E402
from t5music.data.declaration import get_task  # noqa: E402
from t5music.tasks import folder  # noqa: E402

NAME = "some_english"


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A small made-up language and a folder of text, built and compiled."""
    place, root = tmp_path_factory.mktemp("data"), tmp_path_factory.mktemp("texts")
    for number in range(texts.ENOUGH_FILES):
        (root / f"{number:02d}.txt").write_text(f"Story {number}, in a café.\n\n" + "It is long. " * 90 + str(number))
    (root / "copy.txt").write_text((root / "00.txt").read_text())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("T5MUSIC_DATA", str(place))
        patch.setattr(synthetic, "PIECES", {"train": 6, "validation": 2, "test": 2})
        nested = synthetic.CORPORA[2]
        build.build(nested, nested.installed(), place, workers=1, progress=False)
        build.build(texts.corpus(root, NAME), root, place, workers=1, progress=False)
        for task in ("synthetic_nested_language_model", *folder.declare_text(NAME)):
            compiling.compile_task(get_task(task), place, workers=1, progress=False)
        yield place


def stored(data_dir: Path, task: str, split: str) -> list[np.ndarray]:
    examples = compiling.compiled(get_task(task), data_dir).split(split)
    return [examples[index]["targets"] for index in range(len(examples))]


def test_a_made_up_language_is_its_words(data_dir: Path):
    assert files.data_dir() == data_dir
    vocab = default()
    rows = stored(data_dir, "synthetic_nested_language_model", "train")
    nested, words = synthetic.CORPORA[2], set(vocab.event_ids(synthetic.ENCODING).tolist())
    expected = {
        piece.text for entry in nested.entries(data_dir) if entry.split == "train" for piece in nested.read(entry)
    }
    assert {vocab.decode(row) for row in rows} == expected
    assert len(rows) == len(expected) == 6
    assert all(len(row) == synthetic.WORDS and set(row.tolist()) <= words for row in rows)


def test_text_is_its_bytes_and_said_once(data_dir: Path):
    vocab = default()
    said: list[str] = []
    for split in ("train", "validation", "test"):
        for row in stored(data_dir, f"{NAME}_language_model", split):
            text = vocab.decode(row)
            said.append(text)
            assert row.tolist() == [3 + byte for byte in text.encode()]
    assert len(set(said)) == len(said) > texts.ENOUGH_FILES
    assert any(text.startswith("Story 0, in a café.") for text in said)
    pieces = [datasets.to_piece(record) for record in datasets.records(NAME, "train", data_dir)]
    assert all(piece.score == SILENCE and piece.text in said for piece in pieces)


def test_seqio_gives_the_same(data_dir: Path):
    task = seqio.get_mixture_or_task(f"{NAME}_language_model")
    dataset = task.get_dataset(sequence_length={"inputs": 8, "targets": 2000}, split="test", shuffle=False)
    found = [example["targets"].tolist() for example in dataset.as_numpy_iterator()]
    assert found == [[*row.tolist(), 1] for row in stored(data_dir, f"{NAME}_language_model", "test")]


def test_text_is_not_exported_as_music(data_dir: Path, tmp_path: Path):
    with pytest.raises(DataError, match="'synthetic_nested' is text"):
        build.export("synthetic_nested", data_dir, "train", tmp_path)
