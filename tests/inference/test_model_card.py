"""The card of a model: what was measured stands in it, beside what knows no music, and nothing that is out of date."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from t5music.data.vocabulary import default
from t5music.inference import model_card
from t5music.model.config import T5Config
from t5music.training.checkpoints.metadata import Metadata, VocabularyId

METRICS = {
    "songs_continue": {
        "bits_per_note": 3.14159,
        "unigram_bits_per_note": 13.1,
        "uniform_bits_per_note": 25.4,
        "examples": 96.0,
        "accuracy": 0.5,
    },
    "songs_composer": {"accuracy": 0.75, "macro_f1": 0.5, "majority_accuracy": 0.6, "examples": 1234.0},
    "nothing_known": {"seconds": 3.0},
}


def metadata() -> Metadata:
    vocabulary = VocabularyId(default().fingerprint, default().size)
    config = T5Config(
        vocab_size=default().rows, d_model=8, d_kv=4, num_heads=2, d_ff=8, num_encoder_layers=1, num_decoder_layers=1
    )
    lengths = {"inputs": 512, "targets": 384}
    return Metadata(
        config=config, vocabulary=vocabulary, feature_lengths=lengths, content={}, task="songs", version="1"
    )


def card(figures) -> str:
    return model_card.write("songs", metadata(), 1000, (), figures)


def test_each_task_has_its_metric_and_its_baselines():
    lines = card({"test": METRICS}).splitlines()
    assert "## Measured on the test set" in lines
    assert (
        "| songs_continue | 3.14 bits per note | unigram 13.10 bits per note, uniform 25.40 bits per note | 96 |"
        in lines
    )
    assert "| songs_composer | accuracy 75.0% | majority accuracy 60.0% | 1,234 |" in lines
    assert not any("nothing" in line and "|" in line for line in lines)


def test_what_was_not_measured_is_not_there():
    assert "Measured" not in card({})
    assert "t5music train my_music --init songs" in card({})
    assert "read 512 tokens and to write 384 at once" in card({})


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run with two checkpoints, evaluated after the last one."""
    for step, time in (("1", 100), ("12", 200)):
        folder = tmp_path / "checkpoints" / step
        folder.mkdir(parents=True)
        os.utime(folder, (time, time))
    (tmp_path / "eval_test.json").write_text(json.dumps(METRICS))
    os.utime(tmp_path / "eval_test.json", (300, 300))
    return tmp_path


def test_figures_are_those_of_the_checkpoint_that_is_exported(run: Path):
    assert model_card.read_figures(run / "checkpoints" / "12") == {"test": METRICS}
    assert model_card.read_figures(run / "checkpoints" / "1") == {}
    os.utime(run / "eval_test.json", (150, 150))
    assert model_card.read_figures(run / "checkpoints" / "12") == {}


@pytest.mark.parametrize("content", ["", "[]", '{"a": 1}', '{"a": {"b": "c"}}', "\0"])
def test_damaged_figures_are_left_out(run: Path, content: str):
    (run / "eval_test.json").write_text(content)
    assert model_card.read_figures(run / "checkpoints" / "12") == {}
