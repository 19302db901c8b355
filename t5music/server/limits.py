"""Limits of the server: how much may be sent, asked and kept."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """What a server bears. Sizes are for one person's machine; `t5music serve` has flags for those that matter.

    Attributes:
        megabytes: of a file that is sent.
        notes: of the music that is sent.
        minutes: that it lasts.
        variants: of an answer.
        seconds: that a model may write at an answer with all its variants.
        waiting: answers that wait in all.
        waiting_each: answers of one client that wait.
        answers: that are ready and not forgotten yet, at most.
        keep_minutes: how long an answer is kept after it was last looked at.
        connections: at the same time.
        patience: seconds for a request to be sent, and for a connection without one.
    """

    megabytes: float = 2.0
    notes: int = 20_000
    minutes: float = 20.0
    variants: int = 4
    seconds: float = 120.0
    waiting: int = 100
    waiting_each: int = 4
    answers: int = 100
    keep_minutes: float = 15.0
    connections: int = 200
    patience: float = 20.0

    @property
    def body(self) -> int:
        """Bytes of a request: a file in base64, and the settings."""
        return int(self.megabytes * 1e6 * 4 / 3) + 20_000
