"""Hugging Face's `T5ForConditionalGeneration.generate()`, greedy, in the environment that `make peers` fills.

    generation_peer.py WEIGHTS.npz CONFIG.json DEVICE DTYPE THREADS

WEIGHTS.npz holds the arrays by Hugging Face's names, CONFIG.json the arguments of its T5Config. Reads lines of JSON
{"prompts": int [batch, source], "new": tokens to write}, writes lines {"wall": seconds, "cpu": seconds, "tokens":
[batch, new]}.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
import torch
from transformers import GenerationConfig, T5Config, T5ForConditionalGeneration

weights, config, device, dtype, threads = sys.argv[1:]
torch.set_num_threads(int(threads))
model = T5ForConditionalGeneration(T5Config(**json.loads(Path(config).read_text()))).eval()
model.lm_head.weight = torch.nn.Parameter(torch.empty_like(model.lm_head.weight))  # v1.1 does not tie it
arrays = np.load(weights)
own = dict(model.named_parameters())  # names every shared tensor once
assert own.keys() == set(arrays), own.keys() ^ set(arrays)
with torch.no_grad():
    for name, tensor in own.items():
        tensor.copy_(torch.from_numpy(arrays[name]))
model = model.to(device, getattr(torch, dtype))

for line in sys.stdin:
    asked = json.loads(line)
    prompts = torch.tensor(asked["prompts"], device=device)
    # Without an EOS it neither stops nor looks whether to stop: greedy search has nothing else to leave out.
    how = GenerationConfig(
        max_new_tokens=asked["new"],
        do_sample=False,
        num_beams=1,
        use_cache=True,
        decoder_start_token_id=0,
        pad_token_id=0,
        eos_token_id=None,
    )
    wall, cpu = time.perf_counter(), time.process_time()
    with torch.inference_mode():
        written = model.generate(prompts, attention_mask=torch.ones_like(prompts), generation_config=how)
    tokens = written[:, 1:].tolist()  # waits for the device
    seconds = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
    print(json.dumps({**seconds, "tokens": tokens}), flush=True)
