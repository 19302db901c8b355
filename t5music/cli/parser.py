"""Parser: reads a command line, and says in one line what a flag may be, with the nearest name where one is misspelt.

`whole`, `real` and `choice` are the types of flags: each refuses what does not fit and says what would.
"""

from __future__ import annotations

import argparse
import itertools
import math
import re
from collections.abc import Callable, Iterable, Sequence
from typing import NoReturn

from t5music import storage
from t5music.cli.verbs import ASKED_OF_GENERATE
from t5music.errors import ConfigError, closest, nearest
from t5music.files import require_local
from t5music.inference import pretrained

LONGEST = 10_000 * 3600  # seconds


class Parser(argparse.ArgumentParser):
    """An argparse parser that raises ConfigError in place of printing its usage and leaving.

    Attributes:
        verbs: the parser of each verb; of a verb's own parser, none.
    """

    verbs: dict[str, Parser]

    def __init__(self, **settings: object) -> None:
        super().__init__(**settings)  # type: ignore[arg-type]
        self.verbs = {}

    def error(self, message: str) -> NoReturn:
        """Raises ConfigError."""
        of_flag = re.match(r"argument ([^:]+): (.*)", message, re.DOTALL)
        if of_flag:
            flag, reason = of_flag.groups()
            message = f"{flag} {reason}" if reason.startswith("must ") else f"{flag}: {reason}"
        else:
            message = f"{self.prog}: {message}"
        raise ConfigError(f"{message} ({self.prog} --help)")

    def parse_line(self, words: Sequence[str]) -> argparse.Namespace:
        """The flags of a whole command line, the verb first.

        Raises:
            ConfigError: an unknown verb or flag, a flag that is missing or has a value that it cannot have, a path that
                has to be on this machine and is not.
        """
        verb = words[0] if words else None
        if verb is None or not verb.startswith("-"):
            if verb not in self.verbs:
                raise ConfigError(f"{_no_verb(verb, self.verbs)} ({self.prog} --help)")
            self.verbs[verb]._check(words[1:])
        return self.parse_args(words)

    def _check(self, words: Sequence[str]) -> None:
        """Refuses flags that are not the parser's, empty values, and addresses in place of paths of this machine."""
        flags = self._option_string_actions
        takes_places = any(action.type is place for action in self._get_positional_actions())
        models = {flag for flag, action in flags.items() if action.type is model}
        flag, is_first = "", False  # is the next word the flag's first value?
        for word in itertools.takewhile(lambda word: word != "--", words):
            value = word
            if word.startswith("--"):
                flag, equals, value = word.partition("=")
                is_first = True
                if not any(other.startswith(flag) for other in flags):  # argparse takes the beginning of a flag for it
                    raise ConfigError(f"{self.prog} has no flag {flag}{nearest(flag, flags)} ({self.prog} --help)")
                if not equals:
                    continue
            if not value:
                raise ConfigError(f"{flag or self.prog}: a value is empty; leave it out, or write one")
            name = flag if is_first else ""
            if name in models and pretrained.is_name(value):
                require_local(value.removeprefix(pretrained.HUB), name)
            elif name in models or (flags[flag].type is place if name in flags else takes_places):
                storage.require_reachable(value, name)
            elif not (is_first and "--caption".startswith(flag)):
                require_local(value, name)
            is_first = False


def _no_verb(verb: str | None, verbs: Iterable[str]) -> str:
    verbs = list(verbs)
    if verb is None:
        return f"name a verb: {', '.join(verbs)}"
    match = closest(verb, [*verbs, *ASKED_OF_GENERATE])
    return f"no verb {verb!r}" + (f"; did you mean {ASKED_OF_GENERATE.get(match, match)!r}?" if match else "")


def place(text: str) -> str:
    """The type of a flag that is a file or a folder, on this machine or in a bucket."""
    return text


def model(text: str) -> str:
    """The type of a flag that is a trained model: a place, or the name of a pretrained one."""
    return text


def whole(least: int, most: int | None = None) -> Callable[[str], int]:
    """The type of a flag that is a whole number from `least` to `most`."""
    limits = f"of at least {least:,}" if most is None else f"from {least:,} to {most:,}"

    def read(text: str) -> int:
        try:
            number = int(text)
        except ValueError:  # also of more digits than Python reads
            number = None
        if number is None or number < least or (most is not None and number > most):
            raise argparse.ArgumentTypeError(f"must be a whole number {limits}, not {_short(text)}")
        return number

    return read


def real(least: float = -math.inf, most: float = math.inf, *, above: float | None = None) -> Callable[[str], float]:
    """The type of a flag that is a finite number from `least` to `most`, and greater than `above` if that is given."""
    limits = [f"above {above:g}"] if above is not None else [f"at least {least:g}"] if least > -math.inf else []
    limits += [f"at most {most:g}"] if most < math.inf else []

    def read(text: str) -> float:
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if not math.isfinite(number) or not least <= number <= most or (above is not None and number <= above):
            raise argparse.ArgumentTypeError(f"must be a number {' and '.join(limits)}, not {_short(text)}")
        return number

    return read


def duration(text: str) -> float:
    """The type of a flag that is a time, as 90s, 9m or 1h30m; in seconds."""
    parts = re.fullmatch(r"(?:(\d{1,9})h)?(?:(\d{1,9})m)?(?:(\d{1,9})s)?", text, re.ASCII)
    numbers = map(int, parts.groups("0") if parts else "000")
    seconds = sum(number * size for number, size in zip(numbers, (3600, 60, 1), strict=True))
    if not 0 < seconds <= LONGEST:
        raise argparse.ArgumentTypeError(
            f"must be a time such as 90s, 9m or 1h30m, and at most {LONGEST // 3600:,}h, not {_short(text)}"
        )
    return float(seconds)


def choice(*values: str) -> Callable[[str], str]:
    """The type of a flag that is one of a few words."""

    def read(text: str) -> str:
        if text not in values:
            raise argparse.ArgumentTypeError(
                f"must be {', '.join(values[:-1])} or {values[-1]}, not {_short(text)}{nearest(text, values)}"
            )
        return text

    return read


def _short(text: str) -> str:
    return repr(text if len(text) <= 40 else f"{text[:37]}...")
