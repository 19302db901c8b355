"""LakhNES's adapter: any multi-track music as music for the NES, by which Lakh becomes pre-training data for NES-MDB.

The rules are those of Donahue et al. (ISMIR 2019, section 4.1) as the authors' `data/adapt_lakh_to_nes.py` carries them
out. A file makes several *ensembles*: its monophonic tracks play pulse 1, pulse 2 and triangle in turn, one of its
percussion tracks plays the noise.

1. Files of more than 512 KiB, of less than 5 s or of more than 600 s are left out.
2. All times are rounded to samples of 44.1 kHz.
3. A pitched track takes part if its range meets 21..108, no note begins before the one before it has ended, and no
   earlier track has the same pitches at the same onsets (to 0.1 s).
4. Placements: with one track the three voices, with two the six ways to give them two voices, with more all ways to
   give three of them the three voices. Beyond `limit` (16), so many are drawn without replacement.
5. Notes outside a voice's range (33..108 for the pulses, 21..108 for the triangle) are left out.
6. Each ensemble with percussion draws one percussion track, of which a note that begins while another sounds is left
   out, and a random map from the 128 percussion keys to the 16 periods of the noise.
7. An ensemble begins with its first note and lasts at most 180 s: notes that end later are left out.
8. Velocities become volumes: 1 for the triangle, else 1 + 14 v / 127, rounded.

Where we differ: the length of a file is that of its notes (pretty_midi also counts controllers and texts); a note
lasts at least one sample, and two that begin at one sample are a chord, so that every ensemble can be said in tx1 (the
script lets notes of no length through, at which its own tx1 converter stops); with more than 32 tracks placements are
drawn from all of them (the script draws 32 tracks first, to save memory); ensembles that lose all their notes are left
out; chance comes from a seed.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
from numpy.typing import NDArray

from t5music.errors import ConfigError, MidiError
from t5music.music.encodings.tx1.encoding import (
    NOISE,
    PROGRAMS,
    RANGES,
    SAMPLE_RATE,
    TICKS_PER_QUARTER,
    VOICES,
)
from t5music.music.score import DRUMS, METER, NOTE, TEMPO, Score

MAX_FILE_BYTES = 512 * 1024
MIN_SECONDS, MAX_SECONDS = 5, 600  # of a file
ENSEMBLE_SECONDS = 180
LIMIT = 16  # ensembles of one file
LOWEST, HIGHEST = 21, 108  # a track without a note in this range is left out
LOUDEST = 15  # the NES's volumes are 1..15

Tracks = list[NDArray]  # NOTE [notes] each, onset and duration in samples


def ensembles(
    score: Score, *, seed: int | tuple[int, ...], limit: int = LIMIT, file_bytes: int | None = None
) -> list[Score]:
    """The NES ensembles of a piece: scores with the tracks p1, p2, tr and no, as NES-MDB's MIDI files are laid out.

    Args:
        score: music of any kind.
        seed: what all chance comes from; the same seed gives the same ensembles.
        limit: the most ensembles to make.
        file_bytes: the size of the file the score comes from; None: not looked at.

    Returns:
        1 to `limit` scores at one tick a sample; each can be encoded in tx1. (No score at all where every placement
        loses its notes to rules 5 and 7.)

    Raises:
        MidiError: the piece is left out: the size, the length, or no track that a voice could play.
    """
    if limit < 1:
        raise ConfigError(f"limit must be at least 1, not {limit}")
    _check_size(score, file_bytes)
    melodic, percussion = _tracks(score)
    melodic = _distinct([track for track in melodic if _playable(track)])
    if not melodic:
        raise MidiError(f"no monophonic track within {LOWEST}..{HIGHEST}: nothing for the voices of the NES to play")
    percussion = [_one_at_a_time(track) for track in percussion]

    rng = np.random.default_rng(seed)
    every_ensemble = []
    for placement in _placements(len(melodic), limit, rng):
        voices = [melodic[track] if track >= 0 else np.empty(0, NOTE) for track in placement]
        voices = [notes[_within(notes, voice)] for voice, notes in enumerate(voices)]
        if percussion:
            noise = percussion[rng.integers(len(percussion))].copy()
            noise["pitch"] = rng.integers(1, 17, 128)[noise["pitch"]]
            voices.append(noise)
        ensemble = _ensemble(voices)
        if len(ensemble.notes):
            every_ensemble.append(ensemble)
    return every_ensemble


def _check_size(score: Score, file_bytes: int | None) -> None:
    """Raises MidiError for a file that rule 1 leaves out."""
    if file_bytes is not None and file_bytes > MAX_FILE_BYTES:
        raise MidiError(f"the file has {file_bytes} bytes: LakhNES leaves out those above {MAX_FILE_BYTES}")
    seconds = score.duration_seconds
    if not MIN_SECONDS <= seconds <= MAX_SECONDS:
        raise MidiError(f"the piece lasts {seconds:.1f} s: LakhNES takes {MIN_SECONDS} to {MAX_SECONDS} s")


def _tracks(score: Score) -> tuple[Tracks, Tracks]:
    """Melodic and percussion tracks (of one program each), their notes in samples, by onset and then by end."""
    notes = score.notes.copy()
    ends = _samples(score, notes["onset"] + notes["duration"])
    notes["onset"] = _samples(score, notes["onset"])
    notes["duration"] = np.maximum(ends - notes["onset"], 1)
    part = notes["track"] * np.int64(DRUMS + 1) + notes["program"]
    order = np.lexsort((notes["pitch"], notes["duration"], notes["onset"], part))
    notes, part = notes[order], part[order]
    tracks = np.split(notes, np.flatnonzero(np.diff(part)) + 1)
    return [t for t in tracks if t["program"][0] != DRUMS], [t for t in tracks if t["program"][0] == DRUMS]


def _samples(score: Score, ticks: NDArray) -> NDArray[np.int64]:
    return np.rint(score.seconds(ticks) * SAMPLE_RATE).astype(np.int64)


def _playable(track: NDArray) -> bool:
    pitches, onsets = track["pitch"], track["onset"]
    monophonic = (onsets[:-1] + track["duration"][:-1] <= onsets[1:]).all()
    return bool(monophonic and pitches.max() >= LOWEST and pitches.min() <= HIGHEST)


def _distinct(tracks: Tracks) -> Tracks:
    """The tracks without those that have the pitches and onsets (to 0.1 s) of an earlier one."""
    distinct: dict[bytes, NDArray] = {}
    for track in tracks:
        tenths = np.rint(track["onset"] * (10 / SAMPLE_RATE)).astype(np.int64)
        distinct.setdefault(tenths.tobytes() + track["pitch"].tobytes(), track)
    return list(distinct.values())


def _one_at_a_time(track: NDArray) -> NDArray:
    """The notes left when every note that begins while an earlier one that is left sounds is taken out."""
    following = np.searchsorted(track["onset"], track["onset"] + track["duration"]).tolist()
    places, place = [], 0
    while place < len(track):
        places.append(place)
        place = following[place]
    return track[places]


def _placements(tracks: int, limit: int, rng: np.random.Generator) -> list[tuple[int, ...]]:
    """(track of P1, of P2, of TR), -1 for a silent voice: all there are, or `limit` different ones drawn at random."""
    used = min(tracks, NOISE)
    if tracks <= NOISE:
        players = [*range(tracks), *[-1] * (NOISE - used)]
        every = sorted(set(itertools.permutations(players)))
        drawn = rng.choice(len(every), limit, replace=False) if len(every) > limit else range(len(every))
        return [every[index] for index in drawn]
    count = math.perm(tracks, NOISE)
    numbers = rng.choice(count, limit, replace=False) if count > limit else np.arange(count)
    first, rest = np.divmod(numbers, (tracks - 1) * (tracks - 2))  # the number of a permutation, digit by digit
    second, third = np.divmod(rest, tracks - 2)
    second += second >= first
    for used_number in (np.minimum(first, second), np.maximum(first, second)):
        third += third >= used_number
    return list(zip(first.tolist(), second.tolist(), third.tolist(), strict=True))


def _within(notes: NDArray, voice: int) -> NDArray[np.bool_]:
    low, high = RANGES[voice]
    return (notes["pitch"] >= low) & (notes["pitch"] <= high)


def _ensemble(voices: Tracks) -> Score:
    """The voices (P1, P2, TR, and NO if there is any), moved to begin at 0, cut at 180 s, in NES-MDB's layout."""
    for voice, notes in enumerate(voices):
        volumes = np.rint(1 + (LOUDEST - 1) * notes["velocity"] / 127)
        notes["velocity"] = 1 if VOICES[voice] == "TR" else volumes
        notes["program"], notes["track"] = PROGRAMS[voice], voice
    notes = np.concatenate(voices)
    ends = notes["onset"] + notes["duration"]
    start = int(notes["onset"].min(initial=np.iinfo(np.int64).max))
    end = min(int(ends.max(initial=0)), start + ENSEMBLE_SECONDS * SAMPLE_RATE)
    notes = notes[ends <= end]
    notes["onset"] -= start
    return Score(
        TICKS_PER_QUARTER,
        notes,
        tempos=np.array([(0, 500_000)], TEMPO),
        meters=np.array([(0, 4, 4), (max(end - start, 0), 1, 1)], METER),  # 1/1: NES-MDB's sign for the end
        track_names=tuple(name.lower() for name in VOICES),
    )
