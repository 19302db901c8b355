"""The page in a real browser, as a person would use it. Needs Chromium, and playwright to drive it."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import small_font
import tiny_models

from t5music.inference.model import Model
from t5music.music import engraving, midi
from t5music.server.limits import Limits
from t5music.server.serve import MusicServer

pytestmark = pytest.mark.slow
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
WAIT = 60_000  # milliseconds


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if BROWSER is None:
        pytest.skip("no Chromium on this machine")
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MusicServer]:
    font = small_font.write_font(tmp_path_factory.mktemp("font") / "font.sf2")
    model = Model(tiny_models.trained(tiny_models.ABILITIES), "tiny")
    server = MusicServer(model, port=0, limits=Limits(megabytes=0.05), sound_font=str(font))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    server.close()
    thread.join()


@pytest.fixture
def page(browser: Any, server: MusicServer, request: pytest.FixtureRequest) -> Iterator[Any]:
    """The page, opened; nothing may go wrong in it, and nothing may be asked of another host."""
    context = browser.new_context(viewport={"width": 1300, "height": 1000})
    page = context.new_page()
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on(
        "console", lambda line: wrong.append(line.text) if line.type == "error" and "422" not in line.text else None
    )
    page.on("request", lambda sent: wrong.append(sent.url) if not is_own(sent.url, server.url) else None)
    page.goto(server.url)
    page.wait_for_selector(".ability")
    yield page
    if pictures := os.environ.get("T5MUSIC_TEST_PICTURES"):  # a folder, for who wants to look
        page.screenshot(path=str(Path(pictures) / f"{request.node.name}.png"), full_page=True)
    context.close()
    assert wrong == []


def is_own(url: str, home: str) -> bool:
    return url.startswith((home, f"blob:{home}", "data:"))


@pytest.fixture
def song(tmp_path: Path) -> Path:
    midi.write(tiny_models.band(bars=6), tmp_path / "song.mid")
    return tmp_path / "song.mid"


def until(page: Any, condition: str) -> None:
    """Waits for a condition; the pages' policies forbid playwright's own way, which evaluates text in them."""
    deadline = time.monotonic() + WAIT / 1000
    while not page.evaluate(condition):
        assert time.monotonic() < deadline, condition
        time.sleep(0.05)


def choose(page: Any, ability: str) -> None:
    page.click(f'.ability:has(input[value="{ability}"])')


def take(page: Any, song: Path) -> None:
    page.set_input_files("#file", str(song))
    page.wait_for_selector("#own svg.roll")


def go(page: Any) -> None:
    page.click("#go")
    page.wait_for_selector("#whole a", timeout=WAIT)


def test_a_song_is_continued_heard_and_kept(page: Any, song: Path, tmp_path: Path):
    assert page.is_disabled("#go")
    take(page, song)
    page.click("#drawing summary")
    page.fill("[name=variants]", "2")
    page.fill("[name=words]", "40")
    go(page)
    page.wait_for_selector("#result-1 audio", timeout=WAIT)
    assert page.locator("#results .card").count() == 2
    page.evaluate("document.querySelector('#result-0 audio').play()")
    until(page, "document.querySelector('#result-0 audio').currentTime > 0.3")
    assert page.is_visible("#result-0 .cursor")
    page.evaluate("document.querySelector('#result-1 audio').play()")
    assert page.evaluate("document.querySelector('#result-0 audio').paused")
    page.click("#result-0 svg.roll", position={"x": 300, "y": 60})
    assert page.evaluate("document.querySelector('#result-0 audio').currentTime") > 1
    with page.expect_download() as download:
        page.click("#result-0 .files a >> nth=0")
    download.value.save_as(tmp_path / "new.mid")
    assert download.value.suggested_filename == "song_continue.mid"
    assert len(midi.read(tmp_path / "new.mid").notes) > len(midi.read(song).notes)


def test_the_page_in_one_file_works_without_the_server(page: Any, browser: Any, song: Path, tmp_path: Path):
    take(page, song)
    go(page)
    with page.expect_download() as download:
        page.click("#whole a")
    download.value.save_as(tmp_path / "song.html")
    context = browser.new_context(offline=True)
    alone = context.new_page()
    wrong: list[str] = []
    alone.on("pageerror", lambda error: wrong.append(str(error)))
    alone.on("console", lambda line: wrong.append(line.text))
    alone.goto((tmp_path / "song.html").as_uri())
    until(alone, "document.querySelector('audio').readyState >= 3")
    alone.evaluate("document.querySelector('audio').play()")
    until(alone, "document.querySelector('audio').currentTime > 0.3")
    assert alone.is_visible(".cursor")
    if engraving.is_installed():
        alone.click(".score summary")
        until(alone, "document.querySelector('.score img').naturalHeight > 100")
    context.close()
    assert wrong == []


def test_a_region_is_drawn_with_the_pointer(page: Any, song: Path):
    take(page, song)
    choose(page, "infill")
    box = page.locator("#own svg.roll").bounding_box()
    page.mouse.move(box["x"] + 300, box["y"] + 50)
    page.mouse.down()
    page.mouse.move(box["x"] + 520, box["y"] + 90, steps=4)
    page.mouse.up()
    assert page.is_visible("#own .region")
    words = page.inner_text("#region-words")
    begin, end = page.evaluate("region")
    assert 0 < begin < end
    assert words == f"From {begin:.1f} to {end:.1f} s is written anew."
    assert page.input_value("#begin") == f"{begin:.2f}"
    page.fill("#begin", "2")
    page.fill("#end", "4")
    assert page.evaluate("region") == [2, 4]
    go(page)


@pytest.mark.parametrize("ability", ["accompany", "compose"])
def test_other_music(page: Any, song: Path, ability: str):
    take(page, song)
    choose(page, ability)
    assert page.is_visible("#own") == (ability == "accompany")
    go(page)
    assert page.is_visible("#result-0 svg.roll")


def test_labels(page: Any, song: Path):
    take(page, song)
    choose(page, "classify")
    page.click("#go")
    page.wait_for_selector("#labels .label-row", timeout=WAIT)
    assert {"calm", "wild"} == set(page.locator("#labels .label-row span:first-child").all_inner_texts())
    choose(page, "label")
    assert page.input_value("[name=task]") == "melody"
    page.click("#go")
    page.wait_for_selector("#result-0 svg.roll", timeout=WAIT)


def test_what_goes_wrong_is_said_in_words(page: Any, song: Path, tmp_path: Path):
    (tmp_path / "bad.mid").write_bytes(b"not music")
    page.set_input_files("#file", str(tmp_path / "bad.mid"))
    page.wait_for_selector("#error:not([hidden])")
    assert page.inner_text("#error").startswith("bad.mid: ")
    assert page.is_disabled("#go")
    (tmp_path / "large.mid").write_bytes(b"\0" * 60_000)
    page.set_input_files("#file", str(tmp_path / "large.mid"))
    until(page, "document.querySelector('#error').textContent.includes('0.05 MB')")
    take(page, song)
    assert page.is_hidden("#error")
    page.click("#promises summary")
    page.fill("[name=instruments]", "trumpits")
    page.click("#go")
    page.wait_for_selector("#error:not([hidden])", timeout=WAIT)
    assert "trumpet" in page.inner_text("#error")
