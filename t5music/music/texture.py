"""Texture: how dense, how wide and how full music is between two times."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from t5music.music.score import DRUMS, Score


def describe(score: Score, begin: float, end: float) -> dict[str, float]:
    """Describes the music between two times.

    Args:
        score: the music.
        begin: in seconds.
        end: in seconds.

    Returns:
        "notes_per_second": the number of notes that begin in that time, divided by it;
        "pitch_range": semitones between the highest and the lowest of these notes, without percussion;
        "pitch_class_entropy": the entropy of their twelve pitch classes in bits: 0 if there is only one, 3.58 if all
        are equally frequent;
        "polyphony": the number of notes that sound at once, averaged over the time in which any note sounds;
        "silence": the share of the time in which no note sounds.
        NaN where there is nothing to measure: no time or no notes.
    """
    onsets = score.seconds(score.notes["onset"])
    pitched = score.notes["program"] != DRUMS
    pitches = score.notes["pitch"][(onsets >= begin) & (onsets < end) & pitched]
    count = int(np.count_nonzero((onsets >= begin) & (onsets < end)))
    seconds = end - begin
    ends = score.seconds(score.notes["onset"] + score.notes["duration"])
    sounding, heard = _sounding(np.clip(onsets, begin, end), np.clip(ends, begin, end))
    return {
        "notes_per_second": count / seconds if seconds > 0 else math.nan,
        "pitch_range": float(np.ptp(pitches)) if len(pitches) else math.nan,
        "pitch_class_entropy": entropy(np.bincount(pitches % 12)) if len(pitches) else math.nan,
        "polyphony": sounding / heard if heard > 0 else math.nan,
        "silence": 1 - heard / seconds if seconds > 0 else math.nan,
    }


def entropy(counts: NDArray) -> float:
    """The entropy of a distribution in bits."""
    shares = counts[counts > 0] / counts.sum()
    return float(-np.sum(shares * np.log2(shares)))


def _sounding(starts: NDArray[np.float64], ends: NDArray[np.float64]) -> tuple[float, float]:
    """(the sum of the notes' seconds, the seconds in which any note sounds)."""
    order = np.argsort(starts, kind="stable")
    starts, ends = starts[order], ends[order]
    until = np.maximum.accumulate(ends)
    covered = np.append(starts[:1], until[:-1])  # where the time counted before each note ends
    heard = np.maximum(ends - np.maximum(starts, covered), 0).sum()
    return float((ends - starts).sum()), float(heard)
