"""Makes folders of models as Hugging Face transformers reads them, and the logits that it computes with each.

Run by test_hugging_face_models.py in the environment of `make peers`:

    python make_hugging_face_models.py FOLDER TOKENS.npz

FOLDER gets a folder for each model, with config.json, safetensors and, unless t5music refuses it, logits.npy.
"""

import itertools
import json
import sys
from pathlib import Path

import numpy as np
import torch
import transformers
from safetensors.torch import save_file

BASE = {"vocab_size": 128, "d_model": 16, "d_kv": 4, "num_heads": 3, "d_ff": 24, "num_layers": 2}
BASE |= {"num_decoder_layers": 1, "decoder_start_token_id": 0}
MODELS = {"t5": transformers.T5ForConditionalGeneration, "mt5": transformers.MT5ForConditionalGeneration}
EMBEDDING, HEAD = "shared.weight", "lm_head.weight"
COPIES = ("encoder.embed_tokens.weight", "decoder.embed_tokens.weight", HEAD)
GATED, PLAIN = {"feed_forward_proj": "gated-gelu"}, {"feed_forward_proj": "relu"}


def weights_of(fields):
    """The float32 weights of a model of these fields, each array once."""
    torch.manual_seed(1)
    settings = {name: value for name, value in fields.items() if name not in ("model_type", "tie_encoder_decoder")}
    model_class = MODELS[fields["model_type"]]
    weights = model_class(model_class.config_class(**settings)).state_dict()
    generator = torch.Generator().manual_seed(2)  # large enough for a wrong bucket or activation to show
    return {
        name: torch.randn(value.shape, generator=generator) * (1.0 if name == EMBEDDING else 0.5)
        for name, value in weights.items()
        if name not in COPIES
    }


def combinations():
    """(name, fields, change of the weights): every version with every tie, scale and head."""
    for kind, projection, tie, scale, head in itertools.product(
        MODELS, ("relu", "gated-gelu"), (None, True, False), (None, True, False), (None, "same", "other")
    ):
        flags = {"tie_word_embeddings": tie, "scale_decoder_outputs": scale}
        fields = {"model_type": kind, "feed_forward_proj": projection}
        fields |= {name: flag for name, flag in flags.items() if flag is not None}

        def change(weights, head=head):
            table = weights[EMBEDDING]
            return weights if head is None else {**weights, HEAD: table.clone() if head == "same" else table.flip(0)}

        yield f"{kind} {projection} tie={tie} scale={scale} head={head}", fields, change


def renamed(old, new, **others):
    return lambda weights: {new if name == old else name: value for name, value in weights.items()} | others


def prefixed(weights):
    return {f"transformer.{name}": value for name, value in weights.items()} | {HEAD: weights[EMBEDDING].flip(0)}


def with_unread_table(weights):
    name = "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"
    return weights | {name: torch.zeros(32, BASE["num_heads"])}


def others():
    """(name, fields, change of the weights): what else files say, and have."""
    for kind in MODELS:
        yield f"{kind} by default", {"model_type": kind}, None
    for name, fields in {
        "gelu_new": {"feed_forward_proj": "gated-gelu_new"},
        "gelu_pytorch_tanh": {**GATED, "dense_act_fn": "gelu_pytorch_tanh"},
        "the activation by its own fields": {**PLAIN, "dense_act_fn": "gelu_new", "is_gated_act": True},
        "relu by its own fields": {**GATED, "dense_act_fn": "relu", "is_gated_act": False},
        "synonyms": {"hidden_size": 16, "num_attention_heads": 3, "num_hidden_layers": 2, "head_dim": 4},
        "as many layers": {"num_decoder_layers": None},
        "tied stacks": {**GATED, "tie_encoder_decoder": True},
        "few buckets": {"relative_attention_num_buckets": 8, "relative_attention_max_distance": 5},
        "many buckets": {**GATED, "relative_attention_num_buckets": 40, "relative_attention_max_distance": 777},
        "wide heads": {"d_kv": 32, "num_heads": 5},
        "no dropout": {"dropout_rate": 0.0},
    }.items():
        yield name, fields, None
    yield "prefix", GATED, prefixed
    for copy in COPIES:
        yield f"embedding as {copy}", PLAIN, renamed(EMBEDDING, copy)
    yield "unread table", PLAIN, with_unread_table
    # From here on our T5 has not what these have, or the file contradicts itself.
    for name, fields in {
        "refused: silu": {"feed_forward_proj": "gated-silu"},
        "refused: ungated gelu": {"feed_forward_proj": "gelu"},
        "refused: gated relu": {"feed_forward_proj": "gated-relu"},
        "refused: exact gelu": {**GATED, "dense_act_fn": "gelu"},
        "refused: epsilon": {"layer_norm_epsilon": 1e-5},
        "refused: odd buckets": {"relative_attention_num_buckets": 30},
        "refused: short distance": {"relative_attention_max_distance": 16},
        "refused: padding": {"pad_token_id": 3},
    }.items():
        yield name, fields, None
    yield "refused: layers too few", {"num_hidden_layers": 1}, None
    yield "refused: two embeddings", GATED, lambda weights: {**weights, COPIES[1]: weights[EMBEDDING].flip(0)}
    yield "refused: extra weight", GATED, lambda weights: {**weights, "adapter.weight": torch.zeros(2)}


def write_logits(path, fields, ids, targets):
    """Has transformers read a folder, in float32; writes its logits beside it and returns the model."""
    model = MODELS[fields["model_type"]].from_pretrained(path, dtype=torch.float32).eval()
    with torch.no_grad():
        logits = model(input_ids=ids, attention_mask=(ids != 0).long(), labels=targets).logits
    np.save(path / "logits.npy", logits.numpy())
    return model


def main(folder, tokens):
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    ids, targets = (torch.from_numpy(np.load(tokens)[name]) for name in ("inputs", "targets"))
    for name, fields, change in itertools.chain(combinations(), others()):
        fields = {"model_type": "t5", **BASE, **fields}
        fields = {field: value for field, value in fields.items() if value is not None}
        weights = (change or dict)(weights_of({k: v for k, v in fields.items() if k != "num_hidden_layers"}))
        path = folder / name
        path.mkdir(parents=True)
        (path / "config.json").write_text(json.dumps(fields))
        save_file(weights, path / "model.safetensors", metadata={"format": "pt"})
        if name.startswith("refused: "):
            continue
        model = write_logits(path, fields, ids, targets)
        if name in ("t5 gated-gelu tie=False scale=None head=other", "t5 relu tie=None scale=None head=None"):
            for dtype in (torch.float16, torch.bfloat16):  # saved by transformers itself, in several files
                saved = folder / f"{name} {dtype}"
                model.to(dtype).save_pretrained(saved, max_shard_size="8KB")
                model = write_logits(saved, fields, ids, targets)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
