"""Masked notes: which words go, which stay, what the loss still counts, and how often."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from t5music.data import objectives
from t5music.data.loading.loader import train_batches
from t5music.data.loading.task_stream import TaskStream
from t5music.data.objectives.mask_notes import MaskNotes
from t5music.data.objectives.transpose import Transpose
from t5music.data.store.codec import FeatureSpec
from t5music.data.store.token_store import StoreWriter, TokenStore
from t5music.data.vocabulary import EOS_ID, Vocabulary, default
from t5music.errors import ConfigError

V = default()
MASK = "<extra_id_0>"
NOTES = (
    "Program_0 Velocity_20 Pitch_60 Duration_12",
    "Pitch_64 Duration_6",
    "Velocity_9 Drum_38",
    "Velocity_20 Pitch_48 Duration_24",
    "Drum_36",
)
HIDDEN = (f"Program_0 {MASK} {MASK} {MASK}", f"{MASK} {MASK}", f"{MASK} {MASK}", f"{MASK} {MASK} {MASK}", MASK)


def song(shown: tuple[str, ...]) -> str:
    """Two bars of five notes, each with its words or masked."""
    return "accompany pop: Bar TimeSig_4/4 Pos_0 Tempo_120 {} {} Pos_12 {} Bar TimeSig_4/4 Pos_0 {} {}".format(*shown)


def run(step: MaskNotes, inputs: str, targets: str = "jazz", seed: int = 0, **more) -> dict:
    example = {"inputs": V.encode(inputs), "targets": V.encode(targets), "piece": "a", **more}
    return step(example, np.random.default_rng(seed), {}, V)


def test_all_words_of_a_masked_note_go_and_no_others():
    seen = set()
    for seed in range(60):
        made = run(MaskNotes(0.4), song(NOTES), seed=seed)
        text = V.decode(made["inputs"])
        fitting = [
            hidden
            for hidden in np.ndindex(*[2] * 5)
            if song(tuple((NOTES, HIDDEN)[h][i] for i, h in enumerate(hidden))) == text
        ]
        assert len(fitting) == 1, text
        assert sum(fitting[0]) == 2  # 40 % of five
        seen.add(fitting[0])
        assert set(made) == {"inputs", "targets", "piece"}, "answers that are not per note all count"
        assert V.decode(made["targets"]) == "jazz"
    assert len(seen) == 10, "every two of them"


@given(st.integers(0, 40), st.floats(0.01, 0.99), st.integers(0, 99))
def test_the_answers_of_masked_notes_count_nothing(notes: int, share: float, seed: int):
    inputs = "predict velocity: Bar TimeSig_4/4 Pos_0" + "".join(f" Pitch_{n} Duration_6" for n in range(notes))
    made = run(MaskNotes(share), inputs, " ".join(["Dynamic_mf"] * notes), seed=seed)
    hidden = [pitch not in V.decode(made["inputs"]).split() for pitch in (f"Pitch_{n}" for n in range(notes))]
    assert sum(hidden) == round(share * notes)
    assert len(made["inputs"]) == len(V.encode(inputs))
    if any(hidden):
        assert made["loss_weights"].dtype == np.float32
        assert made["loss_weights"].tolist() == [float(not one) for one in hidden]
    else:
        assert "loss_weights" not in made


def test_the_answers_of_masked_notes_count_in_as_many_examples_as_asked():
    """As in the published code, whose loss leaves them out in one row of eight; in the inputs they are masked alike."""
    inputs = "predict velocity: Bar TimeSig_4/4 Pos_0" + "".join(f" Pitch_{n} Duration_6" for n in range(25))
    targets = " ".join(["Dynamic_mf"] * 25)
    published = [run(MaskNotes(0.12, 0.125), inputs, targets, seed=seed) for seed in range(400)]
    assert {V.decode(made["inputs"]).split().count(MASK) for made in published} == {2 * 3}  # 12 % of 25 notes
    left_out = [made for made in published if "loss_weights" in made]
    assert 30 <= len(left_out) <= 70  # 50 of 400, within three deviations
    assert all(made["loss_weights"].sum() == 25 - 3 for made in left_out)
    paper, none = (run(MaskNotes(0.12, share), inputs, targets) for share in (1.0, 0.0))
    assert paper["inputs"].tolist() == none["inputs"].tolist()
    assert "loss_weights" in paper
    assert "loss_weights" not in none
    with pytest.raises(ConfigError, match="left_out must be a probability"):
        MaskNotes(0.12, 1.5)


def test_a_gap_to_be_filled_in_stays_the_only_one_of_its_name():
    made = run(MaskNotes(0.5), f"infill: Bar TimeSig_4/4 Pos_0 Pitch_60 Duration_12 {MASK} Pos_24 Pitch_61 Duration_12")
    words = V.decode(made["inputs"]).split()
    assert (words.count(MASK), words.count("<extra_id_1>")) == (1, 2)


def test_nothing_to_mask_is_no_change_and_no_share_no_step():
    for inputs in ("", "transcribe", "NOTE_ON_60 TIME_SHIFT_5 NOTE_OFF_60", "Bar TimeSig_4/4 Pos_0 Pitch_60"):
        made = run(MaskNotes(0.4), inputs)
        assert V.decode(made["inputs"]) == inputs
    for share in (0.0, 1.0):
        with pytest.raises(ConfigError, match="share must be between 0 and 1"):
            MaskNotes(share)
    assert objectives.from_config(MaskNotes(0.3).to_config()) == MaskNotes(0.3)
    full = " ".join(f"<extra_id_{n}>" for n in range(100)) + " Pitch_60 Duration_12 Pitch_61 Duration_12"
    with pytest.raises(ConfigError, match="all 100 sentinels"):
        run(MaskNotes(0.5), full)
    with pytest.raises(ConfigError, match="no encoding 'remi'"):
        MaskNotes()(
            {"inputs": np.array([259]), "targets": np.array([259])},
            np.random.default_rng(0),
            {},
            Vocabulary({"x": "y"}),
        )


def test_weights_are_no_tokens_to_other_steps():
    inputs, targets = "Pitch_60 Duration_12 Pitch_61 Duration_12", "Role_melody Role_bridge"
    masked = run(MaskNotes(0.5), inputs, targets)
    moved = Transpose()(masked, np.random.default_rng(1), {}, V)
    np.testing.assert_array_equal(moved["loss_weights"], masked["loss_weights"])
    again = MaskNotes(0.9)(masked, np.random.default_rng(2), {}, V)
    assert not again["loss_weights"][masked["loss_weights"] == 0].any()


# ---------------------------------------------------------------------------------------------------- in the loader


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> TokenStore:
    """Melodies: 16 examples of 20 notes, each with its pitch's class as its label."""
    folder = tmp_path_factory.mktemp("stores") / "melody"
    features = {feature: FeatureSpec() for feature in ("inputs", "targets")}
    rng = np.random.default_rng(0)
    with StoreWriter(folder, features=features, vocabulary=V, encoding="remi") as writer:
        for split in ("train", "validation"):
            for _ in range(16):
                pitches = rng.integers(40, 80, 20)
                text = " ".join(f"Pitch_{pitch} Duration_12" for pitch in pitches)
                labels = " ".join("Role_melody" if pitch > 60 else "Role_bridge" for pitch in pitches)
                writer.write(split, {"inputs": V.encode(f"Bar TimeSig_4/4 {text}"), "targets": V.encode(labels)})
    return TokenStore.open(folder, V)


@pytest.mark.parametrize("decoder_only", [False, True])
def test_the_loader_s_loss_counts_what_can_be_seen(store: TokenStore, decoder_only: bool):
    batches = train_batches(
        store,
        feature_lengths={"inputs": 64, "targets": 32},
        batch_size=8,
        seed=3,
        vocabulary=V,
        augmentations=[Transpose(-5, 6), MaskNotes()],
        pack=False,
        decoder_only=decoder_only,
        prefetch=0,
    )
    for _ in range(2):
        batch = next(batches)
        weights, targets = batch["decoder_loss_weights"], batch["decoder_target_tokens"]
        inputs = targets if decoder_only else batch["encoder_input_tokens"]
        assert (inputs == V.sentinel(0)).sum(axis=1).tolist() == [6] * 8  # three notes of two words in each
        assert weights.sum(axis=1).tolist() == [18.0] * 8  # 17 answers and EOS
        assert weights[targets == EOS_ID].sum() == 8


@pytest.mark.parametrize("length", [11, 21, 32])
def test_weights_of_cut_targets(store: TokenStore, length: int):
    stream = TaskStream(
        store,
        "train",
        feature_lengths={"inputs": 64, "targets": length},
        vocabulary=V,
        seed=0,
        augmentations=[MaskNotes(0.5)],
    )
    for index in range(4):
        pair = stream.pair(index, 0)
        notes = min(length - 1, 20)
        heads = np.flatnonzero(pair.inputs[2:-1][::2] != V.sentinel(0))
        assert len(pair.targets) == len(pair.weights) == notes + 1
        assert np.flatnonzero(pair.weights[:-1]).tolist() == heads[heads < notes].tolist()
        assert pair.weights[-1] == 1


def test_evaluation_masks_nothing(store: TokenStore):
    assert TaskStream(
        store, "validation", feature_lengths={"inputs": 64, "targets": 32}, vocabulary=V, seed=0
    ).pair(0, 0).weights is None  # fmt: skip
