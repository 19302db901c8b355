"""Tables of results: settings down, figures across."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def markdown(columns: Sequence[str], rows: Mapping[str, Sequence[str]]) -> str:
    """A Markdown table, aligned so that it reads well as plain text too.

    Args:
      columns: headings, the first one that of the row names.
      rows: row name -> cells, one per further column.
    """
    lines = [list(columns), *([name, *cells] for name, cells in rows.items())]
    widths = [max(len(line[column]) for line in lines) for column in range(len(columns))]

    def line(cells: Sequence[str]) -> str:
        aligned = [cells[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(cells[1:], widths[1:], strict=True))]
        return f"| {' | '.join(aligned)} |"

    rule = f"|{'-' * (widths[0] + 2)}|{'|'.join('-' * (width + 1) + ':' for width in widths[1:])}|"
    return "\n".join([line(lines[0]), rule, *map(line, lines[1:])])
