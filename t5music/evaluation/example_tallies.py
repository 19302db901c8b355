"""Example tallies: what each example of a test set adds to a figure, written beside the results of an evaluation.

    eval_test_examples.json    {task: {metric: {"parts": [...], "wholes": [...]}}}, in the order of the examples

A figure is the sum of its parts divided by the sum of its wholes: right answers by answers, nats by cells. A report
resamples examples with them, to tell how far a figure depends on which pieces were tested.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from t5music import json_files
from t5music.errors import DataError

ENDING = "_examples.json"


class Tallies(NamedTuple):
    """A figure as sums over examples: right answers by answers, bits by notes.

    Attributes:
        parts: of each example.
        wholes: of each example, not all zero.
    """

    parts: list[float]
    wholes: list[float]


Tasks = Mapping[str, Mapping[str, Tallies]]  # task -> metric -> tallies
_Content = Mapping[str, Mapping[str, Mapping[str, list[float]]]]


def to_json(tasks: Tasks) -> dict[str, dict[str, dict[str, list[float]]]]:
    """Returns the content of the file."""
    return {task: {metric: tallies._asdict() for metric, tallies in metrics.items()} for task, metrics in tasks.items()}


def read(folder: Path, task: str, metric: str) -> Tallies | None:
    """Returns the tallies of a metric that an evaluation has written into a folder; None where there are none.

    Raises DataError for a file that cannot be read.
    """
    for path in sorted(folder.glob(f"*{ENDING}")):
        try:
            content = json_files.parse_value(_Content, json_files.read_json(path), "the content")
            if metric in content.get(task, {}):
                tallies = content[task][metric]
                return Tallies(tallies["parts"], tallies["wholes"])
        except (OSError, ValueError, KeyError) as error:
            raise DataError(f"{path} cannot be read ({error}): remove {folder} and run the study again") from error
    return None
