"""Leakage between splits, corpora and stores."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from t5music.corpora.base import Corpus, Entry, Piece
from t5music.data.store import leakage
from t5music.data.store.codec import FeatureSpec
from t5music.data.store.token_store import StoreWriter
from t5music.data.vocabulary import default
from t5music.errors import DataError
from t5music.music.score import NOTE, Score
from t5music.terms import Terms

pytest.importorskip("tensorflow_datasets")

from t5music.corpora import build

# (id, split, melody, transposition): clips "a" and "b" have one song in common, "x" is "c" in another key.
CLIPS = [
    ("a", "train", 1, 0),
    ("b", "test", 2, 0),
    ("c", "train", 3, 0),
    ("x", "validation", 3, 5),
    ("y", "test", 4, 0),
]


def read(entry: Entry) -> Iterator[Piece]:
    notes = np.zeros(40, NOTE)
    notes["onset"] = np.arange(40) * 480
    notes["duration"] = 480
    notes["pitch"] = 60 + np.random.default_rng(entry.more["melody"]).integers(0, 20, 40) + entry.more["up"]
    notes["velocity"] = 80
    yield Piece(entry.id, Score(480, notes), group="song" if entry.id in "ab" else "", split=entry.split)


def corpus(name: str, split: str | None = None) -> Corpus:
    def entries(root: Path) -> list[Entry]:
        return [Entry(i, root, {}, "", split or s, {"melody": m, "up": up}) for i, s, m, up in CLIPS]

    return Corpus(name, "t", "free", "here", "", entries, read)


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    build.build(corpus("clips"), folder, folder, progress=False)
    build.build(corpus("web", "train"), folder, folder, progress=False)
    features = {"inputs": FeatureSpec(), "targets": FeatureSpec(), "piece": FeatureSpec("text", add_eos=False)}
    with StoreWriter(
        folder / "stores" / "task", features=features, vocabulary=default(), encoding="remi", terms=[Terms("web")]
    ) as out:
        for name in ("a", "a", "c"):
            out.write("train", {"targets": np.array([300]), "piece": name})
    return folder


def between(data_dir: Path, *names: str) -> list[leakage.Leakage]:
    return leakage.between(names, data_dir, data_dir / "stores")


def test_splits_of_one_corpus_are_compared_by_music_and_by_group(data_dir: Path):
    found = {(one.one, one.other): one for one in between(data_dir, "clips")}
    assert len(found) == 3
    training = found["clips:train", "clips:validation"]
    assert training.pairs == (("c", "x"),)
    assert (training.sizes, training.leaking) == ((2, 1), (1, 1))
    assert found["clips:train", "clips:test"].pairs == (("a", "b"),)
    assert found["clips:validation", "clips:test"].pairs == ()
    assert (
        str(training)
        == "clips:train and clips:validation: 1 of 2 (50.0%) pieces of the former, 1 of 1 (100.0%) of the latter"
    )


def test_training_against_what_others_hold_out(data_dir: Path):
    titles = {(one.one, one.other) for one in between(data_dir, "web", "clips")}
    assert ("web:train", "clips:test") in titles
    assert ("web:train", "clips:train") not in titles
    [found] = between(data_dir, "web:train", "clips:test")
    assert found.pairs == (("b", "b"), ("y", "y"))
    assert found.leaking == (2, 2), "groups are a corpus' own: 'a' of the web is not 'b' of the clips"


def test_a_store_is_known_by_the_pieces_it_was_made_of(data_dir: Path):
    [found] = between(data_dir, "task", "clips:validation")
    assert (found.one, found.sizes, found.pairs) == ("task:train", (2, 1), (("c", "x"),))


def test_names_that_are_not_there(data_dir: Path):
    with pytest.raises(DataError, match="'odd' is neither a built corpus nor a compiled task"):
        between(data_dir, "odd")
    with pytest.raises(DataError, match="no split 'tset'"):
        between(data_dir, "clips:tset")
    with pytest.raises(DataError, match="nothing to compare: web:train"):
        between(data_dir, "web")
