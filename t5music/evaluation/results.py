"""Results: what evaluations measured, as JSON and as a table to read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Results = dict[str, dict[str, float]]  # task -> metrics


def show(results: Results, where: str) -> None:
    """Prints a line of metrics for every task."""
    for task, metrics in results.items():
        shown = ", ".join(f"{name} {value:.4g}" for name, value in metrics.items())
        print(f"{task} ({where}): {shown}", flush=True)


def to_json(results: Results, folders: Sequence[Any]) -> dict[str, Any]:
    """Returns the results as `runs.evaluate` writes them down: those of an ensemble say of what."""
    return results if len(folders) == 1 else {"ensemble_of": [str(folder) for folder in folders], "results": results}
