"""Putting other words in the place of some of a piece's, so that all the rest stays where and as it was."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from t5music.data.examples.cutting import Events, bars_of, last_of, opened, silence, wait_units
from t5music.music.encodings import Encoding
from t5music.music.encodings.remi.encoding import Remi
from t5music.music.encodings.remi.grid import METER_UNITS, POSITION, UNIT
from t5music.music.encodings.remi.words import FIRST, KIND_OF, POS, TIMESIG
from t5music.music.encodings.tx1.encoding import TX1, VOICES


def put_back(encoding: Encoding, events: Events, first: int, last: int, answer: Events) -> Events:
    """The events with `answer` in place of events[first:last].

    What was there, put back, gives the events again. Any other answer is made to fit:
      - remi: as `in_bars`, and the tempo that held after the gap holds again.
      - by a clock: as long as before, cut or followed by silence. Notes of the answer that would sound on beyond the
        gap end with it, unless what follows ends them. The velocity that held after the gap holds again.
    """
    before, hidden, after = events[:first], events[first:last], events[last:]
    if isinstance(encoding, Remi):
        middle = in_bars(encoding, bars_of(encoding, hidden), answer)
        then, now = (last_of(encoding, np.concatenate([before, side]), "Tempo_") for side in (hidden, middle))
        after = after if np.array_equal(then, now) else opened(encoding, np.concatenate([before, hidden]), after)
    else:
        middle = _as_long(encoding, before, hidden, answer)
    return np.concatenate([before, middle, after]).astype(np.int32)


def in_bars(encoding: Encoding, bars: Sequence[Events], answer: Events) -> Events:
    """A remi answer in the place of bars: as many as there are, with their meters.

    Bars that the answer lacks are empty, those it has too many are left out, and so is what lies beyond a bar's end,
    where the answer was in a longer meter.
    """
    answered = bars_of(encoding, answer)
    parts: list[Events] = [answer[:0]]
    for number, bar in enumerate(bars):
        own = answered[number][1:] if number < len(answered) else answer[:0]
        stated = len(own) and encoding.words[own[0]].startswith("TimeSig_")
        # encode writes every bar as Bar, TimeSig and the rest
        parts += [bar[:2], _within(own[1 if stated else 0 :], int(bar[1]))]
    return np.concatenate(parts)


def _within(words: Events, meter: int) -> Events:
    """A remi bar's words up to the first position that a bar of this meter (a TimeSig event) does not have."""
    length = METER_UNITS[meter - FIRST[TIMESIG]] * UNIT
    beyond = (KIND_OF[words] == POS) & ((words - FIRST[POS]) * POSITION >= length)
    return words[: int(np.argmax(np.append(beyond, True)))]


def _as_long(encoding: Encoding, before: Events, hidden: Events, answer: Events) -> Events:
    units = wait_units(encoding)
    length = int(units[hidden].sum())
    waited, waits = np.cumsum(units[answer]), units[answer] > 0
    # What happens when the gap is over comes after it, unless nothing does.
    over = not len(hidden) or units[hidden[-1]] > 0
    kept = answer[(waited < length) | ((waited == length) & (waits | (not over)))]
    kept = np.concatenate([kept, silence(encoding, length - int(units[kept].sum()))])
    original, changed = np.concatenate([before, hidden]), np.concatenate([before, kept])
    sounding = _sounding(encoding, changed) - _sounding(encoding, original)
    velocity = last_of(encoding, original, "VELOCITY_")
    if np.array_equal(velocity, last_of(encoding, changed, "VELOCITY_")):
        velocity = velocity[:0]
    return np.concatenate([kept, np.array(sorted(sounding.elements()), np.int32), velocity])


def _sounding(encoding: Encoding, events: Events) -> Counter[int]:
    """The note-offs that would end what sounds after these events, with how many of each it would take."""
    # Nothing ends in a unit of silence, so what lasts to its end is what nothing has ended.
    events = np.concatenate([events, silence(encoding, 1)])
    score = encoding.decode(events).score
    end = score.ticks(encoding.times(events)[-1])
    notes = score.notes[score.notes["onset"] + score.notes["duration"] == end]
    if isinstance(encoding, TX1):
        return Counter(encoding.ids[f"{VOICES[track]}_NOTEOFF"] for track in notes["track"])
    return Counter(encoding.ids[f"NOTE_OFF_{pitch}"] for pitch in notes["pitch"])
