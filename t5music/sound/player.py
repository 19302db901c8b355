"""Player: a score played by a sound font, with NumPy and SciPy alone.

symusic's `Synthesizer.render` would be the obvious player; in its release 0.6.0 it fails for every score that has
notes, for its result is of a type that does not exist in Python. Notes of one sample and pitch share a waveform here.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import scipy.signal
from numpy.typing import NDArray

from t5music.music.score import Score
from t5music.sound import soundfont
from t5music.sound.soundfont import Region, SoundFont

SILENCE_DB = 100.0  # the times of decay and release say how long it takes to fall so far
SHORTEST_RELEASE = 0.005  # seconds; a shorter one clicks
LONGEST_RELEASE = 8.0  # seconds, of a sample that is looped
ATTENUATION_SHARE = 0.4  # fonts are made for the EMU8000, which took 0.4 dB for each dB that they say
OPEN_FILTER = 13_500  # cents: from here on, the low-pass filter lets all through
LOOPED, LOOPED_UNTIL_RELEASE = 1, 3
_FULL_SCALE = 32_768
_BLOCK = 2**20  # samples that are interpolated at once


@dataclass
class _Sound:
    """A note that a region plays: its first sample, how many until it is released, and how loud it is."""

    start: int
    length: int
    gain: float


def play(score: Score, font: SoundFont, rate: int) -> NDArray[np.float32]:
    """The sound of a score, at no particular loudness.

    Args:
        score: the music; its pedals are played, too.
        font: the instruments. Percussion without a kit is silent, and so are notes that an instrument does not have.
        rate: samples a second.

    Returns:
        float32 [2, samples], from tick 0 until the last note has faded.
    """
    score = score.sustained()
    notes = score.notes
    starts = np.rint(score.seconds(notes["onset"]) * rate).astype(np.int64)
    ends = np.rint(score.seconds(notes["onset"] + notes["duration"]) * rate).astype(np.int64)
    lengths = np.maximum(ends - starts, 1)
    voices = [
        (_Voice(region, pitch, rate, gate), sounds)
        for (region, pitch, gate), sounds in _sounds(notes, starts, lengths, font).items()
    ]
    total = max([int(ends.max(initial=0)), *(voice.end(sounds) for voice, sounds in voices)])
    mix = np.zeros((2, total), np.float32)
    for voice, sounds in voices:
        voice.add(sounds, font.samples, mix)
    return mix


def _sounds(
    notes: NDArray, starts: NDArray, lengths: NDArray, font: SoundFont
) -> dict[tuple[Region, int, int], list[_Sound]]:
    """What sounds, by region, pitch, and the samples until its loop is left (0 where it never is)."""
    sounds: dict[tuple[Region, int, int], list[_Sound]] = defaultdict(list)
    exclusive: dict[tuple[int, int, int], list[_Sound]] = {}  # by track, program, class: what sounds of it
    presets = {program: font.preset(program) for program in set(notes["program"].tolist())}
    for note, start, length in zip(notes.tolist(), starts.tolist(), lengths.tolist(), strict=True):
        _, _, pitch, velocity, program, track = note
        preset = presets[program]
        if preset is None or velocity <= 0:
            continue
        regions = font.regions(preset, pitch, velocity)
        for group in {(track, program, region.generators.get(soundfont.EXCLUSIVE, 0)) for region in regions}:
            if group[2]:  # an open hi-hat ends where a closed one is struck
                for sound in exclusive.pop(group, []):
                    sound.length = max(1, min(sound.length, start - sound.start))
        for region in regions:
            sound = _Sound(start, length, _gain(region, velocity))
            gate = length if region.generators.get(soundfont.LOOPING) == LOOPED_UNTIL_RELEASE else 0
            sounds[region, pitch, gate].append(sound)
            if kind := region.generators.get(soundfont.EXCLUSIVE, 0):
                exclusive.setdefault((track, program, kind), []).append(sound)
    return sounds


def _gain(region: Region, velocity: int) -> float:
    """Loudness by velocity (the specification's curve, 40 dB from 127 to 12.7) and by the region's attenuation."""
    fixed = region.generators[soundfont.FIXED_VELOCITY]
    centibels = max(region.generators.get(soundfont.ATTENUATION, 0), 0)
    return ((fixed if fixed > 0 else velocity) / 127) ** 2 * 10 ** (-ATTENUATION_SHARE * centibels / 200)


class _Voice:
    """A region at a pitch."""

    def __init__(self, region: Region, pitch: int, rate: int, gate: int) -> None:
        values = region.generators
        self.region, self.rate, self.gate = region, rate, gate
        self.pitch = pitch if values[soundfont.FIXED_KEY] < 0 else values[soundfont.FIXED_KEY]
        cents = values[soundfont.SCALE_TUNING] * (self.pitch - region.key) + region.cents
        self.step = region.rate / rate * 2 ** (cents / 1200)  # samples of the font for each one of the sound
        self.is_looped = values.get(soundfont.LOOPING, 0) == LOOPED
        release = max(_seconds(values[soundfont.RELEASE]), SHORTEST_RELEASE)
        release = min(release, LONGEST_RELEASE) if self.is_looped else release
        self.release = math.ceil(release * rate)

    def _source_length(self) -> int:
        """How many samples of the font there are; of those that are looped, until their loop is left."""
        region = self.region
        extra = 0
        if self.gate:
            loop = region.loop_end - region.loop_start
            extra = max(0, math.ceil((self.gate * self.step - (region.loop_end - region.start)) / loop)) * loop
        return region.end - region.start + extra

    def _lengths(self, sounds: list[_Sound]) -> list[int]:
        """How many samples each sound has."""
        longest = np.inf if self.is_looped else math.ceil(self._source_length() / self.step)
        return [int(min(sound.length + self.release, longest)) for sound in sounds]

    def end(self, sounds: list[_Sound]) -> int:
        """The sample at which the last of the sounds has faded."""
        return max(sound.start + length for sound, length in zip(sounds, self._lengths(sounds), strict=True))

    def add(self, sounds: list[_Sound], samples: NDArray[np.int16], mix: NDArray[np.float32]) -> None:
        """Adds the sounds to float32 [2, samples]."""
        lengths = self._lengths(sounds)
        wave = self._wave(samples, max(lengths))  # [longest]
        envelope = self._envelope(max(sound.length for sound in sounds) + 1)
        times = np.arange(min(self.release, len(wave)), dtype=np.float32) / self.release
        fading = 10 ** (-SILENCE_DB / 20 * times)
        pan = np.clip(self.region.generators.get(soundfont.PAN, 0) / 1000, -0.5, 0.5)
        left, right = math.cos((pan + 0.5) * math.pi / 2), math.sin((pan + 0.5) * math.pi / 2)
        for sound, length in zip(sounds, lengths, strict=True):
            held = min(sound.length, length)
            part = wave[:length].copy()
            part[:held] *= envelope[:held]
            part[held:] *= envelope[sound.length] * fading[: length - held]
            mix[0, sound.start : sound.start + length] += sound.gain * left * part
            mix[1, sound.start : sound.start + length] += sound.gain * right * part

    def _envelope(self, count: int) -> NDArray[np.float32]:
        """The volume envelope until the release: delay, attack, hold, decay, sustain."""
        values = self.region.generators
        times = np.arange(count) / self.rate - _seconds(values[soundfont.DELAY])
        hold = _seconds(values[soundfont.HOLD] + values.get(soundfont.KEY_TO_HOLD, 0) * (60 - self.pitch))
        decay = _seconds(values[soundfont.DECAY] + values.get(soundfont.KEY_TO_DECAY, 0) * (60 - self.pitch))
        attack = _seconds(values[soundfont.ATTACK])
        sustain_db = np.clip(values.get(soundfont.SUSTAIN, 0) / 10, 0, SILENCE_DB)
        decibels = np.clip(SILENCE_DB * (times - attack - hold) / decay, 0, sustain_db)
        return (np.clip(times / attack, 0, 1) * 10 ** (-decibels / 20)).astype(np.float32)

    def _wave(self, samples: NDArray[np.int16], count: int) -> NDArray[np.float32]:
        """The sample at the pitch and rate that are wanted, float32 [count], through its filter."""
        source = self._source(samples, math.ceil(count * self.step) + 4)
        wave = np.empty(count, np.float32)
        for first in range(0, count, _BLOCK):
            places = np.arange(first, min(first + _BLOCK, count)) * self.step
            wave[first : first + _BLOCK] = _interpolated(source, places)
        values = self.region.generators
        if (cents := values[soundfont.FILTER_CENTS]) >= OPEN_FILTER:
            return wave
        numerator, denominator = _low_pass(cents, values.get(soundfont.FILTER_Q, 0), self.rate)
        return scipy.signal.lfilter(numerator, denominator, wave).astype(np.float32)

    def _source(self, samples: NDArray[np.int16], count: int) -> NDArray[np.float32]:
        """The font's samples, the loop repeated: one of silence, at most `count`, and three of silence."""
        region = self.region
        head = samples[region.start : region.loop_end if self.is_looped or self.gate else region.end]
        loop = samples[region.loop_start : region.loop_end]
        parts = [head]
        if self.is_looped:
            parts.append(np.resize(loop, max(0, count - len(head))))
        elif self.gate:
            tail = samples[region.loop_end : region.end]
            parts += [np.resize(loop, self._source_length() - len(head) - len(tail)), tail]
        source = np.concatenate(parts)[:count].astype(np.float32) / _FULL_SCALE
        return np.pad(source, (1, 3))


def _interpolated(source: NDArray[np.float32], places: NDArray[np.floating]) -> NDArray[np.float32]:
    """Between the samples, by Catmull and Rom's cubic; place 0 is the second sample of the source."""
    whole = np.minimum(places.astype(np.int64), len(source) - 4)
    x = (places - whole).astype(np.float32)
    before, here, after, later = (source[whole + shift] for shift in range(4))
    cubic = 3 * (here - after) + later - before
    square = 2 * before - 5 * here + 4 * after - later
    return here + x / 2 * (after - before + x * (square + x * cubic))


def _seconds(timecents: float) -> float:
    """Of a time in the specification's unit; -12,000 is a millisecond."""
    return 2 ** (min(timecents, 8000) / 1200)


def _low_pass(cents: int, centibels: int, rate: int) -> tuple[list[float], list[float]]:
    """A second-order low-pass filter (numerator, denominator) by R. Bristow-Johnson's cookbook.

    Args:
        cents: the cutoff, above 8.176 Hz.
        centibels: the height of the resonance.
        rate: samples a second.
    """
    cutoff = min(8.176 * 2 ** (max(cents, 1500) / 1200), 0.45 * rate)
    angle = 2 * math.pi * cutoff / rate
    alpha = math.sin(angle) / (2 * 10 ** ((min(max(centibels, 0), 960) / 10 - 3.01) / 20))
    cosine = math.cos(angle)
    numerator = [(1 - cosine) / 2, 1 - cosine, (1 - cosine) / 2]
    return [x / (1 + alpha) for x in numerator], [1.0, -2 * cosine / (1 + alpha), (1 - alpha) / (1 + alpha)]
