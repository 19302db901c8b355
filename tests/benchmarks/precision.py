"""Losses with products in bfloat16 (dtype "auto") against those in float32, over a training of the quickstart.

    python tests/benchmarks/precision.py [--steps 300] [--data_dir FOLDER]

Both trainings see the same batches from the same weights. Single losses part where the rate is high, as they do after
any change of rounding; so means of 20 steps are compared, the mean of all steps, and validation after the last one.
Wanted: the mean over 300 steps within 0.5 % of float32's. Measured on two cores of an Intel Xeon with AMX: README.md.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

WINDOW = 20


def train(dtype: str, steps: int, folder: Path, arguments: list[str]) -> tuple[np.ndarray, float]:
    """Trains, and returns the loss of each step [steps] and the validation loss after the last one."""
    settings = {"T5Config.dtype": repr(dtype), "TRAIN_STEPS": steps, "Records.log_period": 1, "Records.samples": 0}
    command = [sys.executable, "-m", "t5music", "train", "--gin_file=quickstart/pretrain.gin"]
    command += [f"--gin.{name}={value}" for name, value in settings.items()]
    subprocess.run([*command, "--model_dir", str(folder / dtype), *arguments], check=True)
    lines = [json.loads(line) for line in (folder / dtype / "metrics.jsonl").read_text().splitlines()]
    losses = [line["loss"] for line in lines if "loss" in line]
    return np.array(losses), next(line["validation/loss"] for line in reversed(lines) if "validation/loss" in line)


def main() -> None:
    """Trains twice and prints how far the losses are apart, in per cent."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--data_dir")
    flags = parser.parse_args()
    arguments = ["--data_dir", flags.data_dir] if flags.data_dir else []
    with tempfile.TemporaryDirectory() as folder:
        (plain, plain_end), (auto, auto_end) = (
            train(dtype, flags.steps, Path(folder), arguments) for dtype in ("float32", "auto")
        )
    windows = [losses[: len(losses) // WINDOW * WINDOW].reshape(-1, WINDOW).mean(axis=1) for losses in (plain, auto)]
    apart = 100 * (windows[1] / windows[0] - 1)
    print(f"means of {WINDOW} steps: {', '.join(f'{each:+.2f}' for each in apart)} %")
    print(f"mean of all {len(plain)} steps: {100 * (auto.mean() / plain.mean() - 1):+.2f} %")
    print(f"validation after the last: {100 * (auto_end / plain_end - 1):+.2f} %")


if __name__ == "__main__":
    main()
