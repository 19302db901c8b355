"""Canonical text: one and the same ABC for all the ways in which a tune can be typed.

The fields X, T, P, M, L and K in that order, L always 1/8, broken rhythm and tuplets as lengths (but three equal notes
in the time of two as `(3`), chord symbols before their notes, no spaces, a new line after a section. Accidentals stand
where the key or the bar so far, in whatever octave, do not give the note by themselves. Of several voices each follows
its V:.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from t5music.music.abc_notation.items import ACCIDENTALS, Bar, Item, Key, Meter, Note, Part, Pitch, Symbol

UNIT = Fraction(1, 8)  # the L of canonical text


def canonical_body(items: tuple[Item, ...], key: Key) -> str:
    """The music of one voice that begins in `key`, without the fields of the header."""
    return "".join(_texts(items, key)).strip()


def _texts(items: tuple[Item, ...], key: Key) -> Iterator[str]:
    bar = _Accidentals(key)
    tuplet = 0  # notes left of the triplet
    for index, item in enumerate(items):
        if isinstance(item, Note):
            if not tuplet and _is_triplet(items, index):
                tuplet = 3
                yield "(3"
            length = item.length * Fraction(3, 2) if tuplet else item.length
            tuplet = max(0, tuplet - 1)
            yield _note_text(item, length / UNIT, bar)
        elif isinstance(item, Bar):
            bar.altered_steps, bar.altered_letters = {}, {}
            closes = item.section and not item.ending and not (item.begins and not item.ends)
            yield f"{item}\n" if closes else str(item).removeprefix("|" if _at_line(items, index) else "")
        elif isinstance(item, Symbol):
            yield f'"{item.name}"'
        elif isinstance(item, Part):
            yield f"[P:{item.name}]"
        elif isinstance(item, Meter):
            yield f"[M:{item}]"
        else:
            bar = _Accidentals(item, bar.tied)
            yield f"[K:{item}]"


class _Accidentals:
    """What gives a note its alteration without a sign: the key, the bar so far, a tie.

    Attributes:
        tied: Step -> alteration, of the pitches tied to the next note.
        altered_steps, altered_letters: Alterations written in the bar, by step and by step modulo the octave.
    """

    def __init__(self, key: Key, tied: dict[int, int] | None = None) -> None:
        self.key = key
        self.tied = tied or {}
        self.altered_steps: dict[int, int] = {}
        self.altered_letters: dict[int, int] = {}

    def write(self, pitch: Pitch) -> str:
        """The pitch, with an accidental unless it is clear without one under either reading of the rule.

        Accidentals hold for their octave or for all of them; what a tie gives alone is written out.
        """
        usual = self.key.alter(pitch.step)
        by_step = self.altered_steps.get(pitch.step, usual)
        by_letter = self.altered_letters.get(pitch.step % 7, usual)
        if by_step == by_letter == pitch.alter == self.tied.get(pitch.step, pitch.alter):
            return str(pitch)
        self.altered_steps[pitch.step] = self.altered_letters[pitch.step % 7] = pitch.alter
        return ACCIDENTALS[pitch.alter] + str(pitch)


def _note_text(note: Note, length: Fraction, bar: _Accidentals) -> str:
    """A note, chord or rest with its length in units."""
    whole = note.ties == note.pitches
    names = [bar.write(pitch) + ("-" if pitch in note.ties and not whole else "") for pitch in note.pitches]
    bar.tied = {pitch.step: pitch.alter for pitch in note.ties}
    name = "z" if not names else names[0] if len(names) == 1 else f"[{''.join(names)}]"
    over = "" if length.denominator == 1 else f"/{length.denominator}"
    return name + (str(length.numerator) if length.numerator != 1 else "") + over + ("-" if note.ties and whole else "")


def _at_line(items: tuple[Item, ...], index: int) -> bool:
    """True if the bar line at `index` begins an ending where only changes part it from the line before."""
    if not items[index].ending:  # type: ignore[union-attr]
        return False
    place = index - 1
    while place >= 0 and isinstance(items[place], Key | Meter | Part):
        place -= 1
    return place >= 0 and isinstance(items[place], Bar)


def _is_triplet(items: tuple[Item, ...], index: int) -> bool:
    """True if the note at `index` is the first of three of one length that take the time of two, in one bar."""
    length = items[index].length  # type: ignore[union-attr]
    lengths = []
    for item in items[index:]:
        if isinstance(item, Note):
            lengths.append(item.length)
        elif not isinstance(item, Symbol):
            break
        if len(lengths) == 3:
            plain = length * Fraction(3, 2)
            return lengths == [length] * 3 and length.denominator % 3 == 0 and plain.denominator % 3 != 0
    return False
