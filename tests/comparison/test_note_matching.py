"""Matching of notes: by hand, and as mir_eval does it, where that is installed."""

from __future__ import annotations

import math

import numpy as np
import pytest

from t5music.comparison.note_matching import match
from t5music.music.score import DRUMS, NOTE, Score


def score(*notes: tuple[float, float, int], program: int = 0) -> Score:
    """Of (begin, end, pitch) in seconds; a tick is a millisecond."""
    rows = [(round(1000 * begin), round(1000 * (end - begin)), pitch, 64, program, 0) for begin, end, pitch in notes]
    return Score(500, np.array(rows, NOTE))


REFERENCE = score((0, 1, 60), (1, 2, 62), (2, 4, 64))


@pytest.mark.parametrize(
    ("notes", "precision", "recall", "with_ends"),
    [
        ([(0, 1, 60), (1, 2, 62), (2, 4, 64)], 1, 1, 1),
        ([(0.05, 1, 60), (0.949, 2, 62)], 1 / 2, 1 / 3, 2 / 5),  # 50 ms are within, 51 are not
        ([(0, 1.3, 60), (2, 3.6, 64)], 1, 2 / 3, 2 / 5),  # ends within a fifth of the duration
        ([(0, 1, 60), (0, 1, 60), (0, 1, 60)], 1 / 3, 1 / 3, 1 / 3),  # each is matched once
        ([(0, 1, 72)], 0, 0, 0),
        ([], 0, 0, 0),
    ],
)
def test_by_hand(notes, precision: float, recall: float, with_ends: float):
    result = match(score(*notes), REFERENCE)
    f1 = 2 * precision * recall / (precision + recall) if precision else 0
    assert result == pytest.approx((precision, recall, f1))
    assert match(score(*notes), REFERENCE, offsets=True).f1 == pytest.approx(with_ends)


def test_as_many_match_as_can():
    """The first of two notes could take the only note that the second can have."""
    candidate, reference = score((0.04, 1, 60), (0.08, 1, 60)), score((0, 1, 60), (0.06, 1, 60))
    assert match(candidate, reference).f1 == 1


def test_only_a_region():
    candidate = score((0, 1, 50), (1, 2, 62), (2, 4, 50))
    assert match(candidate, REFERENCE, (1, 2)) == (1, 1, 1)
    assert match(candidate, REFERENCE, (0, 1)).f1 == 0
    assert math.isnan(match(candidate, REFERENCE, (8, 9)).f1)


def test_percussion_is_not_a_pitch():
    assert match(score((0, 1, 60), program=DRUMS), REFERENCE).f1 == 0
    assert match(score((0, 1, 60), program=DRUMS), score((0, 1, 60), program=DRUMS)).f1 == 1


@pytest.mark.parametrize("seed", range(8))
def test_as_mir_eval_has_it(seed: int):
    mir_eval = pytest.importorskip("mir_eval")
    rng = np.random.default_rng(seed)

    def drawn() -> Score:
        begins = rng.integers(0, 60, 40) * 0.02
        return score(*((b, b + 0.02 * rng.integers(1, 30), int(rng.integers(60, 64))) for b in begins))

    candidate, reference = drawn(), drawn()

    def of(music: Score) -> tuple[np.ndarray, np.ndarray]:
        onsets, ends = (music.notes["onset"] / 1000, (music.notes["onset"] + music.notes["duration"]) / 1000)
        return np.stack([onsets, ends], axis=1), 440 * 2 ** ((music.notes["pitch"] - 69.0) / 12)

    for offsets, ratio in ((False, None), (True, 0.2)):
        precision, recall, f1, _ = mir_eval.transcription.precision_recall_f1_overlap(
            *of(reference), *of(candidate), offset_ratio=ratio
        )
        assert match(candidate, reference, offsets=offsets) == pytest.approx((precision, recall, f1))
