"""Objectives and rates inside seqio: the numpy functions, driven by seqio's seeds."""

from __future__ import annotations

import functools
import itertools

import numpy as np
import pytest
import seqio
import tensorflow as tf

from t5music.data import mixing_rates
from t5music.data.loading import mixing_order
from t5music.data.objectives import SpanCorruption, Transpose, apply
from t5music.data.objectives.language_model import PrefixLM, SelectRandomChunk
from t5music.data.objectives.noise import span_corruption_lengths
from t5music.data.seqio_bridge.objectives import ObjectivePreprocessor, preprocessors
from t5music.data.seqio_bridge.tasks import seqio_rate
from t5music.data.seqio_bridge.vocabulary import T5MusicVocabulary
from t5music.data.vocabulary import default
from t5music.errors import ConfigError

LENGTHS = {"inputs": 64, "targets": 24}
TEXTS = [f"P1_NOTEON_{40 + i} " + " ".join(f"WT_{j} NOTE_ON_{60 + i}" for j in range(1, 90)) for i in range(5)]
NUMBER = itertools.count()


def add_task(steps, cache: bool = True, vocabulary=None) -> seqio.Task:
    """A task with the five texts as targets."""

    def dataset(split, shuffle_files, seed=None):
        return tf.data.Dataset.from_tensor_slices({"targets": TEXTS, "piece": [f"p{i}" for i in range(5)]})

    placeholder = [seqio.CacheDatasetPlaceholder()] if cache else []
    vocabulary = vocabulary or T5MusicVocabulary()
    return seqio.TaskRegistry.add(
        f"t5music_objective_test_{next(NUMBER)}",
        source=seqio.FunctionDataSource(dataset, splits=["train"], num_input_examples={"train": 5}),
        preprocessors=[seqio.preprocessors.tokenize, *placeholder, *steps, seqio.preprocessors.append_eos_after_trim],
        output_features={feature: seqio.Feature(vocabulary) for feature in ("inputs", "targets")},
    )


@functools.partial(seqio.map_over_dataset, num_seeds=1)
def seqio_seeds(example, seed):
    """The seeds that seqio hands to a preprocessor in this place."""
    return {"seed": tf.stack(seed)}


def examples(task: seqio.Task, seed: int | None, epochs: int = 1) -> list[dict]:
    dataset = task.get_dataset(LENGTHS, "train", shuffle=False, seed=seed, num_epochs=epochs)
    return list(dataset.as_numpy_iterator())


def test_a_step_is_the_numpy_function_with_the_rng_of_the_seed():
    step = SpanCorruption()
    preprocessor = ObjectivePreprocessor(step)
    assert preprocessor.step == step
    tokens = [default().encode(text)[:60] for text in TEXTS]
    dataset = tf.data.Dataset.from_generator(
        lambda: ({"targets": ids} for ids in tokens), output_signature={"targets": tf.TensorSpec([None], tf.int32)}
    )
    features = {feature: seqio.Feature(T5MusicVocabulary()) for feature in ("inputs", "targets")}
    with seqio.map_seed_manager(7):
        made = list(preprocessor(dataset, LENGTHS, output_features=features).as_numpy_iterator())
    with seqio.map_seed_manager(7):
        seeds = [example["seed"].tolist() for example in seqio_seeds(dataset).as_numpy_iterator()]
    for ids, seed, example in zip(tokens, seeds, made, strict=True):
        wanted = step({"targets": ids}, np.random.default_rng(seed), LENGTHS, default())
        assert example["inputs"].tolist() == wanted["inputs"].tolist()
        assert example["targets"].tolist() == wanted["targets"].tolist()


def test_a_task_is_deterministic_for_a_seed_and_differs_between_seeds_and_epochs():
    task = add_task(preprocessors([Transpose(), SelectRandomChunk(), SpanCorruption()]))
    one, again, other = examples(task, 3, 2), examples(task, 3, 2), examples(task, 4, 2)
    for first, second in zip(one, again, strict=True):
        assert all(np.array_equal(first[name], second[name]) for name in ("inputs", "targets"))
    assert not all(np.array_equal(a["inputs"], b["inputs"]) for a, b in zip(one, other, strict=True))
    assert not all(np.array_equal(a["inputs"], b["inputs"]) for a, b in zip(one[:5], one[5:], strict=True))
    assert [example["piece"] for example in one[:5]] == [f"p{i}".encode() for i in range(5)]


def test_a_chunk_takes_the_length_the_corruption_needs():
    made = examples(add_task(preprocessors([SelectRandomChunk(), SpanCorruption()])), 0)
    tokens = SpanCorruption().tokens_needed(LENGTHS)
    lengths = span_corruption_lengths(tokens, 0.15, 3.0)
    assert {(len(example["inputs"]), len(example["targets"])) for example in made} == {lengths}
    assert lengths[0] == LENGTHS["inputs"]


def test_static_shapes_and_dtypes():
    dataset = add_task(preprocessors([SelectRandomChunk(), PrefixLM()])).get_dataset(LENGTHS, "train", seed=0)
    for feature in ("inputs", "targets"):
        assert dataset.element_spec[feature].shape.as_list() == [None]
        assert dataset.element_spec[feature].dtype == tf.int32


def test_without_a_cache_and_without_a_seed_it_still_works():
    made = examples(add_task(preprocessors([SelectRandomChunk(), SpanCorruption()]), cache=False), None)
    assert all(example["inputs"][-1] == example["targets"][-1] == 1 for example in made)


def test_all_steps_in_seqio_keep_every_token():
    made = examples(add_task(preprocessors([SelectRandomChunk(), PrefixLM()])), 1)
    for example, text in zip(made, TEXTS, strict=True):
        joined = default().decode([*example["inputs"][:-1], *example["targets"][:-1]])
        assert joined in text
        assert len(joined.split()) == LENGTHS["targets"]


def test_another_vocabulary_is_an_error():
    task = add_task([ObjectivePreprocessor(PrefixLM())], vocabulary=seqio.ByteVocabulary())
    with pytest.raises(ConfigError, match="prefix_lm needs features with a T5MusicVocabulary"):
        examples(task, 0)


@pytest.mark.parametrize(("maximum", "temperature"), [(None, 1.0), (3, 1.0), (None, 2.0), (4, 4.0), (10, 1.0)])
def test_rates_are_seqios(maximum, temperature):
    task = add_task([ObjectivePreprocessor(PrefixLM())])
    rate = mixing_rates.Proportional(maximum, temperature)
    expected = seqio.mixing_rate_num_examples(task, maximum, temperature=temperature)
    assert seqio_rate(rate)(task) == pytest.approx(expected)


def test_rates_in_a_seqio_mixture():
    tasks = [add_task([ObjectivePreprocessor(PrefixLM())]) for _ in range(2)]
    rates = [mixing_rates.Proportional(), mixing_rates.Constant(2.0)]
    name = "t5music_rates_test"
    seqio.MixtureRegistry.add(name, [(task.name, seqio_rate(rate)) for task, rate in zip(tasks, rates, strict=True)])
    mixture = seqio.get_mixture_or_task(name)
    assert [mixture.get_rate(task) for task in tasks] == [5.0, 2.0]
    dataset = mixture.get_dataset(LENGTHS, "train", seed=0, num_epochs=1)
    assert len(list(dataset.as_numpy_iterator())) >= 5


def test_tasks_together_are_one_member_of_a_seqio_mixture_too():
    """Two corpora of 5 and a task of 5: the corpora have 8 (the cap) between them, the task has its 5."""
    corpora = [add_task([ObjectivePreprocessor(PrefixLM())]) for _ in range(2)]
    task = add_task([ObjectivePreprocessor(PrefixLM())])
    rate = mixing_rates.Proportional(maximum=8)
    together = mixing_rates.Together(tuple(corpus.name for corpus in corpora), rate)
    name = "t5music_together_test"
    rates = {corpus.name: together for corpus in corpora} | {task.name: rate}
    seqio.MixtureRegistry.add(name, [(member, seqio_rate(rate)) for member, rate in rates.items()])
    mixture = seqio.get_mixture_or_task(name)
    assert [mixture.get_rate(member) for member in (*corpora, task)] == [4.0, 4.0, 5.0]
    counts = dict.fromkeys(rates, 5)
    shares = mixing_order.resolve(rates, counts)
    assert shares == pytest.approx({member.name: mixture.get_rate(member) / 13 for member in (*corpora, task)})


def test_in_seqio_and_in_the_loader_the_steps_give_the_same():
    """A whole task's preprocessors against `apply`, step by step with the rng each preprocessor is given."""
    steps = [SelectRandomChunk(length=30), PrefixLM()]
    tokens = default().encode(TEXTS[0])
    dataset = tf.data.Dataset.from_tensors({"targets": tokens})
    features = {feature: seqio.Feature(T5MusicVocabulary()) for feature in ("inputs", "targets")}
    with seqio.map_seed_manager(0):
        made = dataset
        for preprocessor in preprocessors(steps):
            made = preprocessor(made, LENGTHS, output_features=features)
    result = next(made.as_numpy_iterator())
    with seqio.map_seed_manager(0):
        seeds = [next(seqio_seeds(dataset).as_numpy_iterator())["seed"].tolist() for _ in steps]
    example = {"targets": tokens}
    for step, seed in zip(steps, seeds, strict=True):
        example = apply([step], example, np.random.default_rng(seed), LENGTHS, default())
    assert result["inputs"].tolist() == example["inputs"].tolist()
    assert result["targets"].tolist() == example["targets"].tolist()
