"""The declared mixtures: members and rates."""

from __future__ import annotations

import subprocess
import sys

import pytest

from t5music.corpora import catalogue
from t5music.data.declaration import MIXTURES, TASKS, tasks_of
from t5music.data.loading.mixing_order import resolve
from t5music.data.mixing_rates import EQUAL, Constant, Proportional, Together
from t5music.errors import ConfigError
from t5music.tasks import study_mixtures
from t5music.tasks.corpus_styles import DOWNSTREAM


def members(name: str) -> set[str]:
    return {task.name for task in tasks_of(name)}


def rates(name: str) -> set[object]:
    """The rates of the members; of tasks together, that of all of them."""
    return {rate.rate if isinstance(rate, Together) else rate for rate in MIXTURES[name].rates.values()}


def test_a_mixture_holds_the_tasks_that_its_name_says():
    assert members("pretrain_folk") == {"nottingham_span_corruption", "ryans_mammoth_span_corruption"}
    assert members("pretrain_folk_apart") == {"nottingham_span_corruption_apart", "ryans_mammoth_span_corruption_apart"}
    assert members("downstream") == {
        "pianist8_composer",
        "emopia_emotion",
        "adl_piano_genre",
        "pop909_melody",
        "pop909_velocity",
        "pop909_continue",
        "pop909_infill",
        "jsb_chorales_accompany",
    }
    assert members("downstream_without_composer") == members("downstream") - {"pianist8_composer"}
    assert members("multitask_folk") == members("downstream") | members("pretrain_folk_apart")
    assert members("multitask_folk_without_infill") == members("multitask_folk") - {"pop909_infill"}
    assert members("pretrain_classical_piano") == {
        f"{corpus}_performance_span_corruption" for corpus in ("maestro", "asap", "giantmidi")
    }


def test_all_is_the_sum_of_the_families():
    families = [members(f"pretrain_{family}") for family in study_mixtures.FAMILIES if family != "all"]
    assert members("pretrain_all") == set().union(*families)
    assert len(members("pretrain_all")) == sum(map(len, families))
    assert "nes_continue" in members("continue_everything")
    assert members("accompany_everything") == {
        "jsb_chorales_accompany",
        "nottingham_accompany",
        "pop909_accompany",
    }


def test_free_music_is_all_free():
    corpora = {corpus for task in tasks_of("pretrain_permissive") for corpus in task.corpora}
    assert corpora == {"openscore_lieder", "openscore_string_quartets", "pdmx"}
    assert all(catalogue.get(name).permissive for name in corpora)


@pytest.mark.parametrize("name", ["pretrain_all", "downstream", "multitask_games", "continue_everything"])
def test_every_mixture_comes_with_every_rate(name: str):
    assert rates(name) == {Proportional()}
    assert rates(f"{name}_equal") == {EQUAL}
    for power in range(16, 22):
        assert rates(f"{name}_k{power}") == {Proportional(maximum=2**power)}
    for temperature in (2, 4, 8):
        assert rates(f"{name}_t{temperature}") == {Proportional(maximum=2**21, temperature=temperature)}
    assert len({frozenset(members(name + suffix)) for suffix in study_mixtures.RATES}) == 1


@pytest.mark.parametrize("name", sorted(name for name in MIXTURES if "multitask_" in name))
def test_unsupervised_music_is_one_member_of_every_multitask_mixture(name: str):
    """Equal rates give it one share of as many as there are members, whatever the family."""
    music = {task for task in MIXTURES[name].rates if "_span_corruption_" in task}
    tasks = MIXTURES[name].rates.keys() - music
    together = {rate for task, rate in MIXTURES[name].rates.items() if task in music}
    assert len(together) == 1
    if len(music) > 1:
        assert set(together.pop().tasks) == music
    equal = {task: rate.replaced_by(EQUAL) for task, rate in MIXTURES[name].rates.items()}
    shares = resolve(equal, {task: 10 + number for number, task in enumerate(equal)})
    assert sum(shares[task] for task in music) == pytest.approx(1 / (len(tasks) + 1))
    assert all(shares[task] == pytest.approx(1 / (len(tasks) + 1)) for task in tasks)


def shares(name: str) -> dict[str, float]:
    return resolve(MIXTURES[name].rates, dict.fromkeys(MIXTURES[name].rates, 1000))


@pytest.mark.parametrize("scale", ["small", "medium", "paper"])
def test_replay_is_a_share_of_the_examples(scale: str):
    classical, jazz, pop = (f"{scale}_{style}_performances" for style in ("classical", "jazz", "pop"))
    assert members(f"{scale}_classical_jazz_pop") == {classical, jazz, pop}
    assert rates(f"{scale}_classical_jazz_pop") == {EQUAL}
    for percent in (1, 5, 20):
        share = percent / 100
        assert shares(f"{scale}_jazz_replay_{percent}") == pytest.approx({jazz: 1 - share, classical: share})
        assert shares(f"{scale}_pop_replay_{percent}") == pytest.approx(
            {pop: 1 - share, classical: share / 2, jazz: share / 2}
        )


@pytest.mark.parametrize("times", [1, 2, 3, 4, 5, 6])
def test_jazz_melodies_come_with_so_many_times_as_many_folk_melodies(times: int):
    found = shares(f"jazz_melodies_{times}_to_1")
    assert found["nottingham_melody_continue"] == pytest.approx(times * found["jazz_piano_melody_continue"])


def test_rates_mix_as_t5s_do():
    """Three tasks of 2^20, 2^17 and 2^12 examples, by the arithmetic of section 3.5.2."""
    counts = {"a": 2**20, "b": 2**17, "c": 2**12}

    def shares(suffix: str) -> list[float]:
        return list(resolve(dict.fromkeys(counts, study_mixtures.RATES[suffix]), counts).values())

    total = 2**17 + 2**17 + 2**12
    assert shares("_k17") == pytest.approx([2**17 / total, 2**17 / total, 2**12 / total])
    roots = [2**10, 2**8.5, 2**6]
    assert shares("_t2") == pytest.approx([root / sum(roots) for root in roots])
    assert shares("_equal") == pytest.approx([1 / 3] * 3)


def test_one_member_has_nothing_to_mix():
    assert members("pretrain_multitrack") == {"lakh_full_span_corruption"}
    assert "pretrain_multitrack_equal" not in MIXTURES


def test_the_downstream_corpora_are_those_that_apart_keeps_out():
    corpora = {corpus for name in members("downstream") for corpus in TASKS[name].corpora}
    assert corpora == set(DOWNSTREAM)
    assert len(study_mixtures.DOWNSTREAM) == 8


def test_the_quickstarts_mixtures_are_there():
    assert members("quickstart_pretrain") == {
        f"{corpus}_span_corruption" for corpus in ("monteverdi", "ryans_mammoth", "trecento")
    }
    assert members("quickstart_finetune") == {"bach_chorales_continue", "bach_chorales_accompany", "classify_composer"}
    assert rates("quickstart_finetune") == {Constant(1.0)}


def test_a_member_that_does_not_exist_is_an_error():
    with pytest.raises(ConfigError, match="no task 'nothing_at_all' is declared"):
        study_mixtures.declare("broken", ["nothing_at_all"])


@pytest.mark.slow
def test_declaring_everything_takes_no_time():
    """A thousand tasks and mixtures, in less time than importing numpy takes."""
    code = """
import time, t5music.corpora.catalogue, t5music.data.declaration
start = time.process_time()
import t5music.tasks.study_mixtures
print(time.process_time() - start)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 1.0
