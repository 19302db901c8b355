"""Sound files: WAV, and FLAC, Ogg Vorbis and MP3 where soundfile is installed."""

from __future__ import annotations

import io
import os
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from t5music import files
from t5music.errors import ConfigError
from t5music.files import printable_name
from t5music.storage import path_of

WAV = ".wav"
FORMATS = {".flac": ("FLAC", "PCM_16"), ".ogg": ("OGG", "VORBIS"), ".mp3": ("MP3", "MPEG_LAYER_III")}
MP3_RATES = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
SUFFIXES = (WAV, *FORMATS)
LOUDEST = 32_767  # of 16 bits


def is_sound(path: str | os.PathLike[str]) -> bool:
    """Whether a file is called like sound."""
    return path_of(path).suffix.lower() in SUFFIXES


def require_writable(path: str | os.PathLike[str], flag: str) -> None:
    """Raises ConfigError where a format needs soundfile, and that is not installed."""
    suffix = path_of(path).suffix.lower()
    if suffix in FORMATS and find_spec("soundfile") is None:
        raise ConfigError(
            f"{flag} {printable_name(path)}: {suffix} needs soundfile, which is not installed: "
            "pip install 't5music[sound]', or name a .wav file"
        )


def write(path: str | os.PathLike[str], sound: NDArray[np.float32], rate: int) -> None:
    """Writes sound, 16 bits a sample, whole or not at all.

    Args:
        path: of the file; its ending says the format, one of SUFFIXES.
        sound: float32 [channels, samples] within -1..1.
        rate: samples a second.

    Raises:
        ConfigError: a format that cannot be written.
        DataError: the file system refuses.
    """
    require_writable(path, "--output")
    suffix = path_of(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise ConfigError(f"--output {printable_name(path)}: sound is written as {', '.join(SUFFIXES)}")
    if suffix == ".mp3" and rate not in MP3_RATES:
        raise ConfigError(f"--output {printable_name(path)}: MP3 cannot hold {rate:,} samples a second")
    with files.replacing(path) as temporary:
        if suffix == WAV:
            temporary.write_bytes(wav_bytes(sound, rate))
        else:
            _soundfile_write(temporary, _samples(sound), rate, *FORMATS[suffix])


def wav_bytes(sound: NDArray[np.float32], rate: int) -> bytes:
    """The bytes of a WAV file, 16 bits a sample; for arguments see `write`."""
    import scipy.io.wavfile  # takes a while, and not all who ask about names write sound

    content = io.BytesIO()
    scipy.io.wavfile.write(content, rate, _samples(sound))
    return content.getvalue()


def _samples(sound: NDArray[np.float32]) -> NDArray[np.int16]:
    """Of 16 bits, [samples, channels]."""
    return np.rint(np.clip(sound.T, -1, 1) * LOUDEST).astype(np.int16)


def _soundfile_write(path: Any, samples: NDArray[np.int16], rate: int, kind: str, subtype: str) -> None:
    import soundfile

    try:
        soundfile.write(path, samples, rate, format=kind, subtype=subtype)
    except soundfile.LibsndfileError as error:
        raise OSError(str(error)) from error
