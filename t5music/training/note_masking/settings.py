"""Masking: the settings of pre-training on masked notes, with which notes are chosen, frozen and weighted."""

from __future__ import annotations

import dataclasses
from typing import Any

from t5music.errors import ConfigError, nearest

LEARNED, RANDOM = CHOOSERS = ("learned", "random")
HARDEST, NONE = "hardest", "none"
FREEZING = (HARDEST, RANDOM, NONE)
PAPER, PUBLISHED = LABELS = ("paper", "published")
TRAINING, VALIDATION = WEIGHED_ON = ("training", "validation")

_CHOICES = {"chooser": CHOOSERS, "freezing": FREEZING, "labels": LABELS, "weighed_on": WEIGHED_ON}


@dataclasses.dataclass(frozen=True)
class Masking:
    """How notes are chosen to be masked; the numbers are Adversarial-MidiBERT's.

    Attributes:
        chooser: "learned", by the masker, or "random".
        share: the bounds of the share of a row's unfrozen notes that is masked; the share is drawn for each row.
        most: the largest share of all notes of a row that is masked.
        labelled: the share of the masked notes that the masker learns to score 1 (the hardest), and the share that it
            learns to score 0 (the easiest).
        freezing: which notes are frozen: the "hardest", as many "random" ones, or "none".
        epochs: the number of epochs from one freezing to the next.
        frozen: the bounds of the share of a chunk's unfrozen notes that is frozen; the share is drawn for each chunk.
        thawed: the greatest probability with which a note is thawed again; the probability is drawn for each chunk.
        weighting: whether families of words weigh more in the loss the worse they were recovered.
        weighed_on: whose accuracies those are: of the "training" rows of the last epoch, or of "validation" music, in
            which `most` of the notes are masked by chance, at the last evaluation (Validation.period).
        labels: what the masker learns: "paper", or "published" as the published code has it (`choice.teaching_loss`).
    """

    chooser: str = LEARNED
    share: tuple[float, float] = (0.1, 0.3)
    most: float = 0.15
    labelled: float = 0.3
    freezing: str = HARDEST
    epochs: int = 5
    frozen: tuple[float, float] = (0.1, 0.3)
    thawed: float = 0.1
    weighting: bool = True
    weighed_on: str = TRAINING
    labels: str = PAPER

    def __post_init__(self) -> None:
        for name, choices in _CHOICES.items():
            value = getattr(self, name)
            if value not in choices:
                raise ConfigError(
                    f"Masking.{name} must be one of {', '.join(choices)}, not {value!r}{nearest(value, choices)}"
                )
        for name in ("share", "frozen"):
            low, high = getattr(self, name)
            if not 0 < low <= high < 1:
                raise ConfigError(f"Masking.{name} must be two shares, 0 < low <= high < 1, not {low} and {high}")
        for name, greatest in (("most", 1.0), ("labelled", 0.5), ("thawed", 1.0)):
            if not 0 <= getattr(self, name) <= greatest:
                raise ConfigError(f"Masking.{name} must be from 0 to {greatest}, not {getattr(self, name)}")
        if self.epochs < 1:
            raise ConfigError(f"Masking.epochs must be at least 1, not {self.epochs}")
        if self.chooser == RANDOM and self.freezing == HARDEST:
            raise ConfigError('Masking.freezing "hardest" needs a masker: set it to "random" or "none"')

    @property
    def settings(self) -> dict[str, Any]:
        """The fields as JSON values; a resumed run must have the same."""
        return dataclasses.asdict(self)
