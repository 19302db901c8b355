"""Playing: which sound font plays music, and the sound of it.

SciPy's filters take more than a second to import, so what renders is imported where there is sound.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from t5music.music.score import Score

if TYPE_CHECKING:
    from t5music.sound.soundfont import SoundFont

PAGE_RATE = 32_000  # samples a second of the sound in a page, which is mono: a quarter of a megabyte a minute as MP3


def font_for(sound_font: str | SoundFont | None, score: Score | None) -> SoundFont | None:
    """The font that plays, or None where it is too early to know whether one is needed: for the NES's music, it is not.

    Raises ConfigError where there is none, and MidiError for a prompt whose sound would be too long.
    """
    from t5music.sound import render

    if score is not None:
        render.require_short(score, "the prompt")
    if sound_font is None and (score is None or not render.needs_font(score)):
        return None
    return open_font(sound_font) if sound_font is None or isinstance(sound_font, str) else sound_font


def open_font(path: str | None) -> SoundFont:
    """The font of this path, or the one that is found on this machine for None. Raises ConfigError for none."""
    from t5music.sound.fonts import find_font
    from t5music.sound.soundfont import SoundFont

    return SoundFont(find_font(path))


def play(data: bytes, font: SoundFont | None) -> tuple[NDArray[np.float32], int]:
    """The sound of a MIDI file, float32 [channels, samples], and its samples a second."""
    from t5music.sound import render

    return render.render(data, font), render.RATE


def play_for_page(data: bytes, font: SoundFont | None) -> tuple[bytes, str]:
    """The sound of a MIDI file in one channel, as small as can be: the bytes of a file, and its MIME type.

    MP3 with soundfile, else WAV. Raises ConfigError where there is no font, and MidiError for music that is too long.
    """
    from t5music.sound import render, sound_files

    samples = render.render(data, font, PAGE_RATE).mean(axis=0, keepdims=True)  # [1, samples]
    name, mime = ("sound.mp3", "audio/mpeg") if sound_files.can_write(".mp3") else ("sound.wav", "audio/wav")
    return sound_files.to_bytes(samples, PAGE_RATE, name), mime


def players(score: Score, font: SoundFont | None) -> tuple[str, list[str]]:
    """What plays a score, and a sentence for each instrument that is played by another one."""
    from t5music.sound import render

    if font is None or not render.needs_font(score):
        return "the NES's own waveforms", []
    return font.name, font.substitutes(np.unique(score.notes["program"]).tolist())
