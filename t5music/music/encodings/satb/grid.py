"""The grid of satb: the pitch of each of four voices at every sixteenth, from a score and back."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from t5music.errors import MidiError
from t5music.music.score import DRUMS, NOTE, Score

VOICES = ("soprano", "alto", "tenor", "bass")
BASS = VOICES.index("bass")
LOWEST, HIGHEST = 36, 81  # the range of the JSB chorales, all voices together
REST = -1
STEPS_PER_QUARTER = 4
STEPS_PER_BAR = 4 * STEPS_PER_QUARTER  # of 4/4
STEP = 120  # ticks of a sixteenth in a decoded score
STEPS_PER_SECOND = 8  # at the tempo of a decoded score, 120 quarters a minute
MAX_STEPS = 90 * 60 * STEPS_PER_SECOND  # an hour and a half, as other encodings take
CHOIR, VELOCITY = 52, 80  # of decoded notes; the program counts from 0
_OCTAVE = 12


def parts(score: Score) -> NDArray[np.int64]:
    """The voice of each track, 0..3 from the soprano down; -1 for tracks without notes.

    Where all tracks with notes have different names of VOICES (in any case), the names say it; otherwise tracks are
    voices from the first one on.

    Args:
        score: the score.

    Returns:
        int64 [tracks].

    Raises:
        MidiError: the score has percussion, or more than four tracks with notes.
    """
    used = np.unique(score.notes["track"])
    if (score.notes["program"] == DRUMS).any():
        raise MidiError("satb has no percussion: leave the percussion tracks out")
    if len(used) > len(VOICES):
        raise MidiError(f"satb has four voices and this piece has {len(used)} tracks with notes: keep at most four")
    names = [score.track_names[track].strip().lower() for track in used]
    is_named = len(set(names)) == len(names) and set(names) <= set(VOICES)
    voices = np.full(len(score.track_names), -1)
    voices[used] = [VOICES.index(name) for name in names] if is_named else np.arange(len(used))
    return voices


def to_grid(score: Score) -> NDArray[np.int64]:
    """The pitch of each voice at every sixteenth, up to the last note's end.

    Onsets and ends move to the nearest sixteenth (half way: the later one), and a note lasts at least one. Of the notes
    of a voice that come to begin together, the one nearest to that sixteenth counts, and of a chord the highest note,
    in the bass the lowest. A note ends where its voice's next one begins. Pitches outside LOWEST..HIGHEST move into it
    by octaves.

    Args:
        score: of at most four parts, see `parts`.

    Returns:
        int64 [sixteenths, 4], REST where a voice is silent.

    Raises:
        MidiError: as of `parts`; there are chords and fewer than four parts; the piece is longer than MAX_STEPS.
    """
    notes = score.notes
    if not len(notes):
        return np.empty((0, len(VOICES)), np.int64)
    voices = parts(score)[notes["track"]]  # [notes]
    _check_chords(notes, voices)
    edges = notes["onset"], notes["onset"] + notes["duration"]
    starts, ends = (nearest_steps(ticks, score.ticks_per_quarter) for ticks in edges)
    ends = np.maximum(ends, starts + 1)
    steps = int(ends.max())
    if steps > MAX_STEPS:
        raise MidiError(f"the piece lasts {steps} sixteenths and satb takes at most {MAX_STEPS}: crop it")

    distance = np.abs(notes["onset"] * STEPS_PER_QUARTER - starts * score.ticks_per_quarter)
    pitches = notes["pitch"].astype(np.int64)
    outer = np.where(voices == BASS, pitches, -pitches)
    order = np.lexsort((-ends, outer, distance, starts, voices))  # by voice and sixteenth, the one that counts first
    voices, starts, ends, pitches = (array[order] for array in (voices, starts, ends, pitches))
    counts = np.append(True, (np.diff(voices) != 0) | (np.diff(starts) != 0))
    voices, starts, ends, pitches = (array[counts] for array in (voices, starts, ends, _folded(pitches)))
    same = voices[1:] == voices[:-1]
    ends[:-1][same] = np.minimum(ends[:-1], starts[1:])[same]

    lengths = ends - starts
    within = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    grid = np.full((steps, len(VOICES)), REST)
    grid[np.repeat(starts, lengths) + within, np.repeat(voices, lengths)] = np.repeat(pitches, lengths)
    return grid[: np.flatnonzero((grid != REST).any(axis=1))[-1] + 1]


def to_score(grid: NDArray[np.int64]) -> Score:
    """The score of a grid: a track for each voice, in which equal pitches in a row are one note.

    Args:
        grid: int [sixteenths, 4], pitches 0..127 or REST.

    Returns:
        The score, at 480 ticks a quarter.
    """
    tracks = []
    for track, pitches in enumerate(grid.T):
        starts = np.flatnonzero(np.append(True, pitches[1:] != pitches[:-1])[: len(pitches)])
        notes = np.zeros(len(starts), NOTE)
        notes["onset"], notes["duration"] = starts * STEP, np.diff(starts, append=len(pitches)) * STEP
        notes["pitch"], notes["track"] = pitches[starts], track
        tracks.append(notes[notes["pitch"] != REST])
    whole = np.concatenate(tracks)
    whole["velocity"], whole["program"] = VELOCITY, CHOIR
    return Score(STEP * STEPS_PER_QUARTER, whole, track_names=VOICES)


def note_count(grid: NDArray[np.int64]) -> int:
    """How many notes a grid [sixteenths, 4] has, equal pitches in a row being one."""
    begins = np.diff(grid, axis=0, prepend=REST) != 0
    return int((begins & (grid != REST)).sum())


def nearest_steps(ticks: NDArray, ticks_per_quarter: int) -> NDArray[np.int64]:
    """The sixteenths nearest to ticks (half way: the later one)."""
    return (2 * STEPS_PER_QUARTER * ticks.astype(np.int64) + ticks_per_quarter) // (2 * ticks_per_quarter)


def _folded(pitches: NDArray[np.int64]) -> NDArray[np.int64]:
    """Pitches moved by as few octaves as bring them into LOWEST..HIGHEST."""
    below, above = np.maximum(LOWEST - pitches, 0), np.maximum(pitches - HIGHEST, 0)
    return pitches + _OCTAVE * (-(-below // _OCTAVE)) - _OCTAVE * (-(-above // _OCTAVE))


def _check_chords(notes: NDArray, voices: NDArray[np.int64]) -> None:
    """Raises MidiError for a chord in a part of a piece with fewer than four parts, of which voices cannot be made."""
    count = len(np.unique(voices))
    order = np.lexsort((notes["pitch"], notes["onset"], voices))
    onsets, pitches, voices = notes["onset"][order], notes["pitch"][order], voices[order]
    is_chord = (np.diff(voices) == 0) & (np.diff(onsets) == 0) & (np.diff(pitches) != 0)
    if count < len(VOICES) and is_chord.any():
        place = int(np.argmax(is_chord))
        raise MidiError(
            f"the piece has {count} of the four parts of satb, and part {voices[place] + 1} begins pitches "
            f"{pitches[place]} and {pitches[place + 1]} at once: give each voice a track of its own"
        )
