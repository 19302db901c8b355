"""Declarations: names are unique, mixtures name tasks, and listeners hear of all of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from t5music.data import answer_metrics, declaration
from t5music.data.declaration import Anything, Declaration, add_mixture, add_task
from t5music.data.examples import Continue, Pieces
from t5music.data.mixing_rates import EQUAL, Proportional
from t5music.data.objectives import SpanCorruption
from t5music.errors import ConfigError, DataError


@pytest.fixture(autouse=True)
def registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing is declared."""
    for name, empty in (("TASKS", {}), ("MIXTURES", {}), ("_listeners", [])):
        monkeypatch.setattr(declaration, name, empty)
    return


def test_a_task_is_what_was_declared():
    add_task("one", "bach", Continue("chorale", "remi"))
    add_task("two", ["bach", "folk"], Pieces("remi"), [SpanCorruption()], apart_from=["jazz"])
    assert declaration.get_task("one") == Declaration(
        "one", ("bach",), Continue("chorale", "remi"), (), ("word_accuracy",)
    )
    two = declaration.get_task("two")
    assert (two.corpora, two.objectives, two.apart_from) == (("bach", "folk"), (SpanCorruption(),), ("jazz",))
    assert two.metrics == (), "noise has a loss alone"
    add_task("one", "bach", Continue("chorale", "remi"))
    with pytest.raises(ConfigError, match="'one' is declared already: choose another name"):
        add_task("one", "folk", Continue("chorale", "remi"))
    with pytest.raises(DataError, match="unknown task 'ones'; did you mean 'one'"):
        declaration.get_task("ones")


def test_a_mixture_is_of_tasks():
    add_task("one", "bach", Pieces("remi"))
    add_mixture("both", {"one": EQUAL})
    assert [task.name for task in declaration.tasks_of("both")] == ["one"]
    assert [task.name for task in declaration.tasks_of("one")] == ["one"]
    for name, rates, message in (
        ("other", {"two": EQUAL}, "no task 'two' is declared"),
        ("other", {}, "at least one task"),
        ("both", {"one": Proportional()}, "declared already"),
        ("one", {"one": EQUAL}, "declared already"),
    ):
        with pytest.raises(ConfigError, match=message):
            add_mixture(name, rates)
    with pytest.raises(DataError, match="unknown task or mixture 'bot'; did you mean 'both'"):
        declaration.tasks_of("bot")


def test_listeners_hear_of_what_is_there_and_of_what_comes_and_goes():
    add_task("one", "bach", Pieces("remi"))
    news: list[tuple[str, bool]] = []

    def listener(declared: Anything, is_declared: bool) -> None:
        news.append((declared.name, is_declared))

    declaration.listen(listener)
    add_mixture("both", {"one": EQUAL})
    add_task("one", "bach", Pieces("remi"))
    declaration.remove(["one", "both", "neither"])
    assert news == [("one", True), ("both", True), ("both", False), ("one", False)]
    assert not declaration.TASKS
    assert not declaration.MIXTURES


def test_metrics_that_nothing_measures_are_refused(monkeypatch: pytest.MonkeyPatch):
    class Mine(Continue):
        metrics = ("blue",)

    with pytest.raises(DataError, match=r"unknown metric 'blue' .*did you mean 'bleu'"):
        add_task("mine", "bach", Mine("chorale", "remi"))

    def blue(targets: list[str], predictions: list[str]) -> dict[str, float]:
        return {}

    monkeypatch.setitem(answer_metrics.METRICS, "blue", blue)
    with pytest.raises(ConfigError, match="its metrics judge answers, and 'span_corruption' keeps none"):
        add_task("mine", "bach", Mine("chorale", "remi"), [SpanCorruption()])
    add_task("mine", "bach", Mine("chorale", "remi"))
    assert declaration.get_task("mine").metrics == ("blue",)
