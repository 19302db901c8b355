"""Makes t5_decoder_only_v1.0.npz, t5_decoder_only_v1.1.npz and t5_architecture_counts.json from Hugging Face's T5.

Its decoder stack, run without an encoder's output, leaves out the attention to it: that is the decoder-only language
model, with causal buckets. Given a mask of its own making, and an encoder's buckets, it is the prefix LM. The weights
are those of the models of make_t5_golden, so a test can draw them too. Run it in the peers' environment (`make peers`),
from the root:

    peers/bin/python tests/golden/make_t5_architectures.py
"""

import json

import numpy as np
from make_t5_golden import FOLDER, ROWS, SEEDS, SHAPE, SIZES, build, load

LENGTH, EVERY = 160, 9  # distances beyond the last bucket; logits of every ninth position are kept
PREFIXES = (100, 1, 30)  # positions that see each other, in each row


def sequences(seed):
    """Returns decoder inputs [3, LENGTH] behind the start token, and 1 where the prefix is."""
    random = np.random.RandomState(seed)
    tokens = random.randint(2, ROWS, (len(PREFIXES), LENGTH))
    tokens[:, 0] = 0
    prefix = np.arange(LENGTH) < np.array(PREFIXES)[:, None]
    return tokens.astype(np.int32), prefix.astype(np.int32)


def logits(model, tokens, visible, *, tied):
    """Returns the logits of every ninth position; `visible` is bool [batch, queries, keys]."""
    import torch

    mask = torch.zeros(visible.shape).masked_fill(torch.from_numpy(~visible), torch.finfo(torch.float32).min)
    with torch.no_grad():
        x = model.decoder(torch.from_numpy(tokens.astype(np.int64)), attention_mask=mask[:, None], use_cache=False)[0]
        if tied:
            x = x * model.config.d_model**-0.5
        return model.lm_head(x)[:, ::EVERY].numpy()


def make_logits(version, seed):
    model = build(version, **SHAPE)
    load(model, seed)
    tokens, prefix = sequences(seed)
    causal = np.broadcast_to(np.tril(np.ones((LENGTH, LENGTH), bool)), (len(tokens), LENGTH, LENGTH))
    both = (prefix[:, :, None] & prefix[:, None, :]).astype(bool)
    results = {"language_model": logits(model, tokens, causal, tied=version == "v1.0")}
    model.decoder.block[0].layer[0].SelfAttention.is_decoder = False  # which says how positions are sorted
    results["prefix_lm"] = logits(model, tokens, causal | both, tied=version == "v1.0")
    path = FOLDER / f"t5_decoder_only_{version}.npz"
    np.savez_compressed(path, tokens=tokens, prefix=prefix, every=EVERY, **results)


def counts(version, size):
    """Returns architecture -> parameters of a published size, with T5's 32,128 rows of text vocabulary."""
    import torch

    def sizes_of(layers):
        d_model, d_ff, heads, _, d_kv = SIZES[version][size]
        with torch.device("meta"):
            model = build(version, 32128, d_model=d_model, d_ff=d_ff, num_heads=heads, num_layers=layers, d_kv=d_kv)
        return {name: p.numel() for name, p in model.named_parameters()}

    layers = SIZES[version][size][3]
    whole, half = sizes_of(layers), sizes_of(layers // 2)
    decoder = {name: count for name, count in whole.items() if not name.startswith("encoder.")}
    alone = {name: count for name, count in decoder.items() if ".layer.1." not in name}  # attention to the encoder
    return {
        "encoder_decoder": sum(whole.values()),
        "shared": sum(decoder.values()),
        "half": sum(half.values()),
        "decoder_only": sum(alone.values()),
    }


def main():
    for version, seed in SEEDS.items():
        make_logits(version, seed)
    table = {version: {size: counts(version, size) for size in sizes} for version, sizes in SIZES.items()}
    (FOLDER / "t5_architecture_counts.json").write_text(json.dumps(table, indent=2) + "\n")


if __name__ == "__main__":
    main()
