"""Our parameters as a Hugging Face T5 state dict, and back.

A pure mapping of names, layouts and config fields between dictionaries and our types; files are not its business (they
are `t5music.inference.hf_folder`'s). PyTorch keeps a linear layer as [out, in], we keep [in, out]; its table of
relative biases is [buckets, heads], ours is [heads, buckets]; everything else is the same array.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx
from numpy.typing import NDArray

from t5music.errors import CheckpointError, ConfigError, nearest
from t5music.model.config import ENCODER_DECODER, EOS_ID, PAD_ID, T5Config
from t5music.model.layers import NORM_EPSILON
from t5music.model.parameters import abstract, stack_layers, unstack_layers

# stack -> our sublayer -> (its place in a block, its name there)
_SUBLAYERS: Mapping[str, Mapping[str, tuple[int, str]]] = {
    "encoder": {"attention": (0, "SelfAttention"), "mlp": (1, "DenseReluDense")},
    "decoder": {
        "self_attention": (0, "SelfAttention"),
        "cross_attention": (1, "EncDecAttention"),
        "mlp": (2, "DenseReluDense"),
    },
}
_KERNELS = {"query": "q", "key": "k", "value": "v", "out": "o"}

# Copies of `shared.weight` that state dicts carry, and a table the first v1.0 checkpoints hold but no model reads.
_COPIES = ("encoder.embed_tokens.weight", "decoder.embed_tokens.weight")
_UNREAD = re.compile(r"decoder\.block\.0\.layer\.1\.EncDecAttention\.relative_attention_bias\.weight")


# Field of T5Config -> its name in config.json.
_FIELDS = {
    "vocab_size": "vocab_size",
    "d_model": "d_model",
    "d_kv": "d_kv",
    "num_heads": "num_heads",
    "d_ff": "d_ff",
    "num_encoder_layers": "num_layers",
    "num_decoder_layers": "num_decoder_layers",
    "dropout_rate": "dropout_rate",
    "relative_attention_num_buckets": "relative_attention_num_buckets",
    "relative_attention_max_distance": "relative_attention_max_distance",
}
_FEED_FORWARD = {"v1.0": "relu", "v1.1": "gated-gelu"}
# The tables with a row for every id; v1.0 has only the first.
TABLES = ("shared.weight", "lm_head.weight")


def config_to(config: T5Config) -> dict[str, Any]:
    """Returns the fields of Hugging Face's config.json for a model; ConfigError for one its T5 cannot be."""
    require_plain(config)
    fields = {theirs: getattr(config, ours) for ours, theirs in _FIELDS.items()}
    return {
        "architectures": ["T5ForConditionalGeneration"],
        "model_type": "t5",
        **fields,
        "feed_forward_proj": _FEED_FORWARD[config.version],
        "tie_word_embeddings": config.tied,
        "layer_norm_epsilon": NORM_EPSILON,
        "is_encoder_decoder": True,
        "use_cache": True,
        "pad_token_id": PAD_ID,
        "eos_token_id": EOS_ID,
        "decoder_start_token_id": PAD_ID,
    }


def config_from(fields: Mapping[str, Any]) -> T5Config:
    """Returns the config of a Hugging Face T5 (T5, T5 v1.1, ByT5, mT5) from its config.json.

    Raises CheckpointError for another kind of model, or one whose numerics are not T5's.
    """
    kind = fields.get("model_type")
    if kind not in ("t5", "mt5"):
        raise CheckpointError(f"config.json is of a {kind!r} model; t5music reads t5 and mt5")
    versions = {theirs: ours for ours, theirs in _FEED_FORWARD.items()}
    version = versions.get(fields.get("feed_forward_proj", "relu"))
    if version is None:
        raise CheckpointError(
            f"config.json: feed_forward_proj is {fields['feed_forward_proj']!r}, not one of {', '.join(versions)}"
        )
    if fields.get("layer_norm_epsilon", NORM_EPSILON) != NORM_EPSILON:
        raise CheckpointError(
            f"config.json: layer_norm_epsilon is not {NORM_EPSILON} but {fields['layer_norm_epsilon']}"
        )
    named = {"num_decoder_layers": fields.get("num_layers"), **fields}
    found = {ours: named[theirs] for ours, theirs in _FIELDS.items() if named.get(theirs) is not None}
    try:
        return T5Config.from_dict({"version": version, **found})
    except ConfigError as error:
        raise CheckpointError(f"config.json does not describe a T5: {error}") from error


def with_rows(state_dict: Mapping[str, Any], kept: NDArray[np.integer], rows: int, seed: int) -> dict[str, Any]:
    """Returns a state dict for another vocabulary: kept ids keep their rows, all others are drawn.

    New rows are normal with the standard deviation of the table they join, so that they neither drown in it nor drown
    it.

    Args:
        state_dict: the arrays of a Hugging Face T5.
        kept: int [n, 2], pairs (their id, our id).
        rows: rows of the new tables.
        seed: of the new rows.
    """
    random = np.random.default_rng(seed)
    changed = dict(state_dict)
    for name in TABLES:
        if name in state_dict:
            table = np.asarray(state_dict[name], np.float32)
            new = np.empty((rows, table.shape[1]), np.float32)
            new[kept[:, 1]] = table[kept[:, 0]]
            others = np.setdiff1d(np.arange(rows), kept[:, 1])
            new[others] = random.standard_normal((len(others), table.shape[1]), np.float32) * table.std()
            changed[name] = new
    return {name: value for name, value in changed.items() if name not in _COPIES}


def require_plain(config: T5Config) -> None:
    """Raises ConfigError for an architecture, or adapters, that Hugging Face's T5 does not have."""
    if config.architecture != ENCODER_DECODER or config.shared_layers:
        raise ConfigError(
            "Hugging Face's T5 is an encoder-decoder without shared layers; this model is "
            f"architecture={config.architecture!r}, shared_layers={config.shared_layers}"
        )
    if config.adapter_dim:
        raise ConfigError(
            f"Hugging Face's T5 has no adapters; this model has adapters of width {config.adapter_dim} (adapter_dim)"
        )


def _name(path: tuple[Any, ...]) -> str:
    """Returns Hugging Face's name for the path of one of our unrolled parameters."""
    if path == ("embedding",):
        return "shared.weight"
    if path == ("head",):
        return "lm_head.weight"
    stack, part, *rest = path
    if part == "norm":
        return f"{stack}.final_layer_norm.weight"
    if part == "relative_bias":
        return f"{stack}.block.0.layer.0.SelfAttention.relative_attention_bias.weight"
    block, sublayer, kernel = rest
    place, name = _SUBLAYERS[stack][sublayer.removesuffix("_norm")]
    inner = "layer_norm" if sublayer.endswith("_norm") else f"{name}.{_KERNELS.get(kernel, kernel)}"
    return f"{stack}.block.{block}.layer.{place}.{inner}.weight"


def _transposed(path: tuple[Any, ...]) -> bool:
    return path != ("embedding",)  # vectors do not mind


def names(config: T5Config) -> dict[str, tuple[int, ...]]:
    """Returns name -> shape of every array `to_huggingface` writes and `from_huggingface` needs."""
    shapes: dict[str, tuple[int, ...]] = {}
    for path, param in nnx.to_flat_state(_unrolled(config)):
        shapes[_name(path)] = param.shape[::-1] if _transposed(path) else param.shape
    return shapes


def to_huggingface(params: nnx.State, config: T5Config) -> dict[str, np.ndarray]:
    """Returns the float32 arrays of a Hugging Face `T5ForConditionalGeneration` with these parameters.

    `params` may be stacked or not. Weights that PyTorch ties to `shared.weight` are not repeated.
    """
    state_dict: dict[str, np.ndarray] = {}
    for path, param in nnx.to_flat_state(unstack_layers(params)):
        value = np.asarray(param[...], np.float32)
        state_dict[_name(path)] = np.ascontiguousarray(value.T if _transposed(path) else value)
    return state_dict


def from_huggingface(state_dict: Mapping[str, Any], config: T5Config) -> nnx.State:
    """Returns parameters in the config's form (`scan_layers`) from the arrays of a Hugging Face T5.

    Raises:
        CheckpointError: an array is missing, superfluous, of another shape than the config says, or differs from the
            `shared.weight` it would have to repeat; the message names it.
    """
    shapes = names(config)
    copies = (*_COPIES, "lm_head.weight") if config.tied else _COPIES
    for name, value in state_dict.items():
        if name in copies:
            if "shared.weight" in state_dict and not np.array_equal(value, state_dict["shared.weight"]):
                raise CheckpointError(f"{name} differs from shared.weight, but T5 {config.version} has one for both")
        elif name not in shapes and not _UNREAD.fullmatch(name):
            raise CheckpointError(f"the state dict's {name} is no parameter of this model{nearest(name, shapes)}")
    for name, shape in shapes.items():
        if name not in state_dict:
            raise CheckpointError(f"the state dict has no {name}, which T5 {config.version} of this config needs")
        if np.shape(state_dict[name]) != shape:
            raise CheckpointError(f"{name} has shape {np.shape(state_dict[name])}; the config says {shape}")

    flat: dict[tuple[Any, ...], Any] = {}
    for path, param in nnx.to_flat_state(_unrolled(config)):
        value = np.asarray(state_dict[_name(path)], np.float32)
        flat[path] = param.replace(jnp.asarray(value.T if _transposed(path) else value))
    params = nnx.from_flat_state(flat)
    return stack_layers(params) if config.scan_layers else params


def _unrolled(config: T5Config) -> nnx.State:
    require_plain(config)
    return abstract(dataclasses.replace(config, scan_layers=False))[1]
