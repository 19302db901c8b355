"""Tables of results: settings down, figures across; a study's in the manner of T5's (Raffel et al. 2019)."""

from __future__ import annotations

import dataclasses
import math
import statistics as standard
from collections.abc import Mapping, Sequence

from t5music.studies.report import summary
from t5music.studies.report.statistics import SIGNIFICANT
from t5music.studies.report.summary import Entry, Row, Summary

STAR = "★"
AGAINST = "against baseline"
NONE = "—"


def markdown(columns: Sequence[str], rows: Mapping[str, Sequence[str]]) -> str:
    """A Markdown table, aligned so that it reads well as plain text too.

    Args:
      columns: headings, the first one that of the row names.
      rows: row name -> cells, one per further column.
    """
    return _aligned([list(columns), *([name, *cells] for name, cells in rows.items())])


def _aligned(lines: Sequence[Sequence[str]]) -> str:
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]

    def line(cells: Sequence[str]) -> str:
        aligned = [cells[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(cells[1:], widths[1:], strict=True))]
        return f"| {' | '.join(aligned)} |"

    rule = f"|{'-' * (widths[0] + 2)}|{'|'.join('-' * (width + 1) + ':' for width in widths[1:])}|"
    return "\n".join([line(lines[0]), rule, *map(line, lines[1:])])


# ------------------------------------------------------------------------------------------------------ a study's table


@dataclasses.dataclass(frozen=True)
class Line:
    """A row as it is printed: its name, its cells in order, which of them are bold, and what kind of row it is."""

    name: str
    cells: tuple[str, ...]
    bold: tuple[bool, ...]
    kind: str


def headings(found: Summary) -> list[str]:
    """The columns' headings; the last one where anything was tested."""
    return [*(column.heading for column in found.study.columns), *([AGAINST] if is_tested(found) else [])]


def lines(found: Summary) -> list[Line]:
    """The table's rows as text, for Markdown and HTML alike."""
    decimals = decimals_of(found)
    made = []
    for row in found.rows:
        cells = [figure(entry, row.kind, places) for entry, places in zip(row.entries, decimals, strict=True)]
        if is_tested(found):
            cells.append(_verdicts(row, found.study.baseline))
        bold = (*(entry.bold for entry in row.entries), False)[: len(cells)]
        name = f"{STAR} {row.name}" if row.kind == summary.SETTING and row.name == found.study.baseline else row.name
        made.append(Line(name, tuple(cells), bold, row.kind))
    return made


def study_table(found: Summary) -> str:
    """A study's table in Markdown: the title, the table, what its signs mean, what is not finished, what it cost."""
    printed = [["", *map(_escape, headings(found))]]
    for line in lines(found):
        name = _escape(line.name) if line.kind == summary.SETTING else f"*{_escape(line.name)}*"
        cells = [f"**{text}**" if bold else text for text, bold in zip(line.cells, line.bold, strict=True)]
        printed.append([name, *map(_escape, cells)])
    parts = [f"## {found.study.title}", _aligned(printed), legend(found)]
    if found.problems:
        told = "\n".join(f"- **{status}** {where}" for status, where in problem_lines(found))
        parts.append(f"Not finished:\n\n{told}")
    parts.append(cost_line(found))
    return "\n\n".join(parts)


def figure(entry: Entry, kind: str, decimals: int) -> str:
    """A cell: `mean ± deviation`, and of how many seeds where some are not finished; or why there is no figure.

    Rows that are no settings have a deviation only where their seeds differ.
    """
    if entry.mean is None:
        return NONE if entry.status == summary.LEFT_OUT else entry.status
    shown = f"{entry.column.scale * entry.mean:.{decimals}f}"
    if entry.deviation is not None and (kind == summary.SETTING or entry.deviation > 0):
        shown += f" ± {entry.column.scale * entry.deviation:.{decimals}f}"
    count, of = len(entry.finished), len(entry.values)
    if count < of:
        failed = sum(value.status == summary.FAILED for value in entry.values)
        shown += f" ({count} of {of}{f'; {failed} failed' if failed else ''})"
    return shown


def decimals_of(found: Summary) -> list[int]:
    """How many decimals each column is printed with: one for shares, else so that a usual mean has four digits."""
    places = []
    for index, column in enumerate(found.study.columns):
        means = [abs(entry.mean) for row in found.settings if (entry := row.entries[index]).mean is not None]
        usual = column.scale * standard.median(means) if means else 1.0
        before = math.floor(math.log10(usual)) + 1 if usual >= 1 else 1
        places.append(1 if column.scale == 100 else min(3, max(0, 4 - before)))
    return places


def is_tested(found: Summary) -> bool:
    """Whether any setting has enough seeds in common with the baseline for a test."""
    return any(entry.p is not None for row in found.settings for entry in row.entries)


def _verdicts(row: Row, baseline: str) -> str:
    if row.kind != summary.SETTING or row.name == baseline:
        return ""
    if all(entry.p is None for entry in row.entries):
        return "not tested"
    if len(row.entries) > 2 and len({entry.verdict for entry in row.entries}) == 1 and row.entries[0].verdict:
        return f"all {row.entries[0].verdict}"
    return ", ".join(f"{entry.column.name} {entry.verdict}" for entry in row.entries if entry.verdict) or NONE


def legend(found: Summary) -> str:
    """What the table's signs mean."""
    study = found.study
    counts = {row.name: max((len(entry.values) for entry in row.entries), default=0) for row in found.settings}
    usual = standard.mode(counts.values())
    own = "".join(f', {count} of "{row}"' for row, count in counts.items() if count != usual)
    seeds = f"{usual} seed" if usual == 1 else f"{usual} seeds"
    said = [f"{STAR} baseline; mean{' ± standard deviation' if max(counts.values()) > 1 else ''} over {seeds}{own}."]
    if max(counts.values()) > 1:
        baseline = next(row for row in found.settings if row.name == study.baseline)
        whose = "the baseline's" if any(entry.deviation is not None for entry in baseline.entries) else "its own"
        said.append(f"Bold: within one standard deviation ({whose}) of the column's best.")
    else:
        said.append("Bold: the column's best.")
    if is_tested(found):
        said.append(
            f"{AGAINST.capitalize()}: + better, - worse by a paired t-test over the seeds both have, "
            f"p < {SIGNIFICANT:g} after Holm's correction over the settings."
        )
    if study.literature:
        said.append("Rows in italics are references and published figures.")
    elif study.references:
        said.append("Rows in italics are references.")
    return " ".join(said)


def problem_lines(found: Summary) -> list[tuple[str, str]]:
    """What is not finished: its status, and where and why."""
    made = []
    for problem in found.problems:
        seeds = f"{'seed' if len(problem.seeds) == 1 else 'seeds'} {', '.join(map(str, problem.seeds))}"
        every = set(problem.rows) == set(found.study.settings) and len(problem.rows) > 1
        rows = "all settings" if every else ", ".join(f'"{row}"' for row in problem.rows)
        reason = f": {' '.join(problem.reason.split())}" if problem.reason else ""
        made.append((problem.status, f"{problem.stage} of {rows}, {seeds}{reason}"))
    return made


def cost_line(found: Summary) -> str:
    """What the whole study cost, each stage counted once."""
    cost = found.cost
    whole = cost.finished == cost.stages
    counted = f"{cost.stages} stages" if whole else f"{cost.finished} of {cost.stages} stages finished"
    return (
        f"Cost: {_with_prefix(cost.positions)} tokens, {_power(cost.flops)} FLOPs, "
        f"{cost.seconds / 3600:.2f} hours ({counted}, shared ones counted once)."
    )


def _with_prefix(number: float) -> str:
    for size, name in ((1e9, " billion"), (1e6, " million")):
        if number >= size:
            return f"{number / size:.3g}{name}"
    return f"{number:,.0f}"


def _power(number: float) -> str:
    """As 1.2e15."""
    digits, _, power = f"{number:.1e}".partition("e")
    return f"{digits}e{int(power)}" if number else "0"


def _escape(text: str) -> str:
    return text.replace("|", "\\|")
