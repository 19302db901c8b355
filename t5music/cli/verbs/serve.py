"""`t5music serve`: a page in the browser, and an HTTP API, for a trained model."""

from __future__ import annotations

import argparse

from t5music.cli import inputs
from t5music.cli.flags import add_model, add_sound_font, choose_model, prepare_devices
from t5music.cli.parser import real, whole

HELP = "Serve a page and an HTTP API on this machine: continue, fill in, accompany, compose, classify, label."


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Adds the verb's flags."""
    add_model(parser)
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="address to listen at; others can reach this machine's own, or 0.0.0.0 (default: %(default)s, this "
        "machine alone)",
    )
    parser.add_argument(
        "--port", type=whole(0, 65535), default=8765, help="port to listen at; 0 is any (default: %(default)s)"
    )
    parser.add_argument(
        "--name",
        action="append",
        default=[],
        metavar="HOST",
        help="a name by which browsers reach this machine, such as music.local; may be repeated",
    )
    add_sound_font(parser)
    parser.add_argument(
        "--megabytes",
        type=real(above=0, most=100),
        default=2.0,
        help="size of a file that is taken (default: %(default)s)",
    )
    parser.add_argument(
        "--seconds",
        type=real(above=0, most=3600),
        default=120.0,
        help="time that the model may work at a request (default: %(default)s)",
    )
    parser.add_argument(
        "--waiting",
        type=whole(1, 10_000),
        default=100,
        metavar="N",
        help="requests that may wait (default: %(default)s)",
    )
    parser.add_argument(
        "--keep",
        type=real(above=0, most=24 * 60),
        default=15.0,
        metavar="MINUTES",
        help="how long an answer is kept after it was last looked at (default: %(default)s)",
    )


def run(flags: argparse.Namespace) -> None:
    """Runs the verb."""
    inputs.require_path(flags.sound_font, "--sound_font")
    model_dir = choose_model(flags)
    prepare_devices(flags)
    from t5music.server.limits import Limits
    from t5music.server.serve import serve

    serve(
        model_dir,
        flags.checkpoint,
        host=flags.host,
        port=flags.port,
        names=flags.name,
        sound_font=flags.sound_font,
        limits=Limits(megabytes=flags.megabytes, seconds=flags.seconds, waiting=flags.waiting, keep_minutes=flags.keep),
    )
