"""`t5music corpora`: lists, builds and exports corpora."""

from __future__ import annotations

import argparse

from t5music.cli import inputs
from t5music.cli.flags import add_workers

HELP = "List the corpora with their terms and what is built, build some, or export one as MIDI files."


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Adds the verb's flags."""
    parser.add_argument(
        "--permissive",
        action="store_true",
        help="list only free music in free files: weights trained on it may be given away",
    )
    parser.add_argument("--build", nargs="+", metavar="CORPUS", default=[], help="download and build these corpora")
    parser.add_argument(
        "--from", dest="source", metavar="PATH", help="build from this folder or archive instead of the download"
    )
    parser.add_argument("--accept_licence", action="store_true", help="accept the terms of what is downloaded")
    add_workers(parser)
    parser.add_argument("--force", action="store_true", help="build again, and export again, what is there already")
    parser.add_argument("--export", metavar="CORPUS", help="write the pieces of one split as MIDI files")
    parser.add_argument("--split", default="test", help="the split to export (default: %(default)s)")
    parser.add_argument(
        "--to", default=".", metavar="FOLDER", help="the folder to export to (default: the current folder)"
    )


def run(flags: argparse.Namespace) -> None:
    """Runs the verb."""
    inputs.require_path(flags.source, "--from")
    from t5music.cli import building

    if flags.build:
        building.build(
            flags.build,
            source=flags.source,
            accept_licence=flags.accept_licence,
            workers=flags.workers,
            force=flags.force,
        )
    if flags.export:
        building.export(flags.export, flags.split, flags.to, force=flags.force)
    if not flags.build and not flags.export:
        building.list_corpora(permissive=flags.permissive)
