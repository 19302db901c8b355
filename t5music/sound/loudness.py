"""Loudness: LUFS by ITU-R BS.1770-4, and sound brought to -16 LUFS.

The recommendation gives the K-weighting's coefficients for 48 kHz. For other rates its two filters are designed anew
from their frequencies and Q, those by which the bilinear transform yields the recommendation's own numbers at 48 kHz.
At 96 kHz its reference, a sine of 997 Hz, reads 0.02 dB less, and at 22 kHz 0.03 dB more.
"""

from __future__ import annotations

import math

import numpy as np
import scipy.signal
from numpy.typing import NDArray

TARGET = -16.0  # LUFS, what podcasts and phones go by
PEAK = 10 ** (-1 / 20)  # of full scale: -1 dBFS
OFFSET = -0.691  # dB; makes a sine of 997 Hz and full scale read -3.01 LUFS
ABSOLUTE_GATE, RELATIVE_GATE = -70.0, -10.0  # LUFS, and LU below the loudness of what passes the first
HOPS = 4  # blocks of 400 ms begin every 100 ms

_SHELF_HZ, _SHELF_DB, _SHELF_Q = 1681.974450955533, 3.999843853973347, 0.7071752369554196
_HIGH_PASS_HZ, _HIGH_PASS_Q = 38.13547087602444, 0.5003270373238773


def k_weighting(rate: int) -> NDArray[np.float64]:
    """The second-order sections [2, 6] of the K-weighting: a shelf for the head, and a high pass."""
    k = math.tan(math.pi * _SHELF_HZ / rate)
    high = 10 ** (_SHELF_DB / 20)
    band = high**0.4996667741545416
    a0 = 1 + k / _SHELF_Q + k * k
    shelf = [
        (high + band * k / _SHELF_Q + k * k) / a0,
        2 * (k * k - high) / a0,
        (high - band * k / _SHELF_Q + k * k) / a0,
        1.0,
        2 * (k * k - 1) / a0,
        (1 - k / _SHELF_Q + k * k) / a0,
    ]
    k = math.tan(math.pi * _HIGH_PASS_HZ / rate)
    a0 = 1 + k / _HIGH_PASS_Q + k * k
    high_pass = [1.0, -2.0, 1.0, 1.0, 2 * (k * k - 1) / a0, (1 - k / _HIGH_PASS_Q + k * k) / a0]
    return np.array([shelf, high_pass])


def integrated(sound: NDArray[np.float32], rate: int) -> float:
    """The loudness of a whole sound in LUFS; -inf where no block of it is above the absolute gate.

    Args:
        sound: [channels, samples], mono, or left and right. What is shorter than a block counts as if silence followed.
        rate: samples a second.
    """
    power = np.sum([_hop_power(channel, rate) for channel in sound], axis=0)  # [hops]
    blocks = np.lib.stride_tricks.sliding_window_view(power, HOPS).mean(axis=1)
    gate = 10 ** ((ABSOLUTE_GATE - OFFSET) / 10)
    loud = blocks[blocks > gate]
    if not len(loud):
        return -math.inf
    gate = max(gate, loud.mean() * 10 ** (RELATIVE_GATE / 10))
    return OFFSET + 10 * math.log10(blocks[blocks > gate].mean())


def _hop_power(channel: NDArray[np.float32], rate: int) -> NDArray[np.float64]:
    """The K-weighted mean square of each 100 ms; a block at least, and what is left at the end is not counted."""
    hop = round(rate / 10)
    channel = np.pad(channel, (0, max(0, HOPS * hop - len(channel))))
    sections = k_weighting(rate)
    state = np.zeros((len(sections), 2))
    powers = []
    for first in range(0, len(channel) // hop * hop, 600 * hop):  # a minute at once
        part = channel[first : min(first + 600 * hop, len(channel) // hop * hop)]
        weighted, state = scipy.signal.sosfilt(sections, part.astype(np.float64), zi=state)
        powers.append((weighted.reshape(-1, hop) ** 2).mean(axis=1))
    return np.concatenate(powers)


def normalised(sound: NDArray[np.float32], rate: int) -> NDArray[np.float32]:
    """The sound, in place, at TARGET, or as near below as its peaks allow, which stay within PEAK. Silence stays."""
    peak = max(float(sound.max(initial=0)), -float(sound.min(initial=0)))
    if peak == 0:
        return sound
    level = integrated(sound, rate)
    gain = PEAK / peak
    if level > -math.inf:
        gain = min(gain, 10 ** ((TARGET - level) / 20))
    sound *= np.float32(gain)
    return np.clip(sound, -PEAK, PEAK, out=sound)
