"""Figures as they are drawn, for tests that look at their axes."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from matplotlib.figure import Figure

from t5music import figures as canvas


def collect(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """A list to which every figure is added that is drawn from now on, instead of its bytes."""
    figures: list[Figure] = []

    def add(draw: Callable[[Figure], None], width: float, height: float, **_: int) -> bytes:
        figure = Figure(figsize=(width, height))
        draw(figure)
        figures.append(figure)
        return b""

    monkeypatch.setattr(canvas, "png", add)
    return figures
