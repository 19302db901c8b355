"""Loudness: the recommendation's own coefficients, and sounds whose loudness it states."""

from __future__ import annotations

import math

import numpy as np
import pytest

from t5music.sound import loudness

# ITU-R BS.1770-4, tables 1 and 2, at 48 kHz: b0, b1, b2, a0, a1, a2.
SHELF = [1.53512485958697, -2.69169618940638, 1.19839281085285, 1.0, -1.69065929318241, 0.73248077421585]
HIGH_PASS = [1.0, -2.0, 1.0, 1.0, -1.99004745483398, 0.99007225036621]


def sine(hertz: float, rate: int, seconds: float = 3, amplitude: float = 1.0) -> np.ndarray:
    return (amplitude * np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate)).astype(np.float32)


def test_the_coefficients_at_48_khz_are_the_recommendations():
    assert loudness.k_weighting(48_000) == pytest.approx(np.array([SHELF, HIGH_PASS]), abs=1e-11)


@pytest.mark.parametrize("rate", [44_100, 48_000])
def test_a_sine_of_997_hz_at_full_scale_in_one_channel(rate):
    one = np.stack([sine(997, rate), np.zeros(3 * rate, np.float32)])
    assert loudness.integrated(one, rate) == pytest.approx(-3.01, abs=0.01)
    both = np.stack([sine(997, rate)] * 2)
    assert loudness.integrated(both, rate) == pytest.approx(0.0, abs=0.01)


def test_quiet_parts_do_not_count():
    """EBU Tech 3341, case 3: -36, -23 and -36 dBFS in both channels, of 10, 60 and 10 s, are -23 LUFS."""
    parts = [sine(1000, 8_000, length, 10 ** (level / 20)) for length, level in ((10, -36), (60, -23), (10, -36))]
    assert loudness.integrated(np.stack([np.concatenate(parts)] * 2), 8_000) == pytest.approx(-23, abs=0.1)


def test_silence_has_no_loudness_and_stays():
    silence = np.zeros((2, 100), np.float32)
    assert loudness.integrated(silence, 48_000) == -math.inf
    assert not loudness.normalised(silence, 48_000).any()
