"""Stage folders: the status, results, cost and provenance of each stage, in its stage.json.

    <studies>/runs/finetune-0123456789abcdef/
        stage.json                written and read by this module
        checkpoints/ ...          the run itself, where the stage trains

Reports are made from these folders and from nothing else.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import platform
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import jax

import t5music
from t5music import files, locks
from t5music.errors import DataError
from t5music.studies.grid import Stage, Study
from t5music.training.metric_writers import TIMING_FILE, read_metrics

STAGE_FILE = "stage.json"

Results = dict[str, dict[str, float]]  # task -> metric -> figure


@dataclasses.dataclass(frozen=True)
class Record:
    """The state of a stage.

    Attributes:
        stage: the stage.
        folder: its folder, whether or not that exists.
        status: "finished"; "failed", if it or a stage it needs failed; "running", in some process; "missing".
        reason: why it failed; '' otherwise.
        results: task -> metric -> figure; {} for a stage that trains and for one that is not finished.
        seconds: the time it took, without interruptions.
        positions: tokens that a stage that trains has seen, inputs and targets, without padding.
        flops: floating point operations of its training steps (`training.cost.flops`).
        git: the commit of the code's checkout, '' where there is none.
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
    """Reads a folder's stage.json.

    Returns:
        Its content; {} where there is no such file.

    Raises:
        DataError: the file is damaged.
    """
    path = folder / STAGE_FILE
    if not path.is_file():
        return {}
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read ({error}): remove {folder} and run the study again") from error


def write(folder: Path, document: dict[str, Any]) -> None:
    """Writes a folder's stage.json."""
    files.write_text(folder / STAGE_FILE, json.dumps(document, indent=2, ensure_ascii=False) + "\n")


def begin(stage: Stage, folder: Path) -> dict[str, Any]:
    """The stage.json of a stage that begins or goes on: its definition, the code and machine, and the time so far."""
    earlier = read(folder)
    timing = earlier.get("timing") if earlier.get("machine") == machine() else None
    return {
        "name": stage.name,
        "kind": stage.kind,
        "fingerprint": stage.fingerprint,
        "shape": stage.shape,
        "seed": stage.seed,
        "after": [parent.folder for parent in stage.parents],
        "gin_files": list(stage.files),
        "gin_bindings": list(stage.bindings),
        "configuration": stage.configuration,
        "status": "begun",
        "attempt": earlier.get("attempt", 0) + 1,
        "seconds": earlier.get("seconds", 0.0),
        "git": git_state(),
        "version": t5music.__version__,
        "machine": machine(),
        **({} if timing is None else {"timing": timing}),
    }


def collect(study: Study, folders: Iterable[Path]) -> dict[str, Record]:
    """The record of every stage of a study, by fingerprint.

    Args:
        study: the study.
        folders: folders that hold the folders of stages. If several hold the same stage, the first finished one counts.

    Raises:
        DataError: a stage.json is damaged.
    """
    documents: dict[str, tuple[Path, dict[str, Any]]] = {}  # fingerprint -> folder and content of its stage.json
    fingerprints = {stage.fingerprint for stage in study.stages()}
    roots = list(folders)
    for root in roots:
        for path in sorted(root.glob(f"*/{STAGE_FILE}")):
            document = read(path.parent)
            name = document.get("fingerprint")
            if name in fingerprints and (name not in documents or documents[name][1]["status"] != "finished"):
                documents[name] = path.parent, document
    records: dict[str, Record] = {}
    for stage in study.stages():
        folder, document = documents.get(stage.fingerprint, (roots[0] / stage.folder, {}))
        record = _record(stage, folder, document)
        parents = [records[parent.fingerprint] for parent in stage.parents]
        failed = next((parent for parent in parents if parent.status == "failed"), None)
        if record.status == "missing" and failed is not None:
            record = dataclasses.replace(record, status="failed", reason=f"{failed.stage.name}: {failed.reason}")
        records[stage.fingerprint] = record
    return records


def _record(stage: Stage, folder: Path, document: dict[str, Any]) -> Record:
    """A stage's record from the content of its stage.json."""
    status = document.get("status", "missing")
    if status not in ("finished", "failed"):
        status = "running" if document and locks.holder(folder / locks.FILE) else "missing"
    tokens, flops = cost(folder)
    return Record(
        stage=stage,
        folder=folder,
        status=status,
        reason=document.get("reason", ""),
        results=document.get("results", {}) if status == "finished" else {},
        seconds=document.get("seconds", 0.0),
        positions=tokens,
        flops=flops,
        git=document.get("git", ""),
        version=document.get("version", ""),
    )


def cost(folder: Path) -> tuple[float, float]:
    """The cost of the run in a folder, from its timing.jsonl.

    The lines of that file hold speeds. The cost of a step is rounded, so that dividing the time out again leaves no
    rounding error.

    Returns:
        (tokens seen, floating point operations); (0, 0) where there is no line.
    """
    path = folder / TIMING_FILE
    lines = read_metrics(path) if path.is_file() else []
    tokens = flops = 0.0
    last_step = 0
    for line in lines:
        steps = line["step"] - last_step
        last_step = line["step"]
        tokens += steps * round(line["tokens_per_second"] / line["steps_per_second"], 3)
        flops += steps * round(line.get("flops_per_second", 0.0) / line["steps_per_second"])
    return tokens, flops


# ---------------------------------------------------------------------------------------------------------- provenance


@functools.cache
def git_state() -> str:
    """The commit of the checkout that t5music runs from, with "-dirty" if files changed; '' outside a checkout."""
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
    """The devices, cores and versions, on which figures may depend."""
    return {
        "devices": f"{jax.device_count()} x {jax.devices()[0].device_kind}",
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "jax": jax.__version__,
    }
