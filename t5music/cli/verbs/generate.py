"""`t5music generate`: continues, accompanies, fills in or composes music."""

from __future__ import annotations

import argparse

from t5music.cli import inputs
from t5music.cli.flags import add_model, prepare_devices

HELP = "Continue, accompany, fill in or compose music. Writes a MIDI file and its piano roll."


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Adds the verb's flags."""
    parser.add_argument("midi", metavar="FILE", nargs="?", help="the MIDI file; tasks that begin a new piece need none")
    add_model(parser)
    parser.add_argument("--task", help="one of the model's tasks, or its kind: continue, infill ... "
                        "(default: its first that writes music)")  # fmt: skip
    parser.add_argument(
        "--output", metavar="MIDI", help="the MIDI file to write (default: FILE_TASK.mid in the current folder)"
    )
    parser.add_argument(
        "--region",
        type=float,
        nargs=2,
        metavar=("BEGIN", "END"),
        help="the part to fill in, in seconds (default: the middle)",
    )
    parser.add_argument("--caption", metavar="TEXT", help="a description of the music to compose")
    parser.add_argument(
        "--temperature",
        type=float,
        default=0.9,
        help="randomness; 0 always takes the likeliest word (default: %(default)s)",
    )
    parser.add_argument(
        "--top_k",
        type=int,
        default=0,
        metavar="K",
        help="sample among the K likeliest words; 0 is all of them (default: %(default)s)",
    )
    parser.add_argument(
        "--top_p",
        type=float,
        default=0.95,
        metavar="P",
        help="sample among the likeliest words that together have this probability (default: %(default)s)",
    )
    parser.add_argument("--seed", type=int, default=0, help="the same seed gives the same music (default: %(default)s)")
    parser.add_argument(
        "--words", type=int, metavar="N", help="words to write (default: as many as the model was trained to write)"
    )


def run(flags: argparse.Namespace) -> None:
    """Runs the verb."""
    inputs.require_path(flags.midi)
    inputs.require_run(flags.model_dir)
    prepare_devices(flags)
    from t5music.inference import generate

    generate.generate(
        flags.midi,
        flags.model_dir,
        task=flags.task,
        output=flags.output,
        region=tuple(flags.region) if flags.region else None,
        caption=flags.caption,
        checkpoint=flags.checkpoint,
        words=flags.words,
        temperature=flags.temperature,
        top_k=flags.top_k,
        top_p=flags.top_p,
        seed=flags.seed,
    )
