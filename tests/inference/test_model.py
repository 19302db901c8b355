"""`t5music.load()`: the verbs' answers in Python, from a path, bytes or a Score, in every format."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import small_font
import tiny_models

import t5music
from t5music.cli.main import main
from t5music.errors import ConfigError, MidiError
from t5music.inference import playing
from t5music.inference.model import Model
from t5music.inference.player import page
from t5music.music import engraving, midi, music_files, musicxml
from t5music.sound import sound_files


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny_models.write_run(tmp_path_factory.mktemp("model") / "run", tiny_models.ABILITIES))


@pytest.fixture(scope="module")
def model(run: str) -> Model:
    return t5music.load(run)


@pytest.fixture
def song(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    midi.write(tiny_models.band(bars=4), tmp_path / "song.mid")
    return tmp_path / "song.mid"


@pytest.fixture
def font(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    path = small_font.write_font(tmp_path / "font.sf2")
    monkeypatch.setenv("T5MUSIC_SOUND_FONT", str(path))
    return str(path)


def test_importing_stays_light():
    heavy = ["jax", "numpy", "flax", "matplotlib", "symusic", "scipy"]
    code = f"import t5music, sys; print(sorted(set({heavy!r}) & set(sys.modules)), t5music.__version__)"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output == f"[] {t5music.__version__}\n"


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'lode'"):
        t5music.lode  # noqa: B018


def test_the_verb_and_python_write_the_same(model: Model, run: str, song: Path):
    flags = ["--model_dir", run, "--words", "20"]
    for task, music in (("continue", model.continue_), ("infill", model.infill), ("accompany", model.accompany)):
        assert main(["generate", str(song), *flags, "--task", task, "--output", f"{task}.mid"]) == 0
        assert music(song, words=20).data == Path(f"{task}.mid").read_bytes()
    assert main(["generate", *flags, "--task", "improvise", "--output", "new.mid"]) == 0
    assert model.compose(words=20).data == Path("new.mid").read_bytes()


def test_a_path_bytes_and_a_score_are_the_same_music(model: Model, song: Path):
    by_path = model.continue_(song, words=20)
    assert model.continue_(song.read_bytes(), words=20).data == by_path.data
    assert model.continue_(str(song), words=20).data == by_path.data
    assert model.continue_(midi.read(song), words=20).notes.tolist() == by_path.notes.tolist()
    score = musicxml.to_bytes(midi.read(song))
    assert len(model.continue_(score, words=20).notes) > 0


def test_promises_are_text(model: Model, song: Path):
    assert set(model.continue_(song, words=20, instruments="violin").notes["program"].tolist()) <= {40}
    with pytest.raises(ConfigError, match="there is no promise 'colour'"):
        model.continue_(song, colour="blue")


def test_variants_differ_by_their_seeds(model: Model, song: Path):
    variants = model.variants(song, 2, task="continue", seed=3, words=20)
    assert {variant.seed for variant in variants} == {3, 4}
    for variant in variants:
        assert variant.data == model.continue_(song, seed=variant.seed, words=20).data


def test_labels(model: Model, song: Path):
    shares = model.classify(song)
    assert set(shares) == {"calm", "wild"}
    assert list(shares.values()) == sorted(shares.values(), reverse=True)
    assert sum(shares.values()) == pytest.approx(1)
    labelled = model.label(song)
    assert labelled.classes is not None
    assert len(labelled.classes.of_notes) == len(labelled.score.notes)
    labelled.save("labelled.musicxml")
    assert len(music_files.read("labelled.musicxml").track_names) == len(midi.read(labelled.data).track_names)


def test_vectors(model: Model, song: Path, tmp_path: Path):
    assert model.embed(song).shape == (tiny_models.CONFIG.d_model,)
    for seed in range(3):
        midi.write(tiny_models.band(seed, bars=4), tmp_path / "folder" / f"{seed}.mid")
    ranked = model.similar(song, tmp_path / "folder", top=2)
    assert ranked[0][0] == "0.mid"
    assert ranked[0][1] == pytest.approx(1)
    with pytest.raises(ConfigError, match="--layer 9"):
        model.embed(song, layer=9)


def test_every_format(model: Model, song: Path, font: str):
    music = model.continue_(song, words=20)
    for suffix in (".mid", ".musicxml", ".mxl"):
        assert len(music_files.read(music.save(f"new{suffix}")).notes) > 0
    begins = {".wav": b"RIFF", ".html": b"<!DOCTYPE", ".png": b"\x89PNG"}
    if engraving.is_installed():
        begins |= {".svg": b"<svg", ".pdf": b"%PDF"}
    if sound_files.can_write(".mp3"):
        begins |= {".flac": b"fLaC", ".ogg": b"OggS"}
    for suffix, begin in begins.items():
        assert music.save(f"new{suffix}").read_bytes().startswith(begin)
    with pytest.raises(ConfigError, match=r"new\.doc: its name must end in one of \.mid"):
        music.save("new.doc")


def test_the_persons_file_is_never_replaced(model: Model, song: Path):
    before = song.read_bytes()
    music = model.continue_(song, words=20)
    for name in (song, "song.mid", "./song.mid"):
        with pytest.raises(ConfigError, match="the music that the model was given"):
            music.save(name)
    assert song.read_bytes() == before


class Addresses(HTMLParser):
    """What a page would fetch."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.addresses += [
            value for name, value in attrs if name in ("src", "href", "srcset", "data", "action", "poster")
        ]


def test_a_page_needs_nothing_else(model: Model, song: Path, font: str):
    first, second = model.variants(song, 2, task="continue", words=20)
    document = page.to_page([first, second])
    assert "sound" in document.parts
    assert all(address.startswith("data:") for address in Addresses(document.html).addresses)
    assert not re.search(r"(?<![\w;])(https?:)?//[\w.]+\.\w", re.sub(r"base64,[^\"]*", "", document.html))
    assert document.html.count("<audio") == 2
    assert document.html.count('class="roll"') == 2
    assert ">Variant 2<" in document.html


def test_a_page_shows_names_as_they_are(model: Model, song: Path):
    evil = song.with_name("<img src=x onerror=alert(1)>&.mid")
    evil.write_bytes(song.read_bytes())
    assert "<img src=x" not in page.to_page([model.continue_(evil, words=8)]).html


def test_without_a_font_a_page_says_so(model: Model, song: Path, monkeypatch: pytest.MonkeyPatch, capsys, run):
    def none(*_):
        raise ConfigError("there is no sound font")

    monkeypatch.setattr(playing, "font_for", none)
    music = model.continue_(song, words=20)
    document = page.to_page([music])
    assert document.remarks[0] == "no sound: there is no sound font"
    assert "sound" not in document.parts
    assert "No sound" in music._repr_html_() or "no sound" in music._repr_html_()
    flags = ["--model_dir", run, "--words", "8", "--output", "song.html", "--variants", "2"]
    assert main(["generate", str(song), *flags]) == 0
    assert "no sound: there is no sound font" in capsys.readouterr().out
    assert sorted(path.name for path in Path().iterdir()) == ["song.html", "song.mid"]


def test_a_notebook_shows_a_player_and_the_roll(model: Model, song: Path, font: str):
    music = model.continue_(song, words=20)
    html = music._repr_html_()
    assert html.count("<audio") == 1
    assert "<script" not in html
    assert f"{len(music.score.notes)} notes, {len(music.notes)} of them new" in html
    with pytest.raises(ConfigError, match=r'save\("song.html"\)'):
        music.play()


def test_what_cannot_be_read_is_said(model: Model, tmp_path: Path):
    for music, words in ((b"MThd", "song.mid"), (b"<score", "song.mid"), (b"", "song.mid")):
        with pytest.raises(MidiError, match=words):
            model.continue_(music, name="song.mid")
    with pytest.raises(MidiError, match="no notes"):
        model.continue_(midi.read(midi.to_bytes(tiny_models.band())).with_notes(np.empty(0, tiny_models.NOTE)))


def test_it_says_what_it_can(model: Model):
    assert model.kinds == ["continue", "infill", "accompany", "improvise", "classify", "label_notes"]
    assert model.styles == ["pop"]
    assert all(map(model.can, ("continue", "infill", "accompany", "compose", "classify", "label")))
    assert "continue" in json.dumps(repr(model))
