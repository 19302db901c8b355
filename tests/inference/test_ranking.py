"""Variants are ranked by one rule: likelihood under the model and closeness to the music, place by place."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import tiny_models
from hypothesis import given
from hypothesis import strategies as st

from t5music.errors import ConfigError
from t5music.inference import likelihoods, ranking
from t5music.inference.bars import Bars
from t5music.inference.model import Model
from t5music.inference.player import page
from t5music.model import decoding
from t5music.music.score import DRUMS, NOTE, Score
from t5music.server.work import about_result

TASKS = {**tiny_models.ABILITIES, "accompany": tiny_models.Accompany("pop", "remi", ("violin",), bars=2)}


@pytest.fixture(scope="module")
def model() -> Model:
    return Model(tiny_models.trained(TASKS), "tiny")


# --------------------------------------------------------------------------------------------------------------- order

FIGURES = st.lists(
    st.tuples(st.sampled_from([1.0, 2.0, 3.5, math.inf]), st.sampled_from([None, 0.0, 0.5, 1.0])),
    min_size=1,
    max_size=8,
)


@given(figures=FIGURES)
def test_the_smaller_sum_of_places_comes_first(figures):
    bits, shares = zip(*figures, strict=True)
    places = ranking.order(bits, shares)
    assert sorted(places) == list(range(len(figures)))

    def total(index: int) -> int:
        closeness = -math.inf if shares[index] is None else shares[index]
        likelier = sum(other < bits[index] for other in bits)
        closer = sum((-math.inf if other is None else other) > closeness for other in shares)
        return likelier + closer

    for one, other in itertools.pairwise(places):
        assert (total(one), bits[one], one) < (total(other), bits[other], other)


def test_without_music_to_be_close_to_bits_alone_count():
    assert ranking.order([3.0, 1.0, 2.0], [None, None, None]) == [1, 2, 0]


def test_what_is_best_by_both_is_best():
    assert ranking.order([3.0, 1.0, 2.0], [0.2, 0.9, 0.5])[0] == 1
    assert ranking.order([1.0, 2.0, 3.0], [0.1, 0.5, 0.3]) == [1, 0, 2]  # 1 + 3, 2 + 1 and 3 + 2


# ----------------------------------------------------------------------------------------------------------- closeness


def score_of(*rows: tuple[int, int, int, int]) -> Score:
    """(onset, duration, pitch, program) each, at 480 ticks a quarter and 120 quarters a minute."""
    notes = [(onset, duration, pitch, 80, program, 0) for onset, duration, pitch, program in rows]
    return Score(480, np.array(notes, NOTE))


OLD = [(480 * beat, 480, 60 + 2 * beat, 0) for beat in range(4)]  # C D E F#


def test_the_same_again_is_as_close_as_can_be():
    score = score_of(*OLD, *[(1920 + onset, *rest) for onset, *rest in OLD])
    assert ranking.closeness(score, np.arange(8) >= 4) == pytest.approx(1)


def test_closeness_is_the_mean_of_four_shares():
    # Twice as many notes in the same time, two at once: C and the C# above it, so a fifth of the pitch classes' time.
    new = [(1920 + 480 * beat, 480, pitch, 0) for beat in range(4) for pitch in (60, 73)]
    score = score_of(*OLD, *new)
    shares = [0.25, 0.5, 0.5, 7 / 14]  # C; 2 and 4 a second; one and two at once; 60-66 of 60-73
    assert ranking.closeness(score, np.arange(12) >= 4) == pytest.approx(np.mean(shares))
    assert ranking.closeness(score, np.arange(12) >= 4, scale_alone=True) == pytest.approx(0.25)


def test_what_cannot_be_measured_is_left_out():
    drums = [(1920 + 480 * beat, 480, 38, DRUMS) for beat in range(4)]
    score = score_of(*OLD, *drums)
    assert ranking.closeness(score, np.arange(8) >= 4) == pytest.approx(1)  # of density and polyphony
    assert ranking.closeness(score, np.arange(8) >= 4, scale_alone=True) is None
    assert ranking.closeness(score, np.ones(8, bool)) is None
    assert ranking.closeness(score, np.zeros(8, bool)) is None


# ---------------------------------------------------------------------------------------------------------- likelihoods


@pytest.mark.parametrize("task", ["continue", "infill", "accompany", "improvise"])
def test_bits_are_those_of_the_words_without_the_end(model: Model, task: str):
    music = None if task == "improvise" else tiny_models.band(bars=4)
    result = model.write(music, task=task, words=40)
    nats, notes = 0.0, 0
    for exchange in result.exchanges:
        for prompt, row in zip(exchange.prompts, exchange.written, strict=True):
            words = np.where(row == 1, 0, row)
            nats -= float(np.asarray(decoding.score(model.trained.model, prompt[None], words[None]))[0, 0])
            notes += int(model.trained.vocabulary.is_note[words].sum())
    assert notes
    bits = likelihoods.bits_per_note(model.trained, result.exchanges)
    assert bits == pytest.approx(nats / math.log(2) / notes, rel=1e-4)


def test_words_that_were_given_do_not_count(model: Model):
    (exchange,) = model.continue_(tiny_models.band(bars=4), words=30).exchanges
    half = exchange.written[:, :15].copy()
    half[:, ::2] = 0  # every second one was the model's
    counted = exchange._replace(prefix=half).is_counted()
    assert not counted[:, 1:15:2].any()
    assert counted[:, 0:15:2].all()


@pytest.mark.parametrize(
    "how",
    [
        {"task": "continue", "length": "6 bars"},
        {"task": "infill", "parts": "bar 2, bar 4"},
    ],
)
def test_the_words_of_all_windows_count(model: Model, how: dict):
    result = model.write(tiny_models.band(bars=4), **how)
    assert len(result.exchanges) > 1
    assert math.isfinite(likelihoods.bits_per_note(model.trained, result.exchanges))


def test_a_stream_has_the_words_of_the_whole(model: Model):
    bars = Bars(model.ask(tiny_models.band(bars=4), task="continue"), words=30, seed=2)
    list(bars)
    assert bars.result is not None
    whole = model.continue_(tiny_models.band(bars=4), words=30, seed=2)
    for one, other in zip(bars.result.exchanges, whole.exchanges, strict=True):
        np.testing.assert_array_equal(one.prompts, other.prompts)
        np.testing.assert_array_equal(one.written, other.written)


# ------------------------------------------------------------------------------------------------------------ variants


@pytest.mark.parametrize("task", ["continue", "accompany", "improvise"])
def test_variants_come_in_the_order_of_their_figures(model: Model, task: str):
    music = None if task == "improvise" else tiny_models.band(bars=4)
    variants = model.variants(music, 4, task=task, words=40, seed=7)
    by_seed = sorted(variants, key=lambda variant: variant.seed)
    assert [variant.seed for variant in by_seed] == [7, 8, 9, 10]
    ranks = [variant.rank for variant in by_seed]
    for variant, rank in zip(by_seed, ranks, strict=True):
        assert rank.bits_per_note == likelihoods.bits_per_note(model.trained, variant.exchanges)
        expected = ranking.closeness(variant.score, variant.is_new, scale_alone=task == "accompany")
        assert rank.closeness == (None if task == "improvise" else expected)
    order = ranking.order([rank.bits_per_note for rank in ranks], [rank.closeness for rank in ranks])
    assert [variant.seed for variant in variants] == [7 + place for place in order]
    assert [variant.rank.place for variant in variants] == [1, 2, 3, 4]
    assert {variant.rank.variants for variant in variants} == {4}


def test_the_rank_is_shown_everywhere(model: Model):
    variants = model.variants(tiny_models.band(bars=4), 2, task="continue", words=30)
    html = page.to_page(variants).html
    for variant in variants:
        words = str(variant.rank)
        assert words.startswith(f"number {variant.rank.place} of 2: {variant.rank.bits_per_note:.2f} bits per note, ")
        assert words.endswith("like the prompt")
        assert words in html
        about = about_result(variant)
        assert words in about["facts"]
        assert about["rank"]["place"] == variant.rank.place
        assert about["rank"]["bits_per_note"] == pytest.approx(variant.rank.bits_per_note, abs=1e-3)


def test_an_only_answer_is_not_ranked(model: Model):
    (only,) = model.variants(tiny_models.band(bars=4), 1, task="continue", words=10)
    assert only.rank is None
    assert about_result(only)["rank"] is None


def test_a_search_has_no_variants(model: Model):
    with pytest.raises(ConfigError, match="a search has one answer"):
        model.variants(tiny_models.band(bars=4), 2, task="continue", beams=4)
