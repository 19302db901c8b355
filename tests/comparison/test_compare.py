"""Compare: whole folders against each other, from files to tables."""

from __future__ import annotations

import csv
import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import tiny_models

from t5music import figures
from t5music.cli.main import main
from t5music.comparison import set_comparison
from t5music.comparison.compare import WRITERS, compare
from t5music.comparison.comparison_report import HEADINGS
from t5music.comparison.music_sets import MusicSet
from t5music.data.examples import Continue
from t5music.errors import ConfigError, DataError
from t5music.music import midi
from t5music.music.score import DRUMS, Score


@pytest.fixture(autouse=True)
def fewer_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of what takes long; none of these tests is about how wide intervals of distances are."""
    monkeypatch.setattr(set_comparison, "DISTANCE_RESAMPLES", 40)
    monkeypatch.setattr(set_comparison, "FRECHET_RESAMPLES", 40)


def thinner(score: Score) -> Score:
    """The music without its chords."""
    return score.with_notes(score.notes[score.notes["track"] != 1])


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Six pieces; and the same pieces of the same names without their chords, beside files that are no music."""
    root = tmp_path_factory.mktemp("folders")
    for seed in range(6):
        midi.write(tiny_models.band(seed), root / "whole" / "a folder" / f"{seed}.mid")
        midi.write(thinner(tiny_models.band(seed)), root / "thin" / "a folder" / f"{seed}.mid")
    (root / "thin" / "<b>damaged.mid").write_bytes(b"MThd, and nothing else")
    midi.write(Score(480, tiny_models.band().notes[:0]), root / "thin" / "silent.mid")
    return root / "thin", root / "whole"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.write_run(tmp_path_factory.mktemp("run") / "run", {"continue": Continue("pop", "remi")})


def test_two_folders_from_the_command_line(folders, model, tmp_path, capsys):
    thin, whole = map(str, folders)
    outputs = [str(tmp_path / f"out.{kind}") for kind in ("json", "md", "csv", "html", "png")]
    words = [word for output in outputs for word in ("--output", output)]
    assert main(["compare", thin, whole, "--model_dir", str(model), *words]) == 0
    printed = capsys.readouterr()
    assert "left out: <b>damaged.mid: " in printed.err
    assert "left out: silent.mid: no notes in it" in printed.err
    assert "(6 pieces) beside" in printed.out
    assert "needs more than 16 pieces in each set; these have 6 and 6" in printed.out
    content = json.loads(Path(outputs[0]).read_text(encoding="utf-8"))
    assert content["is_paired"]
    assert set(content["sets"][0]["left_out"]) == {"<b>damaged.mid", "silent.mid"}
    measures = content["measures"]
    assert measures["polyphony"]["mean"] < measures["polyphony"]["reference_mean"]
    assert measures["notes"]["relative"]["value"] == pytest.approx(64 / 88 - 1)  # eight bars: 24 notes fewer
    assert measures["notes"]["relative"]["low"] == pytest.approx(64 / 88 - 1)  # of every piece
    assert content["of_sets"]["frechet_distance"]["value"] is None
    assert content["of_sets"]["kernel_distance"]["value"] is not None
    assert content["of_sets"]["note_f1"]["value"] == pytest.approx(2 * 64 / (64 + 88))
    table = list(csv.reader(Path(outputs[2]).read_text(encoding="utf-8").splitlines()))
    assert {len(row) for row in table} == {15}
    assert float(table[1][1]) == 64
    assert " | ".join(HEADINGS[:1]) in Path(outputs[1]).read_text(encoding="utf-8")
    page = Path(outputs[3]).read_text(encoding="utf-8")
    assert page.count("data:image/png;base64,") == 2
    assert "<b>damaged" not in page
    assert "<script" not in page
    assert Path(outputs[4]).read_bytes().startswith(b"\x89PNG")
    assert main(["compare", thin, whole, "--no_model", "--output", outputs[0]]) == 2
    assert "exists" in capsys.readouterr().err


def test_the_same_seed_gives_the_same_figures(folders, tmp_path, capsys):
    texts = []
    for number, seed in enumerate((3, 3, 4)):
        output = tmp_path / f"{number}.json"
        compare(*map(str, folders), None, outputs=[str(output)], seed=seed)
        texts.append(output.read_text(encoding="utf-8"))
    assert texts[0] == texts[1] != texts[2]
    contents = [json.loads(text)["measures"] for text in texts]
    assert [m["mean"] for m in contents[0].values()] == [m["mean"] for m in contents[2].values()]
    assert [m["difference"] for m in contents[0].values()] != [m["difference"] for m in contents[2].values()]


def music_set(scores: list[Score], name: str = "music", first: int = 0) -> MusicSet:
    return MusicSet(name, tuple(f"{first + number}.mid" for number in range(len(scores))), tuple(scores), {})


def test_a_folder_beside_itself():
    scores = [tiny_models.band(seed) for seed in range(6)]
    comparison = set_comparison.compare(music_set(scores), music_set(scores))
    assert comparison.is_paired
    for measure in comparison.measures:
        assert measure.difference.value in (0, None)
        if measure.difference.interval is not None:
            assert measure.difference.interval == (0, 0)
    assert comparison.of_sets["note_f1"].value == 1
    assert comparison.of_sets["similarity_error"].value == 0


def test_counterparts_are_drawn_together_and_the_order_of_files_counts_for_nothing():
    scores = [tiny_models.band(seed, bars=4 + seed) for seed in range(8)]
    thin = [thinner(score) for score in scores]
    paired = set_comparison.compare(music_set(thin), music_set(scores))
    apart = set_comparison.compare(music_set(thin), music_set(scores, first=100))
    assert paired.is_paired
    assert not apart.is_paired
    assert "note_f1" not in apart.of_sets

    def width(comparison: set_comparison.Comparison) -> float:
        within = next(m for m in comparison.measures if m.name == "notes").difference.interval
        assert within is not None
        return within.high - within.low

    assert width(paired) < width(apart) / 2
    backwards = music_set(scores)
    backwards = dataclasses.replace(backwards, names=backwards.names[::-1], scores=backwards.scores[::-1])
    again = set_comparison.compare(music_set(thin), backwards)
    assert [m.difference for m in again.measures] == [m.difference for m in paired.measures]


def test_many_pieces_are_drawn_for_distances(monkeypatch):
    monkeypatch.setattr("t5music.comparison.distances.MOST_PIECES", 6)
    scores = [tiny_models.band(seed, bars=2) for seed in range(9)]
    comparison = set_comparison.compare(music_set(scores), music_set(scores[:7], first=100))
    remarks = " ".join(comparison.remarks)
    assert "6 pieces of music, drawn by seed 0, of 9" in remarks
    assert "of 7." in remarks
    assert comparison.measures[0].overlap.value is not None


def test_frechet_with_enough_pieces():
    rng = np.random.default_rng(0)
    scores = [tiny_models.band(seed, bars=2) for seed in range(6)]
    vectors = {"a": rng.normal(0, 1, (6, 3)), "b": rng.normal(1, 1, (6, 3))}
    comparison = set_comparison.compare(
        music_set(scores, "a"), music_set(scores, "b"), vectors=lambda part: vectors[part.name]
    )
    estimate = comparison.of_sets["frechet_distance"]
    assert estimate.value is not None
    assert estimate.interval is not None
    assert estimate.interval.low <= estimate.value <= estimate.interval.high


def percussion(seed: int) -> Score:
    score = tiny_models.band(seed)
    return score.with_notes(score.notes[score.notes["program"] == DRUMS])


def single_note(seed: int) -> Score:
    return tiny_models.band(seed).with_notes(tiny_models.band(seed).notes[:1])


@pytest.mark.parametrize("odd", [percussion, single_note], ids=["percussion alone", "single notes"])
@pytest.mark.parametrize("is_reference", [False, True])
def test_music_that_has_little_to_measure(odd, is_reference: bool):
    sets = [music_set([odd(seed) for seed in range(5)], "odd"), music_set([tiny_models.band(s) for s in range(5)])]
    sets = sets[::-1] if is_reference else sets
    vectors = {"odd": np.ones((5, 3), np.float32), "music": np.eye(5, 3, dtype=np.float32)}
    comparison = set_comparison.compare(*sets, vectors=lambda part: vectors[part.name])
    for write in WRITERS.values():
        assert write(comparison)
    figures = {measure.name: measure for measure in comparison.measures}
    assert figures["notes_per_bar"].mean is not None
    assert figures["self_similarity" if odd is single_note else "scale_consistency"].overlap.value is None


def test_an_encoder_that_can_read_a_single_piece():
    scores = [tiny_models.band(seed, bars=2) for seed in range(2)]
    vectors = {"a": np.ones((1, 3), np.float32), "b": np.ones((2, 3), np.float32)}
    sets = music_set(scores, "a"), music_set(scores, "b")
    comparison = set_comparison.compare(*sets, vectors=lambda part: vectors[part.name])
    assert comparison.of_sets["kernel_distance"].value is None
    assert "need two pieces in each folder that the encoder can read" in " ".join(comparison.remarks)


def test_few_pieces_get_a_clear_word(tmp_path, capsys):
    for seed in range(3):
        midi.write(tiny_models.band(seed), tmp_path / "few" / f"{seed}.mid")
    midi.write(tiny_models.band(), tmp_path / "one" / "0.mid")
    with pytest.raises(DataError, match="has a single piece that can be read: a comparison needs 2 or more"):
        compare(str(tmp_path / "one"), str(tmp_path / "few"), None)
    compare(str(tmp_path / "few"), str(tmp_path / "few"), None)
    out = capsys.readouterr().out
    assert "Intervals need 5 pieces or more" in out
    assert "Overlaps and KL need 4 pieces or more" in out


def test_only_the_notes_of_a_region(folders, capsys):
    thin, whole = map(str, folders)
    comparison = compare(thin, whole, None, region=(0.25, 1.75))  # between the chords
    assert comparison.of_sets["note_f1"].value == 1
    comparison = compare(thin, whole, None, region=(900, 901))
    assert "note_f1" not in comparison.of_sets
    assert "No file has a note in --region" in capsys.readouterr().out


def test_without_matplotlib_the_page_has_no_plots(folders, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(figures, "can_draw", lambda: False)
    monkeypatch.setattr(figures, "_left_out", [])
    compare(*map(str, folders), None, outputs=[str(tmp_path / "page.html"), str(tmp_path / "again.html")])
    page = (tmp_path / "page.html").read_text()
    assert "<table>" in page
    assert "<img" not in page
    assert capsys.readouterr().err.count("left out: the plots of the page") == 1


def test_what_cannot_be_is_refused(folders, capsys):
    with pytest.raises(ConfigError, match=r"must end in \.json, \.md, \.csv, \.html, \.png"):
        compare(*map(str, folders), None, outputs=["out.txt"])
    assert main(["compare", *map(str, folders), "--no_model", "--region", "3", "2"]) == 2
    assert "BEGIN before END" in capsys.readouterr().err
    assert main(["compare", *map(str, folders), "--no_model", "--model_dir", "pretrained:commons"]) == 2
    assert "contradict" in capsys.readouterr().err
