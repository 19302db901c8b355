"""Follow: every checkpoint of a run evaluated as it appears."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from t5music.errors import CheckpointError
from t5music.evaluation.evaluator import Evaluator
from t5music.evaluation.results import Results, show
from t5music.storage import path_of
from t5music.training.checkpoints.layout import steps_of
from t5music.training.checkpoints.selection import folder_of_steps
from t5music.training.loop import FINISHED_FILE
from t5music.training.metric_writers import METRICS_FILE, MetricWriter, read_metrics

POLL_SECONDS = 2.0

DELETION_SECONDS = 10.0  # a checkpoint that cannot be read may be one that its run is deleting


def follow(evaluator: Evaluator, model_dir: str | Path, name: str, *, idle_minutes: float | None = None) -> Results:
    """Evaluates every checkpoint of a run in order, those there are and those to come, until the run is finished.

    Metrics go to MODEL_DIR/eval_<split>/<name>/, as the run's own go to MODEL_DIR; called again it goes on after the
    last step in there. A checkpoint that its run deletes before or while it is read is passed over.

    Args:
        evaluator: on what.
        model_dir: the run; it need not have begun.
        name: of the task or mixture.
        idle_minutes: stop when there has been no new checkpoint for so long; None waits for ever.

    Returns:
        The last metrics, {} where nothing was evaluated.
    """
    folder = path_of(model_dir) / f"eval_{evaluator.split}" / name
    path = folder / METRICS_FILE
    done = max((line["step"] for line in read_metrics(path)), default=0) if path.is_file() else 0
    writer = MetricWriter(folder, resume_step=done)
    results: Results = {}
    waiting_since = time.monotonic()
    try:
        while True:
            finished = (path_of(model_dir) / FINISHED_FILE).is_file()  # before looking: nothing comes after it
            root = folder_of_steps(model_dir)
            step = next((step for step in steps_of(root) if step > done), None)
            if step is None:
                idle = (time.monotonic() - waiting_since) / 60
                if finished or (idle_minutes is not None and idle >= idle_minutes):
                    return results
                time.sleep(POLL_SECONDS)
                continue
            try:
                results = evaluator.evaluate([root / str(step)])
            except (CheckpointError, OSError) as error:
                print(f"step {step}: {_why_unread(root / str(step), error)}", file=sys.stderr)
            else:
                flat = {f"{task}/{name}": value for task, metrics in results.items() for name, value in metrics.items()}
                writer.write(step, flat)
                writer.sync()
                show(results, f"step {step}, {evaluator.split}")
            done, waiting_since = step, time.monotonic()
    finally:
        writer.close()


def _why_unread(folder: Path, error: Exception) -> str:
    """Says whether a checkpoint could not be read because its run was deleting it."""
    deadline = time.monotonic() + DELETION_SECONDS
    while folder.exists() and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS / 10)
    return f"left out: {error}" if folder.exists() else "its run deleted it before it was read (Records.keep)"
