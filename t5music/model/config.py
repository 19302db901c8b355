"""The shape of a T5 model and the named sizes of the T5 papers.

A `T5Config` says everything `network.T5` needs and nothing about data or training. It is frozen and hashable, so it
rides along as static data under `jax.jit`, and it goes to JSON and back (`to_dict`, `from_dict`) with a checkpoint.
"""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Mapping
from typing import Any

from t5music.errors import ConfigError, nearest

PAD_ID = 0  # also the decoder's start token
EOS_ID = 1

VERSIONS = ("v1.0", "v1.1")
ENCODER_DECODER, LANGUAGE_MODEL, PREFIX_LM, ENCODER = ARCHITECTURES = (
    "encoder_decoder",
    "language_model",
    "prefix_lm",
    "encoder",
)
WORDS, NOTES, SEQUENCE = HEADS = ("words", "notes", "sequence")
DTYPES = ("float32", "bfloat16")  # no float16: T5's activations overflow it
REMAT_POLICIES = ("none", "full", "dots")
ATTENTIONS = ("auto", "plain")

_CHOICES = {
    "version": VERSIONS,
    "architecture": ARCHITECTURES,
    "head": HEADS,
    "dtype": DTYPES,
    "remat_policy": REMAT_POLICIES,
    "attention": ATTENTIONS,
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class T5Config:
    """Shape and numerics of one model.

    Attributes:
        vocab_size: rows of the embedding table and width of the logits: a vocabulary's size rounded up to a multiple of
            128 (`Vocabulary.rows`), as in the published configs (32128).
        d_model: width of the residual stream.
        d_kv: width of one attention head.
        num_heads: attention heads; `num_heads * d_kv` need not equal `d_model`.
        d_ff: width of the feed-forward layer.
        num_encoder_layers: layers of the encoder; 0 without one.
        num_decoder_layers: layers of the decoder, or of the one stack of a decoder-only model; 0 without one.
        version: "v1.0" (ReLU, logits from the shared embedding times d_model^-1/2) or "v1.1" (gated tanh-GELU,
            a head of its own).
        architecture: "encoder_decoder", or decoder-only, which reads inputs and targets as one sequence:
            "language_model" (every position sees the ones before it) or "prefix_lm" (the inputs see each other in both
            directions). Raffel et al. 2020, section 3.2; half the layers are this class's own numbers. Or "encoder",
            the encoder alone, as BERT is.
        head: what comes out of a model: "words", a row of the vocabulary at every position, or, of an encoder alone,
            one of `num_labels` for every note ("notes") or for all that was read ("sequence"); see `heads`.
        num_labels: how many there are; 0 with "words".
        shared_layers: an encoder-decoder whose encoder's every parameter is the decoder's of that place: one set of
            self-attentions, feed-forward layers, norms and relative biases; attention to the encoder's output is the
            decoder's own.
        adapter_dim: inner width of an adapter after every feed-forward layer (Houlsby et al. 2019, as T5 tried them);
            0 for none.
        dropout_rate: 0.1 in the T5 papers; 0.0 for v1.1 pre-training.
        relative_attention_num_buckets: rows of the relative position table.
        relative_attention_max_distance: distance from which all positions share the last bucket.
        dtype: what the matrix products compute in. Parameters, norms, softmax and logits are always float32.
        scan_layers: stack the layers' parameters under a leading axis and loop over them with `lax.scan`: compile
            time and program size stop growing with depth, no number changes. For deep models; on a CPU a training
            step takes about a fifth longer.
        remat_policy: what the backward pass recomputes: "none", "full" (everything but each layer's input), or "dots"
            (everything but the products with weights).
        attention: "auto" takes the platform's fused kernel where one fits (`attention.choose`), "plain" never.
    """

    vocab_size: int
    d_model: int
    d_kv: int
    num_heads: int
    d_ff: int
    num_encoder_layers: int
    num_decoder_layers: int
    version: str = "v1.1"
    architecture: str = ENCODER_DECODER
    head: str = WORDS
    num_labels: int = 0
    shared_layers: bool = False
    adapter_dim: int = 0
    dropout_rate: float = 0.1
    relative_attention_num_buckets: int = 32
    relative_attention_max_distance: int = 128
    dtype: str = "float32"
    scan_layers: bool = False
    remat_policy: str = "none"
    attention: str = "auto"

    def __post_init__(self) -> None:
        self.validate()

    @property
    def gated(self) -> bool:
        """Whether the feed-forward layer is `gelu_tanh(wi_0) * wi_1` (v1.1) rather than `relu(wi)` (v1.0)."""
        return self.version == "v1.1"

    @property
    def tied(self) -> bool:
        """Whether the logits come from the shared embedding (v1.0) rather than a head of their own (v1.1)."""
        return self.version == "v1.0"

    @property
    def decoder_only(self) -> bool:
        """Whether there is no encoder: inputs and targets are one sequence in one stack."""
        return self.architecture in (LANGUAGE_MODEL, PREFIX_LM)

    @property
    def encoder_only(self) -> bool:
        """Whether there is no decoder: the answer is read off the encoder's output."""
        return self.architecture == ENCODER

    @property
    def encoder_head(self) -> str | None:
        """The head of an encoder alone, which decides what its batches are; None of a model that writes."""
        return self.head if self.encoder_only else None

    @property
    def outputs(self) -> int:
        """Width of the logits: the vocabulary's rows, or a classifier's classes."""
        return self.vocab_size if self.head == WORDS else self.num_labels

    def validate(self) -> None:
        """Raises ConfigError naming the first field whose value cannot be."""
        for name, known in _CHOICES.items():
            value = getattr(self, name)
            if value not in known:
                raise ConfigError(f"T5Config.{name} must be one of {', '.join(known)}, not {value!r}")
        kind = f"a{'n' if self.encoder_only else ''} {self.architecture}"
        present, absent = ("encoder", "decoder") if self.encoder_only else ("decoder", "encoder")
        alone = self.encoder_only or self.decoder_only
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            whole = isinstance(value, int) and not isinstance(value, bool)
            if alone and field.name == f"num_{absent}_layers":
                if not whole or value != 0:
                    raise ConfigError(
                        f"T5Config.{field.name} must be 0 in {kind}, not {value!r}: "
                        f"num_{present}_layers are all its layers"
                    )
            elif field.name in ("adapter_dim", "num_labels"):
                if not whole or value < 0:
                    raise ConfigError(f"T5Config.{field.name} must be a whole number, 0 for none, not {value!r}")
            elif field.type == "int" and (not whole or value < 1):
                raise ConfigError(f"T5Config.{field.name} must be a positive whole number, not {value!r}")
            if field.type == "bool" and not isinstance(value, bool):
                raise ConfigError(f"T5Config.{field.name} must be True or False, not {value!r}")
        if self.shared_layers and alone:
            raise ConfigError(f"T5Config.shared_layers must be False in {kind}: it has no {absent}")
        if self.head != WORDS and not self.encoder_only:
            raise ConfigError(
                f"T5Config.head is {self.head!r}, a classifier's: the architecture must be {ENCODER!r}, "
                f"not {self.architecture!r}"
            )
        if self.num_labels != 0 if self.head == WORDS else self.num_labels < 2:
            wanted = "0" if self.head == WORDS else "at least 2"
            raise ConfigError(
                f"T5Config.num_labels must be {wanted} with the head {self.head!r}, not {self.num_labels}"
            )
        if self.shared_layers and self.num_encoder_layers != self.num_decoder_layers:
            raise ConfigError(
                "T5Config.shared_layers needs num_encoder_layers and num_decoder_layers to be equal, "
                f"not {self.num_encoder_layers} and {self.num_decoder_layers}"
            )
        rate = self.dropout_rate
        if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 <= rate < 1:
            raise ConfigError(f"T5Config.dropout_rate must be at least 0 and below 1, not {rate!r}")
        buckets, distance = self.relative_attention_num_buckets, self.relative_attention_max_distance
        if buckets < 4 or buckets % 4:  # halved for the direction, halved again for exact
            raise ConfigError(f"T5Config.relative_attention_num_buckets must be a multiple of 4, not {buckets!r}")
        if distance <= buckets // 2:
            raise ConfigError(
                "T5Config.relative_attention_max_distance must exceed relative_attention_num_buckets / 2 = "
                f"{buckets // 2}, not {distance!r}"
            )

    def to_dict(self) -> dict[str, Any]:
        """Returns the fields as JSON values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> T5Config:
        """Returns the config `to_dict` wrote; ConfigError names an unknown or a missing field."""
        known = {field.name: field for field in dataclasses.fields(cls)}
        for name in fields:
            if name not in known:
                raise ConfigError(f"T5Config has no field {name!r}{nearest(name, known)}")
        for name, field in known.items():
            if field.default is dataclasses.MISSING and name not in fields:
                raise ConfigError(f"T5Config.{name} is missing")
        return cls(**fields)


def _size(d_model: int, d_kv: int, num_heads: int, d_ff: int, layers: int) -> Mapping[str, int]:
    return types.MappingProxyType(
        {
            "d_model": d_model,
            "d_kv": d_kv,
            "num_heads": num_heads,
            "d_ff": d_ff,
            "num_encoder_layers": layers,
            "num_decoder_layers": layers,
        }
    )


# v1.0: Raffel et al. 2019, section 3.7; v1.1: t5x's `t5_1_1` configs. `tiny` is ours, for tests and smoke runs.
SIZES: Mapping[str, Mapping[str, Mapping[str, int]]] = types.MappingProxyType(
    {
        "v1.0": types.MappingProxyType(
            {
                "tiny": _size(d_model=32, d_kv=8, num_heads=4, d_ff=64, layers=2),
                "small": _size(d_model=512, d_kv=64, num_heads=8, d_ff=2048, layers=6),
                "base": _size(d_model=768, d_kv=64, num_heads=12, d_ff=3072, layers=12),
                "large": _size(d_model=1024, d_kv=64, num_heads=16, d_ff=4096, layers=24),
                "3b": _size(d_model=1024, d_kv=128, num_heads=32, d_ff=16384, layers=24),
                "11b": _size(d_model=1024, d_kv=128, num_heads=128, d_ff=65536, layers=24),
            }
        ),
        "v1.1": types.MappingProxyType(
            {
                "tiny": _size(d_model=32, d_kv=8, num_heads=4, d_ff=64, layers=2),
                "small": _size(d_model=512, d_kv=64, num_heads=6, d_ff=1024, layers=8),
                "base": _size(d_model=768, d_kv=64, num_heads=12, d_ff=2048, layers=12),
                "large": _size(d_model=1024, d_kv=64, num_heads=16, d_ff=2816, layers=24),
                "xl": _size(d_model=2048, d_kv=64, num_heads=32, d_ff=5120, layers=24),
                "xxl": _size(d_model=4096, d_kv=64, num_heads=64, d_ff=10240, layers=24),
            }
        ),
    }
)


def named(version: str, size: str, *, vocab_size: int, **changes: Any) -> T5Config:
    """Returns a published size: `named("v1.1", "small", vocab_size=32128, dropout_rate=0.0)`.

    `changes` replaces any other field of T5Config. Raises ConfigError on an unknown version, size or field.
    """
    if version not in SIZES:
        raise ConfigError(f"no T5 version {version!r}{nearest(version, SIZES)} (known: {', '.join(SIZES)})")
    if size not in SIZES[version]:
        known = SIZES[version]
        raise ConfigError(f"T5 {version} has no size {size!r}{nearest(size, known)} (known: {', '.join(known)})")
    return T5Config.from_dict({"version": version, "vocab_size": vocab_size, **SIZES[version][size], **changes})
