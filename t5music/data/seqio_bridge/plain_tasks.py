"""Plain tasks: seqio tasks of somebody else, compiled into token stores as they come out of seqio.

A store has a task's own preprocessors behind it: they have run once, those after the placeholder too, with seed 0.
What t5music does at every visit (noise drawn anew, transposition) is for tasks that are declared with
`t5music.data.declaration.add_task`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import seqio

from t5music import locks
from t5music.data import answer_metrics, mixing_rates
from t5music.data.seqio_bridge.vocabulary import T5MusicVocabulary
from t5music.data.store.codec import FeatureSpec
from t5music.data.store.token_store import TRAIN, TokenStore
from t5music.data.store.writer import StoreWriter
from t5music.data.vocabulary import EOS_ID, Ids, default
from t5music.errors import DataError
from t5music.terms import Terms

FEATURES = ("inputs", "targets")
ENCODING = "text"  # its words may be anything


def is_registered(name: str) -> bool:
    """Whether seqio has a task or mixture of this name."""
    return name in seqio.TaskRegistry.names() or name in seqio.MixtureRegistry.names()


def tasks_of(name: str) -> list[seqio.Task]:
    """The task of this name in seqio, or the tasks of the mixture."""
    return list(seqio.get_subtasks(seqio.get_mixture_or_task(name)))


def rates_of(name: str) -> dict[str, mixing_rates.Rate] | None:
    """The rates of a mixture's tasks by their names; None of a task."""
    if name not in seqio.MixtureRegistry.names():
        return None
    mixture = seqio.get_mixture_or_task(name)
    return {task.name: mixing_rates.Constant(float(mixture.get_rate(task))) for task in seqio.get_subtasks(mixture)}


def compile_plain(task: seqio.Task, path: Path) -> TokenStore:
    """Compiles a seqio task into a store, in place of one that is there: what is behind a task cannot be compared.

    Args:
        task: its features are `targets` and, unless it is a language model, `inputs`, in T5MusicVocabulary.
        path: of the store.

    Raises:
        DataError: the features are others; there is no training example; the disk is full.
    """
    features = task.output_features
    _check(task)
    metrics = _metrics(task)
    with locks.waiting(path.with_name(f".{task.name}{locks.FILE}"), f"store of {task.name}"):
        with StoreWriter(
            path,
            features={name: FeatureSpec(add_eos=name not in features or features[name].add_eos) for name in FEATURES},
            vocabulary=default(),
            encoding=ENCODING,
            metrics=metrics,
            terms=[Terms(task.name)],
        ) as writer:
            is_note = default().is_note
            for split in task.splits:
                for example in _examples(task, split):
                    writer.write(split, example, notes=int(is_note[example["targets"]].sum()))
        return TokenStore.open(path, default())


def _metrics(task: seqio.Task) -> list[str]:
    """The names of a task's metrics that `t5music eval` can measure; says which ones it cannot, and why."""
    of_answers = task.predict_metric_fns
    registered = [name for name, metric in answer_metrics.METRICS.items() if metric in of_answers]
    if registered and task.postprocessor is not None:
        print(f"{task.name}: t5music eval measures none of its metrics: they judge what its postprocess_fn returns")
        return []
    others = [name for name in (metric.__name__ for metric in task.metric_fns) if name not in registered]
    if others:
        advice = "put @t5music.data.answer_metrics.register before functions of (targets, predictions)"
        print(f"{task.name}: t5music eval does not measure {', '.join(others)}: {advice}")
    return registered


def _check(task: seqio.Task) -> None:
    reason = f"seqio task {task.name!r} cannot be compiled"
    features = task.output_features
    if "targets" not in features or not set(features) <= set(FEATURES):
        raise DataError(f"{reason}: its features are {', '.join(features)}, and a store has inputs and targets")
    for name, feature in features.items():
        if feature.vocabulary != T5MusicVocabulary():
            raise DataError(
                f"{reason}: its feature {name!r} is in {type(feature.vocabulary).__name__}; declare it with "
                "seqio.Feature(t5music.data.seqio_bridge.vocabulary.T5MusicVocabulary())"
            )
    if TRAIN not in task.splits:
        raise DataError(f"{reason}: it has no split {TRAIN!r} (there are: {', '.join(task.splits)})")


def _examples(task: seqio.Task, split: str) -> Iterator[dict[str, Ids]]:
    """The examples of a split as a store has them: of a feature with an EOS of its own, the last one is left out."""
    dataset = task.get_dataset(sequence_length=None, split=split, shuffle=False, seed=0)
    for example in dataset.as_numpy_iterator():
        ids = {name: np.asarray(example[name], np.int32) for name in task.output_features}
        for name, feature in task.output_features.items():
            if feature.add_eos and len(ids[name]) and ids[name][-1] == EOS_ID:
                ids[name] = ids[name][:-1]
        yield ids
