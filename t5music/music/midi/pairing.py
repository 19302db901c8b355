"""Pairing: which note-off ends which note-on.

A note-off names a channel and a key, not a note; so where a key is struck again while it sounds, a file does not say
which note ends first. The rule, key by key, in the order in which the events of all tracks are played:

- A note-off of a key that does not sound ends nothing and is left out.
- Note-ons and note-offs are matched like brackets. A note-on that no bracket closes has lost its note-off: after it, the
  key never again falls as silent as it was before. Its note is taken to last until the key's next event (a strike or a
  note-off), at most a whole note, and not beyond the end of the file; where that leaves it no time, it is left out.
- All other notes have their note-offs: the first one struck is the first to end.
- A message that ends all notes of a channel ends those that are left. No note reaches beyond it.

So overlapping notes that are all ended are read as by most readers, and a missing note-off costs its own note alone. By
the third rule alone, every later note of that key would take the next one's note-off.

Of notes struck at once that are alike but for their ends, each takes the note-off of its own track, if they all can:
voices in unison keep their lengths.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

NEVER = np.iinfo(np.int64).max  # ticks


class Strikes(NamedTuple):
    """Note-ons and note-offs, in the order in which they are played.

    Attributes:
        keys: int64 [events]; the same number for events of one key of one channel between two ends of all its notes.
        is_on: bool [events], whether it is a note-on.
        ticks: int64 [events], when it is played.
        tracks: int64 [events], the track of the file.
        kinds: int64 [events], the same number for note-ons that are alike, such as equally loud.
        all_off: int64 [events], tick at which all notes of the channel are ended next, or NEVER; None if it never is.
    """

    keys: NDArray
    is_on: NDArray
    ticks: NDArray
    tracks: NDArray
    kinds: NDArray
    all_off: NDArray | None = None


class Ends(NamedTuple):
    """Where the notes end.

    Attributes:
        notes: int64 [notes], the events that are the notes' note-ons.
        ticks: int64 [notes], when each ends.
        guessed: number of note-ons that have lost their note-offs.
        surplus: number of note-offs that end nothing.
    """

    notes: NDArray
    ticks: NDArray
    guessed: int
    surplus: int


def pair(strikes: Strikes, longest: int, end: int) -> Ends:
    """Finds the end of each note.

    Args:
        strikes: the events.
        longest: ticks that a note without a note-off lasts at most.
        end: tick at which the file ends.
    """
    order = _by_key(strikes.keys)
    keys, is_on = strikes.keys[order], strikes.is_on[order]
    if len(keys) % 2 == 0 and is_on[::2].all() and not is_on[1::2].any() and (keys[::2] == keys[1::2]).all():
        return Ends(order[::2], strikes.ticks[order[1::2]], 0, 0)  # nothing overlaps and nothing is missing
    surplus = _unmatched(keys, ~is_on)
    order, keys, is_on = order[~surplus], keys[~surplus], is_on[~surplus]
    lost = _unmatched(keys[::-1], is_on[::-1])[::-1]
    ons, offs = order[is_on & ~lost], order[~is_on]  # key by key as many of one as of the other
    ends = _in_tracks(strikes, ons, offs)
    guessed = 0
    if lost.any():
        until, is_guess = _lost_ends(strikes, order, lost.nonzero()[0], longest, end)
        lasting = ~is_guess | (until > strikes.ticks[order[lost]])
        ons, ends = np.concatenate([ons, order[lost][lasting]]), np.concatenate([ends, until[lasting]])
        guessed = int(np.count_nonzero(is_guess))
    return Ends(ons, ends, guessed, int(np.count_nonzero(surplus)))


def _lost_ends(
    strikes: Strikes, order: NDArray, lost: NDArray, longest: int, end: int
) -> tuple[NDArray, NDArray]:
    """When the notes end that have lost their note-offs, and whether that is a guess.

    Args:
        strikes: the events.
        order: int64 [events], the events key by key.
        lost: int64 [notes], where in `order` the notes stand.
        longest: ticks that such a note lasts at most.
        end: tick at which the file ends.
    """
    keys, ticks = strikes.keys[order], strikes.ticks[order]
    changes = np.append(((keys[1:] != keys[:-1]) | (ticks[1:] != ticks[:-1])).nonzero()[0] + 1, len(keys))
    following = changes[changes.searchsorted(lost, side="right")]  # the first event of another key or tick
    same_key = np.append(keys, -1)[following] == keys[lost]
    until = np.where(same_key, np.append(ticks, NEVER)[following], NEVER)
    at_most = np.minimum(ticks[lost] + longest, end)
    if strikes.all_off is None:
        return np.minimum(until, at_most), np.ones(len(lost), np.bool_)
    all_off = strikes.all_off[order[lost]]
    until = np.minimum(until, np.where(all_off < NEVER, all_off, at_most))
    return until, until < all_off


def _by_key(keys: NDArray) -> NDArray:
    """The stable order by key; small numbers are sorted several times as fast."""
    return np.argsort(keys.astype(np.uint16) if keys.max(initial=0) < 2**16 else keys, kind="stable")


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
    """The ends (int64 [notes]) of the notes of these note-ons, by note-offs in the same order.

    Notes struck at once, and alike, take the note-offs of their own tracks, if all of them can have theirs.
    """
    ends = strikes.ticks[offs]
    alike = strikes.ticks[ons[1:]] == strikes.ticks[ons[:-1]]
    for column in (strikes.keys, strikes.kinds):
        alike &= column[ons[1:]] == column[ons[:-1]]
    if not alike.any():
        return ends
    together = (np.append(alike, False) | np.append(False, alike)).nonzero()[0]
    runs = np.append(True, ~alike).cumsum()[together]
    struck = together[np.lexsort((strikes.tracks[ons[together]], runs))]
    ended = together[np.lexsort((strikes.tracks[offs[together]], runs))]
    wrong = np.bincount(runs, strikes.tracks[ons[struck]] != strikes.tracks[offs[ended]])[runs] > 0
    ends[struck[~wrong]] = strikes.ticks[offs[ended[~wrong]]]
    return ends
