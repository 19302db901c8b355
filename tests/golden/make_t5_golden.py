"""Makes t5_v1.0.npz, t5_v1.1.npz and t5_counts.json from the PyTorch T5 of Hugging Face transformers.

Run it in the peers' environment (`make peers`), from the repository's root:

    peers/bin/python tests/golden/make_t5_golden.py

The weights are drawn by `fill`, which the tests call too, so the files hold inputs and results only. Made with torch
2.13.0 and transformers 5.23.0, which tie v1.1's head to the embedding unless it is replaced (`untie`).
"""

import json
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).parent
SEEDS = {"v1.0": 112, "v1.1": 17}  # chosen so that one row writes EOS before the others and no choice is close
ROWS, SOURCE, TARGET, WRITTEN = 128, 160, 40, 24  # distances beyond the last bucket in the encoder, many in the decoder
SHAPE = {"d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 2, "num_decoder_layers": 3, "num_heads": 3}

SIZES = {  # d_model, d_ff, heads, layers, d_kv: Hugging Face's own config files of these checkpoints
    "v1.0": {
        "small": (512, 2048, 8, 6, 64),
        "base": (768, 3072, 12, 12, 64),
        "large": (1024, 4096, 16, 24, 64),
        "3b": (1024, 16384, 32, 24, 128),
        "11b": (1024, 65536, 128, 24, 128),
    },
    "v1.1": {
        "small": (512, 1024, 6, 8, 64),
        "base": (768, 2048, 12, 12, 64),
        "large": (1024, 2816, 16, 24, 64),
        "xl": (2048, 5120, 32, 24, 64),
        "xxl": (4096, 10240, 64, 24, 64),
    },
}


def fill(shapes, seed):
    """Returns name -> float32 array, drawn in the order of the sorted names."""
    random = np.random.RandomState(seed)
    weights = {}
    for name in sorted(shapes):
        draw = random.standard_normal(shapes[name]).astype(np.float32)
        if "layer_norm" in name:
            draw = 1 + 0.1 * draw
        elif "relative_attention_bias" not in name:
            # Strong layers beside the embedding, so that greedy writing does not repeat itself; a weaker query, as
            # T5's own, for a softmax that does not magnify rounding.
            draw = (0.1 if name.endswith(".q.weight") else 0.3) * draw
        weights[name] = draw.astype(np.float32)
    return weights


def batch(seed):
    """Returns encoder tokens [3, SOURCE] and targets [3, TARGET] with padding after rows of different lengths."""
    random = np.random.RandomState(seed)
    encoder = random.randint(2, ROWS, (3, SOURCE))
    targets = random.randint(2, ROWS, (3, TARGET))
    for row, (source, target) in enumerate([(SOURCE, TARGET - 5), (97, TARGET), (5, 9)]):
        encoder[row, source - 1], encoder[row, source:] = 1, 0
        targets[row, target - 1], targets[row, target:] = 1, 0
    return encoder.astype(np.int32), targets.astype(np.int32)


def build(version, vocabulary=ROWS, **shape):
    """Returns a Hugging Face T5 of the version with untied weights where v1.1 has them."""
    import torch
    from transformers import T5Config, T5ForConditionalGeneration

    gated = version == "v1.1"
    config = T5Config(
        vocab_size=vocabulary,
        feed_forward_proj="gated-gelu" if gated else "relu",
        tie_word_embeddings=not gated,
        decoder_start_token_id=0,
        **shape,
    )
    model = T5ForConditionalGeneration(config).eval()
    if gated:
        model.lm_head.weight = torch.nn.Parameter(torch.empty_like(model.lm_head.weight))
    return model


def load(model, seed):
    """Fills a model with `fill`'s weights, one for each tensor that is not a tied copy."""
    import torch

    tensors = dict(model.named_parameters())  # names every shared tensor once
    weights = fill({name: tuple(tensor.shape) for name, tensor in tensors.items()}, seed)
    with torch.no_grad():
        for name, tensor in tensors.items():
            tensor.copy_(torch.from_numpy(weights[name]))


def run(model, encoder, targets):
    """Returns logits, mean loss over target tokens and a greedy generation of `WRITTEN` tokens, with its margins."""
    import torch

    mask = torch.from_numpy((encoder != 0).astype(np.int64))
    tokens = torch.from_numpy(encoder.astype(np.int64))
    labels = torch.from_numpy(np.where(targets == 0, -100, targets).astype(np.int64))
    with torch.no_grad():
        out = model(input_ids=tokens, attention_mask=mask, labels=labels)
        written = model.generate(
            input_ids=tokens,
            attention_mask=mask,
            max_new_tokens=WRITTEN,
            do_sample=False,
            use_cache=False,  # its cache counts the encoder's layers
            output_scores=True,
            return_dict_in_generate=True,
        )
    greedy = written.sequences[:, 1:].numpy().astype(np.int32)
    greedy = np.pad(greedy, ((0, 0), (0, WRITTEN - greedy.shape[1])))
    two = torch.stack(written.scores, 1).topk(2).values.numpy()  # [batch, written, 2]
    margins = np.where(greedy[:, : two.shape[1]] == 0, np.inf, two[..., 0] - two[..., 1])
    return out.logits.numpy(), float(out.loss), greedy, float(margins.min())


def main():
    import torch

    for version, seed in SEEDS.items():
        model = build(version, **SHAPE)
        load(model, seed)
        encoder, targets = batch(seed)
        logits, loss, greedy, margin = run(model, encoder, targets)
        ends = [int(np.argmax(row == 1)) if 1 in row else None for row in greedy]
        print(f"{version}: loss {loss:.6f}, smallest greedy margin {margin:.4f}, EOS at {ends}")
        assert margin > 1e-3, "two tokens are too close to call: choose another seed"
        np.savez_compressed(
            FOLDER / f"t5_{version}.npz", encoder=encoder, targets=targets, logits=logits, loss=loss, greedy=greedy
        )

    counts = {}
    for version, sizes in SIZES.items():
        for size, (d_model, d_ff, heads, layers, d_kv) in sizes.items():
            with torch.device("meta"):
                model = build(version, 32128, d_model=d_model, d_ff=d_ff, num_heads=heads, num_layers=layers, d_kv=d_kv)
            counts.setdefault(version, {})[size] = sum(p.numel() for p in model.parameters())
    (FOLDER / "t5_counts.json").write_text(json.dumps(counts, indent=2) + "\n")
    print(counts)


if __name__ == "__main__":
    main()
