"""Report of a compile: what was read, mended and left out, and what the examples are like.

Everything in it stands in the store's manifest, from which `markdown` and `picture` make it again.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from t5music import figures, written_text
from t5music.data.store.sums import LENGTH_BIN, Reason, Sums, by_reason

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PICTURE = "lengths.png"
REPORT = "report.md"
MOST_REASONS = 20  # rows of a table of reasons
SIDES = ("inputs", "targets")


def digest(report: Mapping[str, Any]) -> dict[str, Any]:
    """What a manifest keeps of a corpus' report (corpora.base.read_report): numbers, and reasons with one case each."""
    skipped: Mapping[str, str] = report.get("skipped", {})
    mended: Mapping[str, Sequence[str]] = report.get("mended", {})
    pieces: Mapping[str, int] = report.get("pieces", {})
    return {
        "files": report.get("files", sum(pieces.values()) + len(skipped)),
        "pieces": dict(pieces),
        "groups": report.get("groups", 0),
        "duplicates": report.get("duplicates", 0),
        "seconds": report.get("seconds", 0.0),
        "notes": report.get("notes", 0),
        "labels": {label: dict(values) for label, values in report.get("labels", {}).items()},
        "remarks": list(report.get("remarks", ())),
        "skipped": _plain(by_reason(skipped.items())),
        "mended_files": len(mended),
        "mended": _plain(by_reason((name, why) for name, reasons in mended.items() for why in reasons)),
    }


def _plain(reasons: Mapping[str, Reason]) -> dict[str, dict[str, Any]]:
    return {reason: dataclasses.asdict(case) for reason, case in reasons.items()}


def files(manifest: Mapping[str, Any]) -> dict[str, bytes]:
    """The report's files: name -> content; without the picture where it cannot be drawn."""
    pictures = {} if figures.left_out(PICTURE) else {PICTURE: picture(manifest)}
    return {REPORT: markdown(manifest, pictures).encode(), **pictures}


# ------------------------------------------------------------------------------------------------------------ short


def short(manifest: Mapping[str, Any]) -> list[str]:
    """A few lines for the terminal: the splits, and what was left out."""
    lines = []
    for split, sums in _splits(manifest).items():
        lines.append(
            f"  {split:<10} {sums.examples:>9,} examples {sum(sums.tokens.values()):>13,} tokens "
            f"{sums.notes:>12,} notes {sums.seconds / 3600:>8.2f} h"
        )
    for name, corpus in manifest.get("corpora", {}).items():
        skipped = sum(case["count"] for case in corpus["skipped"].values())
        lines.append(
            f"  {name}: {corpus['files']:,} files read, {corpus['mended_files']:,} mended, {skipped:,} skipped, "
            f"{corpus['duplicates']:,} near-duplicates"
        )
    for reason, case in sorted(_skipped(manifest).items(), key=lambda item: -item[1].count)[:3]:
        lines.append(f"  {case.count:,} x left out: {reason} (for example {case.example})")
    return lines


def nothing(manifest: Mapping[str, Any], pieces: Mapping[str, int]) -> str:
    """Why there is no training example."""
    counts = ", ".join(f"{n} {split}" for split, n in pieces.items())
    reasons = "; ".join(f"{case.count} x {reason}" for reason, case in _skipped(manifest).items())
    return f"its corpora gave {counts} pieces" + (f" ({reasons})" if reasons else ", and none has what the task needs")


def _splits(manifest: Mapping[str, Any]) -> dict[str, Sums]:
    """The sums of all splits, in the usual order."""
    entries = {**manifest["splits"], **manifest.get("without_examples", {})}
    usual = ("train", "validation", "test")
    order = sorted(entries, key=lambda split: (usual.index(split) if split in usual else len(usual), split))
    return {split: Sums.from_json(entries[split]) for split in order}


def _skipped(manifest: Mapping[str, Any]) -> dict[str, Reason]:
    whole = Sums()
    for sums in _splits(manifest).values():
        whole.merge(sums)
    return whole.skipped


# --------------------------------------------------------------------------------------------------------- markdown


def markdown(manifest: Mapping[str, Any], pictures: Iterable[str] = (PICTURE,)) -> str:
    """The report in Markdown, with the pictures by name."""
    shown = [f"![Lengths of inputs and targets]({name})" for name in pictures]
    return "\n".join([*_sections(manifest), *shown]) + "\n"


def _sections(manifest: Mapping[str, Any]) -> Iterator[str]:
    splits = _splits(manifest)
    yield f"# {written_text.markdown(manifest['name'])}\n"
    licences = dict.fromkeys(terms["licence"] for terms in manifest["terms"])
    terms = written_text.markdown("; ".join(licences)) or "-"
    yield f"Encoding {manifest['encoding']}; {manifest['created_by']}; terms: {terms}\n"
    yield from _corpora(manifest.get("corpora", {}))
    yield from _examples(splits)
    for split, count in manifest.get("left_out", {}).items():
        yield f"{count:,} {split} pieces open like held-out pieces of another corpus and were not taken up.\n"
    yield from _reasons("## Pieces left out\n", _skipped(manifest))
    if manifest.get("labels"):
        yield "## Answers\n"
        yield from _table(
            ("answer", *splits),
            ((label, *(sums.answers.get(label, 0) for sums in splits.values())) for label in manifest["labels"]),
        )
    yield from _lengths(splits)


def _corpora(corpora: Mapping[str, Any]) -> Iterator[str]:
    if corpora:
        yield "## Corpora\n"
        yield from _table(
            ("corpus", "files read", "mended", "skipped", "pieces", "groups", "near-duplicates", "hours", "notes"),
            (
                (
                    name,
                    corpus["files"],
                    corpus["mended_files"],
                    sum(case["count"] for case in corpus["skipped"].values()),
                    sum(corpus["pieces"].values()),
                    corpus["groups"],
                    corpus["duplicates"],
                    corpus["seconds"] / 3600,
                    corpus["notes"],
                )
                for name, corpus in corpora.items()
            ),
        )
    for name, corpus in corpora.items():
        if corpus["remarks"]:
            yield f"## {name}: its files\n"
            yield "\n".join(f"- {_cell(line)[0]}" for line in corpus["remarks"]) + "\n"
        for what in ("skipped", "mended"):
            reasons = {reason: Reason(**case) for reason, case in corpus[what].items()}
            yield from _reasons(f"## {name}: {what} on reading\n", reasons)
        labels = [(label, value, n) for label, values in corpus["labels"].items() for value, n in values.items()]
        if labels:
            yield f"## {name}: labels\n"
            yield from _table(("label", "value", "pieces"), ((label, value or "-", n) for label, value, n in labels))


def _examples(splits: Mapping[str, Sums]) -> Iterator[str]:
    yield "## Examples\n"
    yield from _table(
        ("split", "pieces", "left out", "without example", "examples", *SIDES, "notes", "hours"),
        (
            (
                split,
                sums.pieces,
                sum(case.count for case in sums.skipped.values()),
                sums.without,
                sums.examples,
                *(sums.tokens.get(side, 0) for side in SIDES),
                sums.notes,
                sums.seconds / 3600,
            )
            for split, sums in splits.items()
        ),
    )
    yield "`inputs` and `targets` are tokens, without EOS; notes are those of the targets.\n"


def _lengths(splits: Mapping[str, Sums]) -> Iterator[str]:
    yield "## Lengths\n"
    yield from _table(
        ("split", "feature", "mean", "median", "90 %", "99 %", "longest"),
        (
            (
                split,
                side,
                sums.tokens[side] / sums.examples,
                *(min(_quantile(sums.lengths[side], share), sums.max_length[side]) for share in (0.5, 0.9, 0.99)),
                sums.max_length[side],
            )
            for split, sums in splits.items()
            for side in SIDES
            if sums.tokens.get(side)
        ),
    )
    yield f"Quantiles are rounded up to {LENGTH_BIN} tokens.\n"


def _reasons(title: str, reasons: Mapping[str, Reason]) -> Iterator[str]:
    """A table of reasons, the most frequent first; nothing if there are none."""
    if reasons:
        yield title
        by_frequency = sorted(reasons.items(), key=lambda item: (-item[1].count, item[0]))
        rows = [(reason, case.count, case.example) for reason, case in by_frequency[:MOST_REASONS]]
        if rest := [case for _, case in by_frequency[MOST_REASONS:]]:
            rows.append((f"{len(rest)} other reasons", sum(case.count for case in rest), rest[0].example))
        yield from _table(("reason", "times", "for example"), rows)


def _table(head: Sequence[str], rows: Any) -> Iterator[str]:
    """The lines of a Markdown table and an empty one; numbers are written with separators, to the right."""
    cells = [[_cell(value) for value in row] for row in rows]
    right = [bool(cells) and all(row[column][1] for row in cells) for column in range(len(head))]
    yield f"| {' | '.join(head)} |"
    yield f"|{'|'.join('---:' if numbers else '---' for numbers in right)}|"
    yield from (f"| {' | '.join(text for text, _ in row)} |" for row in cells)
    yield ""


def _cell(value: str | int | float) -> tuple[str, bool]:
    """A cell's text, and whether it is a number."""
    if isinstance(value, str):
        return written_text.markdown(value), False
    return (f"{value:,.2f}" if isinstance(value, float) else f"{value:,}"), True


def _quantile(bins: Sequence[int], share: float) -> int:
    """The least multiple of LENGTH_BIN that at least this share of the examples is shorter than."""
    return (int(np.searchsorted(np.cumsum(bins), share * sum(bins))) + 1) * LENGTH_BIN


# ---------------------------------------------------------------------------------------------------------- picture


def picture(manifest: Mapping[str, Any]) -> bytes:
    """A PNG: how long inputs and targets are, a line for each split. The same bytes for the same manifest."""

    def onto(figure: Figure) -> None:
        for axes, side in zip(figure.subplots(1, 2), SIDES, strict=True):
            axes.set_title(f"{manifest['name']}: {side}", fontsize=10)
            _draw_lengths(axes, side, _splits(manifest))

    return figures.png(onto, 9, 3.2, dpi=100)


def _draw_lengths(axes: Axes, side: str, splits: Mapping[str, Sums]) -> None:
    """The histograms of one side of the examples, and their legend."""
    axes.set_xlabel("tokens")
    axes.set_ylabel("% of the split's examples")
    axes.spines[["top", "right"]].set_visible(False)
    with_tokens = {split: sums for split, sums in splits.items() if sums.tokens.get(side)}
    for split, sums in with_tokens.items():
        heights, width = _coarse(sums.lengths[side])
        axes.stairs(
            heights / sums.examples * 100,
            np.arange(len(heights) + 1) * width,
            label=f"{split} ({sums.examples:,})",
            linewidth=1.5,
            fill=split == "train",
            alpha=0.45 if split == "train" else 1.0,
        )
    if with_tokens:
        axes.set_xlim(left=0)
        axes.legend(frameon=False, fontsize=8)
    else:
        axes.text(0.5, 0.5, "none: the objective makes them", ha="center", va="center", transform=axes.transAxes)
        axes.set(xticks=[], yticks=[])


def _coarse(bins: Sequence[int], most: int = 64) -> tuple[NDArray[np.int64], int]:
    """Histogram of at most `most` bins, and their width in tokens."""
    factor = -(-len(bins) // most)
    padded = np.zeros(-(-len(bins) // factor) * factor, np.int64)
    padded[: len(bins)] = bins
    return padded.reshape(-1, factor).sum(axis=1), factor * LENGTH_BIN
