"""A study's report: table, CSVs, pictures and page, made of run folders alone.

The same run folders give the same bytes, whoever makes the report, wherever the folders lie and whenever.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from t5music import files
from t5music.studies.grid import TRAIN, Study
from t5music.studies.report import csv_files, curves, page, plots, table
from t5music.studies.report.summary import Summary, stages_in_order, summarise
from t5music.studies.stage_folders import Record

SETTINGS, AXIS, RECALLS, CURVES = "settings.png", "axis.png", "recalls.png", "curves_{}.png"  # {}: a stage


def write(study: Study, records: Mapping[str, Record], folder: Path) -> str:
    """Writes table.md, table.csv, values.csv, pictures and index.html, each whole or not at all.

    Args:
        study: the grid.
        records: fingerprint -> record, as `records.collect` gives them.
        folder: where the files are put. Of a picture that there is nothing for any more, an old one is removed.

    Returns:
        The table as Markdown, with what is not finished and what it all cost below it.

    Raises DataError where the folder cannot be written.
    """
    found = summarise(study, records)
    made = table.study_table(found)
    drawn = _pictures(found)
    for name, (_, png) in drawn.items():
        files.write_bytes(folder / name, png)
    files.write_text(folder / "table.csv", csv_files.table_csv(found))
    files.write_text(folder / "values.csv", csv_files.values_csv(found))
    files.write_text(folder / "index.html", page.render(found, {caption: png for caption, png in drawn.values()}))
    files.write_text(folder / "table.md", made + "\n")
    for path in (folder / SETTINGS, folder / AXIS, folder / RECALLS, *folder.glob(CURVES.format("*"))):
        if path.name not in drawn:
            path.unlink(missing_ok=True)
    return made


def _pictures(found: Summary) -> dict[str, tuple[str, bytes]]:
    """File name -> (caption, PNG)."""
    study = found.study
    wanted = {
        SETTINGS: (
            "All settings: mean, one standard deviation, and each seed as a stroke; the band is the baseline's. "
            "Hollow points lack seeds; diamonds are references and published figures.",
            plots.settings_png(found),
        ),
    }
    if study.axis is not None:
        wanted[AXIS] = (
            f"Against {study.axis.name}: mean and one standard deviation over seeds; the star is the baseline.",
            plots.axis_png(found),
        )
    wanted[RECALLS] = ("Recall of each label, in per cent: means over the seeds.", plots.recalls_png(found))
    for stage in dict.fromkeys(stage.name for stage in stages_in_order(study) if stage.kind == TRAIN):
        name = "".join(letter if letter.isalnum() else "_" for letter in stage)
        wanted[CURVES.format(name)] = (
            f"Learning curves of {stage}: mean over the seeds, and one standard deviation.",
            curves.stage_png(study, found.records, stage),
        )
    return {name: (caption, png) for name, (caption, png) in wanted.items() if png is not None}
