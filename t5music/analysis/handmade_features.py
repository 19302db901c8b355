"""Hand-made features: one number each for pitch, mode, intervals, rhythm, texture and dynamics of a score.

A linear classifier of them is the baseline for trained encoders. The features are of the kinds that McKay's jSymbolic
computes. Percussion counts only in the features that name it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from t5music.music.score import DRUMS, Score

# Krumhansl & Kessler's probe-tone ratings (1982), from the tonic up.
MAJOR = (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88)
MINOR = (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17)

NAMES: tuple[str, ...] = (
    *(f"pitch_class_{step}" for step in range(12)),  # share of the notes' time, from the likeliest tonic upwards
    "fits_major",  # correlation with the best major key's profile
    "fits_minor",
    "pitch_mean",
    "pitch_sd",
    "pitch_lowest",
    "pitch_highest",
    "interval_mean",  # of the highest line, semitones, up or down
    "interval_repeats",  # share of the line's intervals that are 0
    "interval_steps",  # share that are 1 or 2
    "interval_leaps",  # share beyond a fifth
    "interval_rises",  # share upwards
    "duration_mean",  # seconds
    "duration_sd",
    "duration_median_beats",  # quarters
    "duration_sd_beats",
    "between_onsets_mean",  # seconds
    "between_onsets_sd",
    "between_onsets_median_beats",  # quarters
    "on_beat",  # share of onsets nearer than 1/12 quarter to a quarter
    "off_beat",  # share nearer than that to the eighth between two
    "notes_per_second",
    "notes_per_beat",
    "onsets_per_second",
    "notes_per_onset",
    "chords",  # share of onsets with three notes or more
    "polyphony",  # notes sounding on average where any sounds
    "silence",  # share of the time in which none sounds
    "legato",  # an onset's longest note over the time to the next onset: the median, each at most 4
    "velocity_mean",
    "velocity_sd",
    "velocity_range",
    "tempo",  # quarters a minute, on average over the music
    "bars_per_minute",
    "percussion",  # share of the notes
)


def features(score: Score) -> NDArray[np.float64]:
    """The features of a score, in the order of NAMES.

    Returns:
        float64 [len(NAMES)]; all 0, apart from "percussion", if the score has no pitched note.
    """
    notes = score.notes[score.notes["program"] != DRUMS]
    values = dict.fromkeys(NAMES, 0.0)
    values["percussion"] = (len(score.notes) - len(notes)) / max(len(score.notes), 1)
    if len(notes):
        values |= _pitch(notes) | _lines(notes) | _time(score, notes) | _dynamics(notes)
    return np.array([values[name] for name in NAMES])


def _pitch(notes: NDArray) -> dict[str, float]:
    weights = np.bincount(notes["pitch"] % 12, notes["duration"], minlength=12)
    weights = weights / max(weights.sum(), 1)
    profiles = (MAJOR, MINOR)
    fits = np.array([[_correlation(np.roll(weights, -tonic), key) for tonic in range(12)] for key in profiles])
    tonic = int(fits.max(axis=0).argmax())
    pitch = notes["pitch"].astype(float)
    return {
        **{f"pitch_class_{step}": value for step, value in enumerate(np.roll(weights, -tonic).tolist())},
        "fits_major": fits[0].max(),
        "fits_minor": fits[1].max(),
        "pitch_mean": pitch.mean(),
        "pitch_sd": pitch.std(),
        "pitch_lowest": pitch.min(),
        "pitch_highest": pitch.max(),
    }


def _correlation(weights: NDArray, profile: tuple[float, ...]) -> float:
    """Pearson's correlation; 0 if all weights are equal."""
    a, b = weights - weights.mean(), np.array(profile) - np.mean(profile)
    return float(a @ b / np.sqrt((a @ a) * (b @ b))) if a.any() else 0.0


def _lines(notes: NDArray) -> dict[str, float]:
    """Features of the highest line, which is the highest note of each onset; {} for fewer than two onsets."""
    order = np.lexsort((notes["pitch"], notes["onset"]))
    highest = notes["pitch"][order][np.diff(notes["onset"][order], append=-1) != 0].astype(int)
    steps = np.diff(highest)
    if not len(steps):
        return {}
    size = np.abs(steps)
    return {
        "interval_mean": size.mean(),
        "interval_repeats": np.mean(size == 0),
        "interval_steps": np.mean((size == 1) | (size == 2)),
        "interval_leaps": np.mean(size > 7),
        "interval_rises": np.mean(steps > 0),
    }


def _time(score: Score, notes: NDArray) -> dict[str, float]:
    onset, stop = notes["onset"], notes["onset"] + notes["duration"]
    starts, ends = score.seconds(onset), score.seconds(stop)
    seconds, beats = ends - starts, notes["duration"] / score.ticks_per_quarter
    ticks, counts = np.unique(onset, return_counts=True)
    ticks_between, between = np.diff(ticks), np.diff(score.seconds(ticks))
    place = ticks / score.ticks_per_quarter % 1
    from_beat, from_half = np.minimum(place, 1 - place), np.abs(place - 0.5)
    whole = max(float(ends.max() - starts.min()), 1e-3)
    quarters = max(float(stop.max() - onset.min()) / score.ticks_per_quarter, 1e-3)
    sounding = _covered(starts, ends)
    longest = np.zeros(len(ticks))
    np.maximum.at(longest, np.searchsorted(ticks, onset), seconds)
    return {
        "duration_mean": seconds.mean(),
        "duration_sd": seconds.std(),
        "duration_median_beats": float(np.median(beats)),
        "duration_sd_beats": beats.std(),
        "between_onsets_mean": between.mean() if len(between) else 0.0,
        "between_onsets_sd": between.std() if len(between) else 0.0,
        "between_onsets_median_beats": float(np.median(ticks_between)) / score.ticks_per_quarter if len(between) else 0,
        "on_beat": np.mean(from_beat < 1 / 12),
        "off_beat": np.mean(from_half < 1 / 12),
        "notes_per_second": len(notes) / whole,
        "notes_per_beat": len(notes) / quarters,
        "onsets_per_second": len(ticks) / whole,
        "notes_per_onset": counts.mean(),
        "chords": np.mean(counts >= 3),
        "polyphony": seconds.sum() / max(sounding, 1e-3),
        "silence": 1 - sounding / whole,
        "legato": float(np.median(np.minimum(longest[:-1] / np.maximum(between, 1e-3), 4))) if len(between) else 0.0,
        "tempo": 60 * quarters / whole,
        "bars_per_minute": 60 * len(score.bars()[0]) / max(score.duration_seconds, 1e-3),
    }


def _covered(starts: NDArray, ends: NDArray) -> float:
    """The time in which at least one span lasts; `starts` must not decrease."""
    last_end = np.append(-np.inf, np.maximum.accumulate(ends)[:-1])
    return float(np.maximum(ends - np.maximum(starts, last_end), 0).sum())


def _dynamics(notes: NDArray) -> dict[str, float]:
    velocity = notes["velocity"].astype(float)
    return {"velocity_mean": velocity.mean(), "velocity_sd": velocity.std(), "velocity_range": float(np.ptp(velocity))}
