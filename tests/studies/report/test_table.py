"""A study's table in Markdown."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import fake_studies as fakes
import pytest
from fake_studies import cells

from t5music.studies.grid import Column
from t5music.studies.report import table
from t5music.studies.report.summarise import summarise
from t5music.studies.report.summary import SETTING, Cost, Entry, Row, Summary, Value


def test_a_study_reads_as_t5s_tables_do(tmp_path: Path):
    study = fakes.study()
    text = table.study_table(summarise(study, fakes.finished(study, tmp_path)))
    assert text.startswith("## Mean length of the corrupted spans\n\n|")
    assert cells(text) == {
        "": ["composer (%) ↑", "continue (bits/note) ↓"],
        "-" * 20: ["-" * 15 + ":", "-" * 23 + ":"],
        "★ 3": ["59.8 ± 0.9", "6.407 ± 0.025"],
        "10": ["52.1 ± 0.9", "6.768 ± 0.028"],
        "i.i.d. ¦ one word": ["**62.7 ± 0.7**", "**6.291 ± 0.012**"],
        "no pre-training": ["48.4 ± 1.6", "6.974 ± 0.028"],
        "*majority class*": ["22.2", "—"],
        "*a paper, 2021*": ["78.6", "—"],
    }
    differences = text.partition("### Difference from ★ 3\n\n")[2].replace("\\[", "[").replace("\\]", "]")
    assert {name: cell for name, cell in cells(differences).items() if not name.startswith("-")} == {
        "": ["composer (%) ↑", "continue (bits/note) ↓"],
        "10": ["-7.7 [-9.6, -6.3]", "+0.361 [+0.316, +0.387]"],
        "i.i.d. ¦ one word": ["+2.8 [+2.1, +3.6]", "-0.116 [-0.135, -0.101]"],
        "no pre-training": ["-11.5 [-13.3, -9.0]", "+0.567 [+0.552, +0.586]"],
    }
    assert "Of fewer than 5 seeds an interval over seeds is little more than their range. No test" in text
    assert "over 3 seeds." in text
    assert "Not finished" not in text
    # 3 seeds of 4 settings, of which one has no pre-training: 21 trainings, 12 tests of a minute each.
    assert text.endswith("\n\nCost: 21 million tokens, 4.2e13 FLOPs, 0.55 hours (33 stages, shared ones counted once).")


def test_one_seed_has_no_deviation_and_no_test(tmp_path: Path):
    study = fakes.study(seeds=(0,))
    text = table.study_table(summarise(study, fakes.finished(study, tmp_path)))
    assert cells(text)["★ 3"] == ["59.5", "6.412"]
    assert "★ baseline; mean over 1 seed. Bold: the column's best; the baseline's fewer than 5 seeds cannot" in text
    assert "Mean difference over the seeds both have. No test: that takes 5 seeds." in text


def test_seeds_of_the_baseline_alone_are_told(tmp_path: Path):
    study = fakes.study()
    more = fakes.study(settings=(fakes.BASELINE,), seeds=(3, 4)).cells
    study = dataclasses.replace(study, cells=(*study.cells, *more))
    text = table.study_table(summarise(study, fakes.finished(study, tmp_path)))
    assert 'over 3 seeds, 5 of "3".' in text


def test_five_seeds_have_a_deviation_and_a_test(tmp_path: Path):
    study = fakes.study(seeds=range(5))
    text = table.study_table(summarise(study, fakes.finished(study, tmp_path)))
    assert "Bold: within two standard deviations (the baseline's) of the column's best." in text
    assert "p < 0.05 by a paired t-test over the seeds, after Holm's correction" in text
    differences = cells(text.partition("### Difference from ★ 3\n\n")[2])
    assert all(cell.endswith("*") for cell in differences["no pre-training"])
    assert not any(cell.endswith("*") for cell in cells(text)["no pre-training"])


def test_the_best_control_is_named_where_there_are_several(tmp_path: Path):
    study = dataclasses.replace(fakes.study(), controls=(fakes.WORSE, fakes.UNTRAINED))
    text = table.study_table(summarise(study, fakes.finished(study, tmp_path)))
    differences = cells(text.partition("### Difference from the best control\n\n")[2])
    assert differences[""] == ["composer (%) ↑ from 10", "continue (bits/note) ↓ from 10"]
    assert list(differences)[2:] == ["3", "i.i.d. ¦ one word"]


def test_test_sets_stand_below_with_what_so_few_examples_can_tell(tmp_path: Path):
    columns = (*fakes.COLUMNS, Column("velocity", "test", "midibert_velocity", "note_accuracy"))
    study = fakes.study(columns=columns)
    records = fakes.finished(study, tmp_path)
    for record in records.values():
        for results in record.results.values():
            results |= {"examples": 37.0, "notes": 12345.0}
    text = table.study_table(summarise(study, records))
    assert cells(text)["*test set*"] == ["37 (± 8.1)", "37", "12,345 notes"]
    assert "Test set: examples, with the standard error of the baseline's share" in text


def entry(column: Column, *states: tuple[str, float | None]) -> Entry:
    values = tuple(Value(seed, None, None, value, status) for seed, (status, value) in enumerate(states))
    numbers = [value for _, value in states if value is not None]
    return Entry(column, values, sum(numbers) / len(numbers) if numbers else None, 0.01 if len(numbers) > 1 else None)


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ([("finished", 0.5), ("finished", 0.5)], "50.0 ± 1.0"),
        ([("finished", 0.5), ("running", None)], "50.0 (1 of 2)"),
        ([("finished", 0.5), ("finished", 0.5), ("missing", None)], "50.0 ± 1.0 (2 of 3)"),
        ([("finished", 0.5), ("failed", None), ("missing", None)], "50.0 (1 of 3; 1 failed)"),
        ([("failed", None), ("missing", None)], "failed"),
        ([("running", None), ("missing", None)], "running"),
        ([("missing", None)], "missing"),
        ([("left out", None)], "—"),
    ],
)
def test_a_cell_says_what_is_not_there(states: list[tuple[str, float | None]], expected: str):
    assert table.figure(entry(fakes.COLUMNS[0], *states), SETTING, 1) == expected


@pytest.mark.parametrize(
    ("metric", "means", "decimals"),
    [
        ("accuracy", [0.5], 1),
        ("bits_per_note", [6.4, 6.5], 3),
        ("bits_per_note", [0.02], 3),
        ("perplexity", [9.99, 14.1, 37.2], 2),
        ("perplexity", [2.46, 2.5, 4000.0], 3),  # one that went wrong does not blur the others
        ("perplexity", [631.0], 1),
        ("perplexity", [51234.0], 0),
        ("perplexity", [], 3),
        ("loss_difference", [-12.0], 2),
    ],
)
def test_decimals_are_those_of_a_usual_figure(metric: str, means: list[float], decimals: int):
    column = Column("any", "test", "task", metric)
    rows = tuple(Row(str(mean), SETTING, (Entry(column, mean=mean),)) for mean in means)
    study = dataclasses.replace(fakes.study(), columns=(column,))
    summary = Summary(study, {}, rows, (), Cost(0, 0, 0.0, 0.0, 0.0))
    assert table.decimals_of(summary) == [decimals]


def test_costs_are_in_round_numbers():
    study = fakes.study()
    summary = Summary(study, {}, (), (), Cost(12, 10, 34.5e9, 9.96e17, 5400.0))
    assert table.cost_line(summary) == (
        "Cost: 34.5 billion tokens, 1.0e18 FLOPs, 1.50 hours (10 of 12 stages finished, shared ones counted once)."
    )
