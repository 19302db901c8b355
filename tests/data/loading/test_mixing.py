"""Rates and turns: T5's formulas, exact shares at every point of the schedule."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from t5music.data.loading.mixing_order import Schedule, lane_starts, resolve
from t5music.data.mixing_rates import EQUAL, Constant, Proportional, Rate, Together, from_config
from t5music.errors import ConfigError, DataError


def test_equal_and_constant():
    assert resolve({"a": EQUAL, "b": EQUAL}, {"a": 5, "b": 500}) == {"a": 0.5, "b": 0.5}
    assert resolve({"a": Constant(1), "b": Constant(3)}, {"a": 5, "b": 500}) == {"a": 0.25, "b": 0.75}


@pytest.mark.parametrize(
    ("rate", "shares"),
    [
        (Proportional(), [0.1, 0.9]),
        (Proportional(maximum=100), [0.5, 0.5]),
        (Proportional(maximum=300), [0.25, 0.75]),
        (Proportional(temperature=2.0), [0.25, 0.75]),  # sqrt(100) : sqrt(900)
        (Proportional(maximum=400, temperature=2.0), [1 / 3, 2 / 3]),
    ],
)
def test_examples_proportional_mixing(rate, shares):
    made = resolve({"small": rate, "big": rate}, {"small": 100, "big": 900})
    assert list(made.values()) == pytest.approx(shares)


def test_mixtures_that_make_no_sense_are_errors():
    with pytest.raises(ConfigError, match="at least one task"):
        resolve({}, {})
    with pytest.raises(ConfigError, match="'empty' has mixing rate 0"):
        resolve({"empty": Proportional(), "full": EQUAL}, {"empty": 0, "full": 3})
    for make in (
        lambda: Constant(0),
        lambda: Constant(float("nan")),
        lambda: Proportional(0),
        lambda: Proportional(temperature=0),
    ):
        with pytest.raises(ConfigError):
            make()


def test_corpora_that_are_one_member_have_one_share_whatever_they_are_made_of():
    """As T5's unsupervised text: of two members, alike, one half each, be the music of one corpus or of two."""
    music = Together(("web", "piano"), EQUAL)
    assert resolve({"web": music, "piano": music, "composer": EQUAL}, {"web": 300, "piano": 100, "composer": 7}) == {
        "web": 0.375,
        "piano": 0.125,
        "composer": 0.5,
    }


def test_one_cap_holds_for_corpora_together():
    rate = Proportional(maximum=100)
    music = Together(("web", "piano"), rate)
    shares = resolve({"web": music, "piano": music, "composer": rate}, {"web": 300, "piano": 100, "composer": 50})
    assert shares == pytest.approx({"web": 0.5, "piano": 1 / 6, "composer": 1 / 3})  # 75, 25, 50


rates_of_members = st.one_of(
    st.builds(Constant, st.floats(0.01, 10)),
    st.builds(Proportional, st.none() | st.integers(1, 500), st.floats(0.5, 8)),
)


@given(st.lists(st.integers(1, 1000), min_size=1, max_size=6), st.integers(1, 1000), rates_of_members, rates_of_members)
def test_tasks_together_mix_as_one_task_with_all_their_examples(sizes, other, rate, other_rate):
    parts = {f"part {number}": size for number, size in enumerate(sizes)}
    together = Together(tuple(parts), rate)
    apart = resolve(dict.fromkeys(parts, together) | {"other": other_rate}, parts | {"other": other})
    whole = resolve({"whole": rate, "other": other_rate}, {"whole": sum(sizes), "other": other})
    assert apart["other"] == pytest.approx(whole["other"])
    for part, size in parts.items():
        assert apart[part] == pytest.approx(whole["whole"] * size / sum(sizes))


def test_a_rate_in_place_of_a_mixtures_own_leaves_members_together():
    music: Rate = Together(("a", "b"), Proportional())
    assert music.replaced_by(EQUAL) == Together(("a", "b"), EQUAL)
    assert Proportional().replaced_by(EQUAL) == EQUAL


def test_tasks_together_must_be_there():
    music = Together(("web", "piano"), EQUAL)
    with pytest.raises(ConfigError, match="lacks task 'piano'"):
        resolve({"web": music}, {"web": 3})
    with pytest.raises(ConfigError, match="'composer' is none of those"):
        resolve({"composer": music}, {"composer": 3})
    with pytest.raises(ConfigError, match="each named once"):
        Together(("web", "web"), EQUAL)
    with pytest.raises(ConfigError, match="'web' has mixing rate 0"):
        resolve(dict.fromkeys(music.tasks, music), dict.fromkeys(music.tasks, 0))


@pytest.mark.parametrize(
    "rate",
    [EQUAL, Constant(2.5), Proportional(), Proportional(2**16, 4.0), Together(("a", "b"), Proportional(2**16, 4.0))],
)
def test_configs_are_json_and_come_back(rate):
    assert from_config(json.loads(json.dumps(rate.to_config()))) == rate


def test_configs_of_other_kinds():
    with pytest.raises(DataError, match="did you mean 'proportional'"):
        from_config({"name": "proportionate"})
    with pytest.raises(DataError, match="max is unknown"):
        from_config({"name": "proportional", "max": 3})
    with pytest.raises(DataError, match="rate is missing"):
        from_config({"name": "together", "tasks": ["a"]})
    with pytest.raises(DataError, match="unknown mixing rate 'half'"):
        from_config({"name": "together", "tasks": ["a"], "rate": {"name": "half"}})


@given(st.lists(st.floats(0.01, 100), min_size=1, max_size=7), st.integers(1, 400))
def test_every_task_is_always_within_one_draw_of_its_share(rates, draws):
    shares = np.array(rates) / sum(rates)
    schedule = Schedule(shares.tolist())
    for draw in range(1, draws + 1):
        schedule.next()
        assert sum(schedule.counts) == draw
        assert (np.abs(np.array(schedule.counts) - shares * draw) < 1).all()


@given(st.lists(st.floats(0.05, 1), min_size=2, max_size=5), st.integers(0, 200))
def test_the_counts_are_the_whole_position(rates, draws):
    shares = [rate / sum(rates) for rate in rates]
    one, other = Schedule(shares), Schedule(shares)
    for _ in range(draws):
        one.next()
    other.seek(one.counts)
    assert [one.next() for _ in range(50)] == [other.next() for _ in range(50)]


def test_literal_turns():
    schedule = Schedule([0.5, 0.25, 0.25])
    assert sorted(schedule.next() for _ in range(4)) == [0, 0, 1, 2]
    assert [Schedule([1.0]).next() for _ in range(3)] == [0, 0, 0]


def test_lanes_start_at_different_places_of_one_schedule():
    shares = [0.5, 0.3, 0.2]
    schedule = Schedule(shares)
    positions = [tuple(schedule.counts)]
    for _ in range(100):
        schedule.next()
        positions.append(tuple(schedule.counts))
    starts = lane_starts(shares, 4)
    assert set(starts) <= set(positions)
    assert [sum(start) for start in starts] == [0, 1, 2, 3]
    assert [sum(start) for start in lane_starts([0.99, 0.01], 4)] == [0, 25, 50, 75]
    assert lane_starts([1.0], 2) == [(0,), (1,)]
