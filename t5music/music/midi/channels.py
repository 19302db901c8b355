"""Channels: what belongs to a MIDI channel, whatever track of the file says it, and the notes that come of it.

The tracks of a file of type 1 are played together: a program, a bank, a pedal, a note-off, an end of all notes act on
their channel in all tracks. So the events of all tracks are put into the order in which they are played (at one tick in
the order of the tracks), and read as if they stood in one. Ports (meta event 21) have sixteen channels each, and the
patterns of a file of type 2, which are independent, have channels of their own.

- Programs and percussion: see `voices`. Which note-off ends which note: see `pairing`.
- The sustain pedal is down from a controller 64 of 64 or more to one below, or to a Reset All Controllers (121).
- All Notes Off, All Sound Off and the four mode messages (120, 123 to 127) end all notes of their channel.
- A GM, GS or XG reset ends all notes of its port and lifts its pedals.
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from t5music.errors import MidiError
from t5music.music.midi import system_exclusive
from t5music.music.midi.events import PORT, SYSEX, Events
from t5music.music.midi.pairing import NEVER, Strikes, pair
from t5music.music.midi.voices import Voices
from t5music.music.midi.writer import END_OF_TICKS
from t5music.music.ordering import stable_order

NOTE_OFF, NOTE_ON, CONTROL, PROGRAM = 8, 9, 11, 12  # the upper half of a status byte
BANK_SELECT, SUSTAIN_PEDAL, RESET_CONTROLLERS = 0, 64, 121
ALL_OFF = (120, 123, 124, 125, 126, 127)
WHOLE_NOTE = 4  # quarter notes
PORT_BITS = 16
MAX_BITS = 63

IS_NOTE = np.isin(np.arange(256) >> 4, (NOTE_OFF, NOTE_ON))  # by the status byte
IS_OTHER = np.isin(np.arange(256) >> 4, (CONTROL, PROGRAM)) | (np.arange(256) == SYSEX)
ENDS_ALL = np.isin(np.arange(256), ALL_OFF)  # by the controller
MOVES_PEDAL = np.isin(np.arange(256), (SUSTAIN_PEDAL, RESET_CONTROLLERS))


class ChannelNotes(NamedTuple):
    """Notes, one entry a note, key by key.

    Attributes:
        onsets: int64 [notes], ticks.
        ends: int64 [notes], ticks, beyond the onsets.
        pitches: int64 [notes].
        velocities: int64 [notes].
        programs: int64 [notes], 0 to 127, of percussion the kit; << 1 | whether it is percussion.
        channels: int64 [notes], a number for each channel of each port (and pattern).
        tracks: int64 [notes], track of the file.
    """

    onsets: NDArray
    ends: NDArray
    pitches: NDArray
    velocities: NDArray
    programs: NDArray
    channels: NDArray
    tracks: NDArray


class ChannelPedals(NamedTuple):
    """Spans in which the sustain pedal of a channel is down, channel after channel.

    Attributes:
        channels: int64 [spans], as in ChannelNotes.
        onsets: int64 [spans], ticks.
        ends: int64 [spans], ticks; NEVER where the pedal is not lifted.
    """

    channels: NDArray
    onsets: NDArray
    ends: NDArray


class _Timeline:
    """The events of a file by channel, and in each channel in the order in which they are played."""

    def __init__(self, events: Events, independent: bool, name: str) -> None:
        self.events = events
        self.ports = _ports(events, independent)  # int64 [events], or None if there is one
        last_channel = 15 if self.ports is None else int(self.ports.max()) << 4 | 15
        self.tick_shift = len(events.ticks).bit_length()
        self.channel_shift = self.tick_shift + END_OF_TICKS.bit_length()
        if last_channel.bit_length() + self.channel_shift > MAX_BITS:
            raise MidiError(f"{name}: its events are on {last_channel + 1} channels, more than can be read")

    def channels(self, rows: NDArray) -> NDArray:
        """The channel (int64 [events]) of some events: 0 to 15, and 16 more for each further port (or pattern)."""
        channels = (self.events.status[rows] & 15).astype(np.int64)
        if self.ports is not None:
            channels |= self.ports[rows] << 4
        return channels

    def moments(self, rows: NDArray) -> NDArray:
        """Numbers (int64 [events]) in the order in which events are played: by tick, track and place in the track.

        Ticks that are too late to be written are all the same.
        """
        return np.minimum(self.events.ticks[rows], END_OF_TICKS) << self.tick_shift | rows

    def places_of(self, rows: NDArray) -> NDArray:
        """The places of some events in their own channels."""
        return self.places(self.channels(rows), self.moments(rows))

    def tick(self, moments: NDArray) -> NDArray:
        """The ticks (int64 [events]) in moments or places."""
        return (moments & (1 << self.channel_shift) - 1) >> self.tick_shift

    def places(self, channels: NDArray, moments: NDArray) -> NDArray:
        """Numbers (int64 [events]) in the order of the channels, and in each of them of the moments."""
        return channels << self.channel_shift | moments


def read_channels(
    events: Events, independent: bool, ticks_per_quarter: int, mended: Counter[str], name: str
) -> tuple[ChannelNotes, ChannelPedals]:
    """Reads the notes and the pedals of all channels.

    Args:
        events: the events of the file.
        independent: whether each track has channels of its own.
        ticks_per_quarter: resolution.
        mended: counts what is left out or guessed.
        name: what to call the file in errors.

    Raises:
        MidiError: there are too many ports.
    """
    timeline = _Timeline(events, independent, name)
    others = IS_OTHER[events.status].nonzero()[0]
    controllers = np.where(events.status[others] >> 4 == CONTROL, events.first[others], BANK_SELECT)
    voices = _voices(timeline, others[controllers == BANK_SELECT])
    mended["SysEx with a wrong checksum"] += voices.wrong_checksums
    resets = [port << 4 | channel for _, port in voices.resets for channel in range(16)]
    moments = np.array([moment for moment, _ in voices.resets], np.int64).repeat(16)
    reset_places = timeline.places(np.array(resets, np.int64), moments)
    silences = np.concatenate([timeline.places_of(others[ENDS_ALL[controllers]]), reset_places])
    notes = _notes(timeline, voices, np.sort(silences), WHOLE_NOTE * ticks_per_quarter, mended)
    return notes, _pedals(timeline, others[MOVES_PEDAL[controllers]], reset_places)


def _ports(events: Events, independent: bool) -> NDArray | None:
    """A number (int64 [events]) for the port, or pattern and port, of each event; None where there is one alone.

    Each track begins on port 0.
    """
    stated = {
        blob.event: int.from_bytes(blob.data[-PORT_BITS // 8 :], "big") for blob in events.blobs if blob.kind == PORT
    }
    if not stated and not (independent and len(events.starts) > 1):
        return None
    ports = np.zeros(len(events.ticks), np.int64)
    rows = list(stated)
    ports[rows] = list(stated.values())
    holds = np.append(True, events.tracks[1:] != events.tracks[:-1])[: len(ports)]
    holds[rows] = True
    ports = ports[np.maximum.accumulate(np.where(holds, np.arange(len(ports)), 0))]
    if independent:
        ports |= events.tracks << PORT_BITS
    return np.unique(ports, return_inverse=True)[1]


def _voices(timeline: _Timeline, rows: NDArray) -> Voices:
    """The voices of all channels, from these bank selects, program changes and SysEx."""
    events = timeline.events
    moments = timeline.moments(rows)
    order = moments.argsort()
    rows = rows[order]
    messages = {blob.event: blob.data for blob in events.blobs if blob.kind == SYSEX}
    voices = Voices(timeline.channel_shift)
    columns = (
        moments[order],
        rows,
        timeline.channels(rows),
        events.status[rows],
        events.first[rows],
        events.second[rows],
    )
    for moment, row, channel, status, first, second in zip(*(column.tolist() for column in columns), strict=True):
        if status >> 4 == PROGRAM:
            voices.change_program(channel, moment, first)
        elif status >> 4 == CONTROL:
            voices.banks[channel] = second
        else:
            voices.obey(channel >> 4, moment, system_exclusive.effect(messages[row]))
    return voices


def _notes(timeline: _Timeline, voices: Voices, silences: NDArray, longest: int, mended: Counter[str]) -> ChannelNotes:
    """The notes of all channels.

    Args:
        timeline: the events.
        voices: programs and percussion.
        silences: places (int64 [silences], in order) at which all notes of their channel end.
        longest: ticks that a note without a note-off lasts at most.
        mended: counts what is left out or guessed.
    """
    events = timeline.events
    rows = IS_NOTE[events.status].nonzero()[0]
    keys, ticks = timeline.channels(rows) << 7 | events.first[rows], events.ticks[rows]
    order = _by_key(keys, None if len(events.starts) == 1 else ticks)
    rows, keys, ticks = rows[order], keys[order], ticks[order]
    unbroken, all_off = keys, None  # keys until all notes of their channel end
    if len(silences):
        channels = keys >> 7
        number = silences.searchsorted(timeline.places(channels, timeline.moments(rows)))
        following = np.append(silences, -1)[number]
        all_off = np.where(following >> timeline.channel_shift == channels, timeline.tick(following), NEVER)
        unbroken = keys + number * (keys.max(initial=0) + 1)

    def kinds(struck: NDArray) -> NDArray:
        """Program and velocity of note-ons."""
        return (
            voices.at(timeline.places(keys[struck] >> 7, timeline.moments(rows[struck]))) << 7
            | events.second[rows[struck]]
        )

    strikes = Strikes(
        keys=unbroken,
        is_on=(events.status[rows] >> 4 == NOTE_ON) & (events.second[rows] > 0),
        ticks=ticks,
        all_off=all_off,
        tracks=events.tracks[rows],
        kinds=kinds,
    )
    ends = pair(strikes, longest, events.end)
    onsets = ticks[ends.notes]
    mended["notes without an end"] += ends.guessed
    mended["note-offs without a note"] += ends.surplus
    mended["notes of no length"] += int(np.count_nonzero(ends.ticks == onsets))
    kind = kinds(ends.notes)
    return ChannelNotes(
        onsets=onsets,
        ends=np.maximum(ends.ticks, onsets + 1),
        pitches=keys[ends.notes] & 127,
        velocities=kind & 127,
        programs=kind >> 7,
        channels=keys[ends.notes] >> 7,
        tracks=strikes.tracks[ends.notes],
    )


def _by_key(keys: NDArray, ticks: NDArray | None) -> NDArray:
    """The order by key, and key by key by tick, if these are not in order yet, and place."""
    if ticks is not None:
        return stable_order((keys, ticks))
    return np.argsort(keys.astype(np.uint16) if keys.max(initial=0) < 2**16 else keys, kind="stable")


def _pedals(timeline: _Timeline, rows: NDArray, reset_places: NDArray) -> ChannelPedals:
    """The pedals that these controllers press and lift, and resets lift."""
    down = (timeline.events.first[rows] == SUSTAIN_PEDAL) & (timeline.events.second[rows] >= 64)
    if not down.any():
        return ChannelPedals(*np.empty((3, 0), np.int64))
    places = np.concatenate([timeline.places_of(rows), reset_places])
    order = places.argsort()
    down = np.concatenate([down, np.zeros(len(reset_places), np.bool_)])[order]
    channels, ticks = places[order] >> timeline.channel_shift, timeline.tick(places[order])
    follows = np.append(False, channels[1:] == channels[:-1])  # another event of the same channel
    moved = down != (np.append(False, down[:-1]) & follows)
    channels, ticks, down = channels[moved], ticks[moved], down[moved]
    # In each channel the pedal is now pressed and lifted by turns.
    lifted = np.append(channels[1:] == channels[:-1], False)
    ends = np.where(lifted, np.append(ticks[1:], NEVER), NEVER)
    return ChannelPedals(channels[down], ticks[down], ends[down])
