from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from t5music.data import answer_formats, vocabulary
from t5music.errors import ConfigError
from t5music.model import decoding, decoding_steps, sampling
from t5music.model.config import T5Config
from t5music.model.network import T5
from t5music.model.pattern_penalty import PatternPenalty
from t5music.music import encodings

LENGTH = 9


@pytest.fixture(scope="module")
def prompts(batch):
    return batch[0]


@pytest.fixture(scope="module")
def write(build, prompts):
    """`write(...)` -> tokens as numpy, [3, LENGTH], by the unrolled v1.1 model."""

    def call(model=None, tokens=prompts, **how):
        return np.asarray(decoding.generate(model or build(), tokens, max_length=LENGTH, **how))

    return call


@pytest.fixture(scope="module")
def stepwise(shift):
    """`stepwise(model, encoder, targets, prepare=...)` -> the logits of one step after another, [rows, LENGTH, ids]."""

    def call(model, encoder, targets, prepare=decoding_steps.prepare_steps):
        graphdef, params = nnx.split(model)

        @jax.jit
        def run(params):
            model = nnx.merge(graphdef, params)
            prepared = prepare(model, encoder)

            def step(caches, column):
                last, i = column
                logits, caches = decoding_steps.next_logits(model, prepared, last, i, caches)
                return caches, logits

            columns = jnp.asarray(shift(targets)).T, jnp.arange(LENGTH)
            return jax.lax.scan(step, decoding_steps.longer_caches(prepared.caches, LENGTH), columns)[1].swapaxes(0, 1)

        return np.asarray(run(params))

    return call


# One row and several have their kernels laid out in different ways.
@pytest.mark.parametrize(
    ("version", "rows", "scan_layers"),
    [
        ("v1.0", 3, True),
        ("v1.1", 1, False),
        pytest.param("v1.0", 1, False, marks=pytest.mark.slow),
        pytest.param("v1.1", 3, True, marks=pytest.mark.slow),
    ],
)
def test_every_step_s_logits_are_the_teacher_forced_ones(
    build, batch, shift, apply, stepwise, version, rows, scan_layers
):
    encoder, targets = batch[0][:rows], batch[1][:rows]
    model = build(version, scan_layers=scan_layers)
    expected = apply(model, encoder, shift(targets))
    np.testing.assert_allclose(stepwise(model, encoder, targets), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("rows", [1, pytest.param(3, marks=pytest.mark.slow)])
def test_kernels_laid_out_for_steps_change_no_bfloat16_logit_by_more_than_rounding(build, batch, stepwise, rows):
    model = build(dtype="bfloat16")
    encoder, targets = batch[0][:rows], batch[1][:rows]
    plain = stepwise(model, encoder, targets, decoding_steps.prepare)
    assert np.abs(stepwise(model, encoder, targets) - plain).max() <= 2**-6 * np.abs(plain).max()


@pytest.mark.usefixtures("optimised")
@pytest.mark.parametrize("rows", [pytest.param(1, marks=pytest.mark.slow), 3])
def test_writing_with_bfloat16_products_gives_the_teacher_forced_logits_to_rounding(
    build, batch, shift, apply, stepwise, rows
):
    encoder, targets = batch[0][:rows], batch[1][:rows]
    expected = apply(build(), encoder, shift(targets))
    logits = stepwise(build(dtype="bfloat16_products"), encoder, targets)
    half = apply(build(dtype="bfloat16"), encoder, shift(targets))
    # As far as all arrays in bfloat16 take it, but for chance: those round in other places.
    assert 0 < np.linalg.norm(logits - expected) < 1.5 * np.linalg.norm(half - expected)


def test_greedy_writing_takes_the_teacher_forced_argmax(build, write, prompts, shift, apply):
    model = build()
    written = write()
    argmax = apply(model, prompts, shift(written)).argmax(-1)
    done = np.cumsum(written == 1, axis=1) - (written == 1) > 0  # after the first EOS
    np.testing.assert_array_equal(written, np.where(done, 0, argmax))


def test_scanned_parameters_write_the_same(build, write):
    np.testing.assert_array_equal(write(build(scan_layers=True)), write())


def test_caches_that_grow_write_the_same(build, prompts, write, monkeypatch):
    assert decoding_steps.stages(128, 2) == [64, 128]
    assert decoding_steps.stages(128, 1) == [128]
    monkeypatch.setattr(decoding_steps, "STAGED_FROM", 1)
    staged = decoding.generate(build(), prompts, max_length=LENGTH - 1)  # a length that nothing else has compiled
    np.testing.assert_array_equal(staged, write()[:, :-1])


def test_rows_end_with_eos_then_padding_and_stop_the_loop(build, write, prompts):
    only_eos = np.zeros(128, bool)
    only_eos[1] = True
    np.testing.assert_array_equal(write(allowed=only_eos), [[1] + [0] * (LENGTH - 1)] * 3)
    late = np.full((3, 4), 7)
    late[1, 2] = 1  # row 1 ends early: what its prefix forces after EOS is not written
    written = write(prefix=late)
    np.testing.assert_array_equal(written[1], [7, 7, 1] + [0] * (LENGTH - 3))
    assert (written[0, :4] == 7).all()
    assert (written[0, 4:] != 0).any()


def test_a_prefix_continues_as_if_the_model_had_written_it(write):
    written = write()
    prefix = np.where(written[:, :3] == 1, 0, written[:, :3])
    prefix[2, 1:] = 0  # a shorter one: the model goes on
    np.testing.assert_array_equal(write(prefix=prefix), written)
    other = write(prefix=np.asarray([[5], [6], [0]]))
    assert other[:2, 0].tolist() == [5, 6]
    np.testing.assert_array_equal(other[2], written[2])


def test_only_allowed_ids_are_written(write):
    allowed = np.zeros(100, bool)
    allowed[[1, 50, 60, 70]] = True
    for how in ({}, {"temperature": 5.0, "key": jax.random.key(0)}):
        assert set(np.unique(write(allowed=allowed, **how))) <= {0, 1, 50, 60, 70}
    assert (write(allowed=np.arange(90) > 1, temperature=9.0, key=jax.random.key(1)) < 90).all()


class Falling(NamedTuple):
    """A toy grammar over 100 ids: each one is below the one before, EOS comes after an even one only."""

    step: int = 1

    def allowed(self, state, xp):
        ids = np.arange(100)
        below = (ids > 1) & (ids <= state["last"][:, None] - self.step)
        return below | ((ids == 1) & (state["last"] % 2 == 0)[:, None])

    def advance(self, state, ids, xp):
        return {"last": xp.where(ids > 1, ids, state["last"])}

    def stand_ins(self, state, xp):
        return None


def falling(last, rows=3, step=1):
    return Falling(step), {"last": np.full(rows, last, np.int32)}


def test_a_grammar_s_ids_are_written(write):
    for how in ({}, {"temperature": 9.0, "key": jax.random.key(0)}, {"temperature": 9.0, "top_p": 0.9}):
        how = {"key": jax.random.key(2), **how}
        for row in write(grammar=falling(100), **how):
            ids = [100, *row[row > 1]]
            assert (np.diff(ids) < 0).all()
            assert ids[1] < 100
            assert 1 not in row or ids[-1] % 2 == 0
    np.testing.assert_array_equal(write(grammar=falling(2)), [[1] + [0] * (LENGTH - 1)] * 3)


def test_a_grammar_reads_the_prefix(write):
    written = write(grammar=falling(100), prefix=np.asarray([[9, 6], [99, 98], [4, 0]]))
    assert written[:, 0].tolist() == [9, 99, 4]
    assert written[0, 2] < 6
    assert written[2, 1] < 4


def test_a_grammar_that_permits_everything_changes_nothing(write, build):
    class Anything(NamedTuple):
        def allowed(self, state, xp):
            return xp.ones((len(state), 128), bool)

        def advance(self, state, ids, xp):
            return state

        def stand_ins(self, state, xp):
            return None

    key = jax.random.key(3)
    free = write(temperature=1.0, key=key)
    np.testing.assert_array_equal(write(temperature=1.0, key=key, grammar=(Anything(), np.zeros(3))), free)


def test_the_probability_of_ids_that_stand_for_another_is_that_one_s(write):
    class OneOfTwo(NamedTuple):
        """Ids 5 and 7 alone may be written; with `all_for_7`, all others stand for 7."""

        all_for_7: bool

        def allowed(self, state, xp):
            return xp.broadcast_to(np.isin(np.arange(128), [5, 7]), (len(state), 128))

        def advance(self, state, ids, xp):
            return state

        def stand_ins(self, state, xp):
            others = xp.broadcast_to(~np.isin(np.arange(128), [5, 7]), (len(state), 128))
            return others, xp.where(self.all_for_7, 7, xp.full(len(state), -1))

    assert (write(grammar=(OneOfTwo(True), np.zeros(3))) == 7).all()
    assert (write(grammar=(OneOfTwo(False), np.zeros(3))) == 5).any()


def test_equal_grammars_compile_once(write):
    write(grammar=falling(50))
    before = decoding._generate._cache_size()
    write(grammar=falling(60))
    assert decoding._generate._cache_size() == before
    write(grammar=falling(60, step=2))
    assert decoding._generate._cache_size() == before + 1


VOCABULARY = vocabulary.default()


@pytest.fixture(scope="module")
def composer():
    """A model with random weights over the whole vocabulary."""
    config = T5Config(
        vocab_size=VOCABULARY.rows, d_model=16, d_kv=8, num_heads=2, d_ff=16, num_encoder_layers=1, num_decoder_layers=1
    )
    return T5(config, rngs=nnx.Rngs(0))


def check_sampled_music(composer, name, samples, max_length, key, **form):
    """Music sampled from random weights, each in a room of its own, needs no repair; returns its notes."""
    legal = answer_formats.Music(VOCABULARY, name, **form)
    inputs = np.random.default_rng(0).integers(3, VOCABULARY.size, (samples, 8)).astype(np.int32)
    grammar = (legal, legal.start(inputs, max_length))
    # Hot enough that EOS does not come at once, and that every word has its chance.
    written = np.asarray(
        decoding.generate(composer, inputs, max_length=max_length, temperature=2.0, key=key, grammar=grammar)
    )
    assert (written == 1).any(axis=1).all()
    encoding, notes = encodings.get(name), 0
    for row in written:
        score, repairs = encoding.decode(VOCABULARY.decode_events(name, row))
        assert repairs == 0
        notes += len(score.notes)
    assert (legal.check(inputs, [row[: int(np.argmax(row == 1))] for row in written], max_length) == -1).all()
    return notes


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if name in ("remi", "performance", "tx1") else [pytest.mark.slow])
        for name in encodings.ENCODINGS
    ],
)
def test_sampled_music_is_playable(composer, name):
    assert check_sampled_music(composer, name, 50, 80, jax.random.key(0), fill=True) > 200


@pytest.mark.slow
@pytest.mark.parametrize("name", encodings.ENCODINGS)
def test_much_sampled_music_is_playable(composer, name):
    for seed, fill in enumerate([False, True] * 10):
        check_sampled_music(composer, name, 500, 200, jax.random.key(seed), fill=fill)


def test_a_seed_is_a_result(write):
    key = jax.random.key(3)
    one = write(temperature=1.0, key=key)
    np.testing.assert_array_equal(one, write(temperature=1.0, key=key))
    assert (one != write(temperature=1.0, key=jax.random.key(4))).any()


def test_every_step_draws_anew(write):
    written = write(temperature=1e6, key=jax.random.key(5), allowed=np.arange(128) > 1)  # as good as uniform
    assert all(len(set(row)) >= 6 for row in written.tolist())


def test_a_row_s_tokens_do_not_depend_on_the_rows_after_it(build, prompts, write):
    three = write(temperature=1.0, key=jax.random.key(3))
    two = write(tokens=prompts[:2], temperature=1.0, key=jax.random.key(3))
    np.testing.assert_array_equal(three[:2], two)
    same = write(tokens=np.repeat(prompts[:1], 3, axis=0), temperature=1.0, key=jax.random.key(3))
    assert len({tuple(row) for row in same.tolist()}) == 3  # equal prompts, a random stream each


def test_cold_or_narrow_sampling_is_greedy(write):
    greedy, key = write(), jax.random.key(0)
    np.testing.assert_array_equal(write(temperature=1e-4, key=key), greedy)
    np.testing.assert_array_equal(write(temperature=3.0, top_k=1, key=key), greedy)
    np.testing.assert_array_equal(write(temperature=3.0, top_p=1e-6, key=key), greedy)
    np.testing.assert_array_equal(write(temperature=3.0, min_p=1.0, key=key), greedy)


def test_first_tokens_are_distributed_as_the_model_says(build, prompts, apply):
    model = build()
    count, top_k = 4000, 5
    tokens = np.repeat(prompts[:1], count, axis=0)
    how = {"temperature": 1.5, "top_k": top_k, "key": jax.random.key(0)}
    sampled = np.asarray(decoding.generate(model, tokens, max_length=1, **how))[:, 0]
    logits = apply(model, prompts[:1], np.zeros((1, 1), np.int32))[0, 0] / 1.5
    likeliest = np.argsort(-logits)[:top_k]
    expected = np.exp(logits[likeliest]) / np.exp(logits[likeliest]).sum()
    shares = np.asarray([(sampled == token).mean() for token in likeliest])
    assert shares.sum() == 1
    np.testing.assert_allclose(shares, expected, atol=5 * np.sqrt(0.25 / count))


def likeliest_by_numpy(logits, top_k, top_p):
    """The ids to keep of one row: sort, cut at k, take until the probabilities sum to p."""
    order = np.argsort(-logits, kind="stable")[:top_k]
    probabilities = np.exp(logits[order].astype(np.float64) - logits.max())
    probabilities /= probabilities.sum()
    reached = np.cumsum(probabilities) >= top_p - 1e-6
    return set(order[: int(np.argmax(reached)) + 1 if reached.any() else len(order)].tolist())


_filter, _floor = jax.jit(sampling.filter_top_k_top_p), jax.jit(sampling.filter_min_p)


@settings(max_examples=200, deadline=None)
@given(
    logits=hnp.arrays(np.int16, 24, elements=st.integers(-300, 300), unique=True),
    top_k=st.integers(1, 24),
    top_p=st.one_of(st.just(1.0), st.floats(0.01, 0.99)),
)
def test_top_k_and_top_p_keep_what_numpy_keeps(logits, top_k, top_p):
    logits = logits.astype(np.float32) / 40  # distinct
    filtered = np.asarray(_filter(logits[None], np.int32(top_k), np.float32(top_p)))[0]
    ids = set(np.flatnonzero(np.isfinite(filtered)).tolist())
    # At the edge of p the sums of float32 and float64 may fall on either side: bracket by a hair.
    assert likeliest_by_numpy(logits, top_k, top_p - 1e-5) <= ids <= likeliest_by_numpy(logits, top_k, top_p + 1e-5)
    np.testing.assert_array_equal(filtered[sorted(ids)], logits[sorted(ids)])


@settings(max_examples=200, deadline=None)
@given(
    logits=hnp.arrays(np.int16, 24, elements=st.integers(-300, 300)),
    forbidden=st.sets(st.integers(0, 23), max_size=20),
    min_p=st.one_of(st.sampled_from([0.0, 1.0]), st.floats(1e-6, 0.999)),
)
def test_min_p_keeps_what_numpy_keeps(logits, forbidden, min_p):
    logits = logits.astype(np.float32) / 40
    logits[list(forbidden)] = -np.inf
    filtered = np.asarray(_floor(logits[None], np.float32(min_p)))[0]
    ids = set(np.flatnonzero(np.isfinite(filtered)).tolist())
    probabilities = np.exp(logits.astype(np.float64) - logits.max())  # as shares of the greatest
    legal = np.isfinite(logits)
    # Where a probability is as good as the limit, rounding decides: bracket by a hair.
    assert set(np.flatnonzero(legal & (probabilities >= min_p * (1 + 1e-5))).tolist()) <= ids
    assert ids <= set(np.flatnonzero(legal & (probabilities >= min_p * (1 - 1e-5))).tolist())
    assert int(logits.argmax()) in ids
    np.testing.assert_array_equal(filtered[sorted(ids)], logits[sorted(ids)])


def test_equally_likely_tokens_stay_together():
    filtered = np.asarray(_filter(np.float32([[1, 2, 2, 0]]), np.int32(1), np.float32(1)))
    np.testing.assert_array_equal(np.isfinite(filtered), [[False, True, True, False]])


def test_scores_are_sums_of_teacher_forced_likelihoods(build, prompts, shift, apply):
    candidates = np.asarray([[9, 1, 0, 0], [9, 30, 40, 1], [2, 3, 1, 0], [0, 0, 0, 0]], np.int32)
    model = build()
    scores = np.asarray(decoding.score(model, prompts, candidates))
    assert scores.shape == (3, 4)
    for row, prompt in enumerate(prompts):
        tokens = np.repeat(prompt[None], 4, axis=0)
        logits = apply(model, tokens, shift(candidates)).astype(np.float64)
        likelihood = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
        chosen = np.take_along_axis(likelihood, candidates[..., None], -1)[..., 0]
        np.testing.assert_allclose(scores[row], (chosen * (candidates != 0)).sum(-1), atol=1e-3)
    stacked = decoding.score(build(scan_layers=True), prompts, candidates)
    np.testing.assert_allclose(stacked, scores, atol=1e-4)


def test_token_scores_are_the_parts_of_a_score(build, batch):
    prompts, targets = batch
    parts = np.asarray(decoding.token_scores(build(), prompts, targets))
    assert parts.shape == targets.shape
    assert not parts[targets == 0].any()
    whole = np.asarray(decoding.score(build(), prompts, targets))
    np.testing.assert_allclose(parts.sum(axis=1), np.diagonal(whole), atol=1e-4)


def test_settings_compile_nothing_anew(build, write):
    write(temperature=1.0, top_k=3, key=jax.random.key(0))
    before = decoding._generate._cache_size()
    write(temperature=0.5, top_k=7, top_p=0.3, key=jax.random.key(1), allowed=np.arange(128) > 1)
    write(temperature=2.0, top_p=0.9, key=jax.random.key(1), prefix=np.full((3, 2), 4))
    again = nnx.merge(*nnx.split(build()))
    write(again, temperature=0.7, top_p=0.9, key=jax.random.key(1))
    assert decoding._generate._cache_size() == before


OF_NOTES = (
    answer_formats.PerNote(VOCABULARY, ("Bar",)),
    answer_formats.PerNoteState(np.ones((3, 1), np.int32), np.ones(3, np.int32)),
)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"max_length": 0}, "max_length"),
        ({"temperature": -1.0}, "temperature"),
        ({"temperature": float("nan")}, "temperature"),
        ({"top_k": -1}, "top_k"),
        ({"top_k": 129}, "top_k .* 128 rows"),
        ({"top_p": 0.0}, "top_p"),
        ({"top_p": 1.1}, "top_p"),
        ({"min_p": -0.1}, "min_p"),
        ({"min_p": 1.1}, "min_p"),
        ({"beams": 0}, "beams must lie between 1"),
        ({"beams": 17}, "beams"),
        ({"beams": 4, "length_penalty": -1.0}, "length_penalty"),
        ({"beams": 4, "temperature": 0.9, "key": jax.random.key(0)}, "beams .* temperature"),
        ({"guidance": (np.ones((3, 4)), 11.0)}, "guidance"),
        ({"guidance": (np.ones((2, 4)), 2.0)}, "neutral prompt for each of 3 rows"),
        ({"patterns": PatternPenalty(1.0, 0, 4, np.ones(9))}, "times must be from 1 to 100"),
        ({"patterns": PatternPenalty(1.0, 2, 65, np.ones(9))}, "notes must be from 1 to 64"),
        ({"patterns": PatternPenalty(np.nan, 2, 4, np.ones(9))}, "penalty must be from 0 to 100"),
        ({"patterns": PatternPenalty(1.0, 2, 4, np.ones(129))}, "is_note .* 128 ids"),
        ({"patterns": PatternPenalty(1.0, 2, 4, np.ones(9), [[2]])}, "before has 1 rows and there are 3"),
        ({"allowed": np.ones(129, bool)}, "allowed .* 128 ids"),
        ({"allowed": np.zeros(128, bool)}, "forbids every id"),
        ({"prefix": np.ones((2, 2))}, r"prefix of shape \(2, 2\) does not fit 3 rows"),
        ({"prefix": np.ones((3, LENGTH + 1))}, "max_length"),
        ({"grammar": falling(9), "allowed": np.ones(9, bool)}, "give one of them"),
        ({"grammar": falling(9, rows=2)}, r"state is of \[2\] rows and there are 3"),
        ({"grammar": OF_NOTES}, "128 rows"),
    ],
)
def test_a_setting_that_cannot_be_is_named(build, prompts, how, message):
    with pytest.raises(ConfigError, match=message):
        decoding.generate(build(), prompts, **{"max_length": LENGTH, **how})


def test_sampling_needs_a_key(write):
    with pytest.raises(ValueError, match="random key"):
        write(temperature=1.0)


def test_a_bfloat16_model_writes(build, write):
    assert write(build(dtype="bfloat16")).shape == (3, LENGTH)
