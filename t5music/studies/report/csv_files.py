"""CSV: a study's figures as `table.csv` for other programs and `values.csv`, which traces every figure to its run.

Figures are those of the runs' results, unrounded: shares up to 1, not per cent. An empty field is a figure that does
not exist.
"""

from __future__ import annotations

from collections.abc import Sequence

from t5music import written_text
from t5music.studies.report.summary import Summary, stage_folder

TABLE = (
    *("row", "kind", "column", "mean", "deviation", "seeds", "seeds_of", "best", "bold"),
    *("compared_with", "difference", "low", "high", "interval_over", "p", "p_holm", "verdict"),
    *("chosen", "examples", "notes", "status", "tokens", "flops", "hours"),
)
VALUES = (
    *("row", "kind", "seed", "column", "value", "status", "reason"),
    *("stage", "folder", "fingerprint", "git", "version", "seconds"),
)

_OVER = {True: "seeds and pieces", False: "seeds"}
VERDICTS = {"+": "better", "-": "worse", "": ""}

_Field = str | float | None


def table_csv(summary: Summary) -> str:
    """A line for every row and column of the table.

    `difference` is the mean of the row minus that of `compared_with` over the seeds that both have, `low` and `high`
    the bootstrap interval of it over seeds, or seeds and pieces, `p` the p value of the paired t-test over the seeds
    and `p_holm` the p value after Holm's correction; `verdict` is "better" or "worse" by that. `chosen` is the setting
    that validation chose, `examples` and `notes` what the column's test set holds.
    Tokens, flops and hours are those of all stages of the row, also of stages shared with other rows.
    """
    lines: list[Sequence[_Field]] = []
    for row in summary.rows:
        cost = row.cost
        costs = (cost.positions, cost.flops, cost.seconds / 3600) if cost else (None, None, None)
        lines.extend(
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
                entry.rival,
                entry.difference,
                *((None, None, "") if entry.interval is None else (*entry.interval[:2], _OVER[entry.interval.pieces])),
                entry.p,
                entry.corrected,
                VERDICTS[entry.verdict],
                entry.choice,
                *((None, None) if size is None else (size.examples, size.notes)),
                entry.status,
                *costs,
            )
            for entry, size in zip(row.entries, summary.sizes, strict=True)
        )
    return written_text.csv_table(TABLE, lines)


def values_csv(summary: Summary) -> str:
    """A line for every seed of every row and column: its value, or why there is none, and the stage it comes from."""
    lines: list[Sequence[_Field]] = []
    for row in summary.rows:
        for entry in row.entries:
            for value in entry.values:
                stage, record = value.stage, value.record
                lines.append(
                    (
                        row.name,
                        row.kind,
                        value.seed,
                        entry.column.name,
                        value.value,
                        value.status,
                        " ".join(value.reason.split()),
                        stage.name if stage else None,
                        stage_folder(stage, summary.records) if stage else None,
                        stage.fingerprint if stage else None,
                        record.git if record else None,
                        record.version if record else None,
                        record.seconds if record else None,
                    )
                )
    return written_text.csv_table(VALUES, lines)


def _yes(flag: bool) -> str:
    return "yes" if flag else ""
