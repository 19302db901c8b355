"""Learning curves as pictures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from t5music import files
from t5music.training.writers import METRICS_FILE, read_metrics


def draw(runs: Mapping[str, Path], path: Path, *, title: str) -> None:
    """Draws the loss of several runs over their steps into a PNG file: lines for training, dots for validation.

    Args:
      runs: name of the line -> run folder, whose metrics.jsonl is read.
      path: the PNG file.
      title: a line above the picture.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for number, (name, folder) in enumerate(runs.items()):
        lines = read_metrics(folder / METRICS_FILE)
        colour = f"C{number}"
        training = [(line["step"], line["loss"]) for line in lines if "loss" in line]
        validation = [(line["step"], line["validation/loss"]) for line in lines if "validation/loss" in line]
        axes.plot(*zip(*training, strict=True), color=colour, linewidth=1.5, label=f"{name}, training")
        axes.plot(
            *zip(*validation, strict=True),
            "o--",
            color=colour,
            markersize=5,
            linewidth=0.8,
            label=f"{name}, validation",
        )
    axes.set_title(title, loc="left")
    axes.set_xlabel("step")
    axes.set_ylabel("loss (nats per target token)")
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    with files.replacing(path) as temporary:
        figure.savefig(temporary, format="png")
