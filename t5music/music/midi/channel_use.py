"""Channel use: which MIDI channels a file needs when, and which one a new part may have."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from t5music.music.instruments import FAMILY_SIZE, instrument_name
from t5music.music.midi.channels import ALL_OFF
from t5music.music.midi.pairing import NEVER, Strikes, pair
from t5music.music.midi.system_exclusive import Reset, effect
from t5music.music.midi.track_events import SYSEX, TrackEvent
from t5music.music.midi.writer import DRUM_CHANNEL, MELODIC_CHANNELS, SUSTAIN_PEDAL
from t5music.music.score import DRUMS

NOTE_OFF, NOTE_ON, CONTROL, PROGRAM, BEND = 0x80, 0x90, 0xB0, 0xC0, 0xE0
# A channel as it is when a player starts: bank, volume, pan and expression of General MIDI, the pedal up.
DEFAULT_CONTROLS = ((0, 0), (32, 0), (7, 100), (10, 64), (11, 127), (SUSTAIN_PEDAL, 0))


class Stroke(NamedTuple):
    """A note-on or a note-off.

    Attributes:
        channel: 0..15.
        key: 0..127.
        silences: how often all notes of the channel were ended before.
        tick: when it is played.
        velocity: of a note-on; 0 of a note-off.
        event: (track, number of the event).
    """

    channel: int
    key: int
    silences: int
    tick: int
    velocity: int
    event: tuple[int, int]


class Strike(NamedTuple):
    """A note-on of a file and the note-off that ends it, each as (track, number of the event).

    Attributes:
        channel: 0..15.
        key: 0..127.
        onset: tick.
        end: tick; a tick after `onset` where no note-off ends it.
        on: the note-on.
        off: the note-off; None where there is none.
    """

    channel: int
    key: int
    onset: int
    end: int
    on: tuple[int, int]
    off: tuple[int, int] | None


class Channel(NamedTuple):
    """A channel for a part.

    Attributes:
        number: 0..15.
        setup: messages to send before the first note.
        setup_tick: when to send them.
        remark: what the person should know about it; '' for nothing.
    """

    number: int
    setup: list[bytes]
    setup_tick: int
    remark: str


class ChannelUse:
    """What a file does on its channels, and what was added to it."""

    def __init__(self, bodies: Sequence[bytes], tracks: Sequence[Sequence[TrackEvent]]) -> None:
        """`bodies`: the bytes of each track; `tracks`: its events."""
        self._last: dict[int, int] = {}  # the tick of each channel's last event
        self._programs: dict[int, list[tuple[int, int]]] = {}  # (tick, program) of each channel, in order
        self._silenced: dict[int, list[int]] = {}  # when all notes of each channel are ended
        strokes: list[Stroke] = []
        for tick, track, number, event in _in_order(tracks):
            if event.status >= SYSEX:
                if event.status == SYSEX and _is_reset(bodies[track][event.data : event.end]):
                    for channel in range(16):
                        self._silenced.setdefault(channel, []).append(tick)
                continue
            channel, kind = event.status & 0x0F, event.status & 0xF0
            first = bodies[track][event.data + (bodies[track][event.data] > 0x7F)]
            self._last[channel] = tick
            if kind == CONTROL and first in ALL_OFF:
                self._silenced.setdefault(channel, []).append(tick)
            elif kind == PROGRAM:
                self._programs.setdefault(channel, []).append((tick, first))
            elif kind in (NOTE_ON, NOTE_OFF):
                velocity = bodies[track][event.end - 1] if kind == NOTE_ON else 0
                silences = len(self._silenced.get(channel, []))
                strokes.append(Stroke(channel, first, silences, tick, velocity, (track, number)))
        self.strikes = _paired(strokes, self._silenced)
        self._spans: dict[tuple[int, int], list[tuple[int, int]]] = {}  # of each key of a channel
        for strike in self.strikes:
            self._add(strike.channel, strike.key, strike.onset, strike.end)

    def _add(self, channel: int, key: int, onset: int, end: int) -> None:
        self._spans.setdefault((channel, key), []).append((onset, end))

    def forget(self, strikes: Iterable[Strike]) -> None:
        """Takes notes away."""
        for strike in strikes:
            self._spans[strike.channel, strike.key].remove((strike.onset, strike.end))

    def channel_for(self, program: int, first: int, last: int) -> Channel:
        """A channel on which a part can play from tick `first` to `last`.

        One that the file does not use; else one that has fallen silent by then; else one that plays the same program
        all the while; else the one whose instrument is nearest.
        """
        channel = self._channel_for(program, first, last)
        if channel.setup:
            self._programs.setdefault(channel.number, []).append((channel.setup_tick, program))
        return channel

    def _channel_for(self, program: int, first: int, last: int) -> Channel:
        if program == DRUMS:
            return Channel(DRUM_CHANNEL, [], 0, "")
        for number in MELODIC_CHANNELS:
            if number not in self._last:
                return Channel(number, [bytes([PROGRAM | number, program])], 0, "")
        name = instrument_name(program)
        ends = {number: self._silent_from(number) for number in MELODIC_CHANNELS}
        for number in sorted(MELODIC_CHANNELS, key=ends.__getitem__):
            if ends[number] <= first:
                controls = [bytes([CONTROL | number, *control]) for control in DEFAULT_CONTROLS]
                setup = [*controls, bytes([BEND | number, 0, 64]), bytes([PROGRAM | number, program])]
                remark = f"no MIDI channel is free; {name} plays on channel {number + 1}, which the music needs no more"
                return Channel(number, setup, first, remark)
        programs = {number: self._programs_within(number, first, last) for number in MELODIC_CHANNELS}
        for number in MELODIC_CHANNELS:
            if programs[number] == {program}:
                return Channel(number, [], 0, f"no MIDI channel is free; {name} plays on channel {number + 1} as well")
        number = min(MELODIC_CHANNELS, key=lambda number: _distance(program, programs[number]))
        instead = instrument_name(min(programs[number]))
        return Channel(
            number, [], 0, f"no MIDI channel is free; {name} shares channel {number + 1} and sounds as {instead}"
        )

    def _silent_from(self, channel: int) -> int:
        """The tick from which a channel has no events and no notes."""
        ends = (end for (number, _), spans in self._spans.items() if number == channel for _, end in spans)
        return max(self._last.get(channel, 0), max(ends, default=0))

    def _programs_within(self, channel: int, first: int, last: int) -> set[int]:
        """The programs in force on a channel from tick `first` to `last`."""
        changes = self._programs.get(channel, [])
        before = [program for tick, program in changes if tick <= first]
        return {(before or [0])[-1], *(program for tick, program in changes if first < tick <= last)}

    def fitted(self, notes: NDArray, channel: int) -> NDArray:
        """The notes (NOTE) as the channel can play them beside what it plays already, which they then belong to.

        A note-off ends a key, not a note: so a note is left out where its key sounds, and ends where it is struck. It
        ends a tick before the file ends all notes of the channel.
        """
        fitting = []
        for note in notes:
            onset, end = int(note["onset"]), int(note["onset"] + note["duration"])
            spans = self._spans.get((channel, int(note["pitch"])), [])
            end = min([end, *(begin for begin, _ in spans if begin > onset)])
            end = min([end, *(tick - 1 for tick in self._silenced.get(channel, []) if tick > onset)])
            if end > onset and not any(begin <= onset < stop for begin, stop in spans):
                self._add(channel, int(note["pitch"]), onset, end)
                fitting.append((onset, end - onset, *note.tolist()[2:]))
        self._last[channel] = max(self._last.get(channel, 0), *(onset + length for onset, length, *_ in fitting), 0)
        return np.array(fitting, notes.dtype)


def _paired(strokes: list[Stroke], silenced: Mapping[int, Sequence[int]]) -> list[Strike]:
    """The notes of strokes in the order in which they are played, as `pairing` has them.

    `silenced`: the ticks at which all notes of a channel are ended.
    """
    strokes = sorted(strokes, key=lambda stroke: stroke[:3])  # stable: in each key by time
    channels, pitches, silences, ticks, velocities = np.array([stroke[:5] for stroke in strokes]).reshape(-1, 5).T
    all_off = [
        ticks_off[stroke.silences] if stroke.silences < len(ticks_off := silenced.get(stroke.channel, ())) else NEVER
        for stroke in strokes
    ]
    ends = pair(
        Strikes(
            keys=(silences << 4 | channels) << 7 | pitches,
            is_on=velocities > 0,
            ticks=ticks,
            all_off=np.array(all_off, np.int64) if silenced else None,
            tracks=np.array([stroke.event[0] for stroke in strokes], np.int64),
            kinds=lambda notes: velocities[notes],
        ),
        longest=1,
        end=int(ticks.max(initial=0)) + 1,
    )
    return [
        Strike(stroke.channel, stroke.key, stroke.tick, end, stroke.event, strokes[off].event if off >= 0 else None)
        for stroke, end, off in zip(
            (strokes[note] for note in ends.notes), ends.ticks.tolist(), ends.offs.tolist(), strict=True
        )
    ]


def _is_reset(message: bytes) -> bool:
    """Whether a SysEx, from its F0 on, is a reset, which ends all notes."""
    length = next(index for index, byte in enumerate(message[1:], 2) if byte < 0x80)  # after the number of its bytes
    return isinstance(effect(message[length:]), Reset)


def _in_order(tracks: Sequence[Sequence[TrackEvent]]) -> list[tuple[int, int, int, TrackEvent]]:
    """(tick, track, number, event) of all events in the order in which they are played."""
    events = [
        (event.tick, track, number, event) for track, events in enumerate(tracks) for number, event in enumerate(events)
    ]
    return sorted(events, key=lambda item: item[:3])


def _distance(program: int, programs: set[int]) -> tuple[int, int, int]:
    """How far the programs of a channel are from the wanted one: changes, families, programs."""
    played = min(programs)
    return len(programs) - 1, abs(played // FAMILY_SIZE - program // FAMILY_SIZE), abs(played - program)
