"""Studies and records as the runner leaves them, with invented figures: nothing is trained."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from t5music.studies.grid import Axis, Cell, Column, Stage, Study
from t5music.studies.stage_folders import Record

COLUMNS = (
    Column("composer", "test", "pianist8_composer", "accuracy"),
    Column("continue", "test", "nottingham_continue", "bits_per_note"),
)
BASELINE, WORSE, LONG, UNTRAINED = "3", "10", "i.i.d. | one word", "no pre-training"
AXIS = Axis("mean span length", {BASELINE: 3, WORSE: 10, LONG: 1}, log=True)
SHIFTS = {BASELINE: 0.0, WORSE: -0.2, LONG: 0.05, UNTRAINED: -0.3}  # how much better than the baseline, roughly


def stages_of(setting: str, seed: int) -> dict[str, Stage]:
    """Pre-training (each setting's own, or none), fine-tuning, test."""
    pretrain = Stage("pretrain", "train", seed, (), configuration=f"train.task = {setting!r}\nSEED = {seed}")
    parents = () if setting == UNTRAINED else (pretrain,)
    finetune = Stage("finetune", "train", seed, parents, configuration=f"train.task = 'all <tasks>'\nSEED = {seed}")
    test = Stage("test", "evaluate", seed, (finetune,), configuration="evaluate.split = 'test'")
    return {**({"pretrain": pretrain} if parents else {}), "finetune": finetune, "test": test}


def study(
    settings: Sequence[str] = tuple(SHIFTS),
    seeds: Sequence[int] = (0, 1, 2),
    columns: tuple[Column, ...] = COLUMNS,
    axis: Axis | None = AXIS,
) -> Study:
    """A study of span lengths in which nothing has run."""
    return Study(
        name="spans",
        title="Mean length of the corrupted spans",
        seeds=tuple(sorted(seeds)),
        baseline=settings[0],
        settings=tuple(settings),
        cells=tuple(Cell(setting, seed, stages_of(setting, seed)) for seed in seeds for setting in settings),
        columns=columns,
        references={"majority class": {"composer": "test/pianist8_composer/majority_accuracy"}},
        literature={"a paper, 2021": {"composer": 78.57}},
        axis=axis,
    )


def results(better: float, seed: int, columns: Sequence[Column] = COLUMNS) -> dict[str, dict[str, float]]:
    """What a test finds: figures that differ a little from seed to seed."""
    noise = np.random.default_rng([seed, round(1000 * (better + 10))]).normal(size=len(columns))
    figures: dict[str, dict[str, float]] = {}
    for column, luck in zip(columns, noise.tolist(), strict=True):
        share, bits = 0.6 + 0.4 * better + 0.008 * luck, 6.4 * (1 - 0.3 * better) + 0.03 * luck
        value = share if column.higher_is_better else bits
        figures.setdefault(column.task, {})[column.metric] = value
        figures[column.task]["majority_accuracy"] = 0.2222
    return figures


def finished(study: Study, root: Path, shifts: Mapping[str, float] = SHIFTS) -> dict[str, Record]:
    """The records of a study that has run."""
    shift = {stage.fingerprint: shifts[cell.setting] for cell in study.cells for stage in cell.stages.values()}
    return {
        stage.fingerprint: Record(
            stage=stage,
            folder=root / stage.folder,
            status="finished",
            results={} if stage.kind == "train" else results(shift[stage.fingerprint], stage.seed, study.columns),
            seconds=60.0,
            positions=1e6 if stage.kind == "train" else 0.0,
            flops=2e12 if stage.kind == "train" else 0.0,
            git="0123456789ab-dirty",
            version="0.1.0",
        )
        for stage in study.stages()
    }


def write_metrics(records: Mapping[str, Record], steps: int = 300, every: int = 50) -> None:
    """Writes the metrics of all trainings into their folders."""
    for record in records.values():
        if record.stage.kind == "train" and record.status != "missing":
            luck = np.random.default_rng(int(record.stage.fingerprint, 16))
            low = 1.5 + luck.uniform(0, 0.4)
            lines = []
            for step in range(10, steps + 1, 10):
                line = {"step": step, "loss": low + 4 * math.exp(-step / 60) + luck.normal(0, 0.05)}
                if step % every == 0:
                    line["validation/loss"] = low + 0.1 + 4 * math.exp(-step / 60) + luck.normal(0, 0.02)
                lines.append(json.dumps(line) + "\n")
            record.folder.mkdir(parents=True)
            (record.folder / "metrics.jsonl").write_text("".join(lines))


def stop(records: dict[str, Record], setting: str, seed: int, states: Mapping[str, tuple[str, str]]) -> None:
    """Makes stages of a cell (name -> status and reason) what they are not, and what comes after them missing."""
    waits: set[str] = set()
    for name, stage in stages_of(setting, seed).items():
        if name in states or any(parent.fingerprint in waits for parent in stage.parents):
            status, reason = states.get(name, ("missing", ""))
            waits.add(stage.fingerprint)
            records[stage.fingerprint] = dataclasses.replace(
                records[stage.fingerprint], status=status, reason=reason, results={}
            )


def cells(markdown: str) -> dict[str, list[str]]:
    """Row name -> cells, of the first table in a text."""
    lines = markdown[markdown.index("|") :].partition("\n\n")[0].splitlines()
    split = [[cell.strip() for cell in line.replace("\\|", "¦").split("|")[1:-1]] for line in lines]
    return {line[0]: line[1:] for line in split}
