"""Hugging Face: our parameters and config as those of its T5, and back.

A pure mapping of names, layouts and config fields between dictionaries and our types; files are not its business (they
are `t5music.inference.hf_folder`'s). PyTorch keeps a linear layer as [out, in], we keep [in, out]; its table of
relative biases is [buckets, heads], ours is [heads, buckets]; everything else is the same array.

A model from there computes the logits that transformers 5 computes with it, or is refused by the name of the field or
weight that our T5 does not have. What transformers goes by is not always what a config.json seems to say:

- `dense_act_fn` and `is_gated_act`, where they are written, stand above `feed_forward_proj`.
- `tie_word_embeddings` does not say whether the logits come from the embedding: they do unless the weights hold an
  `lm_head.weight` that differs from it. It says, when False and without `scale_decoder_outputs`, that T5's logits are
  not scaled; mT5's never are.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

import jax
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

# Names under which state dicts carry `shared.weight` again, and a table the first v1.0 checkpoints hold but no model
# reads.
_COPIES = ("encoder.embed_tokens.weight", "decoder.embed_tokens.weight")
_UNREAD = re.compile(r"decoder\.block\.0\.layer\.1\.EncDecAttention\.relative_attention_bias\.weight")
_PREFIX = "transformer."  # of every T5 weight of a model that has T5 as a part

EMBEDDING, LM_HEAD = TABLES = ("shared.weight", "lm_head.weight")  # those with a row for every id

# Field of T5Config -> its name in config.json, and an older or more general name that transformers reads as the same.
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
_SYNONYMS = {
    "hidden_size": "d_model",
    "head_dim": "d_kv",
    "num_attention_heads": "num_heads",
    "num_hidden_layers": "num_layers",
}
_FEED_FORWARD = {"v1.0": "relu", "v1.1": "gated-gelu"}
_DEFAULT_FEED_FORWARD = {"t5": "relu", "mt5": "gated-gelu"}  # by model_type
# (is_gated_act, dense_act_fn) -> version. Both names of the GELU are its tanh approximation.
_VERSIONS = {(False, "relu"): "v1.0", (True, "gelu_new"): "v1.1", (True, "gelu_pytorch_tanh"): "v1.1"}
# What must hold of a config.json where it says anything of these.
_CONSTANTS: Mapping[str, tuple[Any, ...]] = {
    "layer_norm_epsilon": (NORM_EPSILON,),
    "is_encoder_decoder": (True,),
    "pad_token_id": (PAD_ID, None),
    "eos_token_id": (EOS_ID, [EOS_ID], None),
    "decoder_start_token_id": (PAD_ID, None),
}


def config_to(config: T5Config) -> dict[str, Any]:
    """Returns the fields of Hugging Face's config.json for a model; ConfigError for one its T5 cannot be.

    transformers 4 reads them as transformers 5 does, but for a model that is tied and not scaled, or scaled and not
    tied: it knows only both and neither.
    """
    require_plain(config)
    return {
        "architectures": ["T5ForConditionalGeneration"],
        "model_type": "t5",
        **{name: getattr(config, field) for field, name in _FIELDS.items()},
        "feed_forward_proj": _FEED_FORWARD[config.version],
        "tie_word_embeddings": config.tied,
        "scale_decoder_outputs": config.scaled,
        "layer_norm_epsilon": NORM_EPSILON,
        "is_encoder_decoder": True,
        "use_cache": True,
        "pad_token_id": PAD_ID,
        "eos_token_id": EOS_ID,
        "decoder_start_token_id": PAD_ID,
    }


def config_from(fields: Mapping[str, Any]) -> T5Config:
    """Returns the config of a Hugging Face T5 (T5, T5 v1.1, ByT5, mT5) from its config.json.

    Whether its logits come from the embedding is not there but in its weights: `ties_head` gives `tie_word_embeddings`.

    Raises:
        CheckpointError: another kind of model, or one whose numerics are not T5's; names the field.
    """
    kind = str(fields.get("model_type"))
    if kind not in _DEFAULT_FEED_FORWARD:
        kinds = " and ".join(_DEFAULT_FEED_FORWARD)
        raise CheckpointError(f"config.json is of a {kind!r} model; t5music reads {kinds}")
    for name, choices in _CONSTANTS.items():
        value = fields.get(name, choices[0])
        if not any(type(value) is type(choice) and value == choice for choice in choices):
            raise CheckpointError(f"config.json: {name} is not {choices[0]!r} but {value!r}")
    for synonym, name in _SYNONYMS.items():
        if synonym in fields and fields[synonym] != fields.get(name):
            raise CheckpointError(
                f"config.json: {synonym} is {fields[synonym]!r} and {name} is {fields.get(name)!r}, "
                "which mean the same: correct one of them"
            )
    values = {field: fields[name] for field, name in _FIELDS.items() if fields.get(name) is not None}
    if "num_encoder_layers" in values:
        values.setdefault("num_decoder_layers", values["num_encoder_layers"])
    version, scaled = _version(fields, kind), _scaled(fields, kind)
    try:
        return T5Config.from_dict({"version": version, "scale_decoder_outputs": scaled, **values})
    except ConfigError as error:
        raise CheckpointError(f"config.json does not describe a T5: {error}") from error


def _version(fields: Mapping[str, Any], kind: str) -> str:
    """Returns the version whose feed-forward layer a config.json describes."""
    projection = fields.get("feed_forward_proj", _DEFAULT_FEED_FORWARD[kind])
    if not isinstance(projection, str):
        raise CheckpointError(f"config.json: feed_forward_proj is {projection!r}, which is no text")
    gate, _, activation = projection.rpartition("-")
    layer: dict[str, Any] = {
        "is_gated_act": gate == "gated",
        "dense_act_fn": "gelu_new" if projection == "gated-gelu" else activation,
    }
    layer |= {name: fields[name] for name in layer if name in fields}
    for (gated, function), version in _VERSIONS.items():
        if gate in ("", "gated") and layer["is_gated_act"] is gated and layer["dense_act_fn"] == function:
            return version
    described = ", ".join(f"{name} is {fields[name]!r}" for name in ("feed_forward_proj", *layer) if name in fields)
    raise CheckpointError(f"config.json: {described}, not one of {', '.join(_FEED_FORWARD.values())}")


def _scaled(fields: Mapping[str, Any], kind: str) -> bool:
    """Returns whether transformers 5 scales what the logits come from."""
    for name in ("tie_word_embeddings", "scale_decoder_outputs"):
        if not isinstance(fields.get(name, False), bool):
            raise CheckpointError(f"config.json: {name} must be true or false, not {fields[name]!r}")
    scaled: bool = fields.get("scale_decoder_outputs", fields.get("tie_word_embeddings", True))
    return scaled and kind == "t5"


def is_table(name: str) -> bool:
    """Whether an array of a state dict is the embedding, under any of its names, or what the logits come from."""
    return name.removeprefix(_PREFIX) in (*TABLES, *_COPIES)


def canonical(state_dict: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the arrays of a state dict under the names of `names`, each once.

    Without the prefix of a larger model, without copies of the embedding (an `lm_head.weight` that is one included)
    and without the table that no model reads.

    Raises:
        CheckpointError: a stack has an embedding of its own, or one array is there under two names; names them.
    """
    arrays: dict[str, Any] = {}
    for name, value in state_dict.items():
        plain = name.removeprefix(_PREFIX)
        if plain in arrays:
            raise CheckpointError(f"the state dict has both {plain} and {_PREFIX}{plain}")
        if not _UNREAD.fullmatch(plain):
            arrays[plain] = value
    embedding = next((name for name in (EMBEDDING, *_COPIES) if name in arrays), LM_HEAD)
    if embedding not in arrays:
        return arrays
    table = arrays[EMBEDDING] = arrays[embedding]
    for name in (*_COPIES, LM_HEAD):
        if name in arrays and np.array_equal(arrays[name], table):
            del arrays[name]
        elif name in _COPIES and name in arrays:
            raise CheckpointError(f"{name} differs from {embedding}: our T5 has one embedding for both stacks")
    return arrays


def ties_head(state_dict: Mapping[str, Any]) -> bool:
    """Whether the logits come from the embedding, going by the tables (`is_table`) of a state dict."""
    return LM_HEAD not in canonical(state_dict)


def with_rows(state_dict: Mapping[str, Any], pairs: NDArray[np.integer], rows: int, seed: int) -> dict[str, Any]:
    """Returns a state dict for another vocabulary: ids that both have keep their rows, all others are drawn.

    New rows are normal with the standard deviation of the table they join, so that neither drowns the other.

    Args:
        state_dict: the arrays of a Hugging Face T5.
        pairs: int [n, 2], the ids that both have: (theirs, ours).
        rows: rows of the new tables.
        seed: of the new rows.
    """
    random = np.random.default_rng(seed)
    arrays = canonical(state_dict)
    for name in TABLES:
        if name in arrays:
            table = np.asarray(arrays[name], np.float32)  # [their rows, d_model]
            new = np.empty((rows, table.shape[1]), np.float32)
            new[pairs[:, 1]] = table[pairs[:, 0]]
            others = np.setdiff1d(np.arange(rows), pairs[:, 1])
            new[others] = random.standard_normal((len(others), table.shape[1]), np.float32) * table.std()
            arrays[name] = new
    return arrays


def require_plain(config: T5Config) -> None:
    """Raises ConfigError for an architecture, places, or adapters that Hugging Face's T5 does not have."""
    if config.architecture != ENCODER_DECODER or config.shared_layers:
        raise ConfigError(
            "Hugging Face's T5 is an encoder-decoder without shared layers; this model is "
            f"architecture={config.architecture!r}, shared_layers={config.shared_layers}"
        )
    if config.position_period:
        raise ConfigError(
            "Hugging Face's T5 has no table of places; this model has one of "
            f"{config.position_period} (position_period)"
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
        CheckpointError: an array is missing, superfluous, of another shape than the config says, of no floating-point
            type, or differs from the `shared.weight` it would have to repeat; the message names it.
    """
    shapes, arrays = names(config), canonical(state_dict)
    if config.tied and LM_HEAD in arrays:
        raise CheckpointError(
            f"{LM_HEAD} differs from {EMBEDDING}, but this model has one for both (tie_word_embeddings)"
        )
    if not config.tied and EMBEDDING in arrays:
        arrays.setdefault(LM_HEAD, arrays[EMBEDDING])  # tied there, and so alike to begin with
    for name in arrays:
        if name not in shapes:
            raise CheckpointError(f"the state dict's {name} is no parameter of this model{nearest(name, shapes)}")
    for name, shape in shapes.items():
        if name not in arrays:
            raise CheckpointError(f"the state dict has no {name}, which T5 {config.version} of this config needs")
        if np.shape(arrays[name]) != shape:
            raise CheckpointError(f"{name} has shape {np.shape(arrays[name])}; the config says {shape}")
        if not jnp.issubdtype(np.asarray(arrays[name]).dtype, jnp.floating):
            raise CheckpointError(
                f"{name} is of type {np.asarray(arrays[name]).dtype}; t5music reads floating point only"
            )

    flat = dict(nnx.to_flat_state(_unrolled(config)))
    values = {path: np.asarray(arrays[_name(path)], np.float32) for path in flat}
    # All at once, in memory of their own: one after the other takes longer than reading them.
    placed = jax.device_put({path: np.array(value.T if _transposed(path) else value) for path, value in values.items()})
    params = nnx.from_flat_state({path: param.replace(placed[path]) for path, param in flat.items()})
    return stack_layers(params) if config.scan_layers else params


def _unrolled(config: T5Config) -> nnx.State:
    require_plain(config)
    return abstract(dataclasses.replace(config, scan_layers=False))[1]
