"""What a few lines of ABC are read as."""

from __future__ import annotations

from fractions import Fraction

from t5music.music.abc_notation import Note, Tune, parse

EIGHTH = Fraction(1, 8)


def body(text: str, key: str = "C", meter: str = "4/4", unit: str = "1/8") -> list:
    """The items of a tune with this music."""
    return list(parse(f"X:1\nM:{meter}\nL:{unit}\nK:{key}\n{text}").items)


def midis(text: str, **head: str) -> list[int]:
    """The MIDI pitches as written, of chords one after the other."""
    return [pitch.midi for item in body(text, **head) if isinstance(item, Note) for pitch in item.pitches]


def lengths(text: str, **head: str) -> list[Fraction]:
    """In units of 1/8."""
    return [item.length / EIGHTH for item in body(text, **head) if isinstance(item, Note)]


def sounding(text: str, **head: str) -> list[tuple[float, float, int]]:
    """(onset, duration in quarters, pitch) of a tune as it is played; the head as in `body`, with L:1/4."""
    fields = {"M": "4/4", "L": "1/4", "K": "C", **head}
    return played(parse("X:1\n" + "".join(f"{name}:{value}\n" for name, value in fields.items()) + text))


def played(tune: Tune) -> list[tuple[float, float, int]]:
    """(onset, duration in quarters, pitch), counted from the first bar line or note."""
    unfolded = tune.unfolded()
    score = unfolded.to_score()
    quarter, upbeat = score.ticks_per_quarter, float(4 * unfolded.upbeat)
    notes = [(n["onset"] / quarter - upbeat, n["duration"] / quarter, int(n["pitch"])) for n in score.notes]
    return sorted((round(float(onset), 3), round(float(length), 3), pitch) for onset, length, pitch in notes)


def names(tune: Tune) -> str:
    """The letters of the notes, one after the other."""
    return "".join(str(pitch) for item in tune.items if isinstance(item, Note) for pitch in item.pitches)
