"""Voice: what one voice of a tune has read so far, as notes, bar lines and changes in order.

A voice may have overlays, written with '&': other notes of the same bar. Each becomes a voice of its own, with rests
where it has no notes.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from fractions import Fraction

from t5music.errors import MidiError
from t5music.music.abc_notation.fields import Clef, within_bounds
from t5music.music.abc_notation.items import Bar, Item, Key, Meter, Note, Part, Pitch, Symbol
from t5music.music.abc_notation.layer import ONE, Layer
from t5music.music.abc_notation.spelling import transposed_key, transposed_pitch

_MOST_BARS_OF_REST = 999
_MOST_PASSES = 99
_MOST_OVERLAYS = 15


class Voice:
    """A voice as it is read.

    Attributes:
        key: As written, before a transposition.
        meter: The one in force; None where there is none.
        unit: The length of a note without a number, in whole notes.
        propagation: How far an accidental holds within its bar: 'pitch' for every octave, 'octave', or 'not'.
        first_key, first_meter: Those the voice begins with, the key as it sounds.
    """

    def __init__(self, key: Key, meter: Meter | None, unit: Fraction) -> None:
        self.key, self.meter, self.unit = key, meter, unit
        self.propagation = "pitch"
        self._clef_octaves = self._octaves = self._semitones = 0
        self.first_key, self.first_meter = key, meter
        self._sounding_key = key
        self._layers = [Layer()]
        self._layer = self._layers[0]
        self._passes = 0  # the last one that an ending was for
        self._long_begin: int | None = None  # where overlays of several bars begin, '(&', among the voice's items

    def copy(self) -> Voice:
        """Another voice that begins as this one does."""
        return copy.deepcopy(self)

    @property
    def _items(self) -> list[Item]:
        return self._layers[0].items

    def lines(self) -> list[tuple[Item, ...]]:
        """The items of the voice, and of its overlays; none for a voice without notes."""
        self.end_long_overlay()
        self._close_overlays()
        for layer in self._layers[1:]:
            layer.mirror(self._items, len(self._items))
        return [tuple(layer.items) for layer in self._layers if layer.place >= 0]

    @property
    def _begun(self) -> bool:
        """True once there is a note or rest."""
        return self._layers[0].place >= 0

    # --------------------------------------------------------------------------------------------------- changes

    def set_clef(self, clef: Clef) -> None:
        """Takes over what K: or V: says of octaves and transposition."""
        self._clef_octaves = self._clef_octaves if clef.clef_octaves is None else clef.clef_octaves
        self._octaves = self._octaves if clef.octaves is None else clef.octaves
        self._semitones = self._semitones if clef.semitones is None else clef.semitones
        self._state_key()

    def set_key(self, key: Key) -> None:
        """Changes the key."""
        self.key = key
        for layer in self._layers:
            layer.altered = {}
        self._state_key()

    def _state_key(self) -> None:
        key = transposed_key(self.key, self._semitones)
        if key != self._sounding_key:
            self._sounding_key = key
            if self._begun:
                self._items.append(key)
            else:
                self.first_key = key

    def set_meter(self, meter: Meter | None) -> None:
        """Changes the meter."""
        if not self._begun:
            self.first_meter = meter
        elif meter and meter != self.meter:
            self._items.append(meter)
        self.meter = meter

    def begin_part(self, name: str) -> None:
        """Begins a part of the tune."""
        self._items.append(Part(name))

    def add_symbol(self, name: str) -> None:
        """Adds a chord symbol."""
        self._layer.items.append(Symbol(name))

    # ------------------------------------------------------------------------------------------------- bar lines

    def add_bar(self, bar: Bar) -> None:
        """Adds a bar line. Two that nothing parts are one, and a plain one before the first note is none."""
        if self._long_begin is not None and self._layer is not self._layers[0]:
            self._layer.items.append(bar)
            self._layer.altered = {}
            return
        if self._long_begin is None:
            self._close_overlays()
        for layer in self._layers:
            layer.altered = {}
        items = self._items
        marks = []  # of a part that begins here
        while items and isinstance(items[-1], Part):
            marks.append(items.pop())
        if items and isinstance(before := items[-1], Bar) and not before.ending:
            items.pop()
            bar = Bar(max(before.ends, bar.ends), max(before.begins, bar.begins), before.double or bar.double)
        bar = bar._replace(double=bar.double and not bar.ends and not bar.begins)
        if bar != Bar() or self._begun:
            items.append(bar)
        items += reversed(marks)

    def begin_ending(self, passes: Sequence[int], *, sure: bool = True) -> None:
        """Begins an ending.

        Args:
            passes: Those that the music after it is for.
            sure: False for a number parted from its bar line, which is an ending only if it is the next one.

        Raises:
            MidiError: There are no such passes.
        """
        if not sure and passes[0] != self._passes + 1 and passes[0] != 1:
            raise MidiError(
                f"the number {passes[0]} after a bar line is no ending: there is none for pass {passes[0] - 1}"
            )
        self._passes = max(passes, default=0)
        if not passes or max(passes) > _MOST_PASSES or 0 in passes:
            raise MidiError(f"an ending is for passes from 1 to {_MOST_PASSES}")
        self.end_long_overlay()
        self._close_overlays()
        items = self._items
        if not items or not isinstance(items[-1], Bar) or items[-1].ending:
            items.append(Bar())
        last = items[-1]
        assert isinstance(last, Bar)
        items[-1] = last._replace(ending=",".join(map(str, passes)))

    def begin_overlay(self) -> None:
        """Goes back to the beginning of the bar, or of the overlay of several bars, for notes that sound together."""
        number = self._layers.index(self._layer) + 1
        if number > _MOST_OVERLAYS:
            raise MidiError(f"more than {_MOST_OVERLAYS} overlays ('&') in one bar")
        if number == len(self._layers):
            self._layers.append(Layer())
        self._layer = self._layers[number]
        self._layer.mirror(self._items, self._overlay_begin())
        self._layer.open, self._layer.begin = True, len(self._layer.items)

    def begin_long_overlay(self) -> None:
        """Begins notes of several bars, which overlays are for until `end_long_overlay`."""
        self.end_long_overlay()
        self._close_overlays()
        self._long_begin = len(self._items)

    def end_long_overlay(self) -> None:
        """Ends the overlays of several bars, if there are any."""
        if self._long_begin is not None:
            self._close_overlays()
            self._long_begin = None

    def _overlay_begin(self) -> int:
        """The index of the item of the voice with which its overlays begin."""
        bars = (place + 1 for place in range(len(self._items) - 1, -1, -1) if isinstance(self._items[place], Bar))
        return next(bars, 0) if self._long_begin is None else self._long_begin

    def _close_overlays(self) -> None:
        """Ends the bar in all layers at once: those that are shorter than the longest get a rest."""
        self._layer = self._layers[0]
        used = [self._layer, *(layer for layer in self._layers[1:] if layer.open)]
        if len(used) == 1:
            return
        used[0].begin = self._overlay_begin()
        lengths = [sum((item.length for item in layer.items[layer.begin :] if isinstance(item, Note)), Fraction(0))
                   for layer in used]  # fmt: skip
        for layer, length in zip(used, lengths, strict=True):
            if length < max(lengths):
                layer.add(Note((), max(lengths) - length))
        for layer in used[1:]:
            layer.open, layer.mirrored = False, len(self._items)

    # ----------------------------------------------------------------------------------------------------- notes

    def pitch(self, accidental: int | None, step: int) -> Pitch:
        """The pitch of a note as written: what stands before it, or a tie, the bar so far or the key say."""
        layer = self._layer
        place = step if self.propagation == "octave" else step % 7
        if accidental is not None:
            if self.propagation != "not":
                layer.altered[place] = accidental
            return Pitch(step, accidental)
        if step in layer.tied:  # the tie carries the accidental across the bar line, for this note alone
            return Pitch(step, layer.tied[step])
        return Pitch(step, layer.altered.get(place, self.key.alter(step)))

    def add_note(self, pitches: tuple[Pitch, ...], units: Fraction, tied: tuple[Pitch, ...] = ()) -> None:
        """Adds a note, a chord, or a rest of no pitch.

        Args:
            pitches: As written, from `pitch`.
            units: The length in units.
            tied: Those of the pitches that are tied to the next note.
        """
        layer = self._layer
        left, factor = layer.tuplet
        length = units * self.unit * layer.broken * (factor if left else 1)
        layer.broken, layer.tuplet = ONE, (max(0, left - 1), factor)
        layer.last = pitches
        layer.tied = {pitch.step: pitch.alter for pitch in tied}
        layer.add(Note(self._sounding(pitches), within_bounds(length), self._sounding(tied)))

    def _sounding(self, pitches: tuple[Pitch, ...]) -> tuple[Pitch, ...]:
        octaves = self._clef_octaves + self._octaves
        moved = (Pitch(pitch.step + 7 * octaves, pitch.alter) for pitch in pitches)
        return tuple(transposed_pitch(pitch, self.key, self._semitones) for pitch in moved)

    def add_bars_of_rest(self, bars: int) -> None:
        """Adds rests of whole bars."""
        if self.meter is None:
            raise MidiError("Z, a bar of rest, where there is no meter: state one with M:, or write z and its length")
        if not 1 <= bars <= _MOST_BARS_OF_REST:
            raise MidiError(f"{bars} bars of rest, and 1 to {_MOST_BARS_OF_REST} can be read")
        for bar in range(bars):
            if bar:
                self.add_bar(Bar())
            self._layer.add(Note((), self.meter.bar))
            self._layer.tied = {}

    def begin_tuplet(self, notes: int, time: int | None, count: int | None) -> None:
        """Begins a tuplet: so many notes in the time of so many, for the next `count` notes."""
        compound = self.meter is not None and self.meter.numerator % 3 == 0 and self.meter.numerator > 3
        usual = {2: 3, 3: 2, 4: 3, 5: 2, 6: 2, 7: 2, 8: 3, 9: 2}.get(notes)
        if compound and notes in (5, 7, 9):
            usual = 3
        time = usual if time is None else time
        if not notes or time is None:
            raise MidiError(f"a tuplet of {notes} in an unknown time: write for example ({notes}:8:{notes}")
        self._layer.tuplet = (notes if count is None else count, Fraction(time, notes))

    def break_rhythm(self, signs: str) -> None:
        """Lengthens the last note and shortens the next one ('>'), or the other way round ('<')."""
        if self._layer.broken != ONE:
            return  # a second sign before the next note says nothing new
        short = Fraction(1, 2 ** len(signs))
        before, self._layer.broken = (2 - short, short) if signs[0] == ">" else (short, 2 - short)
        self._change_last_note(before)

    def tie_last_note(self) -> None:
        """Ties the whole last note or chord to the next one, where the sign does not stand directly at it."""
        self._layer.tied = {pitch.step: pitch.alter for pitch in self._layer.last}
        self._change_last_note(ONE, tie=True)

    def _change_last_note(self, factor: Fraction, *, tie: bool = False) -> None:
        layer = self._layer
        if layer.place < 0:
            raise MidiError("a tie or broken rhythm before the first note: put it after a note")
        note = layer.items[layer.place]
        assert isinstance(note, Note)
        length = within_bounds(note.length * factor)
        layer.items[layer.place] = Note(note.pitches, length, note.pitches if tie else note.ties)
