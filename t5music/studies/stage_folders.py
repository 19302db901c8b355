"""What a stage's folder says of it: whether it is done, what it found, what it cost, and what made it.

    <studies>/runs/finetune-0123456789abcdef/
        stage.json                what this module writes and reads
        checkpoints/ ...          the run itself, where the stage trains

A table is made of these folders and of nothing else.
"""

from __future__ import annotations

import dataclasses
import fcntl
import functools
import json
import os
import platform
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax

import t5music
from t5music import files
from t5music.errors import DataError
from t5music.studies.grid import Stage, Study
from t5music.training.metric_writers import TIMING_FILE, read_metrics

STAGE_FILE = "stage.json"
LOCK_FILE = ".lock"

Results = dict[str, dict[str, float]]  # task -> metric -> figure


@dataclasses.dataclass(frozen=True)
class Record:
    """What is known of a stage.

    Attributes:
        stage: the stage.
        folder: where it is, or would be.
        status: "finished"; "failed", itself or a stage it needs; "running" in some process; "missing".
        reason: why it failed; '' otherwise.
        results: what it found, {} for a stage that trains and for one that is not finished.
        seconds: it took, without interruptions.
        positions: tokens that a stage that trains has seen, inputs and targets, without padding.
        flops: floating point operations of its steps (`training.flops`).
        git: the state of the code's checkout, '' where there is none.
        version: of t5music.
    """

    stage: Stage
    folder: Path
    status: str
    reason: str = ""
    results: Results = dataclasses.field(default_factory=dict)
    seconds: float = 0.0
    positions: float = 0.0
    flops: float = 0.0
    git: str = ""
    version: str = ""


def read(folder: Path) -> dict[str, Any]:
    """What a stage's folder says, {} where there is none. Raises DataError for a damaged file."""
    path = folder / STAGE_FILE
    if not path.is_file():
        return {}
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read ({error}): remove {folder} and run the study again") from error


def write(folder: Path, said: dict[str, Any]) -> None:
    """Writes what a stage's folder says of it."""
    files.write_text(folder / STAGE_FILE, json.dumps(said, indent=2, ensure_ascii=False) + "\n")


def begin(stage: Stage, folder: Path) -> dict[str, Any]:
    """What is said of a stage that begins, or goes on: what made it, and the time it took so far."""
    return {
        "name": stage.name,
        "kind": stage.kind,
        "fingerprint": stage.fingerprint,
        "seed": stage.seed,
        "after": [parent.folder for parent in stage.parents],
        "gin_files": list(stage.files),
        "gin_bindings": list(stage.bindings),
        "configuration": stage.configuration,
        "status": "begun",
        "seconds": read(folder).get("seconds", 0.0),
        "git": git_state(),
        "version": t5music.__version__,
        "machine": machine(),
    }


def collect(study: Study, folders: Iterable[Path]) -> dict[str, Record]:
    """The record of every stage of a study, by fingerprint.

    Args:
        study: the study.
        folders: where stages are looked for: in each, folders that hold a stage. The first finished one counts.

    Raises DataError for a damaged file.
    """
    found: dict[str, tuple[Path, dict[str, Any]]] = {}
    wanted = {stage.fingerprint for stage in study.stages()}
    roots = list(folders)
    for root in roots:
        for path in sorted(root.glob(f"*/{STAGE_FILE}")):
            said = read(path.parent)
            own = said.get("fingerprint")
            if own in wanted and (own not in found or found[own][1]["status"] != "finished"):
                found[own] = path.parent, said
    records: dict[str, Record] = {}
    for stage in study.stages():
        folder, said = found.get(stage.fingerprint, (roots[0] / stage.folder, {}))
        record = _record(stage, folder, said)
        broken = next(
            (records[p.fingerprint] for p in stage.parents if records[p.fingerprint].status == "failed"), None
        )
        if record.status == "missing" and broken is not None:
            record = dataclasses.replace(record, status="failed", reason=f"{broken.stage.name}: {broken.reason}")
        records[stage.fingerprint] = record
    return records


def _record(stage: Stage, folder: Path, said: dict[str, Any]) -> Record:
    status = said.get("status", "missing")
    if status not in ("finished", "failed"):
        status = "running" if said and is_locked(folder) else "missing"
    tokens, flops = cost(folder)
    return Record(
        stage=stage,
        folder=folder,
        status=status,
        reason=said.get("reason", ""),
        results=said.get("results", {}) if status == "finished" else {},
        seconds=said.get("seconds", 0.0),
        positions=tokens,
        flops=flops,
        git=said.get("git", ""),
        version=said.get("version", ""),
    )


def cost(folder: Path) -> tuple[float, float]:
    """(tokens seen, floating point operations) of the run in a folder by its clock's lines; (0, 0) without any.

    The lines hold speeds. What a step cost is rounded, so that the time that is divided out again leaves no trace.
    """
    path = folder / TIMING_FILE
    lines = read_metrics(path) if path.is_file() else []
    tokens = flops = 0.0
    before = 0
    for line in lines:
        steps = line["step"] - before
        before = line["step"]
        tokens += steps * round(line["tokens_per_second"] / line["steps_per_second"], 3)
        flops += steps * round(line.get("flops_per_second", 0.0) / line["steps_per_second"])
    return tokens, flops


# -------------------------------------------------------------------------------------------------------- one at a time


@contextmanager
def lock(folder: Path) -> Iterator[bool]:
    """Takes a stage for this process; yields False where another one has it. A process that ends gives it back."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / LOCK_FILE, "a") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
            return
        yield True


def is_locked(folder: Path) -> bool:
    """Whether a process is at work on a stage."""
    path = folder / LOCK_FILE
    if not path.is_file():
        return False
    with open(path) as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


# --------------------------------------------------------------------------------------------------------- what made it


@functools.cache
def git_state() -> str:
    """The commit of the checkout that t5music runs from, with "-dirty" after it where it was changed; '' elsewhere."""
    root = Path(t5music.__file__).resolve().parents[1]
    if not (root / ".git").exists():
        return ""
    try:
        command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


@functools.cache
def machine() -> dict[str, Any]:
    """What figures may depend on: devices, cores, versions."""
    return {
        "devices": f"{jax.device_count()} x {jax.devices()[0].device_kind}",
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "jax": jax.__version__,
    }
