"""Sampling settings: how a model chooses the words of new music, such as temperature, beams or guidance.

SETTINGS declares them: from it, flags, the API's schema and the page's controls are made, and `checked` says what goes
with what. It is light to import.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from t5music.errors import ConfigError, nearest

INTEGER, NUMBER = "integer", "number"


class Setting(NamedTuple):
    """The declaration of a setting.

    Attributes:
        name: in Python and in the API, and the flag without its dashes.
        kind: INTEGER or NUMBER.
        least: the least value.
        most: the greatest value; None where only the model knows it, or there is none.
        default: without the setting.
        metavar: what stands for its value in a help text.
        help: what it does.
        above: what values must be above of; None where `least` is allowed.
        shown: the greatest value that a page offers, where `most` is None.
    """

    name: str
    kind: str
    least: float
    most: float | None
    default: float | None
    metavar: str
    help: str
    above: float | None = None
    shown: float | None = None


TEMPERATURE, TOP_P = 0.9, 0.95
SETTINGS = (
    Setting(
        "temperature",
        NUMBER,
        0,
        None,
        TEMPERATURE,
        "T",
        "randomness; 0 always takes the likeliest word",
        shown=5,
    ),
    Setting("top_k", INTEGER, 0, None, 0, "K", "sample among the K likeliest words; 0 is all of them", shown=1000),
    Setting(
        "top_p",
        NUMBER,
        0.01,
        1,
        TOP_P,
        "P",
        "sample among the likeliest words that together have this probability",
        above=0,
    ),
    Setting(
        "min_p",
        NUMBER,
        0,
        1,
        0,
        "P",
        "sample among the words that have at least this share of the likeliest one's probability; 0 is all of them",
    ),
    Setting(
        "beams",
        INTEGER,
        1,
        16,
        1,
        "N",
        "look for the likeliest answer with N beams, in place of sampling; 1 is no search",
    ),
    Setting("length_penalty", NUMBER, 0, 5, 0.6, "ALPHA", "with beams: how much longer answers are preferred"),
    Setting(
        "guidance",
        NUMBER,
        0,
        10,
        1,
        "S",
        "how far the style of the prompt is followed: 1 as learnt, 2 to 4 further, 0 not at all",
    ),
    Setting(
        "repetition_penalty",
        NUMBER,
        0,
        100,
        0,
        "NATS",
        "make notes less likely that repeat a pattern too often; 0 is off, and 20 as good as forbids them",
    ),
    Setting("repeats", INTEGER, 1, 100, 3, "N", "with a repetition penalty: how often a pattern may be heard"),
    Setting(
        "pattern",
        INTEGER,
        1,
        64,
        8,
        "NOTES",
        "with a repetition penalty: how many notes in a row, of all voices, are a pattern",
    ),
    Setting("words", INTEGER, 1, None, None, "N", "words to write at most (default: as many as in training)"),
)
NAMES = tuple(setting.name for setting in SETTINGS)
# What draws a word means nothing to a search for the likeliest answer, and what tunes a setting nothing without it.
_DRAWING = ("temperature", "top_k", "top_p", "min_p")
_NEEDS = {"length_penalty": "beams", "repeats": "repetition_penalty", "pattern": "repetition_penalty"}


class Sampling(NamedTuple):
    """The settings, all of them; see SETTINGS."""

    temperature: float
    top_k: int
    top_p: float
    min_p: float
    beams: int
    length_penalty: float
    guidance: float
    repetition_penalty: float
    repeats: int
    pattern: int
    words: int | None


def checked(values: Mapping[str, Any]) -> Sampling:
    """Returns all settings, of those that somebody has set; None is not set.

    Raises:
        ConfigError: a name that is no setting's, a value outside of its limits, or settings that do not go together.
    """
    chosen = {name: value for name, value in values.items() if value is not None}
    for name, value in chosen.items():
        if name not in NAMES:
            raise ConfigError(f"there is no setting {name!r} (there are {', '.join(NAMES)}){nearest(name, NAMES)}")
        _require_within(SETTINGS[NAMES.index(name)], value)
    settings: dict[str, Any] = {setting.name: chosen.get(setting.name, setting.default) for setting in SETTINGS}
    if settings["beams"] > 1:
        off = {"temperature": 0.0, "top_k": 0, "top_p": 1.0, "min_p": 0.0}
        for name in _DRAWING:
            if name in chosen and chosen[name] != off[name]:
                raise ConfigError(
                    f"--{name} does not go with --beams: beams look for the likeliest answer, and it draws one; leave "
                    "one of them out"
                )
        settings |= off
    defaults = {setting.name: setting.default for setting in SETTINGS}
    for name, other in _NEEDS.items():
        if name in chosen and settings[other] == defaults[other]:
            raise ConfigError(f"--{name} means nothing without --{other}: give that, too")
    return Sampling(**settings)


def require_one_variant(variants: int, values: Mapping[str, Any]) -> None:
    """Raises ConfigError where several variants are wanted of a search, which has one answer."""
    if variants > 1 and (values.get("beams") or 1) > 1:
        raise ConfigError(f"--variants {variants} does not go with --beams: a search has one answer, whatever the seed")


def _require_within(setting: Setting, value: Any) -> None:
    """Raises ConfigError for a value that a setting cannot have."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    whole = setting.kind == INTEGER
    low = setting.least if setting.above is None else setting.above
    most = math.inf if setting.most is None else setting.most
    if (
        not is_number
        or (whole and value != int(value))
        or not low <= value <= most
        or (setting.above is not None and value <= setting.above)
    ):
        kind = "a whole number" if whole else "a number"
        limits = f"above {low:g}" if setting.above is not None else f"of at least {low:g}"
        limits += "" if setting.most is None else f" and at most {most:g}"
        raise ConfigError(f"--{setting.name} must be {kind} {limits}, not {value!r}")
