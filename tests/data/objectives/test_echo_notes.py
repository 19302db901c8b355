"""Each label's note, said before it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from t5music.data import objectives
from t5music.data.objectives import EchoNotes, MaskNotes, Transpose
from t5music.data.vocabulary import DYNAMICS, default
from t5music.errors import DataError

V = default()


def run(*steps: objectives.Objective, inputs: str, targets: str, seed: int = 0) -> dict[str, np.ndarray]:
    example = {"inputs": V.encode(inputs), "targets": V.encode(targets)}
    return objectives.apply(steps, example, np.random.default_rng(seed), {}, V)


def test_golden():
    inputs = "extract melody: Bar TimeSig_4/4 Pos_0 Pitch_48 Duration_24 Pitch_76 Duration_12"
    made = run(EchoNotes(), inputs=inputs, targets="Role_accompaniment Role_melody")
    assert V.decode(made["inputs"]) == inputs
    assert V.decode(made["targets"]) == "Pitch_48 Role_accompaniment Pitch_76 Role_melody"
    assert made["targets"].dtype == np.int32
    assert made["loss_weights"].dtype == np.float32
    assert made["loss_weights"].tolist() == [0, 1, 0, 1]
    assert objectives.from_config(EchoNotes().to_config()) == EchoNotes()


@given(st.lists(st.integers(20, 100), max_size=30), st.floats(0.1, 0.9), st.integers(0, 2**32 - 1))
def test_what_is_said_is_what_can_be_read(pitches: list[int], share: float, seed: int):
    """After transposition and masks: the notes' words, and a mask for notes without, whose labels do not count."""
    labels = [DYNAMICS[pitch % len(DYNAMICS)] for pitch in pitches]
    text = "".join(f" Pitch_{pitch} Duration_12" for pitch in pitches)
    steps = [Transpose(-5, 6), MaskNotes(share), EchoNotes()]
    made = run(*steps, inputs=f"Bar TimeSig_4/4{text}", targets=" ".join(labels), seed=seed)
    read, said = (V.decode(made[name]).split() for name in ("inputs", "targets"))
    assert said[1::2] == labels
    hidden = [word == "<extra_id_0>" for word in said[::2]]
    assert [word for word in read if word.startswith("Pitch")] == [
        word for word, gone in zip(said[::2], hidden, strict=True) if not gone
    ]
    assert sum(hidden) == round(share * len(pitches))
    assert not made["loss_weights"][::2].any()
    assert made["loss_weights"][1::2].tolist() == [0.0 if gone else 1.0 for gone in hidden]


def test_labels_that_are_not_the_notes():
    with pytest.raises(DataError, match="2 notes in its inputs and 1 labels"):
        run(EchoNotes(), inputs="Pitch_60 Duration_12 Pitch_61 Duration_12", targets="Role_melody")
    with pytest.raises(DataError, match="1 notes in its inputs and 2 labels"):
        run(EchoNotes(), inputs="Pitch_60 Duration_12", targets="Role_melody Role_melody")
