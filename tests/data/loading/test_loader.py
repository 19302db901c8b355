"""The loader: every example in its turn, the same on any number of processes, threads and restarts."""

from __future__ import annotations

import copy
import itertools
import json
from collections import Counter

import numpy as np
import pytest

from t5music.data import mixing_rates, objectives
from t5music.data.loading.loader import eval_batches, merge_states, train_batches
from t5music.data.loading.task_stream import TaskStream
from t5music.data.objectives import IidDenoising, SpanCorruption, Transpose
from t5music.data.objectives.language_model import SelectRandomChunk
from t5music.data.vocabulary import EOS_ID, FIRST_EVENT, Vocabulary
from t5music.errors import CheckpointError, ConfigError, DataError

LENGTHS = {"inputs": 32, "targets": 24}
DENOISING = [Transpose(), SelectRandomChunk(), SpanCorruption()]


def same(one, other) -> bool:
    return one.keys() == other.keys() and all(
        np.array_equal(one[name], other[name]) and one[name].dtype == other[name].dtype for name in one
    )


@pytest.fixture
def settings(vocabulary):
    return {"feature_lengths": LENGTHS, "batch_size": 8, "seed": 5, "vocabulary": vocabulary}


@pytest.fixture
def mixture(make_store):
    """A denoising task of long pieces, and a task with inputs and targets of any size."""
    rng = np.random.default_rng(0)
    pieces = [(0, int(size)) for size in rng.integers(2, 90, 40)]
    pairs = [(int(a), int(b)) for a, b in rng.integers(1, 40, (25, 2))]
    return [
        (make_store("denoise", pieces, objectives=DENOISING), mixing_rates.Constant(2.0)),
        (make_store("continue", pairs), mixing_rates.Constant(1.0)),
    ]


def take(batches, count):
    return list(itertools.islice(batches, count))


def segments(batch, row, side):
    """The token sequences of one row, by segment."""
    tokens = batch[f"{side}_tokens"][row]
    ids = batch["encoder_segment_ids" if side.startswith("encoder") else "decoder_segment_ids"][row]
    return [tokens[ids == segment].tolist() for segment in range(1, ids.max() + 1)]


# ------------------------------------------------------------------------------------------------ what is in them


@pytest.mark.parametrize("pack", [True, False])
def test_every_example_comes_once_an_epoch_whole_and_in_another_order(make_store, settings, pack):
    store = make_store("task", [(3, 3)] * 60)
    wanted = {tuple(store.split("train")[i]["targets"].tolist()): i for i in range(60)}
    assert len(wanted) == 60
    batches = train_batches(store, **settings, pack=pack, lanes=1)
    order = []
    while len(order) < 180:
        batch = next(batches)
        for row in range(8):
            targets = segments(batch, row, "decoder_target") if pack else [batch["decoder_target_tokens"][row].tolist()]
            inputs = segments(batch, row, "encoder_input") if pack else [batch["encoder_input_tokens"][row].tolist()]
            for i, o in zip(inputs, targets, strict=True):
                index = wanted[tuple(o[:3])]
                assert o[3] == i[3] == EOS_ID
                assert i[:3] == store.split("train")[index]["inputs"].tolist()
                order.append(index)
    slack = 60 if pack else 0  # rows still open hold some back
    assert Counter(order[: 120 - slack]).most_common(1)[0][1] <= 2
    if not pack:
        epochs = [order[start : start + 60] for start in (0, 60, 120)]
        assert [sorted(epoch) for epoch in epochs] == [list(range(60))] * 3
        assert epochs[0] != epochs[1] != epochs[2]


def test_the_lanes_share_every_task_out(make_store, settings):
    members = [(make_store(name, [(number + 1, 2) for number in range(20)]), mixing_rates.EQUAL) for name in ("a", "b")]
    batches = take(train_batches(members, **settings, pack=False), 20)  # 160 examples: four epochs of 40
    sizes = Counter(np.concatenate([(batch["encoder_input_tokens"] > 0).sum(axis=1) for batch in batches]).tolist())
    assert sizes == {number + 2: 8 for number in range(20)}


def test_longer_examples_are_trimmed_and_end_with_eos(make_store, settings):
    batch = next(train_batches(make_store("task", [(100, 100)] * 4), **settings, pack=False))
    assert (batch["encoder_input_tokens"][:, -1] == EOS_ID).all()
    assert (batch["decoder_target_tokens"][:, -1] == EOS_ID).all()
    assert (batch["encoder_input_tokens"][:, :-1] >= FIRST_EVENT).all()
    batch = next(train_batches(make_store("bare", [(100, 100)] * 4, add_eos=False), **settings, pack=False))
    assert (batch["decoder_target_tokens"] >= FIRST_EVENT).all()


def test_shapes_and_dtypes(mixture, settings):
    batch = next(train_batches(mixture, **settings))
    for name, array in batch.items():
        assert array.shape == (8, LENGTHS["inputs" if name.startswith("encoder") else "targets"])
        assert array.dtype == (np.float32 if name == "decoder_loss_weights" else np.int32)
    assert "encoder_segment_ids" in batch
    assert "encoder_segment_ids" not in next(train_batches(mixture, **settings, pack=False))


def test_decoder_only_rows_hold_the_same_examples_in_the_same_order(mixture, settings):
    apart, joint = (
        take(train_batches(mixture, **settings, pack=False, decoder_only=decoder_only), 6)
        for decoder_only in (False, True)
    )
    for one, other in zip(apart, joint, strict=True):
        assert "encoder_input_tokens" not in other
        assert all(array.shape == (8, 56) for array in other.values())
        for row in range(8):
            tokens, weights = other["decoder_target_tokens"][row], other["decoder_loss_weights"][row]
            inputs, targets = (one[name][row] for name in ("encoder_input_tokens", "decoder_target_tokens"))
            assert tokens[weights == 0].tolist()[: (inputs > 0).sum()] == inputs[inputs > 0].tolist()
            assert tokens[weights == 1].tolist() == targets[targets > 0].tolist()
            assert (tokens > 0).sum() == (inputs > 0).sum() + (targets > 0).sum()


def test_decoder_only_rows_are_packed_by_their_sum(make_store, settings):
    store = make_store("task", [(2, 20)] * 60)  # one a row of 32 and 24; two of 56
    apart, joint = (
        take(train_batches(store, **settings, decoder_only=decoder_only), 4) for decoder_only in (False, True)
    )
    assert {batch["decoder_segment_ids"].max() for batch in apart} == {1}
    assert {batch["decoder_segment_ids"].max() for batch in joint} == {2}


def test_the_same_visit_has_the_same_noise_and_another_epoch_has_other(make_store, vocabulary):
    store = make_store("task", [(0, 60)] * 3, objectives=DENOISING)
    stream = TaskStream(store, "train", feature_lengths=LENGTHS, vocabulary=vocabulary, seed=1)
    again = TaskStream(store, "train", feature_lengths=LENGTHS, vocabulary=vocabulary, seed=1)
    other_seed = TaskStream(store, "train", feature_lengths=LENGTHS, vocabulary=vocabulary, seed=2)
    one = stream.pair(1, 4)
    stream.pair(2, 0)
    assert all(map(np.array_equal, one, again.pair(1, 4)))
    assert all(map(np.array_equal, one, stream.pair(1, 4)))
    assert not np.array_equal(one.inputs, stream.pair(1, 5).inputs)
    assert not np.array_equal(one.inputs, other_seed.pair(1, 4).inputs)
    assert sorted(stream.where(visit)[0] for visit in range(6, 9)) == [0, 1, 2]
    assert {stream.where(visit)[1] for visit in range(6, 9)} == {2}


@pytest.mark.parametrize("seed", [0, 1, 2**32 - 1, 2**32, 2**70 + 5])
def test_noise_is_drawn_as_numpy_seeds_the_four_numbers(make_store, vocabulary, seed):
    store = make_store("task", [(0, 60)] * 3, objectives=DENOISING)
    stream = TaskStream(store, "train", feature_lengths=LENGTHS, vocabulary=vocabulary, seed=seed)
    rng = np.random.default_rng((seed, stream._task, 2, 7))
    wanted = objectives.apply(DENOISING, store.split("train")[2], rng, LENGTHS, vocabulary)
    assert stream.pair(2, 7).targets[:-1].tolist() == wanted["targets"][: LENGTHS["targets"] - 1].tolist()


def test_augmentations_come_before_the_objectives_and_only_in_training(make_store, settings, vocabulary):
    store = make_store("task", [(9, 9)] * 20)
    plain, moved = (
        take(train_batches(store, **settings, pack=False, augmentations=steps), 5) for steps in ((), (Transpose(),))
    )
    assert not all(map(same, plain, moved))
    for one, other in zip(plain, moved, strict=True):
        assert np.array_equal(one["decoder_target_tokens"] == 0, other["decoder_target_tokens"] == 0)
    words = make_store("words", [(0, 50)], objectives=[SelectRandomChunk(length=50), SpanCorruption()])
    stream = TaskStream(
        words,
        "train",
        feature_lengths={"inputs": 64, "targets": 64},
        vocabulary=vocabulary,
        seed=0,
        augmentations=[SelectRandomChunk(length=10)],
    )
    assert len(stream.pair(0, 0).inputs) <= 11  # the objective gets what the augmentation left


def test_examples_without_targets_are_passed_over(make_store, settings):
    store = make_store("task", [(3, 0), (3, 3), (3, 0)])
    batch = next(train_batches(store, **settings, pack=False))
    assert (batch["decoder_target_tokens"][:, 3] == EOS_ID).all()
    empty = make_store("empty", [(3, 0)] * 2)
    with pytest.raises(DataError, match="examples of empty in a row have no targets"):
        next(train_batches(empty, **settings))


# ------------------------------------------------------------------------------------------------------- mixing


@pytest.mark.parametrize("pack", [True, False])
def test_rates_are_met_within_a_percent(make_store, settings, pack):
    # The tasks' examples are of very different length, so lanes and rows fill at different speeds.
    members = [
        (make_store("long", [(30, 20)] * 7), mixing_rates.Constant(0.5)),
        (make_store("short", [(3, 3)] * 11), mixing_rates.Constant(0.3)),
        (make_store("rare", [(10, 5)] * 13), mixing_rates.Constant(0.2)),
    ]
    batches = train_batches(members, **settings, pack=pack)
    while sum(batches.examples_per_task.values()) < (20_000 if pack else 1000):
        next(batches)
    counts = batches.examples_per_task
    shares = {name: count / sum(counts.values()) for name, count in counts.items()}
    assert shares == pytest.approx({"long": 0.5, "short": 0.3, "rare": 0.2}, abs=0.01)


def test_proportional_rates_count_examples(make_store, settings):
    members = [
        (make_store(name, [(4, 4)] * size), mixing_rates.Proportional(30)) for name, size in (("a", 10), ("b", 90))
    ]
    batches = train_batches(members, **settings, pack=False)
    take(batches, 50)
    assert batches.examples_per_task == pytest.approx({"a": 100, "b": 300}, abs=8)


def test_counts_are_of_what_was_given_out(mixture, settings):
    batches = train_batches(mixture, **settings, prefetch=3)
    seen = sum(int(batch["encoder_segment_ids"].max(axis=1).sum()) for batch in take(batches, 9))
    assert sum(batches.examples_per_task.values()) == seen


def test_a_batch_is_not_all_of_one_task(make_store, settings):
    members = [(make_store(f"t{i}", [(i + 1, 2)] * 5), mixing_rates.EQUAL) for i in range(4)]
    for batch in take(train_batches(members, **settings, pack=False), 5):
        sizes = Counter((batch["encoder_input_tokens"] > 0).sum(axis=1).tolist())
        assert sizes == {2: 2, 3: 2, 4: 2, 5: 2}


# ---------------------------------------------------------------------------------------- processes and restarts


@pytest.mark.parametrize("pack", [True, False])
@pytest.mark.parametrize("processes", [2, 4])
def test_the_batches_of_all_processes_are_the_batch_of_one(mixture, settings, processes, pack):
    whole = take(train_batches(mixture, **settings, pack=pack), 6)
    parts = [
        take(train_batches(mixture, **settings, pack=pack, process_index=i, process_count=processes), 6)
        for i in range(processes)
    ]
    for number, batch in enumerate(whole):
        together = {name: np.concatenate([part[number][name] for part in parts]) for name in batch}
        assert same(together, batch)


@pytest.mark.parametrize("prefetch", [0, 2])
@pytest.mark.parametrize(("pack", "decoder_only"), [(True, False), (False, False), (True, True)])
def test_a_restart_anywhere_changes_nothing(mixture, settings, pack, decoder_only, prefetch):
    settings = {**settings, "decoder_only": decoder_only}
    batches = train_batches(mixture, **settings, pack=pack, prefetch=prefetch)
    states, whole = [batches.get_state()], []
    for batch in itertools.islice(batches, 12):
        whole.append(batch)
        states.append(json.loads(json.dumps(batches.get_state())))
    counts = batches.examples_per_task
    for stop in range(len(whole)):
        resumed = train_batches(mixture, **settings, pack=pack, prefetch=2 - prefetch)
        if stop % 2:
            next(resumed)  # a position is left behind, not added to
        resumed.set_state(states[stop])
        assert resumed.get_state() == states[stop]
        assert all(map(same, take(resumed, len(whole) - stop), whole[stop:]))
        assert resumed.get_state() == states[-1]
        assert resumed.examples_per_task == counts
        resumed.close()


def test_a_position_can_go_to_another_number_of_processes(mixture, settings):
    one = train_batches(mixture, **settings)
    take(one, 5)
    state = one.get_state()
    after = take(one, 3)
    halves = [train_batches(mixture, **settings, process_index=i, process_count=2) for i in range(2)]
    for half in halves:
        half.set_state(state)
    parts = [take(half, 3) for half in halves]
    for number, batch in enumerate(after):
        assert same({name: np.concatenate([part[number][name] for part in parts]) for name in batch}, batch)
    merged = merge_states([half.get_state() for half in halves])
    assert merged == one.get_state()
    one.set_state(merged)
    with pytest.raises(CheckpointError, match=r"lacks lanes \[4, 5, 6, 7\]"):
        one.set_state(halves[0].get_state())


def test_a_state_is_small_and_not_changed_later(mixture, settings):
    batches = train_batches(mixture, **settings)
    take(batches, 30)
    state = batches.get_state()
    before = copy.deepcopy(state)
    take(batches, 3)
    assert state == before
    assert len(json.dumps(state)) < 20_000


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 6},
        {"pack": False},
        {"decoder_only": True},
        {"augmentations": [Transpose()]},
        {"lanes": 4},
        {"feature_lengths": {"inputs": 9, "targets": 9}},
    ],
)
def test_a_position_of_another_stream_is_an_error(mixture, settings, change):
    state = train_batches(mixture, **settings).get_state()
    with pytest.raises(CheckpointError, match=f"another stream: {next(iter(change))} was"):
        train_batches(mixture, **settings | change).set_state(state)


def test_a_position_of_music_seen_otherwise_is_another_stream(make_store, settings):
    store = make_store("denoise", [(0, 60)] * 30, objectives=DENOISING)
    state = train_batches(store.changed(objective=IidDenoising()), **settings).get_state()
    train_batches(store.changed(objective=IidDenoising()), **settings).set_state(state)
    with pytest.raises(CheckpointError, match=r"another stream: changes was {'denoise': .*iid.*}, now it is {}"):
        train_batches(store, **settings).set_state(state)


def test_another_batch_size_goes_on_at_the_same_place(make_store, settings):
    store = make_store("task", [(3, 3)] * 50)
    small = train_batches(store, **settings, pack=False)
    take(small, 4)
    large = train_batches(store, **settings | {"batch_size": 16}, pack=False)
    large.set_state(small.get_state())
    big, first, second = next(large), next(small), next(small)
    assert np.array_equal(big["encoder_input_tokens"][0::2], first["encoder_input_tokens"])
    assert np.array_equal(big["encoder_input_tokens"][1::2], second["encoder_input_tokens"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"batch_size": 6, "lanes": 4}, "multiple of the number of lanes"),
        ({"batch_size": 0}, "batch size"),
        ({"process_count": 3}, "8 lanes cannot be shared by 3 processes"),
        ({"process_count": 2, "process_index": 2}, "cannot be shared"),
        ({"feature_lengths": {"inputs": 9}}, "'targets' of at least 2"),
        ({"seed": -1}, "seed"),
    ],
)
def test_settings_that_do_not_fit_are_errors(mixture, settings, change, message):
    with pytest.raises(ConfigError, match=message):
        train_batches(mixture, **settings | change)


def test_stores_that_do_not_fit_are_errors(mixture, settings):
    other = Vocabulary({"a": ["x"]})
    with pytest.raises(DataError, match=other.fingerprint[:16]):
        train_batches(mixture, **settings | {"vocabulary": other})
    with pytest.raises(DataError, match="no split 'test'"):
        train_batches(mixture, **settings, split="test")
    with pytest.raises(ConfigError, match="each task once"):
        train_batches([mixture[0], mixture[0]], **settings)


# --------------------------------------------------------------------------------------------------- evaluation


def test_evaluation_sees_every_example_once_in_order(make_store, vocabulary):
    store = make_store("task", [(i + 1, 3) for i in range(10)], split="validation")
    arguments = {"feature_lengths": LENGTHS, "batch_size": 4, "vocabulary": vocabulary}
    batches = eval_batches(store, "validation", **arguments)
    assert len(batches) == 3
    made = list(batches)
    assert np.concatenate([batch["example_index"] for batch in made]).tolist() == [*range(10), -1, -1]
    lengths = np.concatenate([(batch["encoder_input_tokens"] > 0).sum(axis=1) for batch in made])
    assert lengths.tolist() == [*range(2, 12), 0, 0]
    assert made[-1]["decoder_loss_weights"][2:].sum() == 0
    assert made[0]["decoder_target_tokens"][1, :3].tolist() == store.split("validation")[1]["targets"].tolist()
    assert all(map(same, made, batches))  # a second time the same
    joint = list(eval_batches(store, "validation", **arguments, decoder_only=True))
    assert [batch["decoder_loss_weights"].sum() for batch in joint] == [16, 16, 8]
    assert np.concatenate([batch["example_index"] for batch in joint]).tolist() == [*range(10), -1, -1]
    limited = list(eval_batches(store, "validation", **arguments, limit=5))
    assert np.concatenate([batch["example_index"] for batch in limited]).tolist() == [0, 2, 4, 6, 8, -1, -1, -1]
    assert all(batch["encoder_input_tokens"].shape == (4, 32) for batch in limited)


def test_evaluation_noise_is_fixed(make_store, vocabulary):
    store = make_store("task", [(0, 50)] * 5, objectives=[IidDenoising()])
    arguments = {"feature_lengths": {"inputs": 64, "targets": 64}, "vocabulary": vocabulary}
    four = list(eval_batches(store, "train", **arguments, batch_size=4))
    one = list(eval_batches(store, "train", **arguments, batch_size=1))
    for index in range(5):
        for name in ("encoder_input_tokens", "decoder_target_tokens"):
            assert np.array_equal(one[index][name][0], four[index // 4][name][index % 4])
    other = next(iter(eval_batches(store, "train", **arguments, batch_size=4, seed=1)))
    assert not same(other, four[0])


def test_evaluating_nothing_is_an_error(make_store, vocabulary):
    arguments = {"feature_lengths": LENGTHS, "batch_size": 4, "vocabulary": vocabulary}
    with pytest.raises(DataError, match="task empty has targets"):
        list(eval_batches(make_store("empty", [(4, 0)]), "train", **arguments))
    with pytest.raises(DataError, match="no split 'test'"):
        eval_batches(make_store("task", [(4, 4)]), "test", **arguments)
    with pytest.raises(ConfigError, match="at least 1"):
        eval_batches(make_store("other", [(4, 4)]), "train", **arguments, limit=0)


def test_a_position_of_rows_for_another_model_is_refused(mixture, settings):
    state = train_batches(mixture, **settings).get_state()
    with pytest.raises(CheckpointError, match="decoder_only was False, now it is True"):
        train_batches(mixture, **settings, decoder_only=True).set_state(state)
