"""Cost of the training step against size: tokens a second and memory, by model, length, batch and rematerialisation.

    python tests/benchmarks/scaling.py --results scaling.json [--threads 2]

Every cell of the tables is a process of its own and is written to the file when it is done; started again, the command
goes on with the cells that the file lacks. T5 v1.1 in float32, inputs of a length and targets of a quarter of it,
Adafactor. Memory is the most that the process held in its steps, after compiling; of several steps the fastest counts.
On a machine with other work, take `--threads 1` and the processor's seconds, which do not count what others take.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from common import table

ROWS = 2304
Cell = dict[str, Any]  # "size", "batch", "length", "remat"


def cells() -> list[Cell]:
    """All cells: three sizes, then small by length and by batch, with and without rematerialisation."""
    found = [{"size": size, "batch": 4, "length": 512, "remat": "none"} for size in ("tiny", "small", "base")]
    for remat in ("none", "full", "dots"):
        found += [{"size": "small", "batch": 1, "length": 256 * 2**i, "remat": remat} for i in range(5)]
        found += [{"size": "small", "batch": 2**i, "length": 256, "remat": remat} for i in range(1, 5)]
    return found


def key(cell: Cell) -> str:
    """The cell's name in the file."""
    return " ".join(str(value) for value in cell.values())


def peak_memory(reset: bool = False) -> int:
    """Bytes this process held at most, where the system can say since the last reset."""
    try:
        if reset:
            Path("/proc/self/clear_refs").write_text("5")
        status = Path("/proc/self/status").read_text()
        return 1024 * int(status.split("VmHWM:")[1].split()[0])
    except (OSError, IndexError):
        return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def run(cell: Cell, rows: int = ROWS, steps: int = 3) -> dict[str, float]:
    """Measures one cell in this process: seconds of the first step, of a step, of the processor; bytes at most."""
    import jax
    from training import ours, random_batch

    from t5music.model import parameters
    from t5music.model.config import named

    config = named("v1.1", cell["size"], vocab_size=rows, dropout_rate=0.0, remat_policy=cell["remat"])
    _, params = parameters.initialise(config, jax.random.key(0))
    batch = random_batch(rows, cell["batch"], cell["length"], cell["length"] // 4)
    start = time.perf_counter()
    train = ours(config, *batch, params)
    del params
    train(1)
    compiled = time.perf_counter() - start
    peak_memory(reset=True)
    done = train(steps)
    return {"compile": compiled, "seconds": min(done["seconds"]), "cpu": min(done["cpu"]), "bytes": peak_memory()}


def line(cell: Cell, found: Mapping[str, float]) -> list[str]:
    """A line of the table."""
    tokens = cell["batch"] * (cell["length"] + cell["length"] // 4)
    return [
        f"{cell['size']}, {cell['batch']} x ({cell['length']} + {cell['length'] // 4}), remat {cell['remat']}",
        f"{found['seconds']:.2f}",
        f"{tokens / found['seconds']:,.0f}",
        f"{found['cpu']:.2f}",
        f"{tokens / found['cpu']:,.0f}",
        f"{found['bytes'] / 2**30:.2f}",
        f"{found['compile']:.0f}",
    ]


HEAD = ("T5 v1.1, batch x (inputs + targets)", "s a step", "tokens/s", "CPU s", "tokens/CPU s", "GiB", "first step, s")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, required=True, help="JSON file of the cells that are done")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--cell", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.cell:
        print(json.dumps(run(json.loads(options.cell))))
        return
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-options.threads :])
    done: dict[str, Any] = json.loads(options.results.read_text()) if options.results.is_file() else {}
    wanted = cells()
    for number, cell in enumerate(wanted):
        if key(cell) in done:
            continue
        print(f"{number + 1} of {len(wanted)}: {key(cell)}", file=sys.stderr, flush=True)
        command = [sys.executable, __file__, "--results", str(options.results), "--cell", json.dumps(cell)]
        said = subprocess.run(command, stdout=subprocess.PIPE, text=True)
        # A cell that did not fit is left out of the table, and tried again the next time.
        if said.returncode == 0:
            done[key(cell)] = json.loads(said.stdout.splitlines()[-1])
            unfinished = options.results.with_suffix(".part")
            unfinished.write_text(json.dumps(done, indent=1))
            unfinished.replace(options.results)
    print(table(HEAD, [line(cell, done[key(cell)]) for cell in wanted if key(cell) in done]))


if __name__ == "__main__":
    main()
