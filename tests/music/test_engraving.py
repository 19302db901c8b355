"""Sheet music: every note is on it, as SVG and as PDF, from any thread."""

from __future__ import annotations

import re
import threading
from xml.etree import ElementTree

import numpy as np
import pytest
import tiny_models
from hypothesis import given, settings
from hypothesis import strategies as st

from t5music.errors import ConfigError, MidiError
from t5music.music import engraving
from t5music.music.score import NOTE, Score

needs_verovio = pytest.mark.skipif(not engraving.is_installed(), reason="Verovio is not installed")


def melody(pitches: list[int], quarter: int = 480) -> Score:
    notes = [(quarter * place, quarter, pitch, 80, 40, 0) for place, pitch in enumerate(pitches)]
    return Score(quarter, np.array(notes, NOTE))


@needs_verovio
@settings(max_examples=15)
@given(st.lists(st.integers(40, 90), min_size=1, max_size=40))
def test_every_note_has_a_head(pitches: list[int]):
    pages = engraving.pages(melody(pitches))
    heads = sum(page.count('class="notehead"') for page in pages)
    assert heads == len(pitches)


@needs_verovio
def test_the_picture_is_the_same_each_time_and_needs_nothing_else():
    score = tiny_models.band()
    svg = engraving.to_bytes(score, "song.svg").decode()
    assert svg == engraving.to_bytes(score, "song.svg").decode()
    assert set(re.findall(r"https?://[^\"' ]*", svg)) == {"http://www.w3.org/2000/svg"}
    root = ElementTree.fromstring(svg)
    names = {element.get("id") for element in root.iter()}
    assert {element.get("href")[1:] for element in root.iter() if element.get("href")} <= names
    assert not re.search("[\ue000-\uf8ff]", svg)


@needs_verovio
def test_it_is_made_in_any_thread():
    scores, lengths = [melody([60, 62]), tiny_models.band()], []
    engraving.pages(scores[0])
    threads = [
        threading.Thread(target=lambda score=score: lengths.append(len(engraving.pages(score)))) for score in scores
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(lengths) == len(scores)


@needs_verovio
def test_a_pdf_has_all_pages():
    score = tiny_models.band(bars=40)
    content = engraving.to_bytes(score, "song.pdf")
    assert content.startswith(b"%PDF")
    assert len(re.findall(rb"/Type /Page\b", content)) == len(engraving.pages(score)) > 1
    assert content == engraving.to_bytes(score, "song.pdf")


@needs_verovio
def test_what_is_too_long_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(engraving, "MAX_BARS", 1)
    with pytest.raises(MidiError, match="2 bars: sheet music is made of at most 1"):
        engraving.pages(melody([60] * 8))


def test_without_verovio_the_extra_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(engraving, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"--output a\.pdf: .*pip install 't5music\[score\]'"):
        engraving.to_bytes(melody([60]), "a.pdf")
