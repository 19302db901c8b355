"""The tasks of MIDI-BERT's paper as declared: chunks and labels of validation and test are its authors' arrays.

Which notes these chunks hold is checked against them in tests/music/midibert/test_compound_words.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from t5music.corpora import catalogue
from t5music.corpora.base import Piece, locate
from t5music.data.declaration import get_task
from t5music.data.vocabulary import default
from t5music.music.midibert.compound_words import chunks
from t5music.tasks import understanding  # noqa: F401

SPLITS = {"validation": "valid", "test": "test"}
LONGEST = 2048  # tokens of inputs, EOS included, that the tasks are meant for


def asked_of(task: str):
    return get_task(task).examples


def pieces(task: str, folder: Path, split: str) -> Iterator[Piece]:
    """The held-out pieces of a task's corpus, read from real files."""
    [name] = get_task(task).corpora
    corpus = catalogue.get(name)
    for entry in corpus.entries(locate(corpus, folder)):
        if entry.split == split:
            [piece] = corpus.read(entry)
            assert isinstance(piece, Piece), piece
            yield piece


@pytest.mark.data
@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize(
    ("task", "archive", "published", "counts"),
    [
        ("midibert_composer", "pianist8", "composer_cp", {"validation": 156, "test": 126}),
        ("midibert_emotion", "emopia", "emopia_cp", {"validation": 114, "test": 109}),
    ],
)
def test_labels_of_pieces(real_music, tmp_path: Path, task: str, archive: str, published: str, counts, split: str):
    folder = real_music(archive)
    if archive == "emopia":  # as its own archive has it
        (tmp_path / "midis").symlink_to(folder / "midi")
        folder = tmp_path
    asked = asked_of(task)
    made = [example for piece in pieces(task, folder, split) for example in asked.examples(piece)]
    answers = np.load(real_music("midibert_cp") / "Data/CP_data" / f"{published}_{SPLITS[split]}_ans.npy")
    assert len(made) == len(answers) == counts[split]
    assert sorted(asked.values.index(example.targets) for example in made) == sorted(answers.tolist())
    assert max(len(default().encode(example.inputs)) for example in made) < LONGEST


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.parametrize(("split", "count"), [("validation", 317), ("test", 320)])
def test_labels_of_notes(real_music, split: str, count: int):
    """In every chunk the labels are the published ones, by track in their order, too.

    So the published order is by track, and gives roles away: by pitch hardly one chunk's labels are in that order.
    """
    arrays = real_music("midibert_cp") / "Data/CP_data"
    kinds = [asked_of(f"midibert_{task}") for task in ("melody", "velocity", "melody_by_track")]
    labels, rows, by_pitch = [], [], []
    for piece in pieces("midibert_melody", real_music("pop909"), split):
        for chunk in zip(*(kind.examples(piece) for kind in kinds), strict=True):
            pitch, velocity, track = [example.targets.split() for example in chunk]
            assert len(pitch) == len(velocity) == len(track)
            labels.append(
                tuple(
                    words.count(value)
                    for words, kind in zip((pitch, velocity), kinds, strict=False)
                    for value in kind.values
                )
            )
            assert sorted(track) == sorted(pitch)
            assert max(len(default().encode(example.inputs)) for example in chunk) < LONGEST
            for made, words in ((rows, track), (by_pitch, pitch)):
                classes = np.array([kinds[0].values.index(word) for word in words])
                made += [row.tobytes() for row in chunks(classes + 1, 0)]
    theirs = [np.load(arrays / f"pop909_{SPLITS[split]}_{kind}ans.npy") for kind in ("mel", "vel")]
    assert len(labels) == len(theirs[0]) == count
    expected = [
        tuple(int((row == label).sum()) for row, most in zip(both, (3, 6), strict=True) for label in range(1, most + 1))
        for both in zip(*theirs, strict=True)
    ]
    assert sorted(labels) == sorted(expected)
    in_order = {row.astype(np.int64).tobytes() for row in theirs[0]}
    assert all(row in in_order for row in rows)
    assert np.mean([row in in_order for row in by_pitch]) < 0.02
