"""A study's figures, and what becomes of those that are not there."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import fake_studies as fakes
import numpy as np
import pytest
from scipy import stats

from t5music.errors import DataError
from t5music.evaluation import example_tallies
from t5music.evaluation.example_tallies import Tallies
from t5music.studies.grid import Cell, Stage, Study
from t5music.studies.report.summarise import summarise
from t5music.studies.report.summary import CHOSEN, LEFT_OUT, LITERATURE, REFERENCE, Cost, Problem, Row, Size, Summary
from t5music.studies.stage_folders import Record

COMPOSER, CONTINUE = 0, 1  # columns
SEEDS = (0, 1, 2, 3, 4)  # enough for a test


def row(summary: Summary, name: str) -> Row:
    return next(row for row in summary.rows if row.name == name)


@pytest.fixture
def summary(tmp_path: Path) -> Summary:
    study = fakes.study(seeds=SEEDS)
    return summarise(study, fakes.finished(study, tmp_path))


def test_every_figure_is_of_its_own_runs(summary: Summary):
    for setting, shift in fakes.SHIFTS.items():
        values = [fakes.results(shift, seed)["nottingham_continue"]["bits_per_note"] for seed in SEEDS]
        entry = row(summary, setting).entries[CONTINUE]
        assert [value.value for value in entry.values] == values
        assert entry.mean == pytest.approx(np.mean(values), rel=1e-12)
        assert entry.deviation == pytest.approx(np.std(values, ddof=1), rel=1e-9)


def test_differences_are_tested_against_the_baseline_over_seeds(summary: Summary):
    baseline = list(row(summary, fakes.BASELINE).entries[COMPOSER].finished.values())
    others = [name for name in fakes.SHIFTS if name != fakes.BASELINE]
    p_values = {}
    for name in others:
        entry = row(summary, name).entries[COMPOSER]
        ours = list(entry.finished.values())
        assert entry.rival == fakes.BASELINE
        assert entry.difference == pytest.approx(np.mean(np.subtract(ours, baseline)), rel=1e-9)
        assert entry.interval is not None
        assert entry.interval.low < entry.difference < entry.interval.high
        assert not entry.interval.pieces
        p_values[name] = stats.ttest_rel(ours, baseline).pvalue
        assert entry.p == pytest.approx(p_values[name], rel=1e-9)
    # By hand: the least of three is taken three times, the next twice; none is less than one before it.
    first, second, third = sorted(others, key=p_values.__getitem__)
    assert row(summary, first).entries[COMPOSER].corrected == pytest.approx(3 * p_values[first])
    assert row(summary, second).entries[COMPOSER].corrected == pytest.approx(
        max(3 * p_values[first], 2 * p_values[second])
    )
    assert row(summary, third).entries[COMPOSER].corrected >= p_values[third]
    assert row(summary, fakes.BASELINE).entries[COMPOSER].p is None


def test_a_lower_figure_is_better_where_it_is_bits(summary: Summary):
    worse, better = row(summary, fakes.WORSE), row(summary, fakes.LONG)
    assert worse.entries[COMPOSER].difference < 0 < worse.entries[CONTINUE].difference
    assert [entry.verdict for entry in worse.entries] == ["-", "-"]
    assert [entry.verdict for entry in better.entries] == ["+", "+"]
    assert [entry.best for entry in better.entries] == [True, True]


def test_references_and_the_literature_are_no_competitors(summary: Summary):
    majority, paper = row(summary, "majority class"), row(summary, "a paper, 2021")
    assert [majority.kind, paper.kind] == [REFERENCE, LITERATURE]
    assert [majority.entries[COMPOSER].mean, paper.entries[COMPOSER].mean] == [0.2222, 0.7857]
    assert [majority.entries[CONTINUE].status, paper.entries[CONTINUE].status] == [LEFT_OUT] * 2
    assert not paper.entries[COMPOSER].best  # though it is
    assert not paper.entries[COMPOSER].bold


def test_shared_stages_are_counted_once(tmp_path: Path):
    study = fakes.study()
    shared = {seed: fakes.stages_of(fakes.BASELINE, seed)["pretrain"] for seed in study.seeds}
    cells = []
    for cell in study.cells:  # one pre-training serves all settings
        test = Stage("test", "evaluate", cell.seed, (shared[cell.seed],), configuration=cell.setting)
        cells.append(Cell(cell.setting, cell.seed, {"pretrain": shared[cell.seed], "test": test}))
    study = dataclasses.replace(study, cells=tuple(cells))
    summary = summarise(study, fakes.finished(study, tmp_path))
    assert summary.cost == Cost(3 + 12, 3 + 12, 3e6, 6e12, 15 * 60.0)
    assert all(row.cost == Cost(6, 6, 3e6, 6e12, 6 * 60.0) for row in summary.settings)


def test_a_stage_waits_for_what_stopped_before_it(tmp_path: Path):
    study = fakes.study()
    records = fakes.finished(study, tmp_path)
    fakes.stop(records, fakes.WORSE, 1, {"pretrain": ("failed", "loss is nan"), "finetune": ("missing", "")})
    fakes.stop(records, fakes.LONG, 2, {"finetune": ("running", "")})
    for seed in study.seeds:
        fakes.stop(records, fakes.UNTRAINED, seed, {"finetune": ("missing", "")})
    summary = summarise(study, records)
    failed = row(summary, fakes.WORSE).entries[COMPOSER]
    assert [value.status for value in failed.values] == ["finished", "failed", "finished"]
    assert failed.values[1].reason == "pretrain: loss is nan"
    assert failed.status == "failed"
    assert row(summary, fakes.LONG).entries[COMPOSER].status == "running"
    assert row(summary, fakes.UNTRAINED).entries[COMPOSER].status == "missing"
    assert summary.problems == (
        Problem("failed", "pretrain", "loss is nan", (fakes.WORSE,), (1,)),
        Problem("running", "finetune", "", (fakes.LONG,), (2,)),
        Problem("missing", "finetune", "", (fakes.UNTRAINED,), (0, 1, 2)),
    )


def test_a_stage_that_no_column_reads_is_not_left_out_of_the_problems(tmp_path: Path):
    study = dataclasses.replace(fakes.study(), columns=())
    records = fakes.finished(study, tmp_path)
    fakes.stop(records, fakes.WORSE, 0, {"test": ("failed", "no space left")})
    (problem,) = summarise(study, records).problems
    assert (problem.stage, problem.reason) == ("test", "no space left")


@pytest.mark.parametrize(
    ("results", "reason"),
    [
        ({}, "test: no pianist8_composer/accuracy in its results"),
        ({"pianist8_composer": {"accuracies": 1.0}}, "did you mean 'pianist8_composer/accuracies'?"),
        ({"pianist8_composer": {"accuracy": float("nan")}}, "test: pianist8_composer/accuracy is nan"),
    ],
)
def test_a_figure_that_a_finished_stage_lacks_is_a_failure(
    tmp_path: Path, results: dict[str, dict[str, float]], reason: str
):
    study = dataclasses.replace(fakes.study(columns=fakes.COLUMNS[:1]), references={})
    records = fakes.finished(study, tmp_path)
    stage = fakes.stages_of(fakes.WORSE, 0)["test"]
    records[stage.fingerprint] = dataclasses.replace(records[stage.fingerprint], results=results)
    summary = summarise(study, records)
    value = row(summary, fakes.WORSE).entries[COMPOSER].values[0]
    assert (value.value, value.status) == (None, "failed")
    assert reason in value.reason
    assert [(problem.status, problem.rows, problem.seeds) for problem in summary.problems] == [
        ("failed", (fakes.WORSE,), (0,))
    ]


def test_a_stage_without_a_record_is_missing():
    summary = summarise(fakes.study(), {})
    assert {entry.status for row in summary.settings for entry in row.entries} == {"missing"}
    assert summary.cost == Cost(33, 0, 0.0, 0.0, 0.0)


def test_settings_may_have_seeds_of_their_own(tmp_path: Path):
    study = fakes.study()
    more = tuple(Cell(fakes.BASELINE, seed, fakes.stages_of(fakes.BASELINE, seed)) for seed in (3, 4))
    study = dataclasses.replace(study, cells=(*more, *study.cells))
    summary = summarise(study, fakes.finished(study, tmp_path))
    assert list(row(summary, fakes.BASELINE).entries[COMPOSER].finished) == [0, 1, 2, 3, 4]
    entry = row(summary, fakes.WORSE).entries[COMPOSER]
    assert len(entry.values) == 3
    in_common = [row(summary, fakes.BASELINE).entries[COMPOSER].finished[seed] for seed in (0, 1, 2)]
    assert entry.difference == pytest.approx(np.mean(np.subtract(list(entry.finished.values()), in_common)), rel=1e-9)


def test_a_reference_of_no_model_is_shown_where_the_baseline_failed(tmp_path: Path):
    study = fakes.study()
    records = fakes.finished(study, tmp_path)
    for seed in study.seeds:
        fakes.stop(records, fakes.BASELINE, seed, {"pretrain": ("failed", "corpus 'lakh' is not built")})
    majority = row(summarise(study, records), "majority class").entries[COMPOSER]
    assert (majority.mean, majority.deviation, majority.status) == (pytest.approx(0.2222), 0.0, "finished")

    study = dataclasses.replace(study, references={"model": {"composer": "test/pianist8_composer/accuracy"}})
    assert row(summarise(study, records), "model").entries[COMPOSER].status == "failed", "it is the baseline's own"


def test_a_reference_of_another_evaluation_is_not_taken(tmp_path: Path):
    study = fakes.study(settings=(fakes.BASELINE, fakes.WORSE))
    cells = []
    for cell in study.cells:
        bindings = () if cell.setting == fakes.BASELINE else ("MIXTURE_OR_TASK_NAME = 'other'",)
        stages = {**cell.stages, "test": dataclasses.replace(cell.stages["test"], bindings=bindings)}
        cells.append(dataclasses.replace(cell, stages=stages))
    study = dataclasses.replace(study, cells=tuple(cells))
    records = fakes.finished(study, tmp_path)
    for seed in study.seeds:
        fakes.stop(records, fakes.BASELINE, seed, {"pretrain": ("failed", "no corpus")})
    assert row(summarise(study, records), "majority class").entries[COMPOSER].status == "failed"


def test_fewer_than_five_seeds_have_an_effect_and_an_interval_and_no_test(tmp_path: Path):
    study = fakes.study(seeds=(0, 1, 2))
    summary = summarise(study, fakes.finished(study, tmp_path))
    entry = row(summary, fakes.WORSE).entries[COMPOSER]
    differences = [
        entry.finished[seed] - row(summary, fakes.BASELINE).entries[COMPOSER].finished[seed] for seed in study.seeds
    ]
    assert (entry.interval.low, entry.interval.high) == pytest.approx((min(differences), max(differences)))
    assert (entry.p, entry.corrected, entry.verdict) == (None, None, "")
    assert [each.name for each in summary.settings if each.entries[COMPOSER].bold] == [fakes.LONG]


def test_rows_are_compared_with_the_best_control_of_each_column(tmp_path: Path):
    """One control is the better one by accuracy, the other by bits: neither helps the others by being weak."""
    study = dataclasses.replace(fakes.study(seeds=SEEDS), controls=(fakes.WORSE, fakes.UNTRAINED))
    records = fakes.finished(study, tmp_path)
    for seed in SEEDS:
        results = records[fakes.stages_of(fakes.UNTRAINED, seed)["test"].fingerprint].results
        results["pianist8_composer"]["accuracy"] = 0.55 + 0.001 * seed
    summary = summarise(study, records)
    baseline = row(summary, fakes.BASELINE)
    assert [entry.rival for entry in baseline.entries] == [fakes.UNTRAINED, fakes.WORSE]
    for entry, rival in zip(baseline.entries, (fakes.UNTRAINED, fakes.WORSE), strict=True):
        control = row(summary, rival).entries[summary.study.columns.index(entry.column)]
        assert entry.difference == pytest.approx(entry.mean - control.mean, rel=1e-9)
    for control in study.controls:
        assert {(entry.rival, entry.difference, entry.p) for entry in row(summary, control).entries} == {
            ("", None, None)
        }


def with_validation(study: Study, root: Path, figures: dict[str, float]) -> dict[str, Record]:
    """Records whose tests say by what validation accuracy, or 10 minus it as loss, their checkpoint was chosen."""
    records = fakes.finished(study, root)
    for cell in study.cells:
        results = records[cell.stages["test"].fingerprint].results
        results["pianist8_composer"]["validation_accuracy"] = figures[cell.setting]
        results["nottingham_continue"]["validation_loss"] = 10 - figures[cell.setting]
    return records


def test_a_row_has_the_test_figures_of_the_setting_that_validation_chose(tmp_path: Path):
    """Not those of the setting that is best on the test set."""
    settings = (fakes.WORSE, fakes.LONG)
    study = dataclasses.replace(fakes.study(), chosen={"by validation": settings})
    figures = dict.fromkeys(study.settings, 0.0) | {fakes.WORSE: 0.8, fakes.LONG: 0.7, fakes.BASELINE: 0.9}
    summary = summarise(study, with_validation(study, tmp_path, figures))
    chosen = row(summary, "by validation")
    assert chosen.kind == CHOSEN
    assert [entry.choice for entry in chosen.entries] == [fakes.WORSE, fakes.WORSE]
    assert [entry.mean for entry in chosen.entries] == [entry.mean for entry in row(summary, fakes.WORSE).entries]
    assert not any(entry.bold or entry.best for entry in chosen.entries)


def test_nothing_is_chosen_where_a_validation_figure_is_missing(tmp_path: Path):
    study = dataclasses.replace(fakes.study(), chosen={"by validation": (fakes.WORSE, fakes.LONG)})
    records = with_validation(study, tmp_path, dict.fromkeys(study.settings, 0.5))
    del records[fakes.stages_of(fakes.LONG, 1)["test"].fingerprint].results["pianist8_composer"]["validation_accuracy"]
    entries = row(summarise(study, records), "by validation").entries
    assert [entry.mean is None for entry in entries] == [True, False]


def test_the_size_of_a_test_set_and_what_so_few_can_tell(tmp_path: Path):
    """37 pieces, of which the baseline gets about 60 % right: a standard error of 8.06 points."""
    study = fakes.study()
    records = fakes.finished(study, tmp_path)
    for record in records.values():
        for results in record.results.values():
            results["examples"] = 37.0
    sizes = summarise(study, records).sizes
    share = row(summarise(study, records), fakes.BASELINE).entries[COMPOSER].mean
    assert sizes[COMPOSER] == Size(37, None, pytest.approx((share * (1 - share) / 37) ** 0.5))
    assert sizes[COMPOSER].error == pytest.approx(0.0806, abs=5e-4)
    assert summarise(study, fakes.finished(study, tmp_path)).sizes == (None, None)


def test_an_interval_is_over_pieces_too_where_the_stages_have_written_them(tmp_path: Path):
    """Ten pieces: the baseline gets the first six right, the other the first eight, with every seed."""
    study = fakes.study(settings=(fakes.BASELINE, fakes.WORSE))
    records = fakes.finished(study, tmp_path)
    for cell in study.cells:
        right = 6 if cell.setting == fakes.BASELINE else 8
        record = records[cell.stages["test"].fingerprint]
        record.results["pianist8_composer"]["accuracy"] = right / 10
        tallies = Tallies([1.0] * right + [0.0] * (10 - right), [1.0] * 10)
        content = example_tallies.to_json({"pianist8_composer": {"accuracy": tallies}})
        record.folder.mkdir(parents=True)
        (record.folder / "eval_test_examples.json").write_text(json.dumps(content))
    composer, bits = row(summarise(study, records), fakes.WORSE).entries
    assert composer.interval.pieces
    assert not bits.interval.pieces
    assert composer.difference == pytest.approx(0.2)
    # Of ten draws, the two pieces that differ are drawn k times with the odds of a binomial of 1/5: 0 to 4.
    odds = stats.binom(10, 0.2)
    assert (composer.interval.low, composer.interval.high) == (odds.ppf(0.025) / 10, odds.ppf(0.975) / 10)


def test_damaged_tallies_are_named(tmp_path: Path):
    study = fakes.study(settings=(fakes.BASELINE, fakes.WORSE))
    records = fakes.finished(study, tmp_path)
    for record in records.values():
        record.folder.mkdir(parents=True)
        (record.folder / "eval_test_examples.json").write_text("[1, 2")
    with pytest.raises(DataError, match=r"eval_test_examples.json cannot be read .*run the study again"):
        summarise(study, records)
