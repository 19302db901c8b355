"""The masker: what it chooses, learns and freezes, against its rules written out in numpy; and whole runs."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny_notes
import tiny_runs
from flax import nnx
from numpy.testing import assert_allclose, assert_array_equal

from t5music.errors import ConfigError
from t5music.model import parameters, sharding
from t5music.training import loop, train_state, train_step
from t5music.training.checkpoints.checkpoint import Checkpoint
from t5music.training.metric_writers import read_metrics
from t5music.training.note_masking import note_masks
from t5music.training.note_masking.choice import Choice, teaching_loss
from t5music.training.note_masking.held_out import HeldOut
from t5music.training.note_masking.masker import Masker
from t5music.training.note_masking.settings import Masking

CONFIG = dataclasses.replace(tiny_runs.CONFIG, version="v1.1", scan_layers=False)
OFTEN = {"epochs": 1, "frozen": (0.5, 0.6), "thawed": 0.5}
IS_HEAD = tiny_notes.WORDS.head[np.stack([tiny_notes.row(number) for number in range(tiny_notes.CHUNKS)])]


ROWS = np.stack([tiny_notes.row(number) for number in range(tiny_notes.CHUNKS)])


def new_masker(config=CONFIG, **settings):
    return Masker(Masking(**settings), tiny_notes.TASK, config, tiny_runs.OPTIMIZER, ROWS)


def begin(masker, config=CONFIG, devices=1):
    mesh = sharding.make_mesh(devices=jax.devices()[:devices])
    graphdef, abstract = parameters.abstract(config)
    transformation = tiny_runs.OPTIMIZER.transformation(train_state.logical_axes(abstract))
    target = train_state.abstract_state(abstract, transformation, mesh, masker=masker.abstract())
    step = masker.make_train_step(graphdef, transformation, target)

    def apply(now, batch):
        with jax.set_mesh(mesh):
            return step(now, train_step.put_batch(batch, mesh))

    return train_state.create(config, transformation, target, mesh, seed=0, masker=masker.create(0)), apply


def run(masker, batches, config=CONFIG, devices=1):
    now, step = begin(masker, config, devices)
    losses = []
    for batch in batches:
        now, loss = step(now, batch)
        losses.append(float(loss))
    return now, losses


@pytest.mark.parametrize("chooser", ["learned", pytest.param("random", marks=pytest.mark.slow)])
def test_so_many_notes_are_masked_and_never_a_frozen_one(chooser):
    masker = new_masker(chooser=chooser, freezing="none", share=(0.4, 0.5), most=0.5)
    batch = tiny_notes.batch(range(8))
    graphdef, params = parameters.initialise(CONFIG, jax.random.key(0))
    heads = IS_HEAD[:8]
    is_open = np.ones_like(heads)
    is_open[:, :6] = False  # the first bar's notes
    notes = note_masks.heads(batch["encoder_input_tokens"], tiny_notes.WORDS)
    keys = jax.random.split(jax.random.key(1), 4)
    head = masker.create(0).params
    choice = jax.jit(lambda params: masker.choose(nnx.merge(graphdef, params), head, is_open, batch, notes, keys))(
        params
    )
    assert_array_equal(choice.is_head, heads)
    assert_array_equal(choice.allowed, heads & is_open)
    counts = np.asarray(choice.masked).sum(axis=1)
    assert set(counts[::2]) == {1}  # of four open notes 1.6 to 2
    assert set(counts[1::2]) == {1}  # of two
    assert not np.any(choice.masked & ~choice.allowed)
    for scores, allowed, masked in zip(*map(np.asarray, (choice.scores, choice.allowed, choice.masked)), strict=True):
        assert scores[masked].min() >= scores[allowed & ~masked].max()


def test_the_masker_is_taught_which_masked_notes_were_hardest():
    rng = np.random.default_rng(0)
    scores, hardness = rng.random((2, 4, 24))
    changed = np.zeros((4, 24), bool)
    for row in changed:
        row[rng.choice(24, 4, replace=False)] = True
    expected = []
    for number in range(4):
        places = np.flatnonzero(changed[number])
        order = places[np.argsort(hardness[number][places])]
        easy, hard = order[:2], order[2:]
        expected.append(np.mean((scores[number][hard] - 1) ** 2) + np.mean(scores[number][easy] ** 2))
    notes = np.ones_like(changed)
    choice = Choice(*map(jnp.asarray, (scores, notes, notes, changed)))
    loss = teaching_loss(Masking(labelled=0.5), choice, *map(jnp.asarray, (changed, hardness)), jax.random.key(0))
    assert_allclose(loss, np.mean(expected), rtol=1e-6)


def test_labels_of_the_paper_and_of_the_published_code_by_hand():
    """Two equal rows of six notes and a place that is none: four masked, of which two count, with losses 3 1 2 4.

    The published code turns its table with every row. Its first row is the paper's: 1 for the losses 3 and 4, 0 for 1
    and 2. In the second the two notes that were not masked are to be 1, and those with the losses 3 and 4 are to be 0.
    """
    scores = np.array([[0.9, 0.5, 0.6, 0.8, 0.3, 0.2, 0.7]] * 2, np.float32)
    is_head = np.array([[True] * 6 + [False]] * 2)
    masked = np.array([[True] * 4 + [False] * 3] * 2)
    hardness = np.array([[3.0, 1.0, 2.0, 4.0, 0.0, 0.0, 0.0]] * 2, np.float32)

    def loss(labels, allowed=is_head):
        choice = Choice(*map(jnp.asarray, (scores, is_head, allowed, masked)))
        settings = Masking(labels=labels, labelled=0.5)
        return float(teaching_loss(settings, choice, jnp.asarray(masked), jnp.asarray(hardness), jax.random.key(0)))

    paper = (0.1**2 + 0.2**2) / 2 + (0.5**2 + 0.6**2) / 2
    second = (0.7**2 + 0.8**2) / 2 + (0.9**2 + 0.8**2) / 2
    assert loss("paper") == pytest.approx(paper, rel=1e-6)
    assert loss("published") == pytest.approx((paper + second) / 2, rel=1e-6)
    frozen = is_head.copy()
    frozen[:, 4] = False  # its score is taken for 0, whatever the masker says
    second = (1.0**2 + 0.8**2) / 2 + (0.9**2 + 0.8**2) / 2
    assert loss("published", frozen) == pytest.approx((paper + second) / 2, rel=1e-6)
    assert loss("paper", frozen) == pytest.approx(paper, rel=1e-6)


def test_unmasked_notes_are_drawn_by_chance_where_there_are_more_than_count():
    """One of three unmasked notes is to score 1: over many keys each is drawn, and none that is masked."""
    scores = np.array([[0.5] * 5, [0.1, 0.2, 0.3, 0.4, 0.5]], np.float32)
    masked = np.array([[True, True, False, False, False]] * 2)
    hardness = jnp.asarray(np.array([[1.0, 2.0, 0.0, 0.0, 0.0]] * 2, np.float32))
    choice = Choice(*map(jnp.asarray, (scores, np.ones_like(masked), np.ones_like(masked), masked)))
    settings = Masking(labels="published", labelled=0.5)
    losses = {
        round(float(teaching_loss(settings, choice, jnp.asarray(masked), hardness, jax.random.key(seed))), 5)
        for seed in range(30)
    }
    first = 0.5**2 + 0.5**2
    assert losses == {round((first + (1 - score) ** 2 + 0.2**2) / 2, 5) for score in (0.3, 0.4, 0.5)}


def test_families_weigh_by_the_inverse_of_the_last_epochs_accuracy():
    masker = new_masker()
    first = masker.create(0)
    assert_array_equal(masker._weights(first), [1, 1, 1])
    within = dataclasses.replace(first, correct=jnp.array([8.0, 2.0, 0.0]), total=jnp.array([10.0, 10.0, 0.0]))
    assert_array_equal(masker._begin_batch(within, jnp.array([0, 0])).accuracy, [1, 1, 1])
    after = masker._begin_batch(within, jnp.array([1, 1]))
    assert_allclose(after.accuracy, [0.8, 0.2, 1.0], rtol=1e-6)
    assert_array_equal(after.total, [0, 0, 0])
    inverse = np.array([1 / 0.8, 1 / 0.2, 1.0])
    assert_allclose(masker._weights(after), inverse / inverse.mean(), rtol=1e-6)
    assert_array_equal(new_masker(weighting=False)._weights(after), [1, 1, 1])


def test_families_can_weigh_by_the_accuracies_of_validation():
    """As in the published code: a new epoch changes nothing, an evaluation does; without dropout, always the same."""
    masker = new_masker(weighed_on="validation", most=0.4)
    first = masker.create(0)
    within = dataclasses.replace(first, correct=jnp.array([8.0, 2.0, 0.0]), total=jnp.array([10.0, 10.0, 0.0]))
    assert_array_equal(masker._begin_batch(within, jnp.array([1, 1])).accuracy, [1, 1, 1])
    config = dataclasses.replace(CONFIG, dropout_rate=0.5)
    graphdef, params = parameters.initialise(config, jax.random.key(0))
    before = masker.weighed(first, nnx.merge(graphdef, params)).accuracy
    assert_array_equal(before, masker.weighed(first, nnx.merge(graphdef, params)).accuracy)
    assert np.all(before < 0.5)  # of 24 pitches, 8 durations, 4 positions
    assert_array_equal(new_masker().weighed(first, nnx.merge(graphdef, params)).accuracy, [1, 1, 1])
    inverse = 1 / np.maximum(before, 0.01)
    weighed = masker.weighed(first, nnx.merge(graphdef, params))
    assert_allclose(masker._weights(weighed), inverse / inverse.mean(), rtol=1e-6)
    with pytest.raises(ConfigError, match="no music for validation"):
        Masker(Masking(weighed_on="validation"), tiny_notes.TASK, CONFIG, tiny_runs.OPTIMIZER)


def test_held_out_words_are_counted_by_family():
    """All notes of a row but one word of it are what they were: a model that has learnt the rows recovers its words."""
    held_out = HeldOut(ROWS, tiny_notes.WORDS, 3, 0.15, tiny_notes.LENGTHS)
    words = np.bincount(tiny_notes.WORDS.family[ROWS[ROWS > 1]] + 1, minlength=4)[1:]
    graphdef, params = parameters.initialise(CONFIG, jax.random.key(0))
    correct, total = held_out._counts(graphdef, params, ROWS, np.int32(0))
    assert np.all(np.asarray(correct) <= np.asarray(total))
    assert total[1] == total[2] == len(ROWS)  # one note a row: its pitch and its duration
    assert total[0] <= len(ROWS)  # and its position, where it is the first note there
    assert np.all(np.asarray(total) < words)


@pytest.mark.slow
def test_a_run_that_weighs_by_validation_goes_on_to_the_bit(tmp_path):
    settings = {"evaluations": {}, "eval_period": 2, "save_period": 100, "log_period": 3}
    masker = new_masker(weighed_on="validation", most=0.4, **OFTEN)
    whole = tiny_runs.train(tmp_path / "whole", 9, tiny_notes.Batches(), config=CONFIG, masker=masker, **settings)
    with pytest.raises(loop.Interrupted):
        tiny_runs.train(tmp_path / "parts", 9, tiny_notes.Batches(stop_at=5), config=CONFIG, masker=masker, **settings)
    again = tiny_runs.train(tmp_path / "parts", 9, tiny_notes.Batches(), config=CONFIG, masker=masker, **settings)
    jax.tree.map(assert_array_equal, nnx.state(whole.model), nnx.state(again.model))
    lines = read_metrics(tmp_path / "whole" / "metrics.jsonl")
    assert lines == read_metrics(tmp_path / "parts" / "metrics.jsonl")
    assert lines[0]["masker/accuracy/Pitch"] < 1


@pytest.mark.parametrize("freezing", ["hardest", pytest.param("random", marks=pytest.mark.slow)])
def test_notes_are_frozen_in_every_so_many_epochs_and_some_thaw(freezing):
    scores = jnp.asarray(np.random.default_rng(0).random((4, 24)))

    def freeze(epoch, **settings):
        masker = new_masker(freezing=freezing, epochs=2, frozen=(0.5, 0.6), **settings)
        before = dataclasses.replace(masker.create(0), epoch=jnp.array(epoch))
        choice = Choice(*map(jnp.asarray, (scores, IS_HEAD[4:8], IS_HEAD[4:8], IS_HEAD[4:8])))
        return np.asarray(masker._freeze(before, choice, tiny_notes.batch(range(4, 8)), jax.random.key(1)))

    assert freeze(0, thawed=0.0).all()
    frozen = ~freeze(1, thawed=0.0)
    assert_array_equal(frozen.any(axis=1), [False] * 4 + [True] * 4 + [False] * 4)  # rows that were not visited
    assert_array_equal(frozen[4:8].sum(axis=1), [3, 2, 3, 2])  # half of 6 and of 4; a share of .6 is no note more
    assert not np.any(frozen[4:8] & ~IS_HEAD[4:8])
    lowest = np.where(frozen[4:8], scores, 1).min(axis=1) > np.where(IS_HEAD[4:8] & ~frozen[4:8], scores, 0).max(axis=1)
    assert lowest.all() == (freezing == "hardest")
    thawed = ~freeze(1, thawed=1.0)
    assert 0 < (thawed & frozen).sum() == thawed.sum() < frozen.sum()


@pytest.mark.slow
def test_eight_devices_choose_as_one():
    batches = [tiny_notes.batch(range(8), epoch) for epoch in range(3)]
    masker = new_masker(**OFTEN)
    one, losses = run(masker, batches)
    eight, others = run(masker, batches, devices=8)
    assert_allclose(others, losses, rtol=1e-5)
    assert_array_equal(eight.masker.open, one.masker.open)
    jax.tree.map(lambda a, b: assert_allclose(a, b, rtol=1e-3, atol=1e-4), eight.params, one.params)


@pytest.mark.slow  # by default: that any run goes on to the bit, and that all of a masker is in the state
def test_a_run_that_was_stopped_is_one_that_was_not(tmp_path):
    settings = {"evaluations": {}, "save_period": 100, "log_period": 3}
    masker = new_masker(**OFTEN)
    whole = tiny_runs.train(tmp_path / "whole", 9, tiny_notes.Batches(), config=CONFIG, masker=masker, **settings)
    with pytest.raises(loop.Interrupted):
        tiny_runs.train(tmp_path / "parts", 9, tiny_notes.Batches(stop_at=5), config=CONFIG, masker=masker, **settings)
    again = tiny_runs.train(tmp_path / "parts", 9, tiny_notes.Batches(), config=CONFIG, masker=masker, **settings)
    jax.tree.map(assert_array_equal, nnx.state(whole.model), nnx.state(again.model))
    lines = read_metrics(tmp_path / "whole" / "metrics.jsonl")
    assert lines[-1]["loss"] < lines[0]["loss"] - 0.5  # it learns to recover
    assert lines == read_metrics(tmp_path / "parts" / "metrics.jsonl")
    assert lines[0]["masker/frozen"] == 0
    assert lines[-1]["masker/frozen"] > 0
    assert 0 <= lines[-1]["masker/accuracy/Pitch"] < 1
    Checkpoint.open(tmp_path / "whole").params(CONFIG)  # as of any run
    assert {name: array.shape for name, array in Checkpoint.open(tmp_path / "whole").masker_params().items()} == {
        "wi": (16, 256),
        "bi": (256,),
        "wo": (256,),
        "bo": (),
    }
    with pytest.raises(Exception, match=r"masking.labels is paper there and published here"):
        tiny_runs.train(
            tmp_path / "whole",
            12,
            tiny_notes.Batches(),
            config=CONFIG,
            masker=new_masker(labels="published", **OFTEN),
            **settings,
        )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"chooser": "learnt"}, "chooser must be one of learned, random, not 'learnt'; did you mean 'learned'"),
        ({"share": (0.3, 0.1)}, "share must be two shares, 0 < low <= high < 1, not 0.3 and 0.1"),
        ({"frozen": (0.0, 0.1)}, "frozen must be two shares"),
        ({"labelled": 0.6}, "labelled must be from 0 to 0.5, not 0.6"),
        ({"epochs": 0}, "epochs must be at least 1, not 0"),
        ({"chooser": "random"}, '"hardest" needs a masker'),
    ],
)
def test_settings_that_cannot_be(settings, message):
    with pytest.raises(ConfigError, match=message):
        Masking(**settings)


def test_a_model_without_an_encoder_is_refused():
    alone = dataclasses.replace(CONFIG, architecture="language_model", num_encoder_layers=0)
    with pytest.raises(ConfigError, match=r"Update.masking needs a model with an encoder, not a language_model"):
        new_masker(alone)
