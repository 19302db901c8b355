"""Confusion: which labels a model takes for which, as counts and as a picture that shows a bias towards some."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from t5music import figures

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LETTERS = 18  # of a label


def confusion_png(confusions: Mapping[str, Confusion]) -> bytes:
    """Returns a PNG with a panel per task: rows are the true labels, columns the answers.

    A cell is the darker the larger its share of its row. The diagonal is each label's recall, in per cent; a column
    that is dark all over is an answer given whatever is asked. Labels that were neither true nor answered are left out.
    """

    def onto(figure: Figure) -> None:
        panels = figure.subplots(1, len(confusions), squeeze=False)[0]
        for axes, (task, confusion) in zip(panels, confusions.items(), strict=True):
            _matrix(axes, task, confusion)

    most = max(len(_occurring(confusion)) for confusion in confusions.values())
    return figures.png(onto, (2.2 + 0.42 * most) * len(confusions), 1.8 + 0.42 * most)


def _occurring(confusion: Confusion) -> NDArray[np.int64]:
    """Indices of the labels that were true or answered."""
    return np.flatnonzero(confusion.counts.sum(axis=0) + confusion.counts.sum(axis=1))


def _matrix(axes: Axes, task: str, confusion: Confusion) -> None:
    shown = _occurring(confusion)
    counts = confusion.counts[np.ix_(shown, shown)]
    shares = 100 * counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    names = [figures.wrapped(confusion.labels[index] or "no answer", LETTERS, 2) for index in shown]
    figures.shares(axes, shares, names, [f"{name} ({n:,})" for name, n in zip(names, counts.sum(axis=1), strict=True)])
    axes.set_xlabel("answered")
    axes.set_ylabel("true")
    axes.set_title(figures.wrapped(task), fontsize=10)


class Confusion(NamedTuple):
    """How often each label was answered where each was true.

    Attributes:
        labels: the label set; '' where a note got none of the answers there are.
        counts: int64 [labels, labels], rows true, columns answered.
    """

    labels: tuple[str, ...]
    counts: NDArray[np.int64]

    def to_json(self) -> dict[str, Any]:
        """Returns {"labels": ..., "confusion": rows of counts}."""
        return {"labels": list(self.labels), "confusion": self.counts.tolist()}
