"""Figures where Matplotlib is not installed: plots are left out, and pictures that were asked for are errors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tiny_models

from t5music import figures
from t5music.cli.main import main
from t5music.errors import ConfigError
from t5music.evaluation.confusion import Confusion, confusion_png
from t5music.inference.result import Result
from t5music.music import engraving, midi


@pytest.fixture
def without_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    find_spec = figures.find_spec
    monkeypatch.setattr(figures, "find_spec", lambda name: None if name == "matplotlib" else find_spec(name))
    monkeypatch.setattr(figures, "_left_out", [])


def test_with_matplotlib_nothing_is_left_out(capsys: pytest.CaptureFixture[str]):
    assert not figures.left_out("loss.png")
    figures.require("loss.png")
    assert capsys.readouterr().err == ""


@pytest.mark.usefixtures("without_matplotlib")
def test_the_first_plot_that_is_left_out_is_named_and_no_other(capsys: pytest.CaptureFixture[str]):
    assert figures.left_out("loss.png")
    assert figures.left_out("masks.png")
    line = "t5music: left out: loss.png and all other plots, as Matplotlib is not installed: "
    assert capsys.readouterr().err == f'{line}pip install "t5music[plots]"\n'


@pytest.mark.usefixtures("without_matplotlib")
def test_what_draws_unasked_says_what_to_install():
    with pytest.raises(ConfigError, match=r'this picture needs Matplotlib.*: pip install "t5music\[plots\]"\Z'):
        confusion_png({"mood": Confusion(("glad", "sad"), np.eye(2, dtype=np.int64))})


@pytest.mark.usefixtures("without_matplotlib")
def test_a_picture_that_was_asked_for_is_an_error_before_any_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    from t5music.comparison import music_sets

    monkeypatch.setattr(music_sets, "read", lambda *arguments: pytest.fail("it began to read"))
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
    folders = [str(tmp_path / name) for name in ("one", "other")]
    output = str(tmp_path / "figures.png")
    assert main(["compare", *folders, "--no_model", "--output", output]) == 2
    assert f"--output {output}: this picture needs Matplotlib" in capsys.readouterr().err


@pytest.mark.usefixtures("without_matplotlib")
def test_piano_rolls_need_nothing_but_as_png(tmp_path: Path):
    score = tiny_models.band(bars=2)
    result = Result(midi.to_bytes(score), score, None, len(score.notes))
    assert result.picture.startswith("<svg ")
    assert result.save(tmp_path / "song.mid").is_file()
    with pytest.raises(ConfigError, match=r"song\.png: this picture needs Matplotlib"):
        result.save(tmp_path / "song.png")
    assert [path.name for path in tmp_path.iterdir()] == ["song.mid"]


@pytest.mark.usefixtures("without_matplotlib")
def test_a_pdf_needs_it_and_svg_does_not(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(engraving, "is_installed", lambda: True)
    engraving.require_writable("song.svg", "--output")
    with pytest.raises(ConfigError, match=r"--output song\.pdf: .* needs Matplotlib: pip install .*or name a \.svg"):
        engraving.require_writable("song.pdf", "--output")
