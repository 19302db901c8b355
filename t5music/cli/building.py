"""`t5music corpora` and `t5music leakage`: what music there is, built into corpora on disk, and what two of them share.

With the `[data]` extra, corpora of the catalogue become TFDS datasets. One's own folders never need it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from t5music import files
from t5music.cli import data_extra
from t5music.corpora import catalogue, download
from t5music.corpora.base import Corpus, read_report, report_path
from t5music.errors import DataError

MOST_REASONS = 5  # why files are left out, that are printed


def list_corpora(*, permissive: bool = False) -> None:
    """Prints the catalogue: what each corpus is, its terms and size, and what is on disk.

    Args:
        permissive: only corpora whose weights may be given away.
    """
    for corpus in catalogue.CATALOGUE.values():
        if permissive and not corpus.permissive:
            continue
        built = read_report(corpus.name, files.data_dir())
        fetched = files.data_dir() / "downloads" / corpus.name
        if built is not None:
            pieces = ", ".join(f"{n:,} {split}" for split, n in built["pieces"].items())
            state = f"built: {pieces}; {built['seconds'] / 3600:.1f} h, {built['notes']:,} notes"
        elif corpus.installed is not None:
            state = "on this machine, not built"
        else:
            state = "fetched, not built" if fetched.is_dir() else "neither fetched nor built"
        size = [f"{corpus.files:,} files"] if corpus.files else []
        size += [f"{corpus.hours:,.0f} hours"] if corpus.hours else []
        megabytes = sum(download.bytes for download in corpus.downloads) / 1e6
        size += [f"{megabytes:,.1f} MB to fetch"] if megabytes else []
        lines = {
            "source": corpus.source,
            "licence": corpus.licence,
            "weights": corpus.permissive and f"may be given away: {corpus.permissive}",
            "size": ", ".join(size),
            "labels": ", ".join(corpus.labels),
            "splits": corpus.splits,
            "cite": corpus.citation,
            "on disk": state,
        }
        print(f"{corpus.name}\n  {corpus.title}")
        print("".join(f"  {key + ':':<9}{value}\n" for key, value in lines.items() if value))


def build(
    names: Sequence[str],
    *,
    source: str | None = None,
    accept_licence: bool = False,
    workers: int | None = None,
    force: bool = False,
) -> None:
    """Builds catalogued corpora and prints what each of them gave.

    Args:
        names: corpora.
        source: folder or archive of the one corpus, instead of its download.
        accept_licence: accept the terms of what is downloaded.
        workers: processes that read; the machine's cores if None.
        force: build again what is built already.
    """
    corpora = [catalogue.get(name) for name in names]
    if source is not None and len(corpora) != 1:
        raise DataError(f"--from {source} is for one corpus at a time, not for {', '.join(names)}")
    for corpus in corpora:
        build_corpus(corpus, source=source, accept_licence=accept_licence, workers=workers, force=force)


def export(name: str, split: str, folder: str, *, force: bool = False) -> None:
    """Writes a split of a corpus as MIDI files, over such files with `force`; builds the corpus first if need be."""
    if name in catalogue.CATALOGUE and read_report(name, files.data_dir()) is None:
        build_corpus(catalogue.get(name))
    from t5music.corpora import build as builder

    paths = builder.export(name, files.data_dir(), split, Path(folder), force=force)
    print(f"{folder}: {len(paths)} MIDI files, the {split} split of {name}")


def leakage(names: Sequence[str], *, listed: int = 5) -> None:
    """Prints what splits of corpora and stores have in common, with at most so many pairs of pieces for each."""
    from t5music.data.store import leakage as leaking

    for comparison in leaking.between(names, files.data_dir(), files.stores_dir()):
        print(comparison)
        for one, other in comparison.pairs[:listed]:
            print(f"  {one} = {other}")
        if len(comparison.pairs) > listed:
            print(f"  and {len(comparison.pairs) - listed} more")


def build_corpus(
    corpus: Corpus,
    *,
    source: str | None = None,
    accept_licence: bool = False,
    workers: int | None = None,
    force: bool = False,
) -> dict[str, Any]:
    """Builds a corpus, unless it is built already by today's rules of reading, and prints what it gave."""
    from t5music.corpora import build as builder

    report = builder.current_report(corpus.name, files.data_dir())
    if report is None or force:
        if read_report(corpus.name, files.data_dir()) is not None and not force:
            print(f"{corpus.name} was built by other rules of reading music: building it again")
        root = download.obtain(corpus, files.data_dir(), source=source, accept_licence=accept_licence)
        as_tfds = corpus.name in catalogue.CATALOGUE and data_extra.is_installed()
        if as_tfds:
            data_extra.import_tensorflow()
        report = builder.build(corpus, root, files.data_dir(), workers=workers, force=force, as_tfds=as_tfds)
    pieces = ", ".join(f"{n} {split}" for split, n in report["pieces"].items())
    print(
        f"{corpus.name}: {pieces} ({report['groups']} groups, {report['duplicates']} near-duplicates); "
        f"{len(report['mended'])} files mended, {len(report['skipped'])} skipped"
    )
    for line in report["remarks"]:
        print(f"  {line}")
    reasons = Counter(report["skipped"].values()).most_common(MOST_REASONS)
    for reason, count in reasons:
        example = next(name for name, why in report["skipped"].items() if why == reason)
        print(f"  {count} left out: {reason} (for example {example})")
    if len(report["skipped"]) > len(reasons):  # some are not named above
        path = report_path(corpus.name, files.data_dir())
        print(f"  all {len(report['skipped'])} by name, each with its reason: 'skipped' in {path}")
    return report
