"""`t5music generate --sound`: sound beside the music, refused early where it cannot be."""

from __future__ import annotations

from pathlib import Path

import mido_files
import pytest
import scipy.io.wavfile
import small_font
import tiny_models

from t5music.cli.main import main
from t5music.data.examples import Continue
from t5music.music import midi
from t5music.sound import fonts, sound_files


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("sound") / "run"
    return str(tiny_models.write_run(folder, {"continue": Continue("pop", "remi", words=300)}))


@pytest.fixture
def song(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(fonts, "FOLDERS", ())
    monkeypatch.delenv(fonts.VARIABLE, raising=False)
    small_font.write_font(tmp_path / "sine.sf2")
    (tmp_path / "song.mid").write_bytes(mido_files.drawn_file(0, bars=2))
    return tmp_path / "song.mid"


def test_sound_and_picture_lie_beside_the_same_music(run, song, capsys):
    command = ["generate", str(song), "--model_dir", run, "--words", "20"]
    font = ["--sound_font", "sine.sf2"]
    assert main([*command, "--output", "plain.mid"]) == 0
    assert main([*command, *font, "--output", "out.wav"]) == 0
    assert main([*command, *font, "--output", "both.mid", "--sound"]) == 0
    assert "s of sound, by sine.sf2" in capsys.readouterr().out
    assert Path("plain.mid").read_bytes() == Path("out.mid").read_bytes() == Path("both.mid").read_bytes()
    assert Path("out.wav").read_bytes() == Path("both.wav").read_bytes()
    assert Path("out_roll.svg").is_file()
    assert not Path("plain.wav").exists()
    rate, samples = scipy.io.wavfile.read("out.wav")
    seconds = midi.read("out.mid").duration_seconds
    assert seconds <= len(samples) / rate <= seconds + 0.1


@pytest.mark.parametrize(
    ("flags", "error"),
    [
        (["--output", "out.wav"], "there is no sound font"),
        (["--sound"], "there is no sound font"),
        (["--output", "out.wav", "--sound_font", "none.sf2"], "--sound_font none.sf2: there is no such file"),
        (["--output", "out.wav", "--sound_font", "song.mid"], "is not a whole SoundFont 2 file"),
        (["--output", "song.wav", "--sound_font", "sine.sf2"], "song.mid is the prompt itself"),
        (["--output", "old.wav", "--sound_font", "sine.sf2"], "old.wav exists"),
        (["--output", "old.mid", "--sound", "--sound_font", "sine.sf2"], "old.wav exists"),
        (["--output", "out.mid", "--sound_font", "sine.sf2"], "--sound_font needs --sound"),
        (["--output", "out.aiff"], "its name must end in .mid"),
        (["--output", "out.flac"], "t5music[sound]"),
    ],
)
def test_what_cannot_be_is_refused_before_a_model_is_loaded(run, song, capsys, monkeypatch, flags, error):
    monkeypatch.setattr(sound_files, "find_spec", lambda name: None)
    monkeypatch.setattr("t5music.inference.generate.load", lambda *_: pytest.fail("a model was loaded"))
    Path("old.wav").touch()
    files = sorted(Path().iterdir())
    assert main(["generate", str(song), "--model_dir", run, *flags]) == 2
    assert error in capsys.readouterr().err
    assert sorted(Path().iterdir()) == files
