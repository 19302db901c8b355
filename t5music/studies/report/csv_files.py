"""A study's figures as CSV: `table.csv` for other programs, `values.csv` to trace every figure to where it came from.

Figures stand as the runs' results have them, unrounded: shares up to 1, not per cent. An empty field is a figure that
does not exist.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

from t5music.studies.report.summary import Summary, stage_folder

TABLE = (
    *("row", "kind", "column", "mean", "deviation", "seeds", "seeds_of", "best", "bold"),
    *("difference", "p", "p_holm", "against_baseline", "status", "tokens", "flops", "hours"),
)
VALUES = (
    *("row", "kind", "seed", "column", "value", "status", "reason"),
    *("stage", "folder", "fingerprint", "git", "version", "seconds"),
)

_Field = str | float | None


def table_csv(found: Summary) -> str:
    """A line for every row and column of the table.

    `difference` is the mean of row minus baseline over the seeds that both have, `p` that of the paired t-test over
    them and `p_holm` the same after Holm's correction; tokens, flops and hours are those of all stages of the row,
    those it shares with other rows included.
    """
    made: list[Sequence[_Field]] = []
    for row in found.rows:
        cost = row.cost
        spent = (cost.positions, cost.flops, cost.seconds / 3600) if cost else (None, None, None)
        made.extend(
            (
                row.name,
                row.kind,
                entry.column.name,
                entry.mean,
                entry.deviation,
                len(entry.finished),
                len(entry.values),
                _yes(entry.best),
                _yes(entry.bold),
                entry.difference,
                entry.p,
                entry.corrected,
                entry.verdict,
                entry.status,
                *spent,
            )
            for entry in row.entries
        )
    return _csv(TABLE, made)


def values_csv(found: Summary) -> str:
    """A line for every seed of every row and column: its value, or why there is none, and the stage that says so."""
    made: list[Sequence[_Field]] = []
    for row in found.rows:
        for entry in row.entries:
            for value in entry.values:
                stage, record = value.stage, value.record
                made.append(
                    (
                        row.name,
                        row.kind,
                        value.seed,
                        entry.column.name,
                        value.value,
                        value.status,
                        " ".join(value.reason.split()),
                        stage.name if stage else None,
                        stage_folder(stage, found.records) if stage else None,
                        stage.fingerprint if stage else None,
                        record.git if record else None,
                        record.version if record else None,
                        record.seconds if record else None,
                    )
                )
    return _csv(VALUES, made)


def _yes(true: bool) -> str:
    return "yes" if true else ""


def _csv(header: Sequence[str], lines: Iterable[Sequence[_Field]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(lines)
    return text.getvalue()
