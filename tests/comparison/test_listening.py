"""Listening tests: what the page holds and does not give away, and what is made of answers."""

from __future__ import annotations

import base64
import json
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import small_font
import tiny_models
from scipy import stats

from t5music.cli.main import main
from t5music.comparison import listen, listening_answers, listening_clips, listening_statistics, listening_test
from t5music.comparison.listening_answers import FORMAT
from t5music.comparison.listening_statistics import bradley_terry
from t5music.comparison.listening_test import Key, read_key
from t5music.errors import ConfigError, DataError, MidiError
from t5music.music import midi
from t5music.music.score import Score
from t5music.sound import loudness
from t5music.storage import path_of

FOLDERS = ("model_a", "baseline", "held_out")


@pytest.fixture(scope="module")
def font(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("font") / "small.sf2"
    path.write_bytes(small_font.font_bytes())
    return str(path)


@pytest.fixture(scope="module")
def music(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Three folders of seven pieces of the same names; in one, a piece is silent."""
    root = tmp_path_factory.mktemp("music")
    for place, folder in enumerate(FOLDERS):
        for seed in range(7):
            score = tiny_models.band(10 * place + seed, bars=4)
            midi.write(score.with_notes(score.notes[score.notes["program"] == 0]), root / folder / f"bwv{seed}.mid")
    midi.write(Score(480, tiny_models.band().notes[:0]), root / FOLDERS[1] / "bwv6.mid")
    return [str(root / folder) for folder in FOLDERS]


@pytest.fixture(scope="module")
def page(music: list[str], font: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("test") / "test.html"
    words = ["--pairs", "6", "--seconds", "2", "--sound_font", font, "--output", str(output), "--title", "</script><b>"]
    assert main(["listen", *music, *words, "--seed", "5"]) == 0
    return output


def data_of(page: Path) -> dict[str, Any]:
    """The test that a page holds."""
    text = page.read_text(encoding="utf-8")
    match = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert match is not None
    return json.loads(match[1])


def test_every_pair_of_folders_has_its_pairs_and_the_page_tells_nothing(page: Path):
    key = read_key(listen.key_path(str(page)))
    text, data = page.read_text(encoding="utf-8"), data_of(page)
    assert data["title"] == "</script><b>"
    assert data["test"] == key.test
    assert len(key.pairs) == 18
    for name in (*FOLDERS, "bwv", str(page.parent)):
        assert name not in re.sub(r"base64,[^\"]*", "", text)
    assert not re.search(r"https?://|src=|href=\"", text)
    assert data["pairs"] == [[clip.clip for clip in pair] for pair in key.pairs]
    assert sorted(data["sounds"]) == sorted(clip.clip for pair in key.pairs for clip in pair)
    systems = [(one.system, other.system) for one, other in key.pairs]
    assert {tuple(sorted(couple)) for couple in systems} == {(0, 1), (0, 2), (1, 2)}
    assert all(systems.count(couple) + systems.count(couple[::-1]) == 6 for couple in set(systems))
    assert all(one.file == other.file for one, other in key.pairs)
    assert len({couple == tuple(sorted(couple)) for couple in systems}) == 2  # neither system is always the first
    assert sorted(set(pair[0].file for pair in key.pairs)) == [f"bwv{n}" for n in range(6)]  # the silent one is out
    names = [clip.clip for pair in key.pairs for clip in pair]
    assert names != sorted(names)


def test_clips_are_sound_of_one_length_in_a_pair(page: Path):
    data = data_of(page)
    sizes = {}
    for name, sound in data["sounds"].items():
        kind, _, content = sound.partition(";base64,")
        assert kind in ("data:audio/mpeg", "data:audio/wav")
        sizes[name] = len(base64.b64decode(content))
    assert min(sizes.values()) > 1000


def test_a_seed_gives_the_same_test_and_another_seed_another(music, font, page, tmp_path, monkeypatch):
    monkeypatch.setattr(listening_clips, "as_data", lambda sound, rate: str(len(sound)))
    keys = []
    for seed in (5, 6):
        output = str(tmp_path / f"{seed}.html")
        listen.write_test(music, output, pairs=6, seconds=2, sound_font=font, seed=seed)
        keys.append(read_key(listen.key_path(output)))
    assert keys[0] == read_key(listen.key_path(str(page)))
    assert keys[1].test != keys[0].test
    assert keys[1].pairs != keys[0].pairs


def test_clips_are_equally_loud_and_their_peaks_have_room():
    rate, rng = 22_050, np.random.default_rng(0)
    quiet = 0.01 * rng.normal(0, 1, 2 * rate).astype(np.float32)
    peaky = quiet.copy()
    peaky[::4000] = 0.9
    clips, level = listening_clips.equally_loud([quiet, peaky, 30 * quiet], rate)
    assert level <= loudness.TARGET
    for clip in clips:
        assert loudness.integrated(clip[None], rate) == pytest.approx(level, abs=0.01)
        assert np.abs(clip).max() <= loudness.PEAK * 1.0001
    one, other = listening_clips.equally_long([np.ones(3 * rate, np.float32), np.ones(2 * rate, np.float32)], rate)
    assert len(one) == len(other) == 2 * rate
    assert one[-1] == 0
    assert one[rate] == 1


def test_a_clip_begins_after_the_first_note(font):
    from t5music.sound.soundfont import SoundFont

    score = tiny_models.band(0, bars=4)
    score = score.with_notes(score.notes[score.notes["program"] == 0])
    late = score.notes.copy()
    late["onset"] += 480 * 40
    sounds = [listening_clips.clip(part, 1.0, 3.0, SoundFont(font), 8000) for part in (score, score.with_notes(late))]
    assert np.array_equal(*sounds)
    assert len(sounds[0]) <= 3 * 8000
    with pytest.raises(MidiError, match="no note begins"):
        listening_clips.clip(score, 500.0, 3.0, SoundFont(font), 8000)


def test_folders_without_names_in_common_are_paired_by_chance(music, font, tmp_path, capsys):
    other = tmp_path / "other"
    other.mkdir()
    for path in Path(music[1]).glob("*.mid"):
        (other / f"x{path.name}").write_bytes(path.read_bytes())
    listen.write_test([music[0], str(other)], str(tmp_path / "t.html"), pairs=99, seconds=1.5, sound_font=font)
    assert "6 pairs of pieces that were paired by chance" in capsys.readouterr().out


def test_what_cannot_be_is_refused(music, tmp_path, capsys):
    for words, error in (
        ([music[0]], "name two folders"),
        ([*music, "--output", "test.txt"], "its name must end in .html"),
        ([*music, "--answers", music[0]], "name no folders"),
        ([*music, "--key", music[0]], "--key goes with --answers"),
        (["--answers", music[0]], "name the test's key by --key"),
        ([music[0], music[0], "--output", str(tmp_path / "t.html")], "named twice"),
    ):
        assert main(["listen", *words]) == 2
        assert error in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


# ------------------------------------------------------------------------------------------------------------- answers


def answers_of(key: Key, listener: str, preference: float, seed: int = 0) -> dict[str, Any]:
    """What a listener's page saves who prefers system 2 to others more or less, drawn by a seed."""
    rng = np.random.default_rng(seed)
    answers = []
    for number, pair in enumerate(key.pairs):
        first, second = pair if rng.random() < 0.5 else pair[::-1]
        for question in range(len(key.questions)):
            leaning = preference * ((second.system == 2) - (first.system == 2)) + rng.normal(0, 0.7)
            answers.append(
                {
                    "pair": number,
                    "question": question,
                    "first": first.clip,
                    "second": second.clip,
                    "answer": int(np.clip(round(leaning), -2, 2)),
                    "heard": [2.0, 2],
                }
            )
    return {
        "format": FORMAT,
        "test": key.test,
        "listener": listener,
        "seed": seed,
        "name": "",
        "started": "2026-11-30T08:00:00.000Z",
        "finished": "2026-11-30T08:10:00.000Z",
        "answers": answers,
    }


def save(folder: Path, name: str, content: dict[str, Any]) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(json.dumps(content), encoding="utf-8")


def test_answers_from_the_command_line(page, tmp_path, capsys):
    key_file = listen.key_path(str(page))
    key, folder = read_key(key_file), tmp_path / "answers"
    for number in range(8):
        save(folder, f"answers_{number}.json", answers_of(key, f"listener {number}", 1.5, number))
    (folder / key_file.name).write_bytes(key_file.read_bytes())
    good = answers_of(key, "another", 1.0)
    save(folder, "doubled.json", answers_of(key, "listener 3", -1))
    save(folder, "foreign_test.json", good | {"test": "0" * 16})
    save(folder, "foreign_format.json", {"format": "another"})
    save(folder, "incomplete.json", good | {"answers": good["answers"][:-3]})
    save(folder, "two_answers.json", good | {"answers": good["answers"][:-1] + good["answers"][:1]})
    save(folder, "wrong_answer.json", good | {"answers": [good["answers"][0] | {"answer": 7}]})
    save(folder, "wrong_clip.json", good | {"answers": [good["answers"][0] | {"first": "clip99"}]})
    save(folder, "wrong_pair.json", good | {"answers": [good["answers"][0] | {"pair": -1}]})
    save(folder, "wrong_type.json", good | {"seed": "7"})
    (folder / "cut.json").write_text(json.dumps(good)[:-50], encoding="utf-8")
    outputs = [tmp_path / f"results.{kind}" for kind in ("json", "csv", "md")]
    assert main(["listen", "--answers", str(folder), "--output", str(outputs[0])]) == 0
    results = listen.evaluate(str(folder), None)
    for output in outputs[1:]:
        output.write_text(listen.WRITERS[output.suffix](results, {}), encoding="utf-8")
    printed = capsys.readouterr()
    for name, reason in {
        "doubled.json": "doubled: answers_3.json is of the same listener",
        "foreign_test.json": "foreign: of the test 0000000000000000",
        "foreign_format.json": "foreign: it holds no answers",
        "incomplete.json": "incomplete: 3 of 36 answers are missing",
        "two_answers.json": "damaged: pair 0 has two answers to question 0",
        "wrong_answer.json": "damaged: answers[0].answer must be from -2 to 2, not 7",
        "wrong_clip.json": "damaged: answers[0] names clips that are not those of its pair",
        "wrong_pair.json": "damaged: answers[0] is of a pair or question",
        "wrong_type.json": "damaged: seed must be a whole number",
        "cut.json": "damaged: ",
    }.items():
        assert f"left out: {name}: {reason}" in printed.err
    content = json.loads(outputs[0].read_text(encoding="utf-8"))
    assert content["listeners"] == 8
    assert len(content["left_out"]) == 10
    rows = {tuple(Path(s).name for s in row["systems"]): row for row in content["preferences"][:3]}
    for couple in ((FOLDERS[0], FOLDERS[2]), (FOLDERS[1], FOLDERS[2])):
        assert rows[couple]["grade"] > 1
        assert rows[couple]["interval"][0] > 0
        assert rows[couple]["corrected"] < 0.05
    assert abs(rows[FOLDERS[0], FOLDERS[1]]["grade"]) < 0.5
    strengths = {Path(row["system"]).name: row["strength"] for row in content["strengths"][:3]}
    assert max(strengths, key=strengths.__getitem__) == FOLDERS[2]
    assert sum(strengths.values()) == pytest.approx(0)
    assert "*" in outputs[2].read_text(encoding="utf-8")
    assert len(outputs[1].read_text(encoding="utf-8").splitlines()) == 1 + 6 + 6


def test_fewer_than_five_listeners_get_no_stars(page, tmp_path, capsys):
    key_file = listen.key_path(str(page))
    for number in range(4):
        save(tmp_path / "few", f"{number}.json", answers_of(read_key(key_file), str(number), 5, number))
    results = listen.evaluate(str(tmp_path / "few"), str(key_file))
    assert {(row.interval, row.sign_p, row.corrected) for row in results.preferences} == {(None, None, None)}
    out = capsys.readouterr().out
    assert "no tests, no intervals and no stars" in out
    assert not re.search(r"\d\*", out)
    (tmp_path / "none").mkdir()
    with pytest.raises(DataError, match=r"no \.json files"):
        listen.evaluate(str(tmp_path / "none"), str(key_file))


def test_grades_are_of_systems_and_not_of_sides(page, tmp_path):
    key = read_key(listen.key_path(str(page)))
    pair = key.pairs[0]
    later = max(pair, key=lambda clip: clip.system)
    content = answers_of(key, "one", 0)
    for answer in content["answers"]:
        answer["answer"] = 0
    first = content["answers"][0]
    first["answer"] = 2 if first["second"] == later.clip else -2  # the later system, clearly
    save(tmp_path, "one.json", content)
    answers = listening_answers.read(tmp_path, key)
    grades, second = answers.grades[0], answers.second[0]
    assert grades[0, 0] == 2
    assert np.count_nonzero(grades) == 1
    assert second[0, 0] == first["answer"]


def test_the_tests_of_listeners():
    means = np.array([0.5, 0.25, -0.1, 0.8, 0.3, 0.6, 0.7])
    sign, wilcoxon = listening_statistics._tests(means)
    assert sign == pytest.approx(stats.binomtest(6, 7).pvalue)
    assert wilcoxon == pytest.approx(stats.wilcoxon(means).pvalue)
    assert listening_statistics._tests(np.zeros(6)) == (1, 1)
    with_ties = listening_statistics._tests(np.array([0, 0, 1, 1, 1, -1]))
    assert all(0 < p <= 1 for p in with_ties)


def test_bradley_and_terry_by_hand():
    wins = np.zeros((1, 2, 2))
    wins[0, 1, 0], wins[0, 0, 1] = 30, 10
    strengths = bradley_terry(wins)[0]
    assert strengths[1] - strengths[0] == pytest.approx(np.log(30.5 / 10.5))
    never = np.zeros((1, 2, 2))
    never[0, 1, 0] = 12
    assert bradley_terry(never)[0] == pytest.approx([-np.log(25) / 2, np.log(25) / 2])
    # Of strengths that are known, the expected wins give these back.
    strengths = np.array([-1.0, 0.2, 0.8])
    odds = np.exp(strengths)
    many = 1e6 * odds[:, None] / (odds[:, None] + odds[None, :])
    np.fill_diagonal(many, 0)
    assert bradley_terry(many[None])[0] == pytest.approx(strengths, abs=1e-4)
    assert all(a < b for a, b in pairwise(bradley_terry(many[None])[0]))


def test_a_test_its_answers_and_its_results_in_a_bucket(music, font, google_bucket, capsys):
    for folder in music[:2]:
        for path in sorted(Path(folder).glob("*.mid"))[:2]:
            (path_of(google_bucket) / Path(folder).name / path.name).write_bytes(path.read_bytes())
    folders = [f"{google_bucket}/{name}" for name in FOLDERS[:2]]
    output = f"{google_bucket}/out/test.html"
    assert main(["listen", *folders, "--seconds", "1.5", "--sound_font", font, "--output", output]) == 0
    key_file = listen.key_path(output)
    answers = path_of(f"{google_bucket}/answers")
    (answers / "one.json").write_text(json.dumps(answers_of(read_key(key_file), "one", 0)))
    words = ["--key", str(key_file), "--output", f"{google_bucket}/out/results.csv"]
    assert main(["listen", "--answers", str(answers), *words]) == 0
    assert "prefer_system" in path_of(f"{google_bucket}/out/results.csv").read_text()
    assert main(["compare", *folders, "--no_model", "--output", f"{google_bucket}/out/compared.md"]) == 0
    assert "polyphony" in path_of(f"{google_bucket}/out/compared.md").read_text()


@pytest.mark.parametrize("change", [{"format": "x"}, {"pairs": []}, {"systems": []}, {"seed": None}])
def test_a_damaged_key_is_refused(page, tmp_path, change):
    content = json.loads(listen.key_path(str(page)).read_text(encoding="utf-8"))
    path = tmp_path / "test.key.json"
    path.write_text(json.dumps(content | change), encoding="utf-8")
    with pytest.raises(DataError, match="this is no key of a listening test"):
        read_key(path)


def test_no_key_or_several_are_asked_for(page, tmp_path):
    key_file = listen.key_path(str(page))
    for name in ("a.key.json", "b.key.json"):
        (tmp_path / name).write_bytes(key_file.read_bytes())
    with pytest.raises(ConfigError, match=r"no single one \(a.key.json, b.key.json\)"):
        listen.evaluate(str(tmp_path), None)
    assert listening_test.TEMPLATE.is_file()
