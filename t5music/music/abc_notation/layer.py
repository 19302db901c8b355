"""Layer: the notes of a voice, or of one of its overlays, and what is to be known of them for the next note."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

from t5music.music.abc_notation.items import Bar, Item, Note, Part, Pitch

ONE = Fraction(1)


@dataclass(eq=False)
class Layer:
    """The notes of a voice, or of one of its overlays, as they are read.

    Attributes:
        items: In order.
        altered: (step, or letter where accidentals hold in every octave) -> alteration written in this bar.
        tied: Written step -> alteration, of the pitches tied to the next note.
        last: Written pitches of the last note.
        place: The last note's index in `items`; -1 before the first one.
        broken: What broken rhythm makes of the next note's length.
        tuplet: Notes left of the tuplet, and what their lengths are multiplied by.
        open: For an overlay, whether it has notes that the voice itself has not passed yet.
        begin: For an overlay that is open, the index of its first item.
        mirrored: For an overlay, how many items of the voice itself it follows already.
    """

    items: list[Item] = field(default_factory=list)
    altered: dict[int, int] = field(default_factory=dict)
    tied: dict[int, int] = field(default_factory=dict)
    last: tuple[Pitch, ...] = ()
    place: int = -1
    broken: Fraction = ONE
    tuplet: tuple[int, Fraction] = (0, ONE)
    open: bool = False
    begin: int = 0
    mirrored: int = 0

    def add(self, note: Note) -> None:
        """Adds a note or rest."""
        self.place = len(self.items)
        self.items.append(note)

    def mirror(self, items: list[Item], stop: int) -> None:
        """Lets an overlay follow the items of the voice up to `stop`: rests for its notes, the same bar lines."""
        length = Fraction(0)
        for item in (*items[self.mirrored : stop], None):
            if isinstance(item, Note):
                length += item.length
            elif isinstance(item, Bar | Part | None):
                if length:
                    self.add(Note((), length))
                    self.tied, length = {}, Fraction(0)
                self.items += [item] if item else []
        self.mirrored = stop
