"""The pattern penalty is what plain Python counts, in one step and in the compiled loop."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from t5music.model import decoding, pattern_penalty, streaming
from t5music.model.pattern_penalty import PatternPenalty

SIZE = 8
IS_NOTE = np.array([False, False, True, True, True, False, False, False])  # 5 to 7 are words between notes
LENGTH = 9


def too_many(words: list[int], notes: int, times: int, is_note=IS_NOTE) -> dict[int, int]:
    """How often each note would be too often: the words before it, back to so many notes, are searched for."""
    begin, count = len(words), 0
    while begin and count < notes:
        begin -= 1
        count += is_note[words[begin]]
    pattern = words[begin:]
    if count < notes:
        return {}
    following = [
        words[place + len(pattern)]
        for place in range(len(words) - len(pattern))
        if words[place : place + len(pattern)] == pattern
    ]
    counts = {word: following.count(word) + 1 - times for word in set(following) if is_note[word]}
    return {word: count for word, count in counts.items() if count > 0}


def penalties(penalty: PatternPenalty, words: list[int], batch: int = 1) -> np.ndarray:
    settings, state = pattern_penalty.start(penalty, batch, len(words) + 1, SIZE)
    for word in words:
        state = pattern_penalty.advance(settings, state, np.full(batch, word, np.int32), np)
    return -np.asarray(pattern_penalty.penalised(settings, state, jnp.zeros((batch, SIZE))))


WORDS = st.lists(st.integers(2, 6), max_size=40)


@given(words=WORDS, notes=st.integers(1, 4), times=st.integers(1, 4))
def test_notes_that_repeat_a_pattern_are_penalised(words, notes, times):
    expected = np.zeros(SIZE)
    for word, count in too_many(words, notes, times).items():
        expected[word] = 0.5 * count
    np.testing.assert_allclose(penalties(PatternPenalty(0.5, times, notes, IS_NOTE), words)[0], expected)


@given(words=WORDS, split=st.integers(0, 40))
def test_what_stands_before_counts_as_if_it_had_been_written(words, split):
    whole = penalties(PatternPenalty(1.0, 1, 2, IS_NOTE), words)[0]
    before, rest = words[:split], words[split:]
    np.testing.assert_array_equal(penalties(PatternPenalty(1.0, 1, 2, IS_NOTE, [before]), rest)[0], whole)


def test_rows_have_histories_of_their_own():
    penalty = PatternPenalty(1.0, 1, 2, IS_NOTE, [[2, 3, 4, 2], [3, 3, 3]])
    rows = penalties(penalty, [3], batch=2)
    assert rows[0].tolist() == [0, 0, 0, 0, 1, 0, 0, 0]  # 2 3 went on with 4
    assert rows[1].tolist() == [0, 0, 0, 2, 0, 0, 0, 0]  # 3 3 went on with 3 twice


def test_music_long_ago_is_forgotten():
    before = [2, 3, 4, *[5] * pattern_penalty.REMEMBERED]
    assert not penalties(PatternPenalty(1.0, 1, 2, IS_NOTE, [before]), [2, 3]).any()


@pytest.mark.parametrize("penalty", [0.0, 1.5])
def test_the_loop_takes_the_greatest_logit_less_its_penalty(build, batch, apply, penalty):
    prompts = batch[0]
    is_note = np.arange(128) % 2 == 0
    patterns = PatternPenalty(penalty, 1, 1, is_note, [[8, 10, 8, 12]] * 3)
    how = {"max_length": LENGTH, "patterns": patterns, "allowed": np.arange(128) > 115}
    written = np.asarray(decoding.generate(build(), prompts, **how))
    differs = False
    for row in range(3):
        ids: list[int] = []
        for _ in range(LENGTH):
            logits = apply(build(), prompts[row : row + 1], np.array([[0, *ids]], np.int32))[0, -1].copy()
            logits[:116] = -np.inf
            likeliest = int(logits.argmax())
            for word, count in too_many([8, 10, 8, 12, *ids], 1, 1, is_note).items():
                logits[word] -= penalty * count
            ids.append(int(logits.argmax()))
            differs |= ids[-1] != likeliest
        assert written[row].tolist() == ids
    assert differs == (penalty > 0)
    *_, last = streaming.stream(build(), prompts, tokens_at_once=4, **how)
    np.testing.assert_array_equal(last.tokens, written)


def test_other_settings_compile_nothing_anew(build, batch):
    def write(penalty):
        how = {"temperature": 1.0, "key": jax.random.key(0), "max_length": LENGTH}
        return decoding.generate(build(), batch[0], patterns=PatternPenalty(*penalty, np.ones(9)), **how)

    write((1.0, 2, 3))
    before = decoding._generate._cache_size()
    write((9.0, 1, 1))
    assert decoding._generate._cache_size() == before
