"""Limits: what is too much, or goes on for too long, to be music that a MIDI file can hold.

The largest of 13,000 files from the web and from corpora had 0.85 MB, 128 tracks, 51,000 notes, 7,000 quarter notes,
2,100 bars and 73 minutes. What goes far beyond is damage, such as a time with a bit flipped: hours of silence, which
would make millions of event words.
"""

from __future__ import annotations

from typing import NamedTuple

from t5music.errors import MidiError
from t5music.music.midi.writer import END_OF_TICKS
from t5music.music.score import DEFAULT_TEMPO, Score

MAX_BYTES = 16 * 2**20
MAX_TRACKS = 1024
MAX_NOTES = 1_000_000
MAX_QUARTERS = 1_000_000
MAX_BARS = 10_000
MAX_HOURS = 6
ADVICE = "look for a time in it that is too large, or cut it into pieces"


class Limits(NamedTuple):
    """What is too much to be music.

    Attributes:
        tracks: of a file or a score.
        notes: of a file, and spans of its pedals.
        quarters: quarter notes until the last note ends.
    """

    tracks: int = MAX_TRACKS
    notes: int = MAX_NOTES
    quarters: int = MAX_QUARTERS


def check_end(tick: int, ticks_per_quarter: int, limits: Limits, name: str) -> None:
    """Raises MidiError where notes that end at a tick end too late, be it for music or for a file to hold."""
    if tick > limits.quarters * ticks_per_quarter:
        raise MidiError(f"{name}: its notes go on for more than {limits.quarters} quarter notes")
    if tick >= END_OF_TICKS:
        raise MidiError(f"{name}: its notes go on beyond tick {END_OF_TICKS - 1}, the last that a MIDI file can hold")


def check_length(score: Score, name: str) -> None:
    """Raises MidiError where a score has more than MAX_BARS bars or lasts more than MAX_HOURS hours."""
    quarters = score.end_tick / score.ticks_per_quarter
    shortest = min([4, *(4 * numerator / denominator for _, numerator, denominator in score.meters.tolist())])
    slowest = max(DEFAULT_TEMPO, int(score.tempos["microseconds"].max(initial=0)))
    # Nearly all music is far from either limit, which is seen at once. (A bar has whole ticks, so at least
    # half of its.)
    if 2 * quarters / shortest + len(score.meters) < MAX_BARS and quarters * slowest < MAX_HOURS * 3600e6:
        return
    if score.bar_count > MAX_BARS:
        raise MidiError(f"{name}: has {score.bar_count} bars, more than {MAX_BARS}: {ADVICE}")
    hours = score.duration_seconds / 3600
    if hours > MAX_HOURS:
        raise MidiError(f"{name}: lasts {hours:.1f} hours, more than {MAX_HOURS}: {ADVICE}")
