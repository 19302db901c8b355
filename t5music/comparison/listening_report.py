"""Listening report: the results of a listening test as text, Markdown, JSON and CSV."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping

from t5music.comparison.listening_statistics import Preference, Results
from t5music.comparison.resampling import CONFIDENCE, FEWEST, RESAMPLES, Interval
from t5music.studies.report.table import NONE, SIGNIFICANCE, markdown
from t5music.written_text import csv_table
from t5music.written_text import markdown as plain

HEADINGS = ("first or second?", "first", "neither", "second", "mean, -2 to 2", "sign p", "Wilcoxon p", "Holm p")


def text(results: Results, left_out: Mapping[str, str]) -> str:
    """Tables as Markdown, which also read well on a screen."""
    people = "1 listener" if results.listeners == 1 else f"{results.listeners} listeners"
    parts = [f"{people}, {results.pairs} pairs"]
    for question in dict.fromkeys(row.question for row in results.preferences):
        rows = {" or ".join(row.systems): _cells(row) for row in results.preferences if row.question == question}
        strengths = {
            row.system: [f"{row.strength:+.2f}{_within(row.interval)}"]
            for row in results.strengths
            if row.question == question
        }
        parts += [plain(question), markdown(HEADINGS, rows), markdown(("system", "strength"), strengths)]
    if results.listeners < FEWEST:
        parts.append(f"Fewer than {FEWEST} listeners: there are no tests, no intervals and no stars.")
    elif any(row.interval is None for row in results.preferences):
        parts.append(f"Intervals need {FEWEST} pieces or more for any two systems.")
    parts.append(
        f"In brackets, {100 * CONFIDENCE:.0f} % bootstrap intervals over listeners and pieces ({RESAMPLES:,} "
        "resamples). Tests are over listeners' means, Holm's correction over all rows of all questions; "
        f"{SIGNIFICANCE} is a corrected p below 0.05. Strengths are Bradley and Terry's, in nats."
    )
    if results.second_share is not None:
        parts.append(f"Of the answers that prefer one, {100 * results.second_share:.0f} % prefer what stood second.")
    parts += [f"Left out: {plain(name)}: {plain(reason)}" for name, reason in left_out.items()]
    return "\n\n".join(parts)


def _cells(row: Preference) -> list[str]:
    star = SIGNIFICANCE if row.is_significant else ""
    shares = [f"{100 * share:.0f} %" for share in row.shares]
    tests = [NONE if p is None else f"{p:.3f}" for p in (row.sign_p, row.wilcoxon_p, row.corrected)]
    return [*shares, f"{row.grade:+.2f}{star}{_within(row.interval)}", *tests]


def _within(interval: Interval | None) -> str:
    return "" if interval is None else f" ({interval.low:+.2f} to {interval.high:+.2f})"


def to_json(results: Results, left_out: Mapping[str, str]) -> str:
    """All figures, unrounded."""
    content = dataclasses.asdict(results) | {"left_out": dict(left_out)}
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def to_csv(results: Results, left_out: Mapping[str, str]) -> str:
    """A line for every question and pair of systems, and for every question and system."""
    header = ["question", "system", "other", "prefer_system", "neither", "prefer_other", "mean", "low", "high"]
    header += ["sign_p", "wilcoxon_p", "holm_p", "strength"]
    lines: list[list[object]] = [
        [
            *(row.question, *row.systems, *row.shares, row.grade, *(row.interval or (None, None))),
            *(row.sign_p, row.wilcoxon_p, row.corrected, None),
        ]
        for row in results.preferences
    ]
    lines += [
        [row.question, row.system, *[None] * 5, *(row.interval or (None, None)), None, None, None, row.strength]
        for row in results.strengths
    ]
    return csv_table(header, lines)
