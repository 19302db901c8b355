"""Labels drawn anew in what a decoder reads, the same in what it is to write."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from t5music.data import objectives
from t5music.data.loading.loader import train_batches
from t5music.data.loading.task_stream import TaskStream
from t5music.data.objectives import DisturbLabels, EchoNotes, MaskNotes, Transpose
from t5music.data.store.codec import FeatureSpec
from t5music.data.store.token_store import StoreWriter, TokenStore
from t5music.data.vocabulary import DYNAMICS, ROLES, default
from t5music.errors import ConfigError

V = default()


def run(*steps: objectives.Objective, inputs: str, targets: str, seed: int = 0) -> dict[str, np.ndarray]:
    example = {"inputs": V.encode(inputs), "targets": V.encode(targets)}
    return objectives.apply(steps, example, np.random.default_rng(seed), {}, V)


@pytest.mark.parametrize("kind", [ROLES, DYNAMICS], ids=["roles", "dynamics"])
@pytest.mark.parametrize("share", [0.25, 1.0])
def test_a_share_of_the_labels_is_drawn_anew(kind: tuple[str, ...], share: float):
    labels = [kind[0]] * 20_000
    made = run(DisturbLabels(share), inputs="Bar", targets=" ".join(labels))
    assert V.decode(made["targets"]).split() == labels
    assert made["read_targets"].dtype == np.int32
    read = V.decode(made["read_targets"]).split()
    chance = share / len(kind)
    for label in kind:
        expected = chance + (1 - share) * (label == kind[0])
        assert read.count(label) / len(read) == pytest.approx(expected, abs=0.015)  # four standard deviations


@given(st.lists(st.integers(20, 100), min_size=1, max_size=30), st.integers(0, 2**32 - 1))
def test_the_notes_between_them_are_read_as_they_are(pitches: list[int], seed: int):
    labels = [DYNAMICS[pitch % len(DYNAMICS)] for pitch in pitches]
    text = "".join(f" Pitch_{pitch} Duration_12" for pitch in pitches)
    steps = [DisturbLabels(), Transpose(-5, 6), MaskNotes(0.3), EchoNotes()]
    made = run(*steps, inputs=f"Bar TimeSig_4/4{text}", targets=" ".join(labels), seed=seed)
    read, said = (V.decode(made[name]).split() for name in ("read_targets", "targets"))
    assert read[::2] == said[::2]
    assert said[1::2] == labels
    assert set(read[1::2]) <= set(DYNAMICS)


def test_other_targets_stay():
    for targets in ("jazz", "Role_melody jazz", ""):
        assert set(run(DisturbLabels(), inputs="classify genre: Bar", targets=targets)) == {"inputs", "targets"}


@pytest.mark.parametrize("share", [0.0, -0.1, 1.01, float("nan")])
def test_shares_that_are_none(share: float):
    with pytest.raises(ConfigError, match=r"DisturbLabels.share must be above 0 and at most 1"):
        DisturbLabels(share)


def test_a_stream_gives_both_and_draws_anew_in_each_epoch(tmp_path):
    labels = [DYNAMICS[place % len(DYNAMICS)] for place in range(24)]
    features = {"inputs": FeatureSpec("tokens"), "targets": FeatureSpec("tokens")}
    with StoreWriter(tmp_path / "task", features=features, vocabulary=V, encoding="remi") as writer:
        writer.write("train", {"inputs": V.encode("Bar Pitch_60"), "targets": V.encode(" ".join(labels))})
    store = TokenStore.open(tmp_path / "task", V)
    arguments = {"feature_lengths": {"inputs": 8, "targets": 16}, "vocabulary": V, "seed": 0}
    stream = TaskStream(store, "train", **arguments, augmentations=[DisturbLabels()])
    first, second = stream.pair(0, 0), stream.pair(0, 1)
    assert np.array_equal(first.targets, second.targets)
    assert len(first.targets) == len(first.read) == 16
    assert first.read[-1] == first.targets[-1]
    assert not np.array_equal(first.read, second.read)
    steps = [DisturbLabels()]
    batch = next(iter(train_batches(store, batch_size=1, augmentations=steps, pack=False, **arguments)))
    assert np.array_equal(batch["decoder_input_tokens"][0, 1:], first.read[:-1])
    assert np.array_equal(batch["decoder_target_tokens"][0], first.targets)
