"""`t5music compile`: turns tasks and mixtures, or a folder of one's own, into token stores."""

from __future__ import annotations

import argparse

from t5music.cli import inputs
from t5music.cli.flags import add_workers
from t5music.cli.parser import choice, place

HELP = "Compile seqio tasks and mixtures, or your own folder of MIDI or text files, into token stores."


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Adds the verb's flags."""
    parser.add_argument("names", nargs="*", metavar="TASK_OR_MIXTURE", help="the tasks and mixtures to compile")
    parser.add_argument(
        "--midi",
        type=place,
        metavar="FOLDER",
        help="compile this folder of MIDI files and scores; its labels.csv has labels (see --label, --labels)",
    )
    parser.add_argument(
        "--text",
        type=place,
        metavar="FOLDER",
        help="compile this folder of text files (.txt, UTF-8) for language models",
    )
    parser.add_argument("--name", help="name of the folder's corpus and mixture (default: the folder's name)")
    parser.add_argument("--table", metavar="CSV", help="the folder's table (default: its labels.csv)")
    parser.add_argument(
        "--label",
        action="append",
        default=[],
        metavar="COLUMN",
        help="a column of the table to use as a label; may be repeated",
    )
    parser.add_argument(
        "--labels",
        type=choice("folders", "none"),
        metavar="folders|none",
        help="whether the sub-folders are labels (default: a question, where a person can answer it)",
    )
    parser.add_argument(
        "--seqio_cache", metavar="FOLDER", help="also write seqio's own cache of the tasks into this folder"
    )
    add_workers(parser)
    parser.add_argument(
        "--beam", metavar="OPTIONS", help="run as an Apache Beam pipeline, for example --beam='--runner=FlinkRunner'"
    )
    parser.add_argument("--force", action="store_true", help="compile again, even if the store is there already")


def run(flags: argparse.Namespace) -> None:
    """Runs the verb."""
    inputs.require_folder(flags.midi, "--midi")
    inputs.require_folder(flags.text, "--text")
    inputs.require_path(flags.table, "--table")
    from t5music.cli import compiling

    compiling.compile_(
        flags.names,
        flags.midi,
        flags.name,
        text=flags.text,
        table=flags.table,
        labels=flags.label,
        folder_labels=flags.labels,
        cache=flags.seqio_cache,
        workers=flags.workers,
        beam=flags.beam,
        force=flags.force,
    )
