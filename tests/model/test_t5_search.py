"""Beam search and guidance write what plain Python writes, position by position without caches."""

from __future__ import annotations

import itertools
from typing import NamedTuple

import jax
import numpy as np
import pytest
from flax import nnx

from t5music.errors import ConfigError
from t5music.model import decoding, streaming
from t5music.model.config import T5Config
from t5music.model.network import T5
from t5music.model.pattern_penalty import PatternPenalty

LENGTH = 5
ALPHA = 0.6


def log_softmax(logits):
    logits = logits.astype(np.float64)
    return (
        logits
        - np.log(np.exp(logits - logits.max(-1, keepdims=True)).sum(-1, keepdims=True))
        - logits.max(-1)[..., None]
    )


@pytest.fixture(scope="module")
def next_logs(build, apply):
    """`next_logs(prompts [rows, n], written [rows, i])` -> log-probabilities of what comes next, [rows, 128]."""

    def call(prompts, written):
        targets = np.zeros((len(written), LENGTH), np.int32)
        targets[:, 1 : 1 + written.shape[1]] = written
        return log_softmax(apply(build(), prompts, targets)[:, written.shape[1]])

    return call


def divisor(length, alpha=ALPHA):
    return ((5 + length) / 6) ** alpha


def search(next_logs, prompt, beams, *, length=LENGTH, alpha=ALPHA, legal=None, prefix=()):
    """One row's answer by beam search, as lists; `legal` gives the ids that may follow a tuple of ids."""
    live, ended = [(0.0, ())], []
    for step in range(length):
        written = np.array([ids for _, ids in live], np.int32).reshape(len(live), step)
        logs = next_logs(np.repeat(prompt[None], len(live), axis=0), written)
        candidates = []
        for (score, ids), row in zip(live, logs, strict=True):
            allowed = (
                [prefix[step]] if step < len(prefix) and prefix[step] else legal(ids) if legal else range(len(row))
            )
            candidates += [(score + row[token], (*ids, token)) for token in allowed]
        candidates = sorted(candidates, reverse=True)[: 2 * beams]
        ended += [(score / divisor(step + 1, alpha), ids) for score, ids in candidates if ids[-1] == 1]
        ended = sorted(ended, reverse=True)[:beams]
        live = [candidate for candidate in candidates if candidate[1][-1] != 1][:beams]
        if not live or (len(ended) == beams and live[0][0] / divisor(length, alpha) <= ended[-1][0]):
            break
    return list((ended or live)[0][1])


def padded(answers, length=LENGTH):
    return [[*ids, *[0] * (length - len(ids))] for ids in answers]


@pytest.mark.parametrize("beams", [2, 4])
@pytest.mark.parametrize("alpha", [0.0, 0.6, pytest.param(2.0, marks=pytest.mark.slow)])
def test_a_search_is_the_one_in_python(build, batch, next_logs, beams, alpha):
    prompts = batch[0]
    written = decoding.generate(build(), prompts, max_length=LENGTH, beams=beams, length_penalty=alpha)
    assert np.asarray(written).tolist() == padded(search(next_logs, prompt, beams, alpha=alpha) for prompt in prompts)


@pytest.mark.parametrize("likely_end", [False, True])
def test_enough_beams_find_the_best_of_all_answers(build, batch, likely_end):
    """Two ids and EOS: 16 beams hold all answers of at most four tokens."""
    graphdef, params = nnx.split(build())
    model = nnx.merge(graphdef, params)
    if likely_end:
        model.head[...] = model.head[...].at[:, 1].set(model.head[...][:, 40])
    allowed = np.isin(np.arange(128), [1, 40, 77])
    answers = [[*ids, 1] for count in range(4) for ids in itertools.product([40, 77], repeat=count)]
    lengths = np.array(list(map(len, answers)))
    scores = np.asarray(decoding.score(model, batch[0], padded(answers, 4)))  # [3, answers]
    best = [answers[place] for place in (scores / divisor(lengths)).argmax(axis=1)]
    written = decoding.generate(model, batch[0], max_length=4, beams=16, allowed=allowed)
    assert np.asarray(written).tolist() == padded(best, 4)


class Falling(NamedTuple):
    """Ids below the one before; EOS after an even one."""

    def allowed(self, state, xp):
        ids = np.arange(100)
        return ((ids > 1) & (ids < state["last"][:, None])) | ((ids == 1) & (state["last"] % 2 == 0)[:, None])

    def advance(self, state, ids, xp):
        return {"last": xp.where(ids > 1, ids, state["last"])}

    def stand_ins(self, state, xp):
        return None


def may_fall(first):
    def legal(ids):
        last = ids[-1] if ids else first
        return [*([1] if last % 2 == 0 else []), *range(2, min(last, 100))]

    return legal


@pytest.mark.parametrize("first", [6, 100])
def test_beams_keep_to_a_grammar(build, batch, next_logs, first):
    prompts, state = batch[0], {"last": np.full(3, first, np.int32)}
    written = decoding.generate(build(), prompts, max_length=LENGTH, beams=3, grammar=(Falling(), state))
    expected = [search(next_logs, prompt, 3, legal=may_fall(first)) for prompt in prompts]
    assert np.asarray(written).tolist() == padded(expected)


def test_beams_go_on_from_a_prefix(build, batch, next_logs):
    prompts, state = batch[0], {"last": np.full(3, 100, np.int32)}
    prefix = np.array([[9, 6], [98, 0], [4, 1]])  # the last one forces an end
    written = decoding.generate(build(), prompts, max_length=LENGTH, beams=3, grammar=(Falling(), state), prefix=prefix)
    expected = [
        search(next_logs, prompt, 3, legal=may_fall(100), prefix=begin)
        for prompt, begin in zip(prompts, prefix.tolist(), strict=True)
    ]
    assert np.asarray(written).tolist() == padded(expected)
    assert np.asarray(written)[2].tolist() == [4, 1, 0, 0, 0]


@pytest.mark.parametrize("architecture", ["prefix_lm", pytest.param("language_model", marks=pytest.mark.slow)])
def test_a_decoder_alone_is_searched(batch, apply, architecture):
    config = T5Config(
        vocab_size=128, d_model=16, d_kv=4, num_heads=2, d_ff=16, num_encoder_layers=0, num_decoder_layers=2,
        architecture=architecture,
    )  # fmt: skip
    model = T5(config, rngs=nnx.Rngs(0))
    allowed = np.isin(np.arange(128), [1, 40, 77])
    answers = padded([[*ids, 1] for count in range(4) for ids in itertools.product([40, 77], repeat=count)], 4)
    scores = np.asarray(decoding.score(model, batch[0], answers)) / divisor((np.array(answers) > 0).sum(axis=1))
    written = decoding.generate(model, batch[0], max_length=4, beams=16, allowed=allowed)
    assert np.asarray(written).tolist() == [answers[place] for place in scores.argmax(axis=1)]


def test_a_search_has_no_stream(build, batch):
    with pytest.raises(ConfigError, match="set beams to 1 to stream"):
        next(streaming.stream(build(), batch[0], max_length=LENGTH, beams=4))


# ----------------------------------------------------------------------------------------------------------- guidance


@pytest.mark.parametrize("scale", [0.0, 2.5])
def test_guidance_moves_the_logits_away_from_those_of_the_neutral_prompt(build, batch, apply, scale):
    prompts = batch[0]
    neutral = prompts[:, ::-1][:, :7]  # of another length
    written = np.asarray(decoding.generate(build(), prompts, max_length=LENGTH, guidance=(neutral, scale)))
    for row in range(3):
        ids = []
        while len(ids) < LENGTH and 1 not in ids:
            targets = np.array([[0, *ids]], np.int32)
            conditional, unconditional = (
                apply(build(), tokens[row : row + 1], targets)[0, -1]
                for tokens in (prompts, np.ascontiguousarray(neutral))
            )
            ids.append(int((unconditional + scale * (conditional - unconditional)).argmax()))
        assert written[row].tolist() == padded([ids])[0]


def test_a_scale_of_one_is_no_guidance(build, batch):
    how = {"max_length": LENGTH, "temperature": 1.0, "key": jax.random.key(3)}
    free = decoding.generate(build(), batch[0], **how)
    guided = decoding.generate(build(), batch[0], guidance=(batch[0][:, ::-1], 1.0), **how)
    np.testing.assert_array_equal(free, guided)
    other = decoding.generate(build(), batch[0], guidance=(batch[0][:, ::-1], 4.0), **how)
    assert (np.asarray(free) != np.asarray(other)).any()


def test_guidance_streams(build, batch):
    how = {"max_length": LENGTH, "temperature": 1.0, "key": jax.random.key(3), "guidance": (batch[0][:, ::-1], 3.0)}
    *_, last = streaming.stream(build(), batch[0], tokens_at_once=2, **how)
    np.testing.assert_array_equal(last.tokens, decoding.generate(build(), batch[0], **how))


def test_beams_with_guidance_and_penalties_are_those_of_the_mixed_logits(build, batch, apply):
    """All three at once: one beam too many to tell them apart by chance."""
    prompts, neutral = batch[0], np.ascontiguousarray(batch[0][:, ::-1])
    scale, patterns = 2.0, PatternPenalty(50.0, 1, 1, np.ones(128))

    def next_logs(rows, written):
        place = int((prompts == rows[0]).all(axis=1).argmax())
        targets = np.zeros((len(written), LENGTH), np.int32)
        targets[:, 1 : 1 + written.shape[1]] = written
        both = [apply(build(), np.repeat(p[place : place + 1], len(rows), axis=0), targets) for p in (prompts, neutral)]
        logs = log_softmax((both[1] + scale * (both[0] - both[1]))[:, written.shape[1]])
        for row, ids in zip(logs, written.tolist(), strict=True):
            for first, second in itertools.pairwise(ids):
                if first == ids[-1]:
                    row[second] -= 50.0
        return logs

    how = {"max_length": LENGTH, "beams": 3, "guidance": (neutral, scale), "patterns": patterns}
    written = decoding.generate(build(), prompts, **how)
    assert np.asarray(written).tolist() == padded(search(next_logs, prompt, 3) for prompt in prompts)
