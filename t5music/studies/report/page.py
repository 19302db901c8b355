"""HTML page: a study as one file that needs no other: table, failures, cost, pictures, and where figures come from."""

from __future__ import annotations

import base64
import html
from collections.abc import Mapping

from t5music.studies.grid import Stage
from t5music.studies.report import table
from t5music.studies.report.summary import (
    CHOSEN,
    FAILED,
    LITERATURE,
    REFERENCE,
    SETTING,
    Summary,
    cells_of,
    stage_folder,
    stages_in_order,
    status_of,
)

# No script and nothing from elsewhere. Pictures keep their white ground in the dark.
STYLE = """
:root { color-scheme: light dark; --ink: #1c1c1c; --paper: #fff; --rule: #d5d5d5; --soft: #667; --bad: #b00020;
        --shade: #f5f6f8; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e6e6; --paper: #17181b; --rule: #3a3c42; --soft: #9aa; --bad: #ff7b8a; --shade: #202227; }
}
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 84rem;
       margin: 0 auto; padding: 1.5rem 1rem 4rem; }
h1 { font-size: 1.6rem; line-height: 1.25; } h2 { font-size: 1.2rem; margin-top: 2.5rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .94rem; }
th, td { padding: .3rem .6rem; text-align: right; white-space: nowrap; }
td small { display: block; color: var(--soft); }
th:first-child { text-align: left; padding-left: .2rem; white-space: normal; min-width: 9rem; position: sticky; left: 0;
                 background: var(--paper); }
table.figures td:last-child { white-space: normal; min-width: 7rem; }
thead th { border-bottom: 2px solid var(--ink); vertical-align: bottom; white-space: normal; }
tbody { border-bottom: 1px solid var(--rule); }
tbody.apart th, tbody.apart td { color: var(--soft); font-style: italic; }
tbody th { font-weight: normal; }
tr.baseline, tr.baseline th { background: var(--shade); }
.left td, .left th { text-align: left; min-width: 0; }
.failed { color: var(--bad); }
.legend, figcaption { color: var(--soft); font-size: .9rem; max-width: 52rem; }
figure { margin: 1rem 0; } img { max-width: 100%; height: auto; background: #fff; border-radius: 4px; }
details { margin: .35rem 0; } summary { cursor: pointer; }
details details { margin-left: 1.2rem; }
pre { background: var(--shade); padding: .8rem; overflow-x: auto; font-size: .8rem; line-height: 1.4; }
code { font-size: .88em; }
"""

GROUPS = ((SETTING,), (CHOSEN, REFERENCE, LITERATURE, table.TEST_SET))  # of rows, each set apart


def render(summary: Summary, pictures: Mapping[str, bytes]) -> str:
    """The page of a study.

    Args:
        summary: the study's figures.
        pictures: caption -> PNG.
    """
    title = html.escape(summary.study.title)
    body = [
        f"<h1>{title}</h1>",
        f'<div class="scroll">{_table(summary)}</div>',
        f'<p class="legend">{html.escape(table.legend(summary))}</p>',
    ]
    if table.is_compared(summary):
        body += [
            f"<h2>{html.escape(table.comparison_title(summary))}</h2>",
            f'<div class="scroll">{_comparison(summary)}</div>',
            f'<p class="legend">{html.escape(table.comparison_legend(summary))}</p>',
        ]
    if summary.problems:
        problems = "".join(
            f'<li><strong class="{status}">{status}</strong> {html.escape(where)}</li>'
            for status, where in table.problem_lines(summary)
        )
        body.append(f"<h2>Not finished</h2><ul>{problems}</ul>")
    body.append(f"<p>{html.escape(table.cost_line(summary))}</p>")
    for caption, png in pictures.items():
        text = html.escape(caption)
        source = f"data:image/png;base64,{base64.b64encode(png).decode()}"
        body.append(f'<figure><img src="{source}" alt="{text}"><figcaption>{text}</figcaption></figure>')
    body.append(_provenance(summary))
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n" + "\n".join(body) + "\n</body>\n</html>\n"
    )


def _table(summary: Summary) -> str:
    """The study's table as HTML."""
    head = "".join(f'<th scope="col">{html.escape(heading)}</th>' for heading in ["", *table.headings(summary)])
    groups = []
    for kinds in GROUPS:
        rows = []
        for line in table.lines(summary):
            if line.kind not in kinds:
                continue
            cells = [_cell(text, bold) for text, bold in zip(line.cells, line.bold, strict=True)]
            marked = ' class="baseline"' if line.name.startswith(table.STAR) else ""
            rows.append(f'<tr{marked}><th scope="row">{html.escape(line.name)}</th>{"".join(cells)}</tr>')
        if rows:
            apart = "" if SETTING in kinds else ' class="apart"'
            groups.append(f"<tbody{apart}>{''.join(rows)}</tbody>")
    return f'<table class="figures"><thead><tr>{head}</tr></thead>{"".join(groups)}</table>'


def _comparison(summary: Summary) -> str:
    """The table of differences as HTML."""
    head, *rows = table.comparison_lines(summary)
    cells = "".join(f'<th scope="col">{html.escape(heading)}</th>' for heading in head)
    body = "".join(
        f'<tr><th scope="row">{html.escape(name)}</th>{"".join(_cell(text, False) for text in figures)}</tr>'
        for name, *figures in rows
    )
    return f'<table class="figures"><thead><tr>{cells}</tr></thead><tbody>{body}</tbody></table>'


def _cell(text: str, bold: bool) -> str:
    escaped = html.escape(text)
    if text == FAILED:
        return f'<td class="failed">{escaped}</td>'
    # The number of seeds goes on a line of its own, so that columns stay narrow.
    figure, bracket, note = escaped.partition(" (")
    figure = f"<strong>{figure}</strong>" if bold else figure
    return f"<td>{figure}{f' <small>({note}</small>' if bracket else ''}</td>"


def _provenance(summary: Summary) -> str:
    """For each setting and seed the stages with folder, fingerprint, code and time; then the configuration of each."""
    parts = [
        "<h2>Where every figure comes from</h2>",
        "<p>Per setting and seed: the folder of each stage, which ends in the fingerprint of its configuration, seed "
        "and parents; the commit and version of the code; the time it took. <code>values.csv</code> has every single "
        "value.</p>",
    ]
    for setting in summary.study.settings:
        rows: list[str] = []
        for cell in cells_of(summary.study, setting):
            rows.extend(_stage_row(summary, cell.seed, stage) for stage in cell.stages.values())
        head = "".join(
            f'<th scope="col">{name}</th>'
            for name in ("seed", "stage", "status", "folder", "fingerprint", "git", "version", "seconds")
        )
        name = f"{table.STAR} {setting}" if setting == summary.study.baseline else setting
        parts.append(
            f'<details><summary>{html.escape(name)}</summary><div class="scroll"><table class="left"><thead><tr>{head}'
            f"</tr></thead><tbody>{''.join(rows)}</tbody></table></div></details>"
        )
    parts.append("<h2>Configurations</h2>")
    parts.extend(_configuration(summary, stage) for stage in stages_in_order(summary.study))
    return "\n".join(parts)


def _stage_row(summary: Summary, seed: int, stage: Stage) -> str:
    record = summary.records.get(stage.fingerprint)
    status = status_of(stage, summary.records)
    marked = f' class="{status}"' if status == FAILED else ""
    folder = html.escape(stage_folder(stage, summary.records))
    return (
        f"<tr><td>{seed}</td><td>{html.escape(stage.name)}</td><td{marked}>{status}</td>"
        f'<td><a href="#{stage.fingerprint}"><code>{folder}</code></a></td><td><code>{stage.fingerprint}</code></td>'
        f"<td><code>{html.escape(record.git if record else '')}</code></td>"
        f"<td>{html.escape(record.version if record else '')}</td><td>{record.seconds if record else 0.0:.1f}</td></tr>"
    )


def _configuration(summary: Summary, stage: Stage) -> str:
    name = f"{stage.name}, seed {stage.seed}: <code>{html.escape(stage_folder(stage, summary.records))}</code>"
    before = ", ".join(f'<a href="#{parent.fingerprint}">{html.escape(parent.folder)}</a>' for parent in stage.parents)
    after = f"<p>After <code>{before}</code></p>" if before else ""
    return (
        f'<details id="{stage.fingerprint}"><summary>{name}</summary>{after}'
        f"<pre>{html.escape(stage.configuration)}</pre></details>"
    )
