"""`t5music listen`: makes a blind listening test of folders of music, and evaluates its answers."""

from __future__ import annotations

import argparse

from t5music.cli import inputs
from t5music.cli.flags import add_force, add_seed, add_sound_font
from t5music.cli.parser import place, real, whole
from t5music.errors import ConfigError
from t5music.files import require_free_file

HELP = "Make a blind listening test of folders of music as one page, or evaluate its answers."
PAGE = "listening_test.html"
MAX_PAIRS = 200
MAX_SECONDS = 300


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Adds the verb's flags."""
    parser.add_argument(
        "folders", type=place, nargs="*", metavar="FOLDER", help="the music of each system: two folders or more"
    )
    parser.add_argument(
        "--output",
        type=place,
        metavar="FILE",
        help=f"the page to write (default: {PAGE}), beside which goes its key; with --answers, a file for the results: "
        ".json, .md or .csv",
    )
    parser.add_argument(
        "--pairs",
        type=whole(1, MAX_PAIRS),
        default=12,
        metavar="N",
        help="pairs to hear of any two folders; of files of the same name where all folders have such "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--begin",
        type=real(0),
        default=0.0,
        metavar="SECONDS",
        help="where clips begin, after the first note of a piece (default: %(default)g)",
    )
    parser.add_argument(
        "--seconds",
        type=real(1, MAX_SECONDS),
        default=20.0,
        metavar="N",
        help="how long clips are at most (default: %(default)g)",
    )
    parser.add_argument(
        "--question",
        action="append",
        default=[],
        metavar="TEXT",
        help="a question about each pair, which the first or the second is the answer to; may be repeated (default: "
        "which is liked better, and which sounds more like music by a person)",
    )
    parser.add_argument("--title", metavar="TEXT", help="the heading of the page (default: Listening test)")
    add_sound_font(parser)
    parser.add_argument(
        "--answers", type=place, metavar="FOLDER", help="evaluate the answers that listeners saved in this folder"
    )
    parser.add_argument(
        "--key", type=place, metavar="FILE", help="the test's key (default: the only one in the folder of answers)"
    )
    add_seed(parser, "of the test's pieces and names, or of the results' intervals")
    add_force(parser)


def run(flags: argparse.Namespace) -> None:
    """Runs the verb."""
    if flags.answers is not None:
        _evaluate(flags)
        return
    if flags.key is not None:
        raise ConfigError("--key goes with --answers, the folder of what listeners saved")
    if len(flags.folders) < 2:
        raise ConfigError("name two folders of music or more to make a test, or --answers FOLDER to evaluate one")
    for folder in flags.folders:
        inputs.require_folder(folder)
    inputs.require_path(flags.sound_font, "--sound_font")
    output = flags.output or PAGE
    require_free_file(output, "--output", force=flags.force)
    from t5music.comparison import listen

    require_free_file(listen.key_path(output), "--output", force=flags.force)
    listen.write_test(
        flags.folders,
        output,
        pairs=flags.pairs,
        begin=flags.begin,
        seconds=flags.seconds,
        questions=flags.question,
        title=flags.title,
        sound_font=flags.sound_font,
        seed=flags.seed,
    )


def _evaluate(flags: argparse.Namespace) -> None:
    if flags.folders:
        raise ConfigError("--answers evaluates a test that was made: name no folders of music with it")
    inputs.require_folder(flags.answers, "--answers")
    inputs.require_path(flags.key, "--key")
    if flags.output is not None:
        require_free_file(flags.output, "--output", force=flags.force)
    from t5music.comparison import listen

    listen.evaluate(flags.answers, flags.key, output=flags.output, seed=flags.seed)
