"""Trackers: where to look at a run while it trains. TensorBoard's files are always written; --track adds another one.

A tracker is a file here, behind the interface of `base.Tracker`, and a line in TRACKERS. This file is light: the
command line reads it for its flags.
"""

from __future__ import annotations

from importlib.util import find_spec

from t5music.errors import ConfigError, nearest

# Tracker -> its class in the file of its name; package and extra are called so, too.
TRACKERS = {"wandb": "Wandb", "trackio": "Trackio"}


def require(name: str | None) -> None:
    """Refuses a tracker that cannot be had; None is none.

    Raises:
        ConfigError: it is none of TRACKERS, or its package is not installed.
    """
    if name is None:
        return
    if name not in TRACKERS:
        raise ConfigError(f"Records.tracker is {name!r}{nearest(name, TRACKERS)} (one of {', '.join(TRACKERS)})")
    if find_spec(name) is None:
        raise ConfigError(f"--track {name}: {name} is not installed: pip install 't5music[{name}]'")
