"""Report: writes a study's table, CSV files, pictures and page, from its run folders alone.

The same run folders give the same bytes, whoever writes the report, wherever the folders lie, and whenever.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from t5music import figures, files
from t5music.studies.grid import TRAIN, Study
from t5music.studies.report import csv_files, curves, page, plots, table
from t5music.studies.report.summarise import summarise
from t5music.studies.report.summary import Summary, stages_in_order
from t5music.studies.stage_folders import Record

SETTINGS, AXIS, RECALLS, CURVES = "settings.png", "axis.png", "recalls.png", "curves_{}.png"  # {}: a stage


def write(study: Study, records: Mapping[str, Record], folder: Path) -> str:
    """Writes table.md, table.csv, values.csv, pictures and index.html, each whole or not at all.

    Args:
        study: the grid.
        records: fingerprint -> record, as `stage_folders.collect` returns them.
        folder: where the files go. Pictures in it that this report does not have are removed.

    Returns:
        The table as Markdown, with what is not finished and the cost below it.

    Raises:
        DataError: the folder cannot be written.
    """
    summary = summarise(study, records)
    markdown = table.study_table(summary)
    pictures = _pictures(summary)
    for name, (_, png) in pictures.items():
        files.write_bytes(folder / name, png)
    files.write_text(folder / "table.csv", csv_files.table_csv(summary))
    files.write_text(folder / "values.csv", csv_files.values_csv(summary))
    files.write_text(folder / "index.html", page.render(summary, {caption: png for caption, png in pictures.values()}))
    files.write_text(folder / "table.md", markdown + "\n")
    for path in (folder / SETTINGS, folder / AXIS, folder / RECALLS, *folder.glob(CURVES.format("*"))):
        if path.name not in pictures:
            path.unlink(missing_ok=True)
    return markdown


def _pictures(summary: Summary) -> dict[str, tuple[str, bytes]]:
    """The pictures that there is something to draw for, and with: file name -> (caption, PNG)."""
    study = summary.study
    if figures.left_out(SETTINGS):
        return {}
    pictures = {
        SETTINGS: (
            "All settings: mean, one standard deviation, and each seed as a stroke; the band is the baseline's. "
            "Hollow points lack seeds; diamonds are references and published figures.",
            plots.settings_png(summary),
        ),
    }
    if study.axis is not None:
        pictures[AXIS] = (
            f"Against {study.axis.name}: mean and one standard deviation over seeds; the star is the baseline.",
            plots.axis_png(summary),
        )
    pictures[RECALLS] = ("Recall of each label, in per cent: means over the seeds.", plots.recalls_png(summary))
    for stage in dict.fromkeys(stage.name for stage in stages_in_order(study) if stage.kind == TRAIN):
        name = "".join(letter if letter.isalnum() else "_" for letter in stage)
        pictures[CURVES.format(name)] = (
            f"Learning curves of {stage}: mean over the seeds, and one standard deviation.",
            curves.stage_png(study, summary.records, stage),
        )
    return {name: (caption, png) for name, (caption, png) in pictures.items() if png is not None}
