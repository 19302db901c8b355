"""The training step of Hugging Face's PyTorch T5, in the environment that `make peers` fills.

    training_peer.py FOLDER       # as written by `training.write_job`: job.json, weights.npz, batch.npz

Reads lines of JSON numbers of steps, writes for each a line {"seconds": [...], "cpu": [...], "losses": [...]}: every
step's time, its processor time, and its loss before the update (mean over target tokens). The model goes on learning
from line to line.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
import torch
from transformers import T5Config, T5ForConditionalGeneration
from transformers.optimization import Adafactor


def build(folder: Path, job: dict) -> tuple[torch.nn.Module, dict[str, torch.Tensor]]:
    """The model with the job's weights, in training mode, and the batch."""
    model = T5ForConditionalGeneration._from_config(
        T5Config(**job["config"], decoder_start_token_id=0), attn_implementation=job["attention"]
    )
    # transformers 5 ties the head of v1.1 to the embedding whatever its config says.
    model.lm_head.weight = torch.nn.Parameter(model.lm_head.weight.detach().clone())
    with np.load(folder / "weights.npz") as weights:
        state = {name: torch.from_numpy(weights[name]) for name in weights.files}
    unknown = model.load_state_dict(state, strict=False)
    # Copies of the shared embedding, and nothing else, are not in the file.
    assert not unknown.unexpected_keys
    assert all(name.endswith("embed_tokens.weight") for name in unknown.missing_keys)
    with np.load(folder / "batch.npz") as arrays:
        batch = {name: torch.from_numpy(arrays[name].astype(np.int64)).to(job["device"]) for name in arrays.files}
    return model.to(job["device"]).train(), batch


def main() -> None:
    folder = Path(sys.argv[1])
    job = json.loads((folder / "job.json").read_text())
    torch.set_num_threads(job["cores"])
    torch.manual_seed(0)
    model, batch = build(folder, job)
    # The numbers of T5's Adafactor. torch.optim.Adafactor learns the same and takes twice the time.
    update = Adafactor(model.parameters(), lr=job["rate"], scale_parameter=True, relative_step=False)
    forward = torch.compile(model) if job["compile"] else model

    def step() -> float:
        with torch.autocast(job["device"], dtype=torch.bfloat16, enabled=job["bfloat16"]):
            loss = forward(**batch).loss
        loss.backward()
        update.step()
        update.zero_grad(set_to_none=True)
        return loss.item()

    for line in sys.stdin:
        seconds, cpu, losses = [], [], []
        for _ in range(json.loads(line)):
            start, start_cpu = time.perf_counter(), time.process_time()
            losses.append(step())
            seconds.append(time.perf_counter() - start)
            cpu.append(time.process_time() - start_cpu)
        print(json.dumps({"seconds": seconds, "cpu": cpu, "losses": losses}), flush=True)


main()
