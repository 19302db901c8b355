"""Objectives: T5's arithmetic, exact reconstruction, uniform chance, and nothing but the rng."""

from __future__ import annotations

import collections
import json
from importlib import import_module
from pkgutil import iter_modules

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from t5music.data import objectives
from t5music.data.objectives import OBJECTIVES, IidDenoising, Objective, SpanCorruption, apply, from_config, noise
from t5music.data.objectives.language_model import Deshuffle, LanguageModel, PrefixLM, SelectRandomChunk
from t5music.data.vocabulary import FIRST_EVENT, Vocabulary
from t5music.errors import ConfigError, DataError

VOCABULARY = Vocabulary({"words": [f"w{i}" for i in range(3000)]})
LENGTHS = {"inputs": 512, "targets": 114}
EVERY = [SpanCorruption(), *(IidDenoising(style=style) for style in noise.STYLES), PrefixLM(), LanguageModel()]
EVERY += [Deshuffle(), SelectRandomChunk(length=5)]


def example(length: int) -> dict[str, np.ndarray]:
    """Targets of different ids, so that what went where can be told."""
    return {"inputs": np.empty(0, np.int32), "targets": np.arange(FIRST_EVENT, FIRST_EVENT + length, dtype=np.int32)}


def run(step, length: int, seed: int = 0):
    return step(example(length), np.random.default_rng(seed), LENGTHS, VOCABULARY)


def split_at_sentinels(tokens: np.ndarray) -> list[tuple[int, list[int]]]:
    """[(number of a sentinel or -1 for what comes before the first, the tokens after it)]."""
    parts: list[tuple[int, list[int]]] = [(-1, [])]
    for token in tokens.tolist():
        if token > VOCABULARY.sentinel(VOCABULARY.sentinels - 1) - 1:
            parts.append((VOCABULARY.size - 1 - token, []))
        else:
            parts[-1][1].append(token)
    return parts


# ------------------------------------------------------------------------------------------------- span corruption


@pytest.mark.parametrize(
    ("inputs", "tokens", "targets"), [(256, 284, 58), (512, 568, 114), (1024, 1137, 229), (2048, 2274, 456)]
)
def test_lengths_are_those_of_t5(inputs, tokens, targets):
    assert noise.span_corruption_tokens(inputs, None) == tokens
    assert noise.span_corruption_lengths(tokens, 0.15, 3.0) == (inputs, targets)
    assert noise.span_corruption_tokens(inputs, targets) == tokens


def test_short_targets_make_shorter_chunks():
    tokens = noise.span_corruption_tokens(512, 64)
    assert noise.span_corruption_lengths(tokens, 0.15, 3.0)[1] <= 64
    assert noise.span_corruption_lengths(tokens + 1, 0.15, 3.0)[1] > 64
    with pytest.raises(ConfigError, match="at least 3"):
        noise.span_corruption_tokens(2, 2)


@pytest.mark.parametrize("inputs", [128, 256, 512, 1024])
def test_chunks_of_the_needed_length_fill_inputs_and_targets_exactly(inputs):
    tokens, lengths = noise.span_corruption_tokens(inputs, None), {"inputs": inputs, "targets": 10_000}
    made = apply([SelectRandomChunk(), SpanCorruption()], example(2500), np.random.default_rng(1), lengths, VOCABULARY)
    assert len(made["inputs"]) + 1 == inputs
    assert len(made["targets"]) + 1 == noise.span_corruption_lengths(tokens, 0.15, 3.0)[1]


def test_the_example_of_the_paper():
    words = Vocabulary({"w": ["Thank", "you", "for", "inviting", "me", "to", "your", "party", "last", "week"]})
    tokens = words.encode("Thank you for inviting me to your party last week")
    mask = np.isin(np.arange(10), [2, 3, 8])
    assert words.decode(noise.replace_spans(tokens, mask, words)) == (
        "Thank you <extra_id_0> me to your party <extra_id_1> week"
    )
    assert words.decode(noise.replace_spans(tokens, ~mask, words)) == (
        "<extra_id_0> for inviting <extra_id_1> last <extra_id_2>"
    )


@given(st.integers(2, 900), st.floats(0.01, 0.99), st.floats(1, 12), st.integers(0, 2**32))
def test_span_corruption_counts_and_reconstruction(length, density, mean, seed):
    step = SpanCorruption(density, mean)
    made = run(step, length, seed)
    noise_tokens = min(max(round(length * density), 1), length - 1)
    spans = min(max(1, round(noise_tokens / mean)), noise_tokens, length - noise_tokens, VOCABULARY.sentinels)
    assert len(made["inputs"]) == length - noise_tokens + spans
    assert len(made["targets"]) == noise_tokens + spans
    # Starts with non-noise, ends with noise; <extra_id_0>, <extra_id_1>, ... in both.
    inputs, targets = split_at_sentinels(made["inputs"]), split_at_sentinels(made["targets"])
    assert inputs.pop() == (spans - 1, [])
    assert targets.pop(0) == (-1, [])
    assert [number for number, _ in inputs] == [number - 1 for number, _ in targets] == list(range(-1, spans - 1))
    rebuilt = [token for kept, lost in zip(inputs, targets, strict=True) for token in kept[1] + lost[1]]
    assert rebuilt == example(length)["targets"].tolist()


def test_every_composition_is_equally_likely():
    rng = np.random.default_rng(0)
    draws = 7000
    seen = collections.Counter(tuple(noise.random_composition(8, 4, rng).tolist()) for _ in range(draws))
    assert len(seen) == 35  # C(7, 3)
    assert all(sum(parts) == 8 and min(parts) >= 1 for parts in seen)
    chi_square = sum((count - draws / 35) ** 2 for count in seen.values()) / (draws / 35)
    assert chi_square < 65.2  # 99.9 % point for 34 degrees of freedom


def test_more_spans_than_sentinels_become_longer_spans():
    made = run(SpanCorruption(), 2274)
    targets = split_at_sentinels(made["targets"])[1:]
    assert [number for number, _ in targets] == list(range(100))
    assert sum(len(tokens) for _, tokens in targets) == 341


# ------------------------------------------------------------------------------------------------- the other steps


@given(st.integers(2, 600), st.integers(0, 2**32))
def test_iid_replacing_spans_keeps_every_token_once(length, seed):
    made = run(IidDenoising(0.3), length, seed)
    inputs, targets = split_at_sentinels(made["inputs"]), split_at_sentinels(made["targets"])
    together = sorted(token for _, tokens in inputs + targets for token in tokens)
    assert together == example(length)["targets"].tolist()
    assert len(inputs) <= 101
    assert [number for number, _ in inputs] == list(range(-1, len(inputs) - 1))
    assert all(tokens for _, tokens in inputs[1:-1])  # adjacent noise is merged


def test_more_runs_than_sentinels_are_thinned_evenly():
    places = []
    for seed in range(30):
        made = run(IidDenoising(0.3), 2000, seed)  # about 420 runs of noise
        noisy = [token - FIRST_EVENT for _, tokens in split_at_sentinels(made["targets"]) for token in tokens]
        assert (made["inputs"] > VOCABULARY.sentinel(99) - 1).sum() == 99
        places += noisy
    assert np.mean(places) == pytest.approx(1000, abs=30)


def test_iid_noise_is_of_the_given_density():
    for style in ("mask_in_place", "drop"):
        noisy = 0
        for seed in range(200):
            made = run(IidDenoising(0.15, style), 500, seed)
            noisy += (made["inputs"] == VOCABULARY.sentinel(0)).sum() if style != "drop" else len(made["targets"])
        assert noisy / 100_000 == pytest.approx(0.15, abs=0.005)


def test_iid_styles():
    text = example(400)["targets"]
    drop = run(IidDenoising(style="drop"), 400)
    assert sorted([*drop["inputs"], *drop["targets"]]) == text.tolist()
    mass = run(IidDenoising(style="mask_in_place"), 400)
    assert np.array_equal(mass["targets"], text)
    assert set(mass["inputs"][mass["inputs"] != text].tolist()) == {VOCABULARY.sentinel(0)}
    bert = [run(IidDenoising(style="bert"), 400, seed) for seed in range(100)]
    changed = np.concatenate([made["inputs"][made["inputs"] != text] for made in bert])
    assert all(np.array_equal(made["targets"], text) for made in bert)
    assert (changed == VOCABULARY.sentinel(0)).mean() == pytest.approx(0.9, abs=0.02)
    assert changed[changed != VOCABULARY.sentinel(0)].max() < VOCABULARY.size - VOCABULARY.sentinels


def test_noise_without_luck_still_has_a_token():
    for seed in range(50):
        assert len(run(IidDenoising(0.01, "drop"), 3, seed)["targets"]) >= 1


def test_prefix_lm_splits_uniformly():
    splits = collections.Counter()
    for seed in range(3000):
        made = run(PrefixLM(), 5, seed)
        assert np.array_equal(np.concatenate([made["inputs"], made["targets"]]), example(5)["targets"])
        splits[len(made["inputs"])] += 1
    assert sorted(splits) == [1, 2, 3, 4]
    assert sum((count - 750) ** 2 / 750 for count in splits.values()) < 16.3  # 99.9 % point, 3 degrees


def test_language_model_and_deshuffle():
    made = run(LanguageModel(), 20)
    assert made["inputs"].tolist() == []
    assert np.array_equal(made["targets"], example(20)["targets"])
    made = run(Deshuffle(), 20)
    assert np.array_equal(made["targets"], example(20)["targets"])
    assert not np.array_equal(made["inputs"], made["targets"])
    assert sorted(made["inputs"].tolist()) == made["targets"].tolist()


def test_chunks_are_full_and_cover_the_ends():
    seen = collections.Counter()
    for seed in range(4000):
        chunk = run(SelectRandomChunk(length=10), 25, seed)["targets"]
        assert len(chunk) == 10
        assert (np.diff(chunk) == 1).all()
        seen.update((chunk - FIRST_EVENT).tolist())
    middle = np.mean([seen[i] for i in range(10, 15)])
    assert min(seen[i] for i in range(25)) > 0.45 * middle
    assert max(seen[i] for i in range(25)) < 1.6 * middle
    assert len(run(SelectRandomChunk(length=10), 7)["targets"]) == 7


@pytest.mark.parametrize(
    ("step", "needed"),
    [
        (SpanCorruption(), 568),
        (IidDenoising(), 511),
        (IidDenoising(style="bert"), 113),
        (PrefixLM(), 114),
        (LanguageModel(), 113),
        (Deshuffle(), 113),
    ],
)
def test_a_chunk_takes_what_the_next_step_needs(step, needed):
    made = [
        apply([first, step], example(2000), np.random.default_rng(3), LENGTHS, VOCABULARY)
        for first in (SelectRandomChunk(), SelectRandomChunk(length=needed))
    ]
    assert all(np.array_equal(made[0][name], made[1][name]) for name in ("inputs", "targets"))
    if not isinstance(step, IidDenoising) or step.style == "bert":  # those trim a little, now and then
        assert len(made[0]["inputs"]) < LENGTHS["inputs"]
        assert len(made[0]["targets"]) < LENGTHS["targets"]


def test_a_chunk_that_nothing_follows_needs_a_length():
    with pytest.raises(ConfigError, match="select_random_chunk without a length"):
        apply([SelectRandomChunk()], example(9), np.random.default_rng(0), LENGTHS, VOCABULARY)


def test_lengths_that_are_missing_are_named():
    with pytest.raises(ConfigError, match=r"'targets'.*TASK_FEATURE_LENGTHS"):
        apply([SelectRandomChunk(), LanguageModel()], example(9), np.random.default_rng(0), {"inputs": 4}, VOCABULARY)


# ---------------------------------------------------------------------------------------------- what holds for all


@pytest.mark.parametrize("step", EVERY, ids=str)
@given(length=st.integers(0, 60), seed=st.integers(0, 2**32))
def test_same_rng_same_result_and_the_example_is_left_alone(step, length, seed):
    given_example = {**example(length), "label": "jazz"}
    before = given_example["targets"].copy()
    made = step(given_example, np.random.default_rng(seed), LENGTHS, VOCABULARY)
    again = step(given_example, np.random.default_rng(seed), LENGTHS, VOCABULARY)
    assert np.array_equal(given_example["targets"], before)
    assert made["label"] == "jazz"
    for feature in ("inputs", "targets"):
        assert made[feature].dtype == np.int32
        assert np.array_equal(made[feature], again[feature])


@pytest.mark.parametrize("step", EVERY, ids=str)
def test_configs_are_json_and_come_back(step):
    assert from_config(json.loads(json.dumps(step.to_config()))) == step
    assert step.to_config()["name"] in OBJECTIVES


def test_unknown_configs_are_errors():
    with pytest.raises(DataError, match="did you mean 'span_corruption'"):
        from_config({"name": "span_corruptions"})
    with pytest.raises(DataError, match="density is unknown"):
        from_config({"name": "span_corruption", "density": 0.1})


@pytest.mark.parametrize(
    "make",
    [
        lambda: SpanCorruption(noise_density=0.0),
        lambda: SpanCorruption(mean_span_length=0.5),
        lambda: IidDenoising(style="bart"),
        lambda: IidDenoising(noise_density=1.0),
        lambda: SelectRandomChunk(length=0),
    ],
)
def test_settings_that_make_no_sense_are_errors(make):
    with pytest.raises(ConfigError):
        make()


def test_every_objective_of_the_folder_is_registered():
    modules = [import_module(f"{objectives.__name__}.{module.name}") for module in iter_modules(objectives.__path__)]
    steps = {
        step
        for module in modules
        for step in vars(module).values()
        if isinstance(step, type) and issubclass(step, Objective) and step.__module__ == module.__name__
    }
    assert steps - {Objective} == set(OBJECTIVES.values())
