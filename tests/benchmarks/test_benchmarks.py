"""The benchmarks run, on a few made-up files; what they measure here means nothing."""

from __future__ import annotations

import sys
from pathlib import Path

import common
import corpus
import loader
import numpy as np
import pytest
import tokens

from t5music.data import mixing
from t5music.data.records import FeatureSpec
from t5music.data.store import StoreWriter, write_mixture
from t5music.data.vocabulary import default
from t5music.music import midi
from t5music.music.score import NOTE, Score

# Stands in for MidiTok: refuses files of one archive.
PEER = """
import json, sys
for line in sys.stdin:
    print(json.dumps([None if "/two/1." in file else 0.5 for file in json.loads(line)]), flush=True)
"""


@pytest.fixture
def archives(tmp_path: Path) -> Path:
    """Two archives of five files each, and one that is not music."""
    for archive in ("one", "two", "labels_only"):
        for number in range(5):
            notes = np.zeros(40, NOTE)
            notes["onset"], notes["duration"], notes["velocity"] = np.arange(40) * 240, 240, 80
            notes["pitch"] = np.random.default_rng(number).integers(50, 80, 40)
            (tmp_path / archive).mkdir(exist_ok=True)
            midi.write(Score(480, notes), tmp_path / archive / f"{number}.mid")
    return tmp_path


def test_files_are_drawn_from_all_archives_and_always_the_same(archives: Path):
    files = common.choose(archives, 4)
    assert files == common.choose(archives, 4)
    assert [file.parent.name for file in files] == ["one", "two"] * 4
    assert len(set(files)) == 8
    assert files != common.choose(archives, 4, seed=1)


def test_of_several_rounds_the_best_counts():
    times = iter([3.0, 9.0, 2.0, 8.0])
    readers = {"mine": lambda files: next(times), "theirs": lambda files: next(times)}
    assert common.take_turns(readers, [Path("a")], rounds=2) == {"mine": 2.0, "theirs": 8.0}


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # pydub looks for ffmpeg
def test_tokens(archives: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    pytest.importorskip("note_seq")
    (tmp_path / "miditok_peer.py").write_text(PEER)
    monkeypatch.setattr(tokens, "HERE", tmp_path)
    table = tokens.compare(common.choose(archives, 8), 8, 1, Path(sys.executable))
    assert "8 files, best of 1 rounds" in table
    assert [line.split(" | ")[2] for line in table.splitlines()[2:4]] == ["note-seq", "MidiTok"]
    assert "| 500.00 |" in table  # half a second a file


def test_loader(tmp_path: Path):
    rng = np.random.default_rng(0)
    features = {"inputs": FeatureSpec(), "targets": FeatureSpec()}
    for name in ("a", "b"):
        path = tmp_path / "stores" / name
        with StoreWriter(path, features=features, vocabulary=default(), encoding="remi") as writer:
            for size in rng.integers(5, 20, 60):
                writer.write("train", {"inputs": rng.integers(3, 99, size), "targets": rng.integers(3, 99, size)})
    write_mixture(tmp_path / "stores", "both", {"a": mixing.EQUAL, "b": mixing.EQUAL})
    batches = loader.our_batches("both", {"inputs": 64, "targets": 64}, tmp_path)
    assert loader.examples_a_second(batches, 0.05) > 0
    filled = loader.fill(batches, 5)
    assert 0.8 < filled["inputs"] == filled["targets"] < 1
    assert loader.rates_off(batches, "both", tmp_path, 500) < 0.05
    batches.close()


def test_corpus_steps_are_measured(tmp_path: Path):
    found = corpus.measured(lambda folder: len(list(folder.iterdir())), tmp_path)
    assert found.files == 0
    assert found.seconds < 60
    assert found.peak == 0 or found.peak > 10
