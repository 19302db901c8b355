"""NES chip: the four waveforms of the NES's sound chip (2A03), for music whose tracks are its voices, without a font.

Pulses have a duty cycle, the triangle has 32 steps and no volume, the noise is a shift register of 15 bits. Levels are
mixed by the chip's own curves (nesdev.org, "APU Mixer"). Pitches and periods are those of NES-MDB (Donahue et al.,
ISMIR 2018): noise n has the period 16 - n. The edges of the pulses are rounded (polyBLEP), so that they do not alias.
"""

from __future__ import annotations

import functools

import numpy as np
import scipy.signal
from numpy.typing import NDArray

from t5music.music.encodings.tx1.encoding import NOISE, PROGRAMS, VOICES
from t5music.music.encodings.tx2.encoding import EXPRESSION, TRIANGLE, VOLUME, VOLUMES
from t5music.music.score import Score

CLOCK = 1_789_773  # Hz, of NTSC machines
DUTY_CYCLES = (0.125, 0.25, 0.5, 0.75)  # by timbre
DEFAULT_TIMBRE = (2, 2, 0, 0)
# CPU cycles for each step of the noise, by its period.
NOISE_CYCLES = (4, 8, 16, 32, 64, 96, 128, 160, 202, 254, 380, 508, 762, 1016, 2034, 4068)
HIGH_PASS_HZ = 37.0  # the console's own, which takes off the mean
LOUDEST_VELOCITY, VELOCITY_STEP = 127, 7  # of tx2's velocities: 29 for volume 1 to 127 for volume 15


def voices(score: Score) -> NDArray[np.int64] | None:
    """The voice of each note, an index into VOICES; None where the music is not the NES's.

    It is where every track with notes has the name of a voice, as in NES-MDB, or, beside at least one that has, the
    program that NES-MDB gives a voice: new notes that a model adds to such a file are in tracks of other names.
    """
    names = [name.strip().upper() for name in score.track_names]
    by_name = np.array([VOICES.index(name) if name in VOICES else -1 for name in names], np.int64)
    result = by_name[score.notes["track"]]
    if not (result >= 0).any():
        return None
    by_program = np.full(129, -1)
    by_program[list(PROGRAMS)] = np.arange(len(PROGRAMS))
    result = np.where(result >= 0, result, by_program[score.notes["program"]])
    return None if (result < 0).any() else result


def play(score: Score, voice: NDArray[np.int64], rate: int, expression: NDArray | None = None) -> NDArray[np.float32]:
    """The sound of a score, at no particular loudness.

    Args:
        score: the music. Velocities up to 15 are the chip's volumes, as in NES-MDB; others are those of tx2.
        voice: of each note, as `voices` says. A note ends where its voice's next note begins.
        rate: samples a second.
        expression: EXPRESSION [changes] of volumes and timbres, as `music.nes.expression.read` gives them.

    Returns:
        float32 [1, samples], until the last note ends.
    """
    expression = np.empty(0, EXPRESSION) if expression is None else expression
    notes = score.notes
    starts = np.rint(score.seconds(notes["onset"]) * rate).astype(np.int64)
    ends = np.rint(score.seconds(notes["onset"] + notes["duration"]) * rate).astype(np.int64)
    levels = np.zeros((len(VOICES), int(ends.max(initial=0))), np.float32)  # 0..15
    changes_at = np.rint(score.seconds(expression["tick"]) * rate).astype(np.int64)
    phase = 0.5  # of the triangle, at its lowest step; it stays where it is when a note ends, so that nothing clicks
    for number in range(len(VOICES)):
        places = np.flatnonzero(voice == number)
        if not len(places):
            continue
        velocities = notes["velocity"][places].astype(np.int64)
        volumes = velocities if velocities.max() <= VOLUMES else _volumes(velocities)
        rows = expression["voice"] == number
        cuts = np.append(starts[places][1:], np.iinfo(np.int64).max)
        for place, volume, cut in zip(places.tolist(), volumes.tolist(), cuts.tolist(), strict=True):
            first, last = int(starts[place]), int(min(ends[place], cut))
            if last <= first or volume < 1:
                continue
            volume_curve, timbre = (
                _curve(changes_at[rows], expression[rows], kind, default, first, last)
                for kind, default in ((VOLUME, volume), (1 - VOLUME, DEFAULT_TIMBRE[number]))
            )
            pitch = int(notes["pitch"][place])
            if number == TRIANGLE:
                levels[number, first:last], phase = _triangle(pitch, phase, last - first, rate)
                levels[number, last : min(cut, levels.shape[1])] = levels[number, last - 1]
            else:
                waveform = _noise(pitch, timbre, rate) if number == NOISE else _pulse(pitch, timbre, rate)
                levels[number, first:last] = waveform * volume_curve
    return _mixed(levels, rate)[None]


def _volumes(velocities: NDArray[np.int64]) -> NDArray[np.int64]:
    """The chip's volumes, 0..15, of velocities; a velocity of 0 is silent."""
    volumes = np.rint(VOLUMES - (LOUDEST_VELOCITY - velocities) / VELOCITY_STEP).astype(np.int64)
    return np.where(velocities > 0, np.clip(volumes, 1, VOLUMES), 0)


def _curve(places: NDArray, changes: NDArray, kind: int, default: int, first: int, last: int) -> NDArray[np.int64]:
    """The value of a volume or timbre at each sample from `first` to `last`; timbres last beyond a note."""
    of_kind = changes["kind"] == kind
    places, values = places[of_kind], changes["value"][of_kind]
    begin = np.searchsorted(places, first, side="left" if kind == VOLUME else "right")
    stop = np.searchsorted(places, last)
    if kind != VOLUME and begin:
        default = values[begin - 1]
    edges = np.concatenate([[first], places[begin:stop], [last]])
    return np.repeat(np.concatenate([[default], values[begin:stop]]), np.diff(edges))


def _step(pitch: int, rate: int) -> float:
    """Periods a sample."""
    return 440 * 2 ** ((pitch - 69) / 12) / rate


def _pulse(pitch: int, timbre: NDArray[np.int64], rate: int) -> NDArray[np.float32]:
    """A pulse, 0..1, as long as its timbre, float32 [samples]."""
    step = _step(pitch, rate)
    phase = np.arange(len(timbre)) * step % 1
    duty = np.array(DUTY_CYCLES)[timbre % len(DUTY_CYCLES)]
    edges = _edge(phase, step) - _edge((phase - duty) % 1, step)
    return ((phase < duty) + edges / 2).astype(np.float32)


def _triangle(pitch: int, phase: float, count: int, rate: int) -> tuple[NDArray[np.float32], float]:
    """The triangle's levels, 0..15, float32 [count], and the phase after them."""
    phases = (phase + np.arange(count + 1) * _step(pitch, rate)) % 1
    return (np.abs(np.floor(phases[:-1] * 32) - 15.5) - 0.5).astype(np.float32), float(phases[-1])


def _noise(pitch: int, timbre: NDArray[np.int64], rate: int) -> NDArray[np.float32]:
    """Noise, 0..1, as long as its timbre, of which the first holds; steps within a sample are averaged."""
    register = _register(int(timbre[0]))
    steps = CLOCK / rate / NOISE_CYCLES[(16 - pitch) % 16]  # of the register in a sample
    summed = np.concatenate([[0], np.cumsum(register)])
    return (np.diff(_summed(summed, np.arange(len(timbre) + 1) * steps)) / steps).astype(np.float32)


def _summed(summed: NDArray, places: NDArray[np.floating]) -> NDArray[np.floating]:
    """The integral of a repeated register from 0 to each place."""
    length = len(summed) - 1
    rounds, rest = np.divmod(places, length)
    whole = np.minimum(rest.astype(np.int64), length - 1)
    return rounds * summed[-1] + summed[whole] + (rest - whole) * (summed[whole + 1] - summed[whole])


def _edge(phase: NDArray[np.floating], step: float) -> NDArray[np.floating]:
    """What a rising edge at phase 0 differs from a polynomial one (polyBLEP, Välimäki and Huovilainen 2007)."""
    after, before = phase / step, (phase - 1) / step
    return np.where(after < 1, 2 * after - after**2 - 1, np.where(before > -1, before**2 + 2 * before + 1, 0))


@functools.cache
def _register(mode: int) -> NDArray[np.int64]:
    """The output of the noise's shift register, 0 or 1 [period]: 32,767 steps, or in mode 1 (metallic) 93."""
    bits, output, seen = 1, [], 0
    while not (seen and bits == 1) and seen < 32_767:
        output.append(1 - (bits & 1))
        feedback = (bits ^ bits >> (6 if mode else 1)) & 1
        bits = bits >> 1 | feedback << 14
        seen += 1
    return np.array(output)


def _mixed(levels: NDArray[np.float32], rate: int) -> NDArray[np.float32]:
    """The chip's two mixers, and the high pass behind them: [voices, samples] -> [samples], about -0.5..0.5."""
    pulses = levels[0] + levels[1]
    rest = levels[TRIANGLE] / 8227 + levels[NOISE] / 12241
    mixed = np.zeros(levels.shape[1])
    with np.errstate(divide="ignore"):
        mixed += 95.88 / (8128 / np.maximum(pulses, 0) + 100)
        mixed += 159.79 / (1 / np.maximum(rest, 0) + 100)
    numerator, denominator = scipy.signal.butter(1, HIGH_PASS_HZ, "highpass", fs=rate)
    return scipy.signal.lfilter(numerator, denominator, mixed).astype(np.float32)
