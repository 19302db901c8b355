"""Limits: the least and the greatest number of a parameter, where what it belongs to does not say so itself.

They are checked when gin is read. Limits between several parameters, and those of a model's shape, are checked by the
objects (`T5Config`, `Masking`, the objectives).
"""

from __future__ import annotations

from typing import Any, NamedTuple

MOST_ROWS = 2**24  # of a batch, or of anything that is held in memory; what is beyond is a slip
MOST_TOKENS = 2**20  # of a row
MOST_STEPS = 2**31 - 1  # a step is counted in 32 bits
MOST_DEVICES = 2**20


class Limit(NamedTuple):
    """From `least` to `most`; None has no such end. Where `open` is true, neither of the two is allowed itself."""

    least: float | None
    most: float | None = None
    open: bool = False

    def holds(self, number: float) -> bool:
        """Whether a number is within the limits."""
        if self.open and number in (self.least, self.most):
            return False
        return (self.least is None or number >= self.least) and (self.most is None or number <= self.most)

    def __str__(self) -> str:
        least = [f"{'above' if self.open else 'at least'} {self.least:,}"] if self.least is not None else []
        most = [f"{'below' if self.open else 'at most'} {self.most:,}"] if self.most is not None else []
        return " and ".join(least + most)


_STEPS, _ROWS, _FROM_0, _SHARE = Limit(1), Limit(1, MOST_ROWS), Limit(0), Limit(0, 1)

# By the parameter's name, which means the same wherever it stands.
_BY_NAME = {
    "seed": _FROM_0,
    "train_steps": Limit(1, MOST_STEPS),
    "device_count": Limit(1, MOST_DEVICES),
    "batch_size": _ROWS,
    "microbatches": _ROWS,
    "lanes": _ROWS,
    "examples": _STEPS,
    "limit": _STEPS,
    "segments": _STEPS,
    "count": _STEPS,
    "samples": Limit(0, MOST_ROWS),
    "answers": Limit(0, MOST_ROWS),
    "words": Limit(1, MOST_TOKENS),
    "prompt_words": Limit(1, MOST_TOKENS),
    "stride": Limit(1, MOST_TOKENS),
    "ngram": Limit(1, 64),
    "task_feature_lengths": Limit(1, MOST_TOKENS),
    "idle_minutes": _FROM_0,
    "temperature": _FROM_0,
    "top_p": _SHARE,
    "dropout_rate": _SHARE,
    "adapter_dim": Limit(0, 2**16),
    "z_loss": _FROM_0,
    "label_smoothing": _SHARE,
    "clip_norm": Limit(0, None, open=True),
    "b1": _SHARE,
    "b2": _SHARE,
    "beta": _SHARE,
    "eps": Limit(0, None, open=True),
    "weight_decay": _FROM_0,
    "others": _FROM_0,
    "queries": _FROM_0,
    "rate": _FROM_0,
    "peak": _FROM_0,
    "final": _FROM_0,
}


def of(parameter: str) -> Limit | None:
    """The limit of a parameter; None where it has none here."""
    return _BY_NAME.get(parameter)


def numbers(value: Any) -> list[float]:
    """The numbers that a limit is for: the value itself, or those of a list or of a dictionary's values."""
    if isinstance(value, bool):
        return []
    if isinstance(value, int | float):
        return [value]
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    return [number for item in items for number in numbers(item)]
