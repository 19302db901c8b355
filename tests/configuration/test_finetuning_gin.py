"""The gin files that say what trains name what they mean to, in the models they are for."""

from __future__ import annotations

import json
import re
from pathlib import Path

import gin
import pytest

from t5music.configuration import gin_files
from t5music.model import parameters
from t5music.model.config import T5Config, named
from t5music.training import freezing

STUDIES = Path(__file__).resolve().parents[2] / "gin" / "studies"
SET = ["MIXTURE_OR_TASK_NAME = 'task'", "MODEL_DIR = 'run'", "INITIAL_CHECKPOINT_PATH = 'pretrained'"]


@pytest.fixture(autouse=True)
def clear_gin():
    yield
    gin.clear_config()


def trained(config: T5Config, patterns: list[str]) -> set[str]:
    """The names of what trains, all of it from the beginning."""
    params = parameters.abstract(config)[1]
    chosen = freezing.choose(params, patterns)
    assert set(chosen.starts) == chosen.frozen
    return {name for path, names in parameters.names(params).items() if path not in chosen.frozen for name in names}


@pytest.mark.parametrize("version", ["v1.0", "v1.1"])
def test_with_adapters_they_and_the_norms_train(version: str):
    gin_files.configure(["runs/finetune.gin", "models/adapters.gin"], SET)
    config = named(version, "tiny", vocab_size=128, adapter_dim=gin.query_parameter("%ADAPTER_DIM"))
    names = trained(config, gin.query_parameter("Update.trainable"))
    kinds = {name.rsplit(".", 2)[-2] for name in names}
    assert kinds == {"adapter", "attention_norm", "self_attention_norm", "cross_attention_norm", "mlp_norm", "norm"}
    assert len(names) == 4 * 2 + 2 * 2 + 2 * 3 + 2


@pytest.mark.parametrize("scale", ["small", "paper"])
def test_across_languages_the_tables_with_a_row_for_each_word_train(scale: str):
    """Only the line itself is read: gin would take `tests/studies` for a package of that name."""
    (line,) = re.findall(
        r"^Update.trainable = (.*)$", (STUDIES / scale / "language_tune.gin").read_text(), re.MULTILINE
    )
    config = named("v1.1", "tiny", vocab_size=128, architecture="language_model", num_encoder_layers=0)
    assert trained(config, json.loads(line)) == {"embedding", "head"}
