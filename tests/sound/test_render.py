"""Render: what a score sounds like, by a font of one sine: pitch, length, silence, loudness."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import small_font
from hypothesis import given, settings
from hypothesis import strategies as st

from t5music.errors import ConfigError, MidiError
from t5music.music import midi
from t5music.music.score import DRUMS, NOTE, PEDAL, TEMPO, Score
from t5music.sound import fonts, loudness, nes_chip, player, soundfont
from t5music.sound.render import MAX_MINUTES, render
from t5music.sound.soundfont import SoundFont

RATE = 16_000
QUARTER = RATE // 2  # samples, at 120 to the minute
FADED = 0.02  # seconds after which a note of the font is gone


@pytest.fixture(scope="module")
def font(tmp_path_factory: pytest.TempPathFactory) -> SoundFont:
    return SoundFont(small_font.write_font(tmp_path_factory.mktemp("font") / "sine.sf2"))


def score(*notes: tuple[int, int, int], velocity: int = 100, program: int = 0, **more: object) -> Score:
    """Notes of (onset, duration, pitch), times in quarters."""
    rows = [(480 * onset, 480 * duration, pitch, velocity, program, 0) for onset, duration, pitch in notes]
    return Score(480, np.array(rows, NOTE), **more)  # type: ignore[arg-type]


def frequency(samples: np.ndarray, rate: int = RATE) -> float:
    """The strongest frequency in Hz, to 0.1 Hz."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples)), 10 * rate))
    return float(spectrum.argmax()) / 10


def hertz(pitch: int) -> float:
    return 440 * 2 ** ((pitch - 69) / 12)


@settings(max_examples=15, deadline=None)
@given(st.integers(45, 100), st.sampled_from([16_000, 22_050, 48_000]))
def test_a_note_has_its_pitch(font, pitch, rate):
    sound = render(score((0, 1, pitch)), font, rate)
    assert sound.dtype == np.float32
    assert sound.shape[0] == 2
    assert frequency(sound[0, : rate // 2], rate) == pytest.approx(hertz(pitch), rel=1e-3, abs=0.3)


def test_notes_sound_when_they_are_played_and_silence_is_between_them(font):
    sound = np.abs(render(score((0, 1, 69), (2, 1, 76)), font, RATE)).max(axis=0)
    faded = int(FADED * RATE)
    assert 3 * QUARTER <= len(sound) <= 3 * QUARTER + faded
    assert sound[:QUARTER].max() > 0.1
    assert sound[QUARTER + faded : 2 * QUARTER].max() == 0
    assert sound[2 * QUARTER : 3 * QUARTER].max() > 0.1


def test_tempo_and_pedal_count(font):
    slow = score((0, 1, 69), tempos=np.array([(0, 1_000_000)], TEMPO))
    assert render(slow, font, RATE).shape[1] == pytest.approx(2 * QUARTER, abs=FADED * RATE)
    pedal = score((0, 1, 69), pedals=np.array([(0, 4 * 480, 0)], PEDAL))
    assert render(pedal, font, RATE).shape[1] == pytest.approx(4 * QUARTER, abs=FADED * RATE)


def test_loudness_and_peak(font):
    sound = render(score(*((beat, 1, 60 + beat) for beat in range(4))), font, RATE)
    assert loudness.integrated(sound, RATE) == pytest.approx(loudness.TARGET, abs=0.01)
    assert np.abs(sound).max() <= loudness.PEAK
    sharp = np.zeros((2, RATE), np.float32)
    sharp[:, ::4000] = 0.5  # clicks: all peak and no loudness
    loud = loudness.normalised(sharp.copy(), RATE)
    assert np.abs(loud).max() == pytest.approx(loudness.PEAK)
    assert loudness.integrated(loud, RATE) < loudness.TARGET


@pytest.mark.parametrize("velocity", [0, 1, 127])
def test_velocities(font, velocity):
    sound = player.play(score((0, 1, 69), velocity=velocity), font, RATE)
    # The sine has half of full scale, and the middle gives each side the root of a half.
    assert np.abs(sound).max() == pytest.approx((velocity / 127) ** 2 * 0.5 * math.sqrt(0.5), rel=0.02)


def test_empty_and_silent_music(font):
    assert render(Score(480, np.empty(0, NOTE)), font).shape == (2, 0)
    silent = render(score((0, 1, 69), velocity=0), font, RATE)
    assert silent.shape == (2, QUARTER)
    assert not silent.any()


def test_a_midi_file_sounds_as_its_score(font):
    music = score((0, 1, 69), (1, 1, 72))
    assert np.array_equal(render(midi.to_bytes(music), font, RATE), render(music, font, RATE))


def test_programs_without_a_preset(tmp_path):
    path = small_font.write_font(tmp_path / "few.sf2", [(0, 5), (0, 41)])
    few = SoundFont(path)
    assert [few.preset(program) for program in (0, 5, 47, 41, 100)] == [(0, 5), (0, 5), (0, 41), (0, 41), (0, 5)]
    assert np.abs(render(score((0, 1, 69), program=100), few, RATE)).max() > 0.1
    assert not render(score((0, 1, 69), program=DRUMS), few, RATE).any()
    assert few.substitutes([5, 41]) == []
    assert len(few.substitutes([0, 5, DRUMS])) == 2
    assert "silent" in few.substitutes([DRUMS])[0]


def test_generators_are_obeyed(tmp_path):
    def played(name: str, zone: dict | None = None, outer: dict | None = None, **note: int) -> np.ndarray:
        path = small_font.write_font(tmp_path / name, zone=zone, outer=outer)
        return player.play(score((0, 1, note.get("pitch", 69))), SoundFont(path), RATE)

    plain = played("plain.sf2")
    low, high = 0 | 60 << 8, 61 | 127 << 8
    assert not played("keys.sf2", {soundfont.KEYS: low}).any()
    assert played("keys.sf2", {soundfont.KEYS: high}).any()
    left = played("pan.sf2", {soundfont.PAN: -500})
    assert left[0].any()
    assert np.abs(left[1]).max() < 1e-6
    tuned = played("tune.sf2", {soundfont.COARSE_TUNE: 7}, {soundfont.COARSE_TUNE: 5})
    assert frequency(tuned[0]) == pytest.approx(880, abs=1)
    quiet = played("quiet.sf2", {soundfont.ATTENUATION: 100}, {soundfont.ATTENUATION: 150})  # 25 dB, of which 40 %
    assert np.abs(quiet).max() / np.abs(plain).max() == pytest.approx(10 ** (-10 / 20), rel=0.01)
    once = played("once.sf2", {soundfont.LOOPING: 0})
    sample = math.ceil(4 * small_font.PERIOD * RATE / small_font.RATE)
    assert not once[:, sample + 1 :].any()
    dull = played("dull.sf2", {soundfont.FILTER_CENTS: 3600})  # 65 Hz, far below the note
    assert np.abs(dull[:, QUARTER // 2 :]).max() < 0.1 * np.abs(plain).max()
    fading = played("fading.sf2", {soundfont.DECAY: 0, soundfont.SUSTAIN: 1000})  # 100 dB in a second
    assert np.abs(fading[:, QUARTER - 400 : QUARTER]).max() == pytest.approx(0.3536 * 0.62 * 10 ** (-2.39), rel=0.3)
    longer = played("longer.sf2", {soundfont.RELEASE: 0})
    assert longer.shape[1] == QUARTER + RATE


def test_a_new_stroke_ends_its_exclusive_class(tmp_path):
    zone = {soundfont.EXCLUSIVE: 1}
    hats = SoundFont(small_font.write_font(tmp_path / "hats.sf2", zone=zone))
    sound = player.play(score((0, 4, 69), (1, 1, 81), program=DRUMS), hats, RATE)
    assert frequency(sound[0, :QUARTER]) == pytest.approx(440, abs=1)
    second = sound[0, QUARTER + int(FADED * RATE) : 2 * QUARTER]
    spectrum = np.abs(np.fft.rfft(second * np.hanning(len(second)), RATE))
    assert spectrum[440] < 1e-3 * spectrum[880]


def test_music_that_is_too_long_is_refused(font):
    long = score((0, 1, 69), (MAX_MINUTES * 120, 1, 69))
    with pytest.raises(MidiError, match=f"lasts {MAX_MINUTES} minutes: sound is written of at most {MAX_MINUTES}"):
        render(long, font)


@pytest.mark.parametrize("rate", [0, 7_999, 192_001])
def test_rates_that_cannot_be(font, rate):
    with pytest.raises(ConfigError, match="rate must be 8,000 to 192,000"):
        render(score((0, 1, 69)), font, rate)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_damaged_fonts_are_refused_or_played(tmp_path_factory, data):
    content = bytearray(small_font.font_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("damaged") / "damaged.sf2"
    path.write_bytes(content[: data.draw(st.integers(len(content) // 2, len(content)))])
    try:
        font = SoundFont(path)
    except ConfigError:
        return
    sound = render(score((0, 1, 69), (1, 1, 40)), font, 8_000)
    assert np.isfinite(sound).all()


def test_fonts_are_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(fonts, "FOLDERS", (str(tmp_path), str(tmp_path / "missing")))
    monkeypatch.delenv(fonts.VARIABLE, raising=False)
    with pytest.raises(ConfigError, match="apt install fluid-soundfont-gm") as error:
        fonts.find_font()
    assert "\n" not in str(error.value)
    for name in ("a.sf2", "TimGM6mb.sf2", "FluidR3_GM.sf2", "b.sf3"):
        small_font.write_font(tmp_path / name)
    assert fonts.find_font() == tmp_path / "FluidR3_GM.sf2"
    monkeypatch.setenv(fonts.VARIABLE, str(tmp_path / "a.sf2"))
    assert fonts.find_font() == tmp_path / "a.sf2"
    assert fonts.find_font(str(tmp_path / "TimGM6mb.sf2")) == tmp_path / "TimGM6mb.sf2"
    with pytest.raises(ConfigError, match=r"--sound_font .*none\.sf2: there is no such file"):
        fonts.find_font(str(tmp_path / "none.sf2"))


def nes(*notes: tuple[int, int, int, int], velocity: int = 15) -> Score:
    """Notes of (onset, duration, pitch, voice)."""
    programs = (80, 81, 38, DRUMS)
    rows = [(480 * on, 480 * length, pitch, velocity, programs[voice], voice) for on, length, pitch, voice in notes]
    return Score(480, np.array(rows, NOTE), track_names=("p1", "p2", "tr", "no"))


@pytest.mark.parametrize("voice", [0, 1, 2])
def test_the_voices_of_the_nes_have_their_pitches_and_need_no_font(voice, monkeypatch):
    monkeypatch.setattr(fonts, "FOLDERS", ())
    sound = render(nes((0, 1, 57, voice), (2, 1, 69, voice)), None, RATE)
    assert sound.shape == (1, 3 * QUARTER)
    assert frequency(sound[0, :QUARTER]) == pytest.approx(220, abs=0.5)
    assert frequency(sound[0, 2 * QUARTER :]) == pytest.approx(440, abs=0.5)
    assert np.abs(sound[0, QUARTER + int(0.1 * RATE) : 2 * QUARTER]).max() < 1e-3


def test_pulses_differ_by_their_duty_cycles_and_noise_by_its_period():
    def level(timbre: int) -> float:
        return float(nes_chip._pulse(40, np.full(RATE, timbre), RATE).mean())

    assert [level(timbre) for timbre in range(4)] == pytest.approx(nes_chip.DUTY_CYCLES, abs=0.01)
    assert (len(nes_chip._register(0)), len(nes_chip._register(1))) == (32_767, 93)
    low, high = (nes_chip._noise(pitch, np.zeros(RATE, int), RATE) for pitch in (1, 16))
    assert np.abs(np.diff(low)).mean() < np.abs(np.diff(high)).mean()


def test_music_is_the_nes_s_by_the_names_of_its_tracks():
    assert nes_chip.voices(nes((0, 1, 60, 0), (0, 1, 3, 3))).tolist() == [0, 3]  # type: ignore[union-attr]
    assert nes_chip.voices(score((0, 1, 60), program=80)) is None
    volumes = nes_chip._volumes(np.array([0, 1, 29, 36, 100, 127]))
    assert volumes.tolist() == [0, 1, 1, 2, 11, 15]
