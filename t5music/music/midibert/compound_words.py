"""MIDI-BERT's compound words: a piece as notes of four words, cut into chunks of 512.

Chou, Chen, Chang, Ching & Yang, *MidiBERT-Piano* (2021), and the authors' `data_creation/prepare_data`: every note is
(Bar, Position, Pitch, Duration). Our models see text; this view is for comparing with theirs: the same notes, the same
chunks, the same answers. It follows their scripts to the letter, so

- ticks are the file's own, whatever a quarter has: a bar is 1,920 ticks, a position 120 (a 1/16 note only at 480 a
  quarter, as in POP909; EMOPIA and Pianist8, with 384, have no beats to be on anyway);
- an onset goes to the nearest position (half way: the earlier), but never to or beyond the last onset of the piece;
- a duration is the nearest multiple of 60 ticks (half way: the shorter), 60 to 3,840;
- bars without notes are not counted; meters, tempi and the pedal are not looked at; percussion counts as any note.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from t5music.errors import ConfigError, MidiError
from t5music.music.score import Score

BAR, POSITION, PITCH, DURATION = range(4)  # the columns
NEW, CONTINUE = range(2)  # the first two Bar words: whether the note is the first one of its bar
POSITIONS = 16
LOWEST_PITCH, HIGHEST_PITCH = 22, 107
DURATIONS = 64
# Each column's words are followed by its padding and its mask: (Bar, Position, Pitch, Duration) words without those.
SIZES = (2, POSITIONS, HIGHEST_PITCH - LOWEST_PITCH + 1, DURATIONS)
PADDING = np.array(SIZES)
MASK = PADDING + 1
CHUNK = 512  # notes

_BAR_TICKS = 1920
_POSITION_TICKS = _BAR_TICKS // POSITIONS
_DURATION_TICKS = 60


class Notes(NamedTuple):
    """The notes of a piece as compound words.

    words: int64 [notes, 4], indices into the words of Bar, Position, Pitch, Duration.
    order: int64 [notes], which note of `Score.notes` each of them is.
    """

    words: NDArray[np.int64]
    order: NDArray[np.int64]


def compound_words(score: Score) -> Notes:
    """The compound words of a score, in MIDI-BERT's order: by position, then exact onset, track and pitch.

    Raises MidiError for a pitch outside 22..107, for which MIDI-BERT has no word.
    """
    notes = score.notes
    wrong = (notes["pitch"] < LOWEST_PITCH) | (notes["pitch"] > HIGHEST_PITCH)
    if wrong.any():
        raise MidiError(
            f"compound words have the pitches {LOWEST_PITCH}..{HIGHEST_PITCH} and this piece has "
            f"{notes['pitch'][wrong][0]}: leave such notes out"
        )
    onsets = notes["onset"]
    last = max(0, -(-int(onsets[-1:].max(initial=0)) // _POSITION_TICKS) - 1)
    places = np.clip(-(-(onsets - _POSITION_TICKS // 2) // _POSITION_TICKS), 0, last)
    order = np.argsort(places, kind="stable")  # a Score's notes come by onset, track and pitch
    bars, positions = np.divmod(places[order], POSITIONS)
    durations = -(-(notes["duration"][order] - _DURATION_TICKS // 2) // _DURATION_TICKS)
    words = np.empty((len(notes), 4), np.int64)
    words[:, BAR] = np.where(np.diff(bars, prepend=-1) > 0, NEW, CONTINUE)
    words[:, POSITION] = positions
    words[:, PITCH] = notes["pitch"][order] - LOWEST_PITCH
    words[:, DURATION] = np.clip(durations, 1, DURATIONS) - 1
    return Notes(words, order)


def spans(notes: int, length: int = CHUNK, *, shortest: int = 1) -> list[slice]:
    """Where `notes` notes are cut into chunks of `length`; a last chunk of fewer than `shortest` notes is left out.

    MIDI-BERT leaves out last chunks of fewer than 256 of 512 notes where it classifies composers, and no other.
    """
    if length < 1:
        raise ConfigError(f"a chunk has at least 1 note, not {length}")
    cuts = (slice(start, min(start + length, notes)) for start in range(0, notes, length))
    return [cut for cut in cuts if cut.stop - cut.start >= min(shortest, length)]


def chunks(rows: NDArray, padding: NDArray | int, length: int = CHUNK, *, shortest: int = 1) -> NDArray[np.int64]:
    """The chunks [chunks, length, ...] of per-note rows [notes, ...], the last one filled up with `padding`.

    For compound words the padding is PADDING; for answers per note it is 0, with classes counted from 1.
    """
    cuts = spans(len(rows), length, shortest=shortest)
    filled = np.empty((len(cuts), length, *rows.shape[1:]), np.int64)
    filled[:] = padding
    for chunk, cut in zip(filled, cuts, strict=True):
        chunk[: cut.stop - cut.start] = rows[cut]
    return filled
