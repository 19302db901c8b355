"""Random legal music: `from grammar_walks import walk`."""

from __future__ import annotations

from typing import Any

import numpy as np

from t5music.music.encodings import Grammar


def walk(rules: Grammar, state: Any, rng: np.random.Generator, *, by_kind: bool = False, stop: float = 0.02) -> list:
    """One random legal sequence of event ids a row, from a state of the grammar until it ends.

    Every legal word is as likely as any other or, `by_kind`, every kind of word. Where the words may end they do with
    probability `stop`. Asserts that nothing is a dead end.
    """
    words = len(rules.encoding.words)
    room, batch = state.room.copy(), len(state.room)
    said: list[list[int]] = [[] for _ in range(batch)]
    alive = np.ones(batch, bool)
    while True:
        legal, end = rules.allowed(state, np), rules.end(state, np)
        assert (legal.any(axis=1) | end)[alive].all(), "a dead end"
        alive &= ~(end & ((rng.random(batch) < stop) | ~legal.any(axis=1)))
        if not alive.any():
            break
        weights = legal * rng.random((batch, words))
        if by_kind:
            weights += legal * rng.random((batch, rules.KIND[-1] + 1))[:, rules.KIND[:-1]]
        ids = np.where(alive, np.argmax(weights, axis=1), words).astype(np.int32)
        for row in np.flatnonzero(alive):
            said[row].append(ids[row])
        state = rules.advance(state, ids, np)
    assert all(len(words) <= limit for words, limit in zip(said, room, strict=True))
    return [np.array(words, np.int32) for words in said]
