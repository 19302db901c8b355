"""Table: results as Markdown, with settings down and figures across, laid out as T5's tables (Raffel et al. 2019)."""

from __future__ import annotations

import dataclasses
import math
import statistics as standard
from collections.abc import Mapping, Sequence

from t5music.studies.report.statistics import CONFIDENCE, FEWEST_SEEDS, SIGNIFICANT
from t5music.studies.report.summary import CHOSEN, FAILED, LEFT_OUT, SETTING, Entry, Size, Summary
from t5music.written_text import markdown as _plain

STAR = "★"
SIGNIFICANCE = "*"  # after a difference
NONE = "—"
TEST_SET = "test set"  # the kind of the row that says what the test sets hold, and its name


def markdown(columns: Sequence[str], rows: Mapping[str, Sequence[str]]) -> str:
    """A Markdown table, aligned so that it also reads well as plain text.

    Args:
        columns: headings; the first one is that of the row names.
        rows: row name -> cells, one for each further column.
    """
    lines = [columns, *([name, *cells] for name, cells in rows.items())]
    return _aligned([[_plain(cell) for cell in line] for line in lines])


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
    """A row as it is printed: its name, its cells in order, which of them are bold, and its kind."""

    name: str
    cells: tuple[str, ...]
    bold: tuple[bool, ...]
    kind: str


def headings(summary: Summary) -> list[str]:
    """The headings of the columns."""
    return [column.heading for column in summary.study.columns]


def lines(summary: Summary) -> list[Line]:
    """The table's rows as text, for Markdown and HTML alike."""
    decimals = decimals_of(summary)
    printed = []
    for row in summary.rows:
        cells = [figure(entry, row.kind, places) for entry, places in zip(row.entries, decimals, strict=True)]
        bold = tuple(entry.bold for entry in row.entries)
        name = f"{STAR} {row.name}" if row.kind == SETTING and row.name == summary.study.baseline else row.name
        printed.append(Line(name, tuple(cells), bold, row.kind))
    if any(summary.sizes):
        sizes = tuple(NONE if size is None else _size(size) for size in summary.sizes)
        printed.append(Line(TEST_SET, sizes, (False,) * len(sizes), TEST_SET))
    return printed


def _size(size: Size) -> str:
    """What a test set holds: "37 (± 8.1)" examples, or "12,345 notes"."""
    if size.notes is not None:
        return f"{size.notes:,} notes"
    return f"{size.examples:,}" + ("" if size.error is None else f" (± {100 * size.error:.1f})")


def study_table(summary: Summary) -> str:
    """A study's tables in Markdown: figures and differences with their legends, what is not finished, and the cost."""
    printed = [["", *map(_plain, headings(summary))]]
    for line in lines(summary):
        name = _plain(line.name) if line.kind == SETTING else f"*{_plain(line.name)}*"
        cells = [f"**{text}**" if bold else text for text, bold in zip(line.cells, line.bold, strict=True)]
        printed.append([name, *map(_plain, cells)])
    parts = [
        f"## {_plain(summary.study.title)}",
        _aligned(printed),
        _plain(legend(summary)),
    ]
    if is_compared(summary):
        differences = [[_plain(cell) for cell in line] for line in comparison_lines(summary)]
        parts += [f"### {_plain(comparison_title(summary))}", _aligned(differences), _plain(comparison_legend(summary))]
    if summary.problems:
        problems = "\n".join(f"- **{status}** {_plain(where)}" for status, where in problem_lines(summary))
        parts.append(f"Not finished:\n\n{problems}")
    parts.append(cost_line(summary))
    return "\n\n".join(parts)


def figure(entry: Entry, kind: str, decimals: int) -> str:
    """The text of a cell: `mean ± deviation`, with the number of seeds where some are missing; or the status.

    A reference or a published figure has a deviation only where its seeds differ. A figure that validation chose says
    of which setting it is.

    Args:
        entry: the figure.
        kind: the kind of its row.
        decimals: digits after the point.
    """
    if entry.mean is None:
        return NONE if entry.status == LEFT_OUT else entry.status
    text = f"{entry.column.scale * entry.mean:.{decimals}f}"
    if entry.deviation is not None and (kind in (SETTING, CHOSEN) or entry.deviation > 0):
        text += f" ± {entry.column.scale * entry.deviation:.{decimals}f}"
    finished, seeds = len(entry.finished), len(entry.values)
    if finished < seeds:
        failed = sum(value.status == FAILED for value in entry.values)
        text += f" ({finished} of {seeds}{f'; {failed} failed' if failed else ''})"
    return f"{text} ({entry.choice})" if entry.choice else text


def decimals_of(summary: Summary) -> list[int]:
    """The decimals of each column: one for shares; otherwise as many as give a typical mean four digits."""
    places = []
    for index, column in enumerate(summary.study.columns):
        means = [abs(entry.mean) for row in summary.settings if (entry := row.entries[index]).mean is not None]
        typical = column.scale * standard.median(means) if means else 1.0
        digits = math.floor(math.log10(typical)) + 1 if typical >= 1 else 1  # before the point
        places.append(1 if column.scale == 100 else min(3, max(0, 4 - digits)))
    return places


# ------------------------------------------------------------------------------------------------- what is compared


def is_compared(summary: Summary) -> bool:
    """Whether any setting has a difference from another one."""
    return any(entry.difference is not None for row in summary.settings for entry in row.entries)


def comparison_title(summary: Summary) -> str:
    """What the settings are compared with."""
    controls = summary.study.controls
    return "Difference from the best control" if controls else f"Difference from {STAR} {summary.study.baseline}"


def comparison_lines(summary: Summary) -> list[list[str]]:
    """The lines of the table of differences, headings first: mean difference, interval, and a star where it is tested.

    Where the controls are several, the heading names the best of its column.
    """
    decimals = decimals_of(summary)
    rows = [row for row in summary.settings if any(entry.rival for entry in row.entries)]
    head = [""]
    for index, column in enumerate(summary.study.columns):
        rival = next((row.entries[index].rival for row in rows if row.entries[index].rival), "")
        head.append(f"{column.heading} from {rival}" if len(summary.study.controls) > 1 and rival else column.heading)
    lines = [[row.name, *map(difference, row.entries, decimals)] for row in rows]
    return [head, *lines]


def difference(entry: Entry, decimals: int) -> str:
    """The text of a difference, as `+2.1 [-1.0, +5.2] *`; a star says that it is significant."""
    if entry.difference is None:
        return NONE
    scale = entry.column.scale
    text = f"{scale * entry.difference:+.{decimals}f}"
    if entry.interval is not None:
        text += f" [{scale * entry.interval.low:+.{decimals}f}, {scale * entry.interval.high:+.{decimals}f}]"
    return f"{text} {SIGNIFICANCE}" if entry.verdict else text


def comparison_legend(summary: Summary) -> str:
    """Explains the table of differences."""
    entries = [entry for row in summary.settings for entry in row.entries if entry.difference is not None]
    seeds = sorted({len(entry.finished) for entry in entries})
    of = {entry.interval.pieces for entry in entries if entry.interval is not None}
    over = {(True,): "seeds and pieces", (False,): "seeds", (False, True): "seeds, and pieces where they are known"}
    sentences = [f"Mean difference over the seeds both have{'' if of else '.'}"]
    if of:
        sentences[0] += f", with a {CONFIDENCE:.0%} bootstrap interval over {over[tuple(sorted(of))]}."
    if seeds[0] < FEWEST_SEEDS and of - {True}:
        sentences.append(f"Of fewer than {FEWEST_SEEDS} seeds an interval over seeds is little more than their range.")
    if any(entry.p is not None for entry in entries):
        sentences.append(
            f"{SIGNIFICANCE} p < {SIGNIFICANT:g} by a paired t-test over the seeds, after Holm's correction over the "
            "settings."
        )
    elif seeds[-1] < FEWEST_SEEDS:
        sentences.append(f"No test: that takes {FEWEST_SEEDS} seeds.")
    return " ".join(sentences)


# ----------------------------------------------------------------------------------------------------------- legends


def legend(summary: Summary) -> str:
    """Explains the signs of a table."""
    study = summary.study
    counts = {row.name: max((len(entry.values) for entry in row.entries), default=0) for row in summary.settings}
    usual = standard.mode(counts.values())
    exceptions = "".join(f', {count} of "{row}"' for row, count in counts.items() if count != usual)
    seeds = f"{usual} seed" if usual == 1 else f"{usual} seeds"
    spread = " ± standard deviation" if max(counts.values()) > 1 else ""
    sentences = [f"{STAR} baseline; mean{spread} over {seeds}{exceptions}."]
    if counts[study.baseline] >= FEWEST_SEEDS:
        sentences.append("Bold: within two standard deviations (the baseline's) of the column's best.")
    else:
        sentences.append(
            f"Bold: the column's best; the baseline's fewer than {FEWEST_SEEDS} seeds cannot tell what is as good."
        )
    if study.chosen:
        sentences.append("In brackets the setting that validation chose.")
    if any(size is not None and size.error is not None for size in summary.sizes):
        sentences.append("Test set: examples, with the standard error of the baseline's share that so few have.")
    if study.literature:
        sentences.append("Rows in italics are references and published figures.")
    elif study.references:
        sentences.append("Rows in italics are references.")
    return " ".join(sentences)


def problem_lines(summary: Summary) -> list[tuple[str, str]]:
    """The (status, place and reason) of everything that is not finished."""
    lines = []
    for problem in summary.problems:
        seeds = f"{'seed' if len(problem.seeds) == 1 else 'seeds'} {', '.join(map(str, problem.seeds))}"
        every = set(problem.rows) == set(summary.study.settings) and len(problem.rows) > 1
        rows = "all settings" if every else ", ".join(f'"{row}"' for row in problem.rows)
        reason = f": {' '.join(problem.reason.split())}" if problem.reason else ""
        lines.append((problem.status, f"{problem.stage} of {rows}, {seeds}{reason}"))
    return lines


def cost_line(summary: Summary) -> str:
    """The cost of the whole study, each stage counted once."""
    cost = summary.cost
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
    """A number like 1.2e15."""
    digits, _, power = f"{number:.1e}".partition("e")
    return f"{digits}e{int(power)}" if number else "0"
