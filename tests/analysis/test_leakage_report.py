"""The leakage report of a model's card: a test piece that the training music holds as well is counted and named."""

from __future__ import annotations

import csv
import dataclasses
from pathlib import Path

import numpy as np
import pytest
import tiny_models

from t5music.analysis import leakage_report, originality, run_fingerprints
from t5music.analysis.run_fingerprints import FILE, GUARANTEED, RUN
from t5music.cli.main import main
from t5music.data.examples import Continue
from t5music.inference import trained_model
from t5music.inference.model_card import Leakage, SharedMusic
from t5music.music import midi
from t5music.music.score import DRUMS, Score
from t5music.terms import Terms, TrainingRun

TRAINED_ON = (TrainingRun("mine", (Terms("mine", "CC0 1.0"),)),)


def new_opening(score: Score, bars: int, seed: int) -> Score:
    """The music after an opening of other music, so that splits by openings would not keep the two together."""
    opening = tiny_models.band(seed, bars)
    notes = score.notes.copy()
    notes["onset"] += opening.end_tick // (4 * 480) * 4 * 480
    return dataclasses.replace(score, notes=[*opening.notes.tolist(), *notes.tolist()])


def splits_of(folder: Path, splits: dict[str, str]) -> None:
    with (folder / "labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("file", "split"), *((f"{name}.mid", split) for name, split in splits.items())])


@pytest.fixture(scope="module")
def leaking(tmp_path_factory: pytest.TempPathFactory):
    """Six pieces as `mine`, of which two test pieces are training pieces in another key, one behind a new opening.

    Returns the number of pitched notes of the training piece.
    """
    folder = tmp_path_factory.mktemp("music")
    music = {f"train{seed}": tiny_models.band(seed, bars=20) for seed in range(3)}
    music["copy"] = music["train1"].transpose(2)
    music["quotation"] = new_opening(music["train2"], 8, seed=70)
    music["new"] = tiny_models.band(99, bars=20)
    for name, score in music.items():
        midi.write(score, folder / f"{name}.mid")
    splits_of(folder, {name: "train" if name.startswith("train") else "test" for name in music})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("T5MUSIC_DATA", str(tmp_path_factory.mktemp("data")))
        assert main(["compile", "--midi", str(folder), "--name", "mine", "--labels", "none", "--workers", "1"]) == 0
        yield int((music["train1"].notes["program"] != DRUMS).sum())


def test_what_leaks_is_counted_and_the_longest_named(leaking: int):
    leakage, music = leakage_report.measure(TRAINED_ON)
    assert music is not None
    (shared,) = leakage.test_sets
    assert (shared.corpus, shared.pieces, shared.sharing, shared.sharing_long) == ("mine", 3, 2, 2)
    assert {shared.piece: shared.training_piece}.items() <= {
        ("copy.mid", "mine/train1.mid"),
        ("quotation.mid", "mine/train2.mid"),
    }
    assert leaking - 2 * run_fingerprints.WINDOW < shared.longest <= leaking
    assert (leakage.shortest, leakage.certain, leakage.not_measured) == (RUN + 1, GUARANTEED, "")


def test_the_report_stands_in_the_card_of_every_export(leaking: int, tmp_path: Path):
    run = tiny_models.write_run(tmp_path / "run", {"continue": Continue("pop", "remi")}, trained_on=TRAINED_ON)
    for flags in ([], ["--fingerprints"]):
        assert main(["export", "--model_dir", str(run), "--to", str(tmp_path / "model"), "--force", *flags]) == 0
        card = (tmp_path / "model" / "README.md").read_text()
        assert "## Test music that is also in the training music" in card
        (row,) = [line for line in card.splitlines() if line.startswith("| mine | 3 |")]
        assert row.startswith("| mine | 3 | 2 | 2 | ")
        assert (tmp_path / "model" / FILE).is_file() == bool(flags)


@pytest.mark.parametrize(
    ("trained_on", "reason"),
    [
        ((), "it is not known what all of its training music was"),
        ((*TRAINED_ON, TrainingRun("unknown")), "it is not known what all of its training music was"),
        (
            (*TRAINED_ON, TrainingRun("piano", (Terms("maestro"), Terms("asap")))),
            "maestro, asap could not be read on the machine that exported the model",
        ),
    ],
)
def test_what_was_not_measured_is_said(leaking: int, trained_on: tuple[TrainingRun, ...], reason: str):
    assert leakage_report.measure(trained_on) == (Leakage(not_measured=reason), None)


def test_more_pieces_than_fingerprints_hold_are_said(leaking: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(run_fingerprints, "MOST_PIECES", 2)
    reason = "fingerprints are of 2 pieces at most, and there are more"
    assert leakage_report.measure(TRAINED_ON) == (Leakage(not_measured=reason), None)


def test_music_that_shares_nothing_has_no_longest(leaking: int, monkeypatch: pytest.MonkeyPatch):
    nothing = run_fingerprints.RunFingerprints.of([])
    leakage, _ = leakage_report.measure(TRAINED_ON, originality.TrainingMusic(nothing, ()))
    (shared,) = leakage.test_sets
    assert shared == SharedMusic("mine", 3, 0, 0, 0, "", "")


def test_instruments_are_known_that_have_a_thousandth_of_the_training_music(
    leaking: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    pieces = [tiny_models.band(seed, bars=20).notes["program"] for seed in range(3)]
    programs, counts = np.unique(np.concatenate(pieces), return_counts=True)
    run = tiny_models.write_run(tmp_path / "run", {"continue": Continue("pop", "remi")}, trained_on=TRAINED_ON)
    for rare, expected in ((0.001, programs), (counts.min() / counts.sum() + 1e-9, programs[counts > counts.min()])):
        monkeypatch.setattr(originality, "RARE", rare)
        assert main(["export", "--model_dir", str(run), "--to", str(tmp_path / "model"), "--force"]) == 0
        assert trained_model.load(tmp_path / "model").programs == tuple(expected.tolist())


def test_of_a_run_or_without_its_music_it_is_not_known_which_instruments_it_knows(leaking: int, tmp_path: Path):
    elsewhere = (TrainingRun("piano", (Terms("maestro"),)),)
    run = tiny_models.write_run(tmp_path / "run", {"continue": Continue("pop", "remi")}, trained_on=elsewhere)
    assert main(["export", "--model_dir", str(run), "--to", str(tmp_path / "model")]) == 0
    assert trained_model.load(run).programs is None
    assert trained_model.load(tmp_path / "model").programs is None
