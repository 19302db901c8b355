"""The words that promises leave, for each state of promised remi: bool masks, for NumPy and JAX alike."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from t5music.music.encodings.grammar import Array
from t5music.music.encodings.remi.bounds import CLASSES, NEVER, PITCHES, UNBOUNDED_BARS
from t5music.music.encodings.remi.grammar import TABLE
from t5music.music.encodings.remi.grid import DURATIONS, METERS, POSITION, POSITIONS
from t5music.music.encodings.remi.promised_state import PLACES, State, of_bar, rhythm_left, take
from t5music.music.encodings.remi.words import BAR, TEMPO_WORD
from t5music.music.encodings.remi.words import VELOCITY as VELOCITY_WORD
from t5music.music.score import DRUMS

TICKS = PLACES * POSITION
CLASS_OF = np.arange(PITCHES) % CLASSES
IN_CLASS = CLASS_OF[:, None] == np.arange(CLASSES)  # bool [128, 12]
ABOVE = np.arange(PITCHES + 8)[:, None] > np.arange(PITCHES + 8)  # bool, True where row > column
ABOVE_PITCH = ABOVE[:PITCHES, :PITCHES]
LENGTHS = (DURATIONS * POSITION).astype(np.int32)  # ticks
LATER = PLACES[:, None] >= PLACES  # bool [144, 144]: sums over this and later positions
EVEN = np.array([numerator % 2 == 0 for numerator, _ in METERS])


class Moment(NamedTuple):
    """What several rules need of a state."""

    tick: Array  # [batch]
    rhythm_here: Array  # [batch], new notes that the rhythm still has here; a great number without a rhythm
    owed: Array  # [batch], notes that the bar must still have, locked ones apart
    lock: Array  # [batch, 6], the next one
    lock_in_bar: Array  # bool [batch]
    lock_here: Array  # bool [batch]
    new: Array  # bool [batch, programs, 128], pitched notes that may begin here
    sure: Array  # bool [batch, programs, 128], of these, those that may whatever else is written
    drums: Array  # bool [batch, 128]
    later: Array | None  # [batch, 145], notes that can still begin in the bar from each position on; None: not asked
    startable: Array  # bool [batch, 144], positions at which a new note can begin
    voices: Array  # [batch], more pitched notes that may begin here


def allowed(state: State, counts_voices: bool, owes: bool, xp: Any) -> Array:
    """bool [batch, words]: the words that the bounds leave; the grammar may forbid more.

    Args:
        state: what has been written, and what is promised.
        counts_voices: whether some polyphony is promised.
        owes: whether some bars must have notes. Where none must, what can still be written is not looked at.
        xp: NumPy or JAX's.
    """
    now = _moment(state, counts_voices, owes, xp)
    programs, drums, pitches = _notes(state, now, xp)
    parts = [
        _bar(state, now, xp)[:, None],
        _meters(state, xp),
        _positions(state, now, xp),
        _tempi(state, xp)[:, None] & xp.ones((1, _size(TEMPO_WORD)), bool),
        programs,
        (xp.any(pitches, axis=1) | xp.any(drums, axis=1))[:, None] & xp.ones((1, _size(VELOCITY_WORD)), bool),
        pitches,
        drums,
        _durations(state, now, counts_voices, xp),
    ]
    open_ = (state.counts.closed == 0) & ((state.counts.bar >= 0) | (state.words.last == BAR))
    first = np.arange(len(TABLE) - 1) == 0
    started = open_[:, None] | (first & (state.counts.closed == 0)[:, None])
    return xp.concatenate(parts, axis=1) & started


def _moment(state: State, counts_voices: bool, owes: bool, xp: Any) -> Moment:
    words, counts, table = state.words, state.counts, state.tables
    position = xp.maximum(words.position, 0)
    tick = words.begin + position * POSITION
    rhythm = of_bar(table.rhythm, counts.bar, table.rhythm_bars, xp)  # [batch, 144]
    owed = xp.maximum(table.least - counts.in_bar, 0)

    lock = take(table.locks, counts.lock, xp)  # [batch, 6]
    in_bar = lock[:, 0] == counts.bar
    lock_here = in_bar & (lock[:, 1] == words.position)
    # Without room but for what is owed, a note that is not owed may not begin.
    idle = (counts.tight == 1) & (owed + rhythm_left(state, xp) <= 0)
    full = (counts.in_bar >= table.most) | idle

    chord, binding = _chords(state, xp)  # [batch, 144, 12], [batch, 144, 1]
    classes = table.classes[:, None, :]
    within = ~binding | chord  # what the chords allow
    sure_classes = within & classes
    out = (counts.in_key * 1000 >= table.share * (counts.pitched + 1))[:, None]
    here_sure = take(sure_classes, position, xp)  # [batch, 12]
    here_all = take(within, position, xp) & (table.classes | out)

    until = words.free[xp.arange(len(tick))[:, None], table.programs]  # [batch, programs, 128]
    free = until <= tick[:, None, None]
    struck = table.keys & free
    on_grid = table.grid & (words.length[:, None] >= TICKS + POSITION)  # [batch, 144]
    voices = xp.full_like(tick, PITCHES)
    held = 0
    if counts_voices:
        held = xp.sum(counts.ends[:, None, :] > (words.begin[:, None] + TICKS)[:, :, None], axis=2)  # [batch, 144]
        voices = table.polyphony - take(held, position, xp)
    at_position = take(rhythm, position, xp)
    rhythm_here = xp.where(at_position < 0, PITCHES * 2, at_position - counts.here)
    possible = (take(on_grid, position, xp) & ~full & (rhythm_here > 0))[:, None]  # [batch, 1]
    pitched = possible & ((voices > 0) & (words.drum < 0))[:, None]  # percussion comes last
    new = struck & (pitched & here_all[:, CLASS_OF])[:, None, :]
    sure = table.sure & free & (pitched & here_sure[:, CLASS_OF])[:, None, :]
    drums = table.drums & possible

    later = None
    if owes:
        # What can surely begin at each later position: keys that are free by the next one, voices, percussion.
        at_next = tick + POSITION * (words.position >= 0)
        by_pitch = xp.sum(table.sure & (until <= at_next[:, None, None]), axis=1, dtype=np.int32)  # [batch, 128]
        by_class = _times(by_pitch, IN_CLASS, xp)  # [batch, 12]
        can = xp.sum(sure_classes * by_class[:, None, :], axis=2)  # [batch, 144]
        if counts_voices:
            can = xp.minimum(can, xp.maximum(table.polyphony[:, None] - held, 0))
        percussion = xp.sum(table.sure_drums, axis=1)
        can = (can + percussion[:, None]) * (on_grid & (rhythm != 0))
        later = xp.concatenate([_times(can, LATER, xp), xp.zeros((len(tick), 1), np.int32)], axis=1)

    # Where a note can begin, to the tick: keys that will be free by then.
    soonest = xp.min(xp.where(table.keys, until, NEVER), axis=1)  # [batch, 128]
    soonest = xp.min(xp.where(IN_CLASS.T, soonest[:, None, :], NEVER), axis=2)  # [batch, 12]
    at = words.begin[:, None] + TICKS  # [batch, 144]
    startable = xp.any(sure_classes & (soonest[:, None, :] <= at[:, :, None]), axis=2)
    if counts_voices:
        startable = startable & (held < table.polyphony[:, None])
    startable = (startable | xp.any(table.drums, axis=1)[:, None]) & on_grid & (rhythm != 0) & ~full[:, None]
    return Moment(tick, rhythm_here, owed, lock, in_bar, lock_here, new, sure, drums, later, startable, voices)


def _chords(state: State, xp: Any) -> tuple[Array, Array]:
    """The chord at each position, bool [batch, 144, 12], and where it binds, bool [batch, 144, 1]."""
    table, words = state.tables, state.words
    chords = of_bar(table.chords, state.counts.bar, table.chord_bars, xp)  # [batch, chords, 12]
    count = of_bar(table.chord_counts, state.counts.bar, table.chord_bars, xp)[:, None]
    length = xp.maximum(words.length, 1)[:, None]
    index = xp.minimum(TICKS * count // length, count - 1)  # [batch, 144]
    before = xp.minimum(np.maximum(TICKS - POSITION, 0) * count // length, count - 1)
    meter = xp.maximum(state.counts.meter, 0)
    middle = (length == TICKS * 2) & xp.asarray(EVEN)[meter][:, None]
    strong = (PLACES == 0) | (index != before) | middle
    rows = xp.arange(len(chords))[:, None]
    return chords[rows, index], (strong | table.always[:, None])[:, :, None]


# ----------------------------------------------------------------------------------------------------- kinds of words


def _bar(state: State, now: Moment, xp: Any) -> Array:
    """bool [batch]: whether a Bar may come."""
    counts, table = state.counts, state.tables
    begun = counts.bar >= 0
    done = (now.owed <= 0) & ~now.lock_in_bar & (rhythm_left(state, xp) <= 0)
    room = (counts.bars < UNBOUNDED_BARS) | ((state.words.room >= table.bar_words + 2) & (counts.tight == 0))
    return xp.where(begun, done, True) & room


def _meters(state: State, xp: Any) -> Array:
    """bool [batch, meters]."""
    counts, table = state.counts, state.tables
    last = xp.minimum(xp.maximum(counts.bar, 0), table.meter_bars - 1)
    given = take(table.meters, last, xp)
    given = xp.where(given < 0, counts.meter, given)[:, None]
    return xp.where(given < 0, table.meter_is_free, np.arange(len(METERS)) == given)


def _positions(state: State, now: Moment, xp: Any) -> Array:
    """bool [batch, 144]."""
    counts, table = state.counts, state.tables
    opening = (state.words.tempo < 0)[:, None]  # where only a tempo may come
    locked = now.lock_in_bar[:, None] & (now.lock[:, 1:2] == PLACES)
    not_past = ~now.lock_in_bar[:, None] | (now.lock[:, 1:2] >= PLACES)
    rhythm = of_bar(table.rhythm, counts.bar, table.rhythm_bars, xp)
    coming = xp.where((rhythm > 0) & (state.words.position[:, None] < PLACES), PLACES, POSITIONS)
    next_one = xp.min(coming, axis=1)[:, None]
    left = (now.rhythm_here > 0) & (now.rhythm_here < PITCHES) & (state.words.position >= 0)
    enough = True if now.later is None else now.later[:, :-1] >= now.owed[:, None]
    return opening | ((now.startable | locked) & not_past & (next_one >= PLACES) & enough & ~left[:, None])


def _tempi(state: State, xp: Any) -> Array:
    """bool [batch]."""
    free = ~state.tables.hold_tempo & (state.counts.tight == 0)
    return (state.words.tempo < 0) | free


def _notes(state: State, now: Moment, xp: Any) -> tuple[Array, Array, Array]:
    """The programs, the percussion and the pitches that may come, bool [batch, 128] each."""
    words, table = state.words, state.tables
    named = words.named == 1
    above = xp.where(named, -1, words.pitch)[:, None]
    keys = np.arange(PITCHES)
    in_force = xp.clip(words.program, 0, PITCHES - 1)
    fits_lock = ~now.lock_here | (now.lock[:, 2] > words.program)
    last_row = now.lock_here & (now.lock[:, 2] == words.program)
    stated = (words.program >= 0)[:, None]

    def in_order(row: Array) -> Array:
        allowed = fits_lock[:, None] | (last_row[:, None] & (keys < now.lock[:, 3:4]))
        return row & (keys > above) & allowed & stated

    slot = take(table.slots, in_force, xp)
    pitches = in_order(take(now.new, slot, xp))
    may_follow = xp.any(now.new, axis=2)  # [batch, programs]
    drums = now.drums & (keys > words.drum[:, None])
    is_drum = (now.lock[:, 2] == DRUMS)[:, None]
    lock_key = now.lock_here[:, None] & (keys == now.lock[:, 3:4])
    lock_program = now.lock_here[:, None] & (keys == now.lock[:, 2:3])
    lock_pitch, lock_drum = last_row[:, None] & lock_key & stated, is_drum & lock_key
    new_drums = drums & (~now.lock_here[:, None] | (is_drum & (keys < now.lock[:, 3:4])))
    if now.later is not None:
        left = _left(state, now, slot, drums, xp)
        # A new note pays one of those that are owed; a locked one pays none, and what lies before it is past then.
        pitches, lock_pitch = pitches & (left.pitch >= -1), lock_pitch & (left.lock_pitch >= 0)
        new_drums, lock_drum = new_drums & (left.drum >= -1), lock_drum & (left.drum >= 0)
        may_follow = may_follow & (left.program >= -1)
        lock_program = lock_program & (left.lock_program >= 0)
    programs = may_follow[xp.arange(len(slot))[:, None], table.slots[:, :DRUMS]] & (
        ~now.lock_here[:, None] | (keys < now.lock[:, 2:3])
    )
    return programs | lock_program, new_drums | lock_drum, pitches | lock_pitch


class Left(NamedTuple):
    """How many more notes than are owed at this position can surely be written here behind each word, int32."""

    pitch: Array  # [batch, 128], behind a new note of the program in force
    lock_pitch: Array  # [batch, 128], behind a locked one
    program: Array  # [batch, programs], behind the first note of each program
    lock_program: Array  # [batch, 1], behind the name of the lock's program
    drum: Array  # [batch, 128]


def _left(state: State, now: Moment, slot: Array, drums: Array, xp: Any) -> Left:
    """What is left behind each word, where notes are owed to the bar.

    Args:
        state: what has been written, and what is promised.
        now: with what can be written later.
        slot: int [batch], where the program in force stands in the tables.
        drums: bool [batch, 128], percussion that may come.
        xp: NumPy or JAX's.
    """
    words, table = state.words, state.tables
    here = (now.rhythm_here < PITCHES) * xp.maximum(now.rhythm_here, 0)  # owed at the position
    owed = xp.maximum(now.owed - take(now.later, xp.maximum(words.position, 0) + 1, xp), here)[:, None]
    above = xp.where(words.named == 1, -1, words.pitch)[:, None]
    rows_sure = xp.sum(now.sure, axis=2, dtype=np.int32)  # [batch, programs]
    size = rows_sure.shape[1]
    rows_above = _times(rows_sure, ABOVE[:size, :size], xp)  # of greater programs
    of_row = take(now.sure, slot, xp) & (np.arange(PITCHES) > above)
    after_pitch = _times(of_row, ABOVE_PITCH, xp) + _of_programs(table.programs > words.program[:, None], rows_sure, xp)
    from_lock = _of_programs(table.programs >= now.lock[:, 2:3], rows_sure, xp)
    sure_drums = drums & table.sure_drums
    percussion = xp.sum(sure_drums, axis=1, dtype=np.int32)[:, None]

    def left(pitched: Array, voices: Array) -> Array:
        return xp.maximum(xp.minimum(pitched, voices[:, None]), 0) + percussion - owed

    return Left(
        left(after_pitch, now.voices - 1),
        left(after_pitch, now.voices),
        left(rows_sure - 1 + rows_above, now.voices - 1),
        left(from_lock, now.voices),
        _times(sure_drums, ABOVE_PITCH, xp) - owed,
    )


def _of_programs(which: Array, rows_sure: Array, xp: Any) -> Array:
    """int32 [batch, 1]: the notes that may surely begin here in such programs, [batch, programs]."""
    return xp.sum(xp.where(which, rows_sure, 0), axis=1, dtype=np.int32)[:, None]


def _durations(state: State, now: Moment, counts_voices: bool, xp: Any) -> Array:
    """bool [batch, durations]."""
    words, counts, table = state.words, state.counts, state.tables
    position = xp.maximum(words.position, 0)
    numbers = np.arange(len(DURATIONS))
    until = now.tick[:, None] + LENGTHS  # [batch, durations]
    # A key that is locked later must be free by then.
    same = (table.locks[:, :, 2] == words.program[:, None]) & (table.locks[:, :, 3] == words.pitch[:, None])
    coming = same & (np.arange(table.locks.shape[1]) >= counts.lock[:, None])
    limit = xp.min(xp.where(coming, table.locks[:, :, 5] + counts.origin[:, None], NEVER), axis=1)[:, None]
    shortest = numbers == 0
    allowed = (until <= limit) | shortest
    given = take(of_bar(table.durations, counts.bar, table.rhythm_bars, xp), position, xp)[:, None]
    allowed = allowed & ((given < 0) | (numbers == given))
    if now.later is not None:
        # Where notes are owed: few notes sound on into the next bar, and each takes a voice or a key from this one.
        line = (words.begin + words.length)[:, None]
        owes = (table.least > 0)[:, None]
        if counts_voices:
            over = xp.sum(counts.ends > line, axis=1)
        else:
            until_then = words.free[xp.arange(len(line))[:, None], table.programs]
            over = xp.sum((until_then > line[:, :, None]) & table.keys, axis=(1, 2))
        allowed = allowed & (~owes | (until <= line) | (over < table.held)[:, None])
        can = now.later[:, :-1] - now.later[:, 1:]  # [batch, 144]
        lost = xp.sum((can > 0) & (position[:, None] < PLACES), axis=1)
        spare = take(now.later, position + 1, xp) - now.owed
        allowed = allowed & (~owes | shortest | (lost <= spare)[:, None])
    locked = (counts.locked == 1)[:, None]
    return xp.where(locked, numbers == now.lock[:, 4:5], allowed)


def _times(counts: Array, table: NDArray[np.bool_], xp: Any) -> Array:
    """int32 [batch, m] of counts [batch, n] and table [n, m]; in floats, which multiply faster and are exact here."""
    return xp.asarray(counts.astype(np.float32) @ table.astype(np.float32), np.int32)


def _size(kind: int) -> int:
    return int((TABLE[:-1, 0] == kind).sum())
