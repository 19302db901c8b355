"""Listening clips: the sounds of a listening test, all equally loud (ITU-R BS.1770), and of a pair equally long."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from t5music.errors import MidiError
from t5music.inference.player.page import data_address
from t5music.music.score import Score
from t5music.sound import loudness, render, sound_files
from t5music.sound.soundfont import SoundFont

SHORTEST = 1.0  # seconds
FADE = 0.5  # seconds, at the end of a clip that is cut
RATES = {".mp3": 44_100, ".wav": 22_050}  # without soundfile there is WAV alone, which is large
TYPES = {".mp3": "audio/mpeg", ".wav": "audio/wav"}


def suffix() -> str:
    """The format of the clips on this machine."""
    return ".mp3" if sound_files.can_write(".mp3") else ".wav"


def clip(score: Score, begin: float, seconds: float, font: SoundFont | None, rate: int) -> NDArray[np.float32]:
    """The sound of a part of a piece, mono, at no particular loudness.

    Args:
        score: the piece.
        begin: where the clip begins, in seconds after the first note.
        seconds: how long it is at most.
        font: what plays; None for music of the NES, which needs none.
        rate: samples a second.

    Returns:
        float32 [samples].

    Raises:
        MidiError: nothing to hear there, or less than SHORTEST.
    """
    first = float(score.seconds(int(score.notes["onset"].min()))) if len(score.notes) else 0.0
    start, end = (int(score.ticks(first + time)) for time in (begin, begin + seconds))
    part = score.sustained().crop(start, end)
    if not len(part.notes):
        raise MidiError(f"no note begins in the {seconds:g} s from {begin:g} s on")
    sound = render.render(part, font, rate).mean(axis=0)[: round(seconds * rate)]
    if len(sound) < SHORTEST * rate:
        raise MidiError(f"its clip lasts {len(sound) / rate:.1f} s; at least {SHORTEST:g} are needed")
    if loudness.integrated(sound[None], rate) == -math.inf:
        raise MidiError(f"nothing can be heard in the {seconds:g} s from {begin:g} s on")
    return sound


def equally_long(pair: Sequence[NDArray[np.float32]], rate: int) -> list[NDArray[np.float32]]:
    """Cuts the clips of a pair to the shorter one's length, so that length tells nothing; ends fade out."""
    length = min(map(len, pair))
    fade = min(round(FADE * rate), length)
    curve = np.ones(length, np.float32)
    curve[length - fade :] = np.linspace(1, 0, fade, dtype=np.float32)
    return [sound[:length] * curve for sound in pair]


def equally_loud(clips: Sequence[NDArray[np.float32]], rate: int) -> tuple[list[NDArray[np.float32]], float]:
    """Brings clips to one loudness: -16 LUFS, or the highest that the peaks of all of them allow.

    Args:
        clips: [samples] each, none of them silent.
        rate: samples a second.

    Returns:
        The clips, and their loudness in LUFS.
    """
    levels = [loudness.integrated(sound[None], rate) for sound in clips]
    rooms = [20 * math.log10(loudness.PEAK / float(np.abs(sound).max())) for sound in clips]
    target = min(loudness.TARGET, *(level + room for level, room in zip(levels, rooms, strict=True)))
    gains = [np.float32(10 ** ((target - level) / 20)) for level in levels]
    return [sound * gain for sound, gain in zip(clips, gains, strict=True)], target


def as_data(sound: NDArray[np.float32], rate: int) -> str:
    """A clip as an address that holds its sound: data:audio/..."""
    ending = suffix()
    return data_address(sound_files.to_bytes(sound[None], rate, f"clip{ending}"), TYPES[ending])
