"""Comparison report: a comparison as text, Markdown, JSON, CSV, and one HTML page that needs no other file."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping

from t5music import figures
from t5music.comparison import plots
from t5music.comparison.resampling import CONFIDENCE, RESAMPLES
from t5music.comparison.set_comparison import Comparison, Estimate
from t5music.inference.player.page import data_address
from t5music.studies.report.page import STYLE
from t5music.studies.report.table import NONE, markdown
from t5music.written_text import csv_table
from t5music.written_text import markdown as plain

OF_SETS = {
    "frechet_distance": "Fréchet distance in the encoder's space",
    "kernel_distance": "kernel distance in the encoder's space",
    "similarity_error": "similarity error: mean difference of self-similarity by bars apart",
    "note_f1": "F1 of notes by onset and pitch",
    "note_f1_with_ends": "F1 of notes by onset, pitch and end",
}
HEADINGS = ("measure", "first", "reference", "difference", "in %", "overlap", "KL")
PICTURES = {
    "How the descriptors are distributed. Dashed: the means.": plots.distributions_png,
    "Differences of the means, with intervals over pieces.": plots.differences_png,
}


def text(comparison: Comparison) -> str:
    """The tables as Markdown, which also reads well on a screen, with what must be said about them."""
    parts = [_heading(comparison), markdown(HEADINGS, _rows(comparison))]
    if whole := _whole_rows(comparison):
        parts.append(markdown(("both together", "figure"), whole))
    parts.append(_legend(comparison))
    parts += [plain(remark) for remark in comparison.remarks]
    parts += [
        f"Left out of {plain(part.name)}: {plain(name)}: {plain(reason)}"
        for part in comparison.sets
        for name, reason in part.left_out.items()
    ]
    return "\n\n".join(parts)


def to_json(comparison: Comparison) -> str:
    """All figures, those of each piece too."""
    sets = [
        {"folder": part.name, "pieces": len(part.scores), "files": part.names, "left_out": part.left_out}
        for part in comparison.sets
    ]
    measures = {
        measure.name: {
            "meaning": measure.meaning,
            "mean": measure.mean,
            "reference_mean": measure.reference_mean,
            **{name: _json(getattr(measure, name)) for name in ("difference", "relative", "overlap", "divergence")},
            "values": [[None if value != value else value for value in part] for part in measure.values],
        }
        for measure in comparison.measures
    }
    content = {
        "sets": sets,
        "is_paired": comparison.is_paired,
        "seed": comparison.seed,
        "resamples": RESAMPLES,
        "confidence": CONFIDENCE,
        "measures": measures,
        "of_sets": {name: _json(estimate) for name, estimate in comparison.of_sets.items()},
        "remarks": comparison.remarks,
    }
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def to_csv(comparison: Comparison) -> str:
    """A line for each measure; figures are unrounded, and an empty field is one that does not exist."""
    kinds = ("difference", "relative", "overlap", "divergence")
    header = ["measure", "mean", "reference_mean"]
    header += [name for kind in kinds for name in (kind, f"{kind}_low", f"{kind}_high")]
    lines: list[list[object]] = [
        [measure.name, measure.mean, measure.reference_mean, *(x for k in kinds for x in _fields(getattr(measure, k)))]
        for measure in comparison.measures
    ]
    empty = [None] * (len(header) - 6)
    for name, estimate in comparison.of_sets.items():
        lines.append([name, None, None, *_fields(estimate), *empty])
    return csv_table(header, lines)


def to_html(comparison: Comparison) -> str:
    """One page with tables and pictures; no script and nothing from elsewhere."""
    title = html.escape(_heading(comparison))
    body = [f"<h1>{title}</h1>", _html_table(HEADINGS, _rows(comparison))]
    if whole := _whole_rows(comparison):
        body.append(_html_table(("both together", "figure"), whole))
    body += [f'<p class="legend">{html.escape(line)}</p>' for line in (_legend(comparison), *comparison.remarks)]
    for caption, draw in ({} if figures.left_out("the plots of the page") else PICTURES).items():
        picture = draw(comparison)
        if picture is not None:
            words = html.escape(caption)
            image = f'<img src="{data_address(picture, "image/png")}" alt="{words}">'
            body.append(f"<figure>{image}<figcaption>{words}</figcaption></figure>")
    meanings = "".join(f"<li><b>{m.name}</b>: {html.escape(m.meaning)}</li>" for m in comparison.measures)
    body.append(f"<h2>Measures</h2><ul>{meanings}</ul>")
    left_out = "".join(
        f"<li>{html.escape(f'{part.name}: {name}: {reason}')}</li>"
        for part in comparison.sets
        for name, reason in part.left_out.items()
    )
    if left_out:
        body.append(f"<h2>Left out</h2><ul>{left_out}</ul>")
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n" + "\n".join(body) + "\n</body>\n</html>\n"
    )


def _heading(comparison: Comparison) -> str:
    candidate, reference = (f"{part.name} ({len(part.scores)} pieces)" for part in comparison.sets)
    return f"{candidate} beside {reference}"


def _legend(comparison: Comparison) -> str:
    pieces = "pairs of files of one name" if comparison.is_paired else "the pieces of each folder"
    return (
        f"Means over pieces. In brackets, {100 * CONFIDENCE:.0f} % bootstrap intervals over {pieces} ({RESAMPLES:,} "
        f"resamples, seed {comparison.seed}). Overlap and KL: of the distances within the reference and between both "
        "folders (Yang and Lerch 2020); 1 and 0 where the first folder is like the reference."
    )


def _rows(comparison: Comparison) -> Mapping[str, list[str]]:
    return {
        measure.name.replace("_", " "): [
            _number(measure.mean),
            _number(measure.reference_mean),
            _figure(measure.difference, sign=True),
            _figure(measure.relative, 100, sign=True),
            _figure(measure.overlap),
            _number(measure.divergence.value),
        ]
        for measure in comparison.measures
    }


def _whole_rows(comparison: Comparison) -> Mapping[str, list[str]]:
    return {OF_SETS[name]: [_figure(estimate)] for name, estimate in comparison.of_sets.items()}


def _html_table(headings: tuple[str, ...], rows: Mapping[str, list[str]]) -> str:
    head = "".join(f'<th scope="col">{html.escape(heading)}</th>' for heading in headings)
    lines = "".join(
        f'<tr><th scope="row">{html.escape(name)}</th>{"".join(f"<td>{html.escape(cell)}</td>" for cell in cells)}</tr>'
        for name, cells in rows.items()
    )
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table></div>'


def _number(value: float | None, sign: bool = False) -> str:
    """Three digits; no power of ten for what a piece can have."""
    if value is None:
        return NONE
    size = abs(value)
    decimals = 0 if size >= 100 else 1 if size >= 10 else 2 if size >= 1 else 3
    return f"{value:{'+' if sign else ''},.{decimals}f}"


def _figure(estimate: Estimate, scale: float = 1, *, sign: bool = False) -> str:
    """A figure with its interval in brackets."""
    if estimate.value is None:
        return NONE
    number = _number(scale * estimate.value, sign)
    if estimate.interval is None:
        return number
    low, high = (_number(scale * edge, sign) for edge in estimate.interval)
    return f"{number} ({low} to {high})"


def _json(estimate: Estimate) -> dict[str, object]:
    low, high = _fields(estimate)[1:]
    return {"value": estimate.value, "low": low, "high": high}


def _fields(estimate: Estimate) -> list[float | None]:
    """(value, low, high)."""
    return [estimate.value, *(estimate.interval or (None, None))]
