"""Render: a score or the bytes of a MIDI file as sound."""

from __future__ import annotations

import os

import numpy as np
from numpy.typing import NDArray

from t5music.errors import ConfigError, MidiError
from t5music.music import midi
from t5music.music.nes import expression
from t5music.music.score import Score
from t5music.sound import loudness, nes_chip, player
from t5music.sound.fonts import find_font
from t5music.sound.soundfont import SoundFont

RATE = 44_100
RATES = (8_000, 192_000)
MAX_MINUTES = 30  # a minute of stereo at 44.1 kHz takes 21 MB of memory


def render(
    music: Score | bytes, sound_font: SoundFont | str | os.PathLike[str] | None = None, rate: int = RATE
) -> NDArray[np.float32]:
    """The sound of music, at -16 LUFS or as near below as peaks of -1 dBFS allow.

    Args:
        music: a score, or a MIDI file's bytes. What a score does not hold is not played: volumes, pan and pitch bends
            of the channels. The volumes and timbres of NES-MDB's MIDI files are.
        sound_font: a font or its path; what `find_font` finds if None. Music for the NES's voices needs none and has
            the NES's own waveforms.
        rate: samples a second, 8,000 to 192,000.

    Returns:
        float32 [channels, samples]: two channels, one for the NES.

    Raises:
        ConfigError: a rate that cannot be, or no font that can be read.
        MidiError: a file that cannot be read, or music of more than MAX_MINUTES.
    """
    if not RATES[0] <= rate <= RATES[1]:
        raise ConfigError(f"the sound's rate must be {RATES[0]:,} to {RATES[1]:,} samples a second, not {rate:,}")
    score = midi.read(music) if isinstance(music, bytes) else music
    require_short(score)
    if not len(score.notes):
        return np.zeros((2, 0), np.float32)
    voices = nes_chip.voices(score)
    if voices is not None:
        changes = expression.read(music) if isinstance(music, bytes) else None
        return loudness.normalised(nes_chip.play(score, voices, rate, changes), rate)
    font = sound_font if isinstance(sound_font, SoundFont) else SoundFont(find_font(_text(sound_font)))
    return loudness.normalised(player.play(score, font, rate), rate)


def _text(path: str | os.PathLike[str] | None) -> str | None:
    return None if path is None else str(path)


def require_short(score: Score, name: str = "the music") -> None:
    """Raises MidiError for music of more than MAX_MINUTES, whose sound would not fit into memory."""
    minutes = score.duration_seconds / 60
    if minutes > MAX_MINUTES:
        raise MidiError(f"{name} lasts {minutes:.0f} minutes: sound is written of at most {MAX_MINUTES}; cut it")


def needs_font(score: Score) -> bool:
    """Whether music is played by a font: all but the NES's, and music without notes."""
    return bool(len(score.notes)) and nes_chip.voices(score) is None
