"""The page of a listening test in a browser: heard, answered, left and gone on with, saved, evaluated."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import small_font
import tiny_models
import web_driver
from web_driver import wait_for

from t5music.comparison import listen
from t5music.music import midi

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not web_driver.is_there(), reason="needs Chromium and chromedriver"),
]
QUESTIONS = ("Which has <b>more</b> notes?", "Which is faster?")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("listening")
    (root / "small.sf2").write_bytes(small_font.font_bytes())
    for place, folder in enumerate(("one", "other")):
        for seed in range(4):
            score = tiny_models.band(10 * place + seed, bars=4)
            midi.write(score.with_notes(score.notes[score.notes["program"] == 0]), root / folder / f"{seed}.mid")
    folders = [str(root / "one"), str(root / "other")]
    font = str(root / "small.sf2")
    return listen.write_test(folders, str(root / "test.html"), seconds=1.5, questions=QUESTIONS, sound_font=font)


def test_a_listener_from_the_first_click_to_the_statistics(page: Path, tmp_path: Path, capsys):
    with web_driver.chromium(tmp_path) as browser:
        browser.open(f"{page.as_uri()}#seed=7")
        assert browser.run("return document.getElementById('count').textContent") == "4"
        browser.screenshot(tmp_path / "start.png")
        browser.click("#begin")
        orders = browser.run("return [plan(7), plan(7), plan(8)]")
        assert orders[0] == orders[1] != orders[2]
        turned = browser.run("return plan(7).map(step => step.sides[0] !== test.pairs[step.pair][0])")
        assert sorted(turned) == [False, False, True, True]
        expected = orders[0]
        for number in range(4):
            assert browser.run("return $('place').textContent") == f"Pair {number + 1} of 4"
            assert browser.run("return document.querySelector('legend').textContent") == QUESTIONS[0]
            assert browser.run("return $('next').disabled")
            assert browser.run("return document.querySelector('fieldset').disabled"), "nothing was heard yet"
            for side in (0, 1):
                browser.click(f"#play{side}")
                wait_for(lambda side=side: browser.run(f"return isHeard({side}) && players[{side}].paused"), "the clip")
            assert browser.run("return !document.querySelector('fieldset').disabled")
            browser.click(f"input[name=q0][value='{number - 2}']")
            assert browser.run("return $('next').disabled"), "a question is open"
            browser.click("input[name=q1][value='0']")
            browser.screenshot(tmp_path / f"pair{number}.png")
            browser.click("#next")
            if number == 1:  # the browser is closed and opened again
                browser.open("about:blank")
                browser.open(page.as_uri())
                browser.click("#begin")
        browser.screenshot(tmp_path / "end.png")
        browser.click("#save")
        wait_for(lambda: list(tmp_path.glob("answers_*.json")), "the answers")
        (path,) = tmp_path.glob("answers_*.json")
        assert path.name == browser.run("return $('file').textContent")
        loaded = browser.run("return performance.getEntriesByType('resource').map(entry => entry.name)")
        assert all(name.startswith("data:") for name in loaded)
        assert browser.errors() == []
        browser.click("#other")
        assert browser.run("return state") is None
    content = json.loads(path.read_text(encoding="utf-8"))
    assert content["seed"] == 7
    answers = [answer for answer in content["answers"] if answer["question"] == 0]
    assert [answer["pair"] for answer in answers] == [step["pair"] for step in expected]
    assert [[answer["first"], answer["second"]] for answer in answers] == [step["sides"] for step in expected]
    assert [answer["answer"] for answer in answers] == [-2, -1, 0, 1]
    assert all(seconds >= 1 for answer in answers for seconds in answer["heard"])
    folder = tmp_path / "answers"
    folder.mkdir()
    path.rename(folder / path.name)
    results = listen.evaluate(str(folder), str(listen.key_path(str(page))))
    assert results.listeners == 1
    assert results.preferences[0].question == QUESTIONS[0]
    assert results.preferences[1].shares == (0, 1, 0)
    assert results.second_share == pytest.approx(1 / 3)
    assert "no tests, no intervals and no stars" in capsys.readouterr().out
