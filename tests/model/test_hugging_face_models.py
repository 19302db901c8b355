"""Models from elsewhere compute what Hugging Face transformers computes with them, or are refused by name."""

import dataclasses
import json
import re
import subprocess
from pathlib import Path

import jax
import numpy as np
import pytest
from flax import nnx

from t5music.errors import CheckpointError
from t5music.inference import hf_folder
from t5music.model import huggingface, parameters

HERE = Path(__file__).resolve().parent
PEERS = HERE.parents[1] / ".venv-peers" / "bin" / "python"  # made by `make peers`
REFUSALS = {
    "silu": "feed_forward_proj is 'gated-silu'",
    "ungated gelu": "feed_forward_proj is 'gelu'",
    "gated relu": "feed_forward_proj is 'gated-relu'",
    "exact gelu": "dense_act_fn is 'gelu'",
    "epsilon": "layer_norm_epsilon is not 1e-06 but 1e-05",
    "odd buckets": "relative_attention_num_buckets must be a multiple of 4, not 30",
    "short distance": "relative_attention_max_distance must be more than half",
    "padding": "pad_token_id is not 0 but 3",
    "layers too few": "num_hidden_layers is 1 and num_layers is 2",
    "two embeddings": r"decoder\.embed_tokens\.weight differs from shared\.weight",
    "extra weight": r"adapter\.weight is no parameter of this model",
}


@pytest.fixture(scope="module")
def tokens():
    random = np.random.default_rng(0)
    arrays = {"inputs": random.integers(3, 128, (2, 40)), "targets": random.integers(3, 128, (2, 25))}
    arrays["inputs"][1, 30:] = 0
    return arrays


@pytest.fixture(scope="module")
def folders(tokens, tmp_path_factory):
    """The folders that make_hugging_face_models.py makes."""
    if not PEERS.exists():
        pytest.skip("Hugging Face transformers is not at hand: make peers")
    folder = tmp_path_factory.mktemp("models")
    np.savez(folder / "tokens.npz", **tokens)
    command = [PEERS, HERE / "make_hugging_face_models.py", folder / "all", folder / "tokens.npz"]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr[-3000:]
    return sorted((folder / "all").iterdir())


@jax.jit
def logits_of(graphdef, params, inputs, decoder_inputs):
    return nnx.merge(graphdef, params)(inputs, decoder_inputs)


def read(folder):
    """The config and the parameters of a folder, with its own vocabulary."""
    weights = hf_folder._read_weights(folder)
    config = huggingface.config_from(json.loads((folder / "config.json").read_text()))
    config = dataclasses.replace(config, tie_word_embeddings=huggingface.ties_head(weights))
    return config, huggingface.from_huggingface(weights, config)


@pytest.mark.slow
def test_logits_are_those_of_transformers_or_the_model_is_refused(folders, tokens):
    assert len(folders) >= 140
    shifted = np.pad(tokens["targets"], ((0, 0), (1, 0)))[:, :-1]
    refused, worst = set(), 0.0
    for folder in folders:
        if folder.name.startswith("refused: "):
            case = folder.name.removeprefix("refused: ")
            with pytest.raises(CheckpointError, match=REFUSALS[case]):
                read(folder)
            refused.add(case)
            continue
        expected = np.load(folder / "logits.npy")
        config, params = read(folder)
        logits = logits_of(parameters.abstract(config)[0], params, tokens["inputs"], shifted)
        # Logits that are not scaled are sums of products of numbers far from 0: the tolerance goes by their size.
        error = np.abs(logits - expected).max() / max(1.0, np.abs(expected).max() / 10)
        assert error < 1e-4, f"{folder.name}: {error}"
        worst = max(worst, error)
    assert refused == set(REFUSALS)
    print(f"{len(folders) - len(refused)} models agree to {worst:.1e}")


@pytest.mark.slow
def test_what_is_written_is_what_was_read(folders):
    """Every model that is read is written so that transformers makes the same of it."""
    for folder in folders:
        if not re.match(r"t5 .* head=", folder.name):
            continue
        config, params = read(folder)
        fields = huggingface.config_to(config)
        weights = huggingface.to_huggingface(params, config)
        back = dataclasses.replace(huggingface.config_from(fields), tie_word_embeddings=huggingface.ties_head(weights))
        assert back == config
