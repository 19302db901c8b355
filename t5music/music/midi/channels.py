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

from t5music.music.midi import system_exclusive
from t5music.music.midi.events import PORT, SYSEX, Events
from t5music.music.midi.pairing import NEVER, Strikes, pair
from t5music.music.midi.voices import CHANNEL_SHIFT, Voices

NOTE_OFF, NOTE_ON, CONTROL, PROGRAM = 8, 9, 11, 12  # the upper half of a status byte
BANK_SELECT, SUSTAIN_PEDAL, RESET_CONTROLLERS = 0, 64, 121
ALL_OFF = (120, 123, 124, 125, 126, 127)
WHOLE_NOTE = 4  # quarter notes
PORT_BITS = 16

IS_NOTE = np.isin(np.arange(256) >> 4, (NOTE_OFF, NOTE_ON))  # by the status byte
IS_USED = np.isin(np.arange(256) >> 4, (NOTE_OFF, NOTE_ON, CONTROL, PROGRAM)) | (np.arange(256) == SYSEX)
IS_ALL_OFF = np.isin(np.arange(256), ALL_OFF)  # by the controller
MOVES_PEDAL = np.isin(np.arange(256), (SUSTAIN_PEDAL, RESET_CONTROLLERS))
IS_USED_CONTROLLER = IS_ALL_OFF | MOVES_PEDAL | (np.arange(256) == BANK_SELECT)


class ChannelNotes(NamedTuple):
    """Notes in the order in which they are struck, one entry a note.

    Attributes:
        onsets: int64 [notes], ticks.
        ends: int64 [notes], ticks, beyond the onsets.
        pitches: uint8 [notes].
        velocities: uint8 [notes].
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


class _Played(NamedTuple):
    """The events that matter here, in the order in which they are played."""

    rows: NDArray  # int64 [events], which of Events they are
    status: NDArray  # uint8 [events]
    first: NDArray  # uint8 [events]
    second: NDArray  # uint8 [events]
    ticks: NDArray  # int64 [events]
    places: NDArray  # int64 [events], channel << CHANNEL_SHIFT | number of the event: the channels one after another


class _Resets(NamedTuple):
    """What a GM, GS or XG reset does to each of the sixteen channels of its port."""

    places: NDArray  # int64 [16 resets], as in _Played
    ticks: NDArray  # int64 [16 resets]


def read_channels(
    events: Events, independent: bool, ticks_per_quarter: int, mended: Counter[str]
) -> tuple[ChannelNotes, ChannelPedals]:
    """Reads the notes and the pedals of all channels.

    Args:
        events: the events of the file.
        independent: whether each track has channels of its own.
        ticks_per_quarter: resolution.
        mended: counts what is left out or guessed.
    """
    played = _played(events, independent)
    is_note = IS_NOTE[played.status]
    others = (~is_note).nonzero()[0]
    controllers = np.where(played.status[others] >> 4 == CONTROL, played.first[others], 0)
    voices = _voices(events, played, others[controllers == BANK_SELECT])
    mended["SysEx with a wrong checksum"] += voices.wrong_checksums
    places = [(port << 4 | channel) << CHANNEL_SHIFT | at for at, port in voices.resets for channel in range(16)]
    ticks = played.ticks[[at for at, _ in voices.resets]] if voices.resets else np.empty(0, np.int64)
    resets = _Resets(np.array(places, np.int64), ticks.repeat(16))
    notes = _notes(
        events,
        played,
        voices,
        is_note.nonzero()[0],
        others[IS_ALL_OFF[controllers]],
        resets,
        ticks_per_quarter,
        mended,
    )
    return notes, _pedals(played, others[MOVES_PEDAL[controllers]], resets)


def _played(events: Events, independent: bool) -> _Played:
    used = IS_USED[events.status] & ((events.status >> 4 != CONTROL) | IS_USED_CONTROLLER[events.first])
    rows = used.nonzero()[0]
    ticks = events.ticks[rows]
    if len(events.starts) > 1:
        order = _stable_order(ticks, events.end)  # at one tick the tracks one after another
        rows, ticks = rows[order], ticks[order]
    status = events.status[rows]
    channels = (status & 15).astype(np.int64)
    if (ports := _ports(events)) is not None:
        channels |= ports[rows] << 4
    if independent:
        channels |= events.tracks[rows] << (4 + PORT_BITS)
    places = channels << CHANNEL_SHIFT | np.arange(len(rows))
    return _Played(rows, status, events.first[rows], events.second[rows], ticks, places)


def _stable_order(ticks: NDArray, end: int) -> NDArray:
    """The stable order of ticks up to `end`. Numbers that hold tick and place are sorted in a fifth of the time."""
    if end >= 1 << 38 or len(ticks) >= 1 << 24:
        return ticks.argsort(kind="stable")
    both = ticks << 24 | np.arange(len(ticks))
    both.sort()
    return both & (1 << 24) - 1


def _ports(events: Events) -> NDArray | None:
    """The port (int64 [events]) that each event goes to, or None where it is 0 for all. Each track begins with 0."""
    ports = {blob.event: int.from_bytes(blob.data[-PORT_BITS // 8 :], "big") for blob in events.blobs if blob.kind == PORT}
    if not ports:
        return None
    stated = list(ports)
    numbers = np.zeros(len(events.ticks), np.int64)
    numbers[stated] = list(ports.values())
    is_stated = np.append(True, events.tracks[1:] != events.tracks[:-1])
    is_stated[stated] = True
    return numbers[np.maximum.accumulate(np.where(is_stated, np.arange(len(numbers)), 0))]


def _voices(events: Events, played: _Played, at: NDArray) -> Voices:
    """The voices of all channels, from the bank selects, program changes and SysEx, which stand at `at`."""
    voices = Voices()
    messages = {blob.event: blob.data for blob in events.blobs if blob.kind == SYSEX}
    columns = (played.status[at], played.places[at] >> CHANNEL_SHIFT, played.first[at], played.second[at])
    for number, status, channel, first, second in zip(at.tolist(), *(column.tolist() for column in columns), strict=True):
        if status >> 4 == PROGRAM:
            voices.change_program(channel, number, first)
        elif status >> 4 == CONTROL:
            voices.banks[channel] = second
        else:
            voices.obey(channel >> 4, number, system_exclusive.effect(messages[int(played.rows[number])]))
    return voices


def _notes(
    events: Events,
    played: _Played,
    voices: Voices,
    at: NDArray,
    all_off: NDArray,
    resets: _Resets,
    ticks_per_quarter: int,
    mended: Counter[str],
) -> ChannelNotes:
    """The notes of the note-ons and note-offs at `at`, which also the messages at `all_off` and resets end."""
    places, ticks = played.places[at], played.ticks[at]
    pitches, velocities = played.first[at], played.second[at]
    channels = places >> CHANNEL_SHIFT
    programs = voices.at(places)
    keys = channels if channels.max(initial=0) < 16 else np.unique(channels, return_inverse=True)[1]
    next_off = None
    if len(all_off) or len(resets.places):
        ends = np.concatenate([played.places[all_off], resets.places])
        order = ends.argsort()
        following = ends[order].searchsorted(places)  # the next end of all notes, of this channel or a later one
        end_ticks = np.concatenate([played.ticks[all_off], resets.ticks])[order]
        same_channel = np.append(ends[order] >> CHANNEL_SHIFT, -1)[following] == channels
        next_off = np.where(same_channel, np.append(end_ticks, NEVER)[following], NEVER)
        keys = keys + following * (keys.max(initial=0) + 1)
    strikes = Strikes(
        keys=keys << 7 | pitches,
        is_on=(played.status[at] >> 4 == NOTE_ON) & (velocities > 0),
        ticks=ticks,
        tracks=events.tracks[played.rows[at]],
        kinds=programs << 7 | velocities,
        all_off=next_off,
    )
    ends = pair(strikes, WHOLE_NOTE * ticks_per_quarter, events.end)
    mended["notes without an end"] += ends.guessed
    mended["note-offs without a note"] += ends.surplus
    mended["notes of no length"] += int(np.count_nonzero(ends.ticks == ticks[ends.notes]))
    notes = ends.notes
    return ChannelNotes(
        onsets=ticks[notes],
        ends=np.maximum(ends.ticks, ticks[notes] + 1),
        pitches=pitches[notes],
        velocities=velocities[notes],
        programs=programs[notes],
        channels=channels[notes],
        tracks=strikes.tracks[notes],
    )


def _pedals(played: _Played, at: NDArray, resets: _Resets) -> ChannelPedals:
    """The pedals that the controllers at `at` press and lift."""
    down = (played.first[at] == SUSTAIN_PEDAL) & (played.second[at] >= 64)
    if not down.any():
        return ChannelPedals(*np.empty((3, 0), np.int64))
    places = np.concatenate([played.places[at], resets.places])
    order = places.argsort()
    channels = places[order] >> CHANNEL_SHIFT
    ticks = np.concatenate([played.ticks[at], resets.ticks])[order]
    down = np.concatenate([down, np.zeros(len(resets.places), np.bool_)])[order]
    follows = np.append(False, channels[1:] == channels[:-1])  # another event of the same channel
    moved = down != (np.append(False, down[:-1]) & follows)
    channels, ticks, down = channels[moved], ticks[moved], down[moved]
    # In each channel the pedal is now pressed and lifted by turns.
    lifted = np.append(channels[1:] == channels[:-1], False)
    ends = np.where(lifted, np.append(ticks[1:], NEVER), NEVER)
    return ChannelPedals(channels[down], ticks[down], ends[down])
