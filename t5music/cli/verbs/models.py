"""`t5music models`: lists the models that come with t5music."""

from __future__ import annotations

import argparse

HELP = "List the models that come with t5music: size, tasks, and the terms of what they were trained on."


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Adds the verb's flags: none of its own."""


def run(flags: argparse.Namespace) -> None:
    """Runs the verb."""
    from t5music.inference import pretrained

    print(pretrained.table() or "no model comes with this installation of t5music")
