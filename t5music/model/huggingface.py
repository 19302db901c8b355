"""Our parameters as a Hugging Face T5 state dict, and back.

A pure mapping of names and layouts between dictionaries of numpy arrays and `nnx.State`; files are not its business.
PyTorch keeps a linear layer as [out, in], we keep [in, out]; its table of relative biases is [buckets, heads], ours is
[heads, buckets]; everything else is the same array.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx

from t5music.errors import CheckpointError, nearest
from t5music.model.config import T5Config
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
    return abstract(dataclasses.replace(config, scan_layers=False))[1]
