"""Sound files: what is written is read back, whole or not at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.io.wavfile

from t5music.errors import ConfigError, DataError
from t5music.sound import sound_files

SOUND = np.stack([np.linspace(-1, 1, 4001), np.linspace(1, -1, 4001)]).astype(np.float32)


@pytest.mark.parametrize("channels", [1, 2])
def test_a_wav_file_has_16_bits(tmp_path: Path, channels: int):
    sound_files.write(tmp_path / "a.wav", SOUND[:channels], 8_000)
    rate, samples = scipy.io.wavfile.read(tmp_path / "a.wav")
    assert (rate, samples.dtype) == (8_000, np.int16)
    assert np.abs(samples.reshape(-1, channels).T / 32_767 - SOUND[:channels]).max() <= 0.51 / 32_767


@pytest.mark.parametrize("suffix", sorted(sound_files.FORMATS))
def test_other_formats(tmp_path: Path, suffix: str):
    soundfile = pytest.importorskip("soundfile")
    sound_files.write(tmp_path / f"a{suffix}", SOUND, 44_100)
    info = soundfile.info(tmp_path / f"a{suffix}")
    assert (info.samplerate, info.channels) == (44_100, 2)
    assert info.frames == pytest.approx(SOUND.shape[1], abs=2400)


def test_nothing_is_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "a.wav").write_bytes(b"old")
    write_bytes = Path.write_bytes

    def full(path, content):
        write_bytes(path, content[:4])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(DataError, match=r"cannot write .*a\.wav: No space left"):
        sound_files.write(tmp_path / "a.wav", SOUND, 8_000)
    assert [path.name for path in tmp_path.iterdir()] == ["a.wav"]
    assert (tmp_path / "a.wav").read_bytes() == b"old"


def test_a_format_that_needs_soundfile_names_the_extra(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sound_files, "find_spec", lambda name: None)
    sound_files.require_writable("a.wav", "--output")
    with pytest.raises(ConfigError, match=r"--output a\.flac: .*pip install 't5music\[sound\]'"):
        sound_files.require_writable("a.flac", "--output")
