"""Pairing: which note-off ends which note-on.

A note-off names a channel and a key, not a note; so where a key is struck again while it sounds, a file does not say
which note ends first. The rule, key by key, in the order in which the events of all tracks are played:

- A note-off of a key that does not sound ends nothing and is left out.
- Note-ons and note-offs are matched like brackets. A note-on that no bracket closes has lost its note-off: after it,
  the key never again falls as silent as it was before. Its note is taken to last until the key's next event (a strike
  or a note-off), at most a whole note, and not beyond the end of the file; where that leaves it no time, it is left
  out.
- All other notes have their note-offs: the first one struck is the first to end.
- A message that ends all notes of a channel ends those that are left. No note reaches beyond it.

So overlapping notes that are all ended are read as by most readers, and a missing note-off costs its own note alone. By
the third rule alone, every later note of that key would take the next one's note-off.

What the rule cannot see is a lost note-off whose place a later one takes: some sequencers let go of all hanging keys
where a track ends. Such a key has as many note-offs as note-ons, just as notes that overlap have, and those must be
read as they were written. So its notes are paired in their order, and each lasts until the next one's end. About 50 of
5,618 real files seem to have such keys.

Of notes struck at once that are alike but for their ends, each takes the note-off of its own track, if they all can:
voices in unison keep their lengths.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

NEVER = np.iinfo(np.int64).max  # ticks


class Strikes(NamedTuple):
    """Note-ons and note-offs, key by key, and those of a key in the order in which they are played.

    Attributes:
        keys: int64 [events], the same number for events of one key of one channel between two ends of all its notes.
        is_on: bool [events], whether it is a note-on.
        ticks: int64 [events], when it is played.
        all_off: int64 [events], tick at which all notes of the channel are ended next, or NEVER; None if they never
        are.
        tracks: int64 [events], the track of the file.
        kinds: tells of some note-ons (int64 [notes]) by equal numbers (int64 [notes]) which are alike, as in loudness.
    """

    keys: NDArray
    is_on: NDArray
    ticks: NDArray
    all_off: NDArray | None
    tracks: NDArray
    kinds: Callable[[NDArray], NDArray]


class Ends(NamedTuple):
    """Where the notes end.

    Attributes:
        notes: int64 [notes], the events that are the notes' note-ons.
        ticks: int64 [notes], when each ends.
        offs: int64 [notes], the events that are their note-offs; -1 where one is lost.
        guessed: number of note-ons that have lost their note-offs.
        surplus: number of note-offs that end nothing.
    """

    notes: NDArray
    ticks: NDArray
    offs: NDArray
    guessed: int
    surplus: int


def pair(strikes: Strikes, longest: int, end: int) -> Ends:
    """Finds the end of each note.

    Args:
        strikes: the events.
        longest: ticks that a note without a note-off lasts at most.
        end: tick at which the file ends.
    """
    keys, is_on, ticks = strikes.keys, strikes.is_on, strikes.ticks
    same_key = keys[1:] == keys[:-1]
    ended_next = is_on[:-1] & ~is_on[1:] & same_key
    if len(keys) % 2 == 0 and ended_next[::2].all():  # nothing overlaps and nothing is missing
        return Ends(np.arange(0, len(keys), 2), ticks[1::2], np.arange(1, len(keys), 2), 0, 0)
    group = np.append(0, (~same_key).cumsum())  # which key it is, counted in their order
    alone = ~(np.append(ended_next, False) | np.append(False, ended_next))
    is_simple = np.ones(int(group[-1]) + 1, np.bool_)
    is_simple[group[alone]] = False
    is_simple = is_simple[group]
    simple = (ended_next & is_simple[:-1]).nonzero()[0]
    rest = (~is_simple).nonzero()[0]  # all events of keys in which something overlaps or is missing
    surplus = _unmatched(keys[rest], ~is_on[rest])
    rest = rest[~surplus]
    lost = _unmatched(keys[rest][::-1], is_on[rest][::-1])[::-1]
    ons, offs = rest[is_on[rest] & ~lost], rest[~is_on[rest]]  # key by key as many of one as of the other
    offs = np.concatenate([simple + 1, _in_tracks(strikes, ons, offs)])
    notes, ends = [simple, ons], [ticks[offs]]
    guessed = 0
    if lost.any():
        until, is_guess = _lost_ends(strikes, rest[lost], longest, end)
        lasting = ~is_guess | (until > ticks[rest[lost]])
        notes.append(rest[lost][lasting])
        ends.append(until[lasting])
        offs = np.append(offs, np.full(np.count_nonzero(lasting), -1))
        guessed = int(np.count_nonzero(is_guess))
    return Ends(np.concatenate(notes), np.concatenate(ends), offs, guessed, int(np.count_nonzero(surplus)))


def _lost_ends(strikes: Strikes, lost: NDArray, longest: int, end: int) -> tuple[NDArray, NDArray]:
    """When these notes (events), which have lost their note-offs, end (ticks), and whether that is a guess (bool)."""
    keys, ticks = strikes.keys, strikes.ticks
    changes = np.append(((keys[1:] != keys[:-1]) | (ticks[1:] != ticks[:-1])).nonzero()[0] + 1, len(keys))
    following = changes[changes.searchsorted(lost, side="right")]  # the first event of another key or tick
    same_key = np.append(keys, -1)[following] == keys[lost]
    until = np.where(same_key, np.append(ticks, NEVER)[following], NEVER)
    at_most = np.minimum(ticks[lost] + longest, end)
    if strikes.all_off is None:
        return np.minimum(until, at_most), np.ones(len(lost), np.bool_)
    all_off = strikes.all_off[lost]
    until = np.minimum(until, np.where(all_off < NEVER, all_off, at_most))
    return until, until < all_off


def _unmatched(keys: NDArray, closes: NDArray) -> NDArray:
    """Where brackets close (bool) that were not opened, in events grouped by key of which each opens or closes one."""
    if not len(keys):
        return closes
    starts = np.append(True, keys[1:] != keys[:-1])
    group = starts.cumsum() - 1
    depth = np.where(closes, -1, 1).cumsum()
    before = np.append(0, depth[:-1])[starts]  # at the beginning of each group
    floor = -group * (len(keys) + 1)  # below all depths of the groups before
    low = np.minimum(depth - before[group], 0) + floor
    return low < np.where(starts, floor, np.append(0, np.minimum.accumulate(low)[:-1]))


def _in_tracks(strikes: Strikes, ons: NDArray, offs: NDArray) -> NDArray:
    """The note-offs (int64 [notes]) of the notes of these note-ons, from note-offs in the same order.

    Notes struck at once, and alike, take the note-offs of their own tracks, if all of them can have theirs.
    """
    at_once = (strikes.ticks[ons[1:]] == strikes.ticks[ons[:-1]]) & (strikes.keys[ons[1:]] == strikes.keys[ons[:-1]])
    if not at_once.any():
        return offs
    together = (np.append(at_once, False) | np.append(False, at_once)).nonzero()[0]
    kinds = strikes.kinds(ons[together])
    starts = np.append(True, ~at_once[together[1:] - 1] | (kinds[1:] != kinds[:-1]))
    runs = starts.cumsum()
    struck = together[np.lexsort((strikes.tracks[ons[together]], runs))]
    ended = together[np.lexsort((strikes.tracks[offs[together]], runs))]
    wrong = np.bincount(runs, strikes.tracks[ons[struck]] != strikes.tracks[offs[ended]])[runs] > 0
    of_tracks = offs.copy()
    of_tracks[struck[~wrong]] = offs[ended[~wrong]]
    return of_tracks
