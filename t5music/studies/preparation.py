"""Preparation: the token stores of a study, compiled before any stage runs."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from t5music.errors import DataError
from t5music.runs.stores import open_stores
from t5music.studies.grid import Stage


def prepare_stores(stages: Iterable[Stage]) -> dict[str, str]:
    """Compiles the token stores that some stages read and that are missing; says once what cannot be had.

    Args:
        stages: that are about to run.

    Returns:
        Task or mixture -> why its store is missing, in one line; {} if all are there.
    """
    reasons: dict[str, str] = {}
    for name in dict.fromkeys(name for stage in stages for name in stage.tasks):
        try:
            open_stores(name)
        except DataError as error:
            reasons[name] = " ".join(str(error).split())
    for reason in dict.fromkeys(reasons.values()):
        print(f"t5music: {reason}", file=sys.stderr, flush=True)
    if reasons:
        print(f"t5music: stages that read {', '.join(reasons)} fail; all others run", file=sys.stderr, flush=True)
    return reasons
