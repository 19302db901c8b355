"""T5Config: the shape and numerics of a T5, checked field by field, and the named sizes of the T5 papers.

A `T5Config` says everything `network.T5` needs and nothing about data or training. It is frozen and hashable, so it
rides along as static data under `jax.jit`, and it goes to JSON and back (`to_dict`, `from_dict`) with a checkpoint.
Its fields have the names of Hugging Face's T5Config where that has them (the stacks' depths have T5X's).
"""

from __future__ import annotations

import dataclasses
import reprlib
import types
from collections.abc import Mapping, Sequence
from typing import Any

from t5music.errors import ConfigError, nearest
from t5music.model.products import pay_in_bfloat16

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
# No float16: T5's activations overflow it.
DTYPES = AUTO, FLOAT32, BFLOAT16, BFLOAT16_PRODUCTS = ("auto", "float32", "bfloat16", "bfloat16_products")
NARROWEST = 128  # d_model from which bfloat16 products pay with "auto"
REMAT_POLICIES = ("none", "full", "dots")
ATTENTIONS = ("auto", "plain")

_CHOICES: Mapping[str, Sequence[str]] = {
    "version": VERSIONS,
    "architecture": ARCHITECTURES,
    "head": HEADS,
    "dtype": DTYPES,
    "remat_policy": REMAT_POLICIES,
    "attention": ATTENTIONS,
}
# Field -> the least and the greatest whole number it may be. T5's 11B (d_ff 65536) and mT5's vocabulary (250112) fit
# with room to spare; what is beyond is a slip, which would otherwise end as a failed allocation.
_BOUNDS: Mapping[str, tuple[int, int]] = {
    "vocab_size": (1, 2**24),
    "d_model": (1, 2**16),
    "d_kv": (1, 2**12),
    "num_heads": (1, 2**12),
    "d_ff": (1, 2**20),
    "num_encoder_layers": (0, 2**12),
    "num_decoder_layers": (0, 2**12),
    "num_labels": (0, 2**20),
    "adapter_dim": (0, 2**16),
    "position_period": (0, 2**16),
    "relative_attention_num_buckets": (4, 2**12),
    "relative_attention_max_distance": (3, 2**20),
}
_FLAGS = ("shared_layers", "scan_layers")
_OPTIONAL_FLAGS = ("tie_word_embeddings", "scale_decoder_outputs")


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
            logits from a matrix of their own).
        tie_word_embeddings: whether the logits come from the shared embedding; None as the version has it.
        scale_decoder_outputs: whether what the logits come from is multiplied by d_model^-1/2; None as the version has
            it. Only models from elsewhere differ from their version in these two: transformers 5 ties a new v1.1.
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
        position_period: rows of a table that is added to what the decoder reads, by position modulo this many; 0 for
            none, as T5 has it. For words whose place is their meaning: 64 tells the four voices and the sixteenths of a
            bar of satb apart, 16 those of a quarter (Huang et al. 2019 give the JSB chorales' timing likewise).
        dropout_rate: 0.1 in the T5 papers; 0.0 for v1.1 pre-training.
        relative_attention_num_buckets: rows of the relative position table.
        relative_attention_max_distance: distance from which all positions share the last bucket.
        dtype: what arrays and matrix products are in: "float32", "bfloat16" (for GPUs and TPUs), or
            "bfloat16_products", which rounds what products multiply and leaves all arrays in float32 (for CPUs). "auto"
            is the last where the processor has AMX and the model is no smaller than `NARROWEST`, float32 elsewhere.
            Parameters, norms, softmax and logits are always float32.
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
    tie_word_embeddings: bool | None = None
    scale_decoder_outputs: bool | None = None
    architecture: str = ENCODER_DECODER
    head: str = WORDS
    num_labels: int = 0
    shared_layers: bool = False
    adapter_dim: int = 0
    position_period: int = 0
    dropout_rate: float = 0.1
    relative_attention_num_buckets: int = 32
    relative_attention_max_distance: int = 128
    dtype: str = "float32"
    scan_layers: bool = False
    remat_policy: str = "none"
    attention: str = "auto"

    def __post_init__(self) -> None:
        self._validate()
        for name in _OPTIONAL_FLAGS:  # configs that mean the same are equal
            if getattr(self, name) == (self.version == "v1.0"):
                object.__setattr__(self, name, None)

    @property
    def gated(self) -> bool:
        """Whether the feed-forward layer is `gelu_tanh(wi_0) * wi_1` (v1.1) rather than `relu(wi)` (v1.0)."""
        return self.version == "v1.1"

    @property
    def tied(self) -> bool:
        """Whether the logits come from the shared embedding (v1.0) rather than a matrix of their own (v1.1)."""
        return self.version == "v1.0" if self.tie_word_embeddings is None else self.tie_word_embeddings

    @property
    def scaled(self) -> bool:
        """Whether what the logits come from is multiplied by d_model^-1/2 (v1.0)."""
        return self.version == "v1.0" if self.scale_decoder_outputs is None else self.scale_decoder_outputs

    @property
    def activations(self) -> str:
        """The type of the arrays between products."""
        return BFLOAT16 if self.dtype == BFLOAT16 else FLOAT32

    @property
    def products(self) -> str:
        """The type in which matrix products compute; of "auto", on this process's devices."""
        if self.dtype == AUTO:
            return BFLOAT16 if self.d_model >= NARROWEST and pay_in_bfloat16() else FLOAT32
        return FLOAT32 if self.dtype == FLOAT32 else BFLOAT16

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

    def _validate(self) -> None:
        """Raises ConfigError naming the first field whose value cannot be, or the fields that contradict each other."""
        for name, choices in _CHOICES.items():
            value = getattr(self, name)
            if not isinstance(value, str) or value not in choices:
                guess = nearest(value, choices) if isinstance(value, str) else ""
                raise ConfigError(f"T5Config.{name} must be one of {', '.join(choices)}, not {value!r}{guess}")
        for name, (least, greatest) in _BOUNDS.items():
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= greatest:
                raise ConfigError(
                    f"T5Config.{name} must be a whole number from {least} to {greatest:,}, not {_shown(value)}"
                )
        for name in (*_FLAGS, *_OPTIONAL_FLAGS):
            value = getattr(self, name)
            if not isinstance(value, bool) and not (value is None and name in _OPTIONAL_FLAGS):
                none = ", or None for the version's" if name in _OPTIONAL_FLAGS else ""
                raise ConfigError(f"T5Config.{name} must be True or False{none}, not {_shown(value)}")
        rate = self.dropout_rate
        if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 <= rate < 1:
            raise ConfigError(
                f"T5Config.dropout_rate must be a number from 0 up to, not including, 1, not {_shown(rate)}"
            )
        self._validate_stacks()
        self._validate_head()
        buckets, distance = self.relative_attention_num_buckets, self.relative_attention_max_distance
        if buckets % 4:  # halved for the direction, halved again for those of one distance each
            raise ConfigError(f"T5Config.relative_attention_num_buckets must be a multiple of 4, not {buckets}")
        if distance <= buckets // 2:
            raise ConfigError(
                "T5Config.relative_attention_max_distance must be more than half of relative_attention_num_buckets, "
                f"{buckets // 2}, not {distance}; or T5Config.relative_attention_num_buckets must be less: {buckets}"
            )

    def _validate_stacks(self) -> None:
        """Checks that the stacks are those of the architecture."""
        kind = f"a{'n' if self.encoder_only else ''} {self.architecture}"
        for stack, other, absent in (
            ("encoder", "decoder", self.decoder_only),
            ("decoder", "encoder", self.encoder_only),
        ):
            depth = getattr(self, f"num_{stack}_layers")
            if absent and depth:
                raise ConfigError(
                    f"T5Config.num_{stack}_layers must be 0 in {kind}, not {depth}: "
                    f"num_{other}_layers are all its layers"
                )
            if absent and self.shared_layers:
                raise ConfigError(f"T5Config.shared_layers must be False in {kind}: it has no {stack}")
            if not absent and not depth:
                raise ConfigError(f"T5Config.num_{stack}_layers must be at least 1 in {kind}, not 0")
        if self.encoder_only and self.position_period:
            raise ConfigError(
                f"T5Config.position_period must be 0 in {kind}, not {self.position_period}: it has no decoder"
            )
        if self.shared_layers and self.num_encoder_layers != self.num_decoder_layers:
            raise ConfigError(
                "T5Config.shared_layers needs num_encoder_layers and num_decoder_layers to be equal, "
                f"not {self.num_encoder_layers} and {self.num_decoder_layers}"
            )

    def _validate_head(self) -> None:
        """Checks that the head is one of the architecture, and that it has labels where it needs them."""
        if self.head == WORDS:
            if self.num_labels:
                raise ConfigError(f"T5Config.num_labels must be 0 with the head {WORDS!r}, not {self.num_labels}")
            return
        if not self.encoder_only:
            raise ConfigError(
                f"T5Config.head is {self.head!r}, a classifier's: the architecture must be {ENCODER!r}, "
                f"not {self.architecture!r}"
            )
        if self.num_labels < 2:
            raise ConfigError(
                f"T5Config.num_labels must be at least 2 with the head {self.head!r}, not {self.num_labels}"
            )

    def to_dict(self) -> dict[str, Any]:
        """Returns the fields as JSON values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> T5Config:
        """Returns the config `to_dict` wrote; ConfigError names an unknown or a missing field."""
        by_name = {field.name: field for field in dataclasses.fields(cls)}
        for name in fields:
            if name not in by_name:
                raise ConfigError(f"T5Config has no field {name!r}{nearest(name, by_name)}")
        for name, field in by_name.items():
            if field.default is dataclasses.MISSING and name not in fields:
                raise ConfigError(f"T5Config.{name} is missing")
        return cls(**fields)


def _shown(value: object) -> str:
    """A value as an error shows it, however long it is."""
    if type(value) is int:
        return f"{value:,}" if value.bit_length() < 100 else f"a number of {value.bit_length()} bits"
    return reprlib.repr(value)


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
        sizes = SIZES[version]
        raise ConfigError(f"T5 {version} has no size {size!r}{nearest(size, sizes)} (known: {', '.join(sizes)})")
    return T5Config.from_dict({"version": version, "vocab_size": vocab_size, **SIZES[version][size], **changes})
