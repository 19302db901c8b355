"""Terms: what all data have in common is said only where all of them are known."""

from __future__ import annotations

import dataclasses

from hypothesis import given
from hypothesis import strategies as st

from t5music import json_files, terms
from t5music.terms import Terms, TrainingRun

TEXT = st.text(max_size=4)
TERMS = st.builds(Terms, TEXT, TEXT, st.sampled_from(["", "cc0-1.0", "cc-by-4.0"]), st.sampled_from(["", "CC0"]))
RUNS = st.lists(st.builds(TrainingRun, TEXT, st.lists(TERMS, max_size=2).map(tuple)), max_size=3)


@given(RUNS)
def test_what_is_said_of_all_holds_of_each(runs: list[TrainingRun]):
    data = [each for run in runs for each in run.data]
    licence = terms.shared_licence(runs)
    if licence:
        assert data
        assert {each.licence_id for each in data} == {licence}
        assert all(run.data for run in runs)
    if terms.all_permissive(runs):
        assert data
        assert all(each.permissive for each in data)
        assert all(run.data for run in runs)


@given(RUNS, st.integers(0, 9))
def test_a_run_that_begins_from_others_knows_their_steps(runs: list[TrainingRun], steps: int):
    ended = terms.ended(runs, steps)
    assert [run.task for run in ended] == [run.task for run in runs]
    assert [run.steps for run in ended[-1:]] == [steps] * bool(runs)
    assert ended[:-1] == tuple(runs[:-1])


@given(RUNS)
def test_runs_come_back_from_json_and_are_named_once(runs: list[TrainingRun]):
    values = [dataclasses.asdict(run) for run in runs]
    assert json_files.parse_value(tuple[TrainingRun, ...], values, "trained_on") == tuple(runs)
    assert terms.distinct([*runs, *runs]) == terms.distinct(runs)


def test_one_unknown_corpus_leaves_no_licence_that_holds():
    free = Terms("bach", "CC0", "cc0-1.0", "CC0")
    assert terms.shared_licence([TrainingRun("a", (free,)), TrainingRun("b", (free,))]) == "cc0-1.0"
    assert terms.all_permissive([TrainingRun("a", (free,))])
    for other in (TrainingRun("b"), TrainingRun("b", (Terms("mine"),))):
        assert terms.shared_licence([TrainingRun("a", (free,)), other]) == ""
        assert not terms.all_permissive([TrainingRun("a", (free,)), other])
    assert terms.shared_licence([]) == ""
    assert not terms.all_permissive([])
