"""A tune as ABC has it: what is written, in order; as canonical text, as played, and as a Score."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from t5music.errors import MidiError
from t5music.music.abc_notation.canonical_text import UNIT, canonical_body
from t5music.music.abc_notation.fields import encode_text
from t5music.music.abc_notation.items import Bar, Item, Key, Meter, Note
from t5music.music.abc_notation.unfolding import unfold
from t5music.music.score import KEY, METER, NOTE, Score

TICKS_PER_QUARTER = 10_080  # 2^5 * 3^2 * 5 * 7: every tuplet up to seven falls on a tick
VELOCITY = 80


@dataclass(frozen=True)
class Tune:
    """A tune.

    Attributes:
        key: The one it begins with.
        meter: The one it begins with; None where it has none.
        items: What is written, in order; a Key or a Meter among them is a change.
        title: Its name.
        part_order: The letters of its parts in the order in which they are played; '' to play it as it is written.
        other_voices: The items of every voice after the first one, and of overlays.
    """

    key: Key
    meter: Meter | None
    items: tuple[Item, ...]
    title: str = ""
    part_order: str = ""
    other_voices: tuple[tuple[Item, ...], ...] = ()

    @property
    def pitches(self) -> list[tuple[int, ...]]:
        """The MIDI pitches of each note or chord of the first voice as written, low to high; rests are left out."""
        notes = (item for item in self.items if isinstance(item, Note))
        return [tuple(sorted(pitch.midi for pitch in note.pitches)) for note in notes if note.pitches]

    def to_text(self) -> str:
        """The canonical ABC of the tune; `parse` gives an equal tune back."""
        title = [f"T:{encode_text(self.title)}"] if self.title else []
        order = [f"P:{self.part_order}"] if self.part_order else []
        head = ["X:1", *title, *order, f"M:{self.meter or 'none'}", f"L:{UNIT}", f"K:{self.key}"]
        bodies = [canonical_body(items, self.key) for items in (self.items, *self.other_voices)]
        voices = [f"V:{number}\n{body}" for number, body in enumerate(bodies, 1)]
        return "\n".join([*head, *(voices if self.other_voices else bodies)]) + "\n"

    def unfolded(self) -> Tune:
        """The tune as it is played: repeats with their endings, and parts in their order, written out.

        Raises:
            MidiError: More than a million notes and bar lines would be played.
        """
        items, *others = (
            unfold(voice, self.key, self.meter, self.part_order) for voice in (self.items, *self.other_voices)
        )
        return dataclasses.replace(self, items=items, part_order="", other_voices=tuple(others))

    def to_score(self, program: int = 0) -> Score:
        """The notes as written (see `unfolded`), tied ones joined; chord symbols are not played.

        Where the first bar is an upbeat, the music begins so much later that bar lines fall where they are written.

        Args:
            program: The MIDI program of every note.

        Returns:
            A track for each voice, with the keys and meters of the first one.

        Raises:
            MidiError: A pitch is outside MIDI's range.
        """
        notes: list[list[int]] = []
        meters = [(0, *self.meter)] if self.meter else []
        keys = [(0, self.key)]
        for track, items in enumerate((self.items, *self.other_voices)):
            tied: dict[int, list[list[int]]] = {}  # pitch -> the notes that are tied to what comes
            now = self.upbeat
            for item in items:
                tick = _tick(now)
                if isinstance(item, Note):
                    now += item.length
                    before, tied = tied, {}
                    ties = [pitch.midi for pitch in item.ties]
                    for midi in sorted(pitch.midi for pitch in item.pitches):
                        if not 0 <= midi <= 127:
                            raise MidiError(f"the ABC tune {self.title!r} has the pitch {midi}, MIDI has 0..127")
                        if same := before.get(midi):
                            note = same.pop(0)
                        else:
                            notes.append(note := [tick, 0, midi, VELOCITY, program, track])
                        note[1] = _tick(now) - note[0]
                        if midi in ties:
                            tied.setdefault(midi, []).append(note)
                elif isinstance(item, Meter) and not track:
                    meters.append((tick, *item))
                elif isinstance(item, Key) and not track:
                    keys.append((tick, item))
        return Score(
            TICKS_PER_QUARTER,
            np.array([tuple(note) for note in notes], NOTE),
            meters=np.array(meters, METER),
            keys=np.array([(tick, key.fifths, key.mode == "m") for tick, key in keys], KEY),
            track_names=(self.title, *(f"voice {number + 2}" for number in range(len(self.other_voices)))),
        )

    @property
    def upbeat(self) -> Fraction:
        """How much the first bar lacks, in whole notes."""
        length = Fraction(0)
        for item in self.items:
            if isinstance(item, Note):
                length += item.length
            elif isinstance(item, Bar) and length:
                break
        return max(Fraction(0), self.meter.bar - length) if self.meter and length else Fraction(0)


def _tick(whole_notes: Fraction) -> int:
    return round(whole_notes * 4 * TICKS_PER_QUARTER)
