"""Answers with labels judged: of pieces and of single notes, beside answers that know nothing of music."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from t5music.data import answer_metrics, examples
from t5music.data.examples import LabelNotes
from t5music.data.store.token_store import TokenStore
from t5music.data.vocabulary import Vocabulary
from t5music.evaluation import metrics
from t5music.evaluation.confusion import Confusion
from t5music.music.note_classes import skyline_of_words


class Verdict(NamedTuple):
    """What answers are worth: metrics in [0, 1], "recall/<label>" among them, and their confusion."""

    metrics: dict[str, float]
    confusion: Confusion


def _recalls(found: dict[str, Any]) -> dict[str, float]:
    """The recalls that `metrics.classification_metrics` found, as "recall/<label>"."""
    return {f"recall/{label}": share for label, share in found["recall"].items() if label != answer_metrics.NO_ANSWER}


def judge_pieces(
    store: TokenStore, split: str, asked: Sequence[int], given: NDArray, vocabulary: Vocabulary
) -> Verdict:
    """Judges labels of pieces.

    Args:
      store: of a task with a label set.
      split: the split.
      asked: the indices of its examples that were asked.
      given: int [asked], the answers, indices into the store's labels.
      vocabulary: the store's.

    Returns:
      "accuracy", "macro_f1", "examples", "majority_accuracy" (of always giving the most frequent training label) and
      recall by label.
    """
    labels = store.manifest["labels"]

    def true_labels(of: str, indices: Sequence[int]) -> NDArray:
        stored = store.split(of)
        return np.array([labels.index(vocabulary.decode(stored[index]["targets"])) for index in indices])

    true = true_labels(split, asked)
    found = answer_metrics.classification_metrics(true, given, labels)
    majority = metrics.majority_accuracy(true_labels("train", range(store.examples("train"))), true)
    scores = {name: found[name] for name in ("accuracy", "macro_f1", "examples")}
    return Verdict(
        scores | {"majority_accuracy": majority} | _recalls(found), Confusion(tuple(labels), found["confusion"])
    )


class NoteJudge:
    """Judges the labels of notes in one split of a task that labels notes.

    Attributes:
      kind: what the task asks.
      words: int32 [kind.values], the id of each answer word.
    """

    def __init__(self, store: TokenStore, split: str, vocabulary: Vocabulary) -> None:
        self._store, self._split, self._vocabulary = store, split, vocabulary
        kind = examples.from_config(store.manifest["examples"])
        assert isinstance(kind, LabelNotes)
        self.kind = kind
        self.words: NDArray[np.int32] = np.concatenate([vocabulary.encode(value) for value in kind.values])

    def classes(self, ids: NDArray[np.int32]) -> NDArray[np.int64]:
        """The classes (int64 [n]) of the answer words among ids: places in `words`."""
        return np.argmax(self.words[:, None] == ids[np.isin(ids, self.words)], axis=0)

    def judge(self, asked: Sequence[int], given: Sequence[NDArray]) -> Verdict:
        """Judges answers to examples of the split.

        Args:
          asked: indices of the examples.
          given: for each of them int [answers], indices into the task's values, for its notes in order. Notes beyond
            the last answer, which a model did not see because its inputs were cut, are wrong.

        Returns:
          "note_accuracy", "note_macro_f1" and recall by label, all notes of all examples together.
        """
        found = answer_metrics.note_classification(self._truths(asked), self._texts(given), self.kind.values)
        scores = {"note_accuracy": found["accuracy"], "note_macro_f1": found["macro_f1"]}
        return Verdict(
            scores | _recalls(found), Confusion((*self.kind.values, answer_metrics.NO_ANSWER), found["confusion"])
        )

    def baselines(self, asked: Sequence[int]) -> dict[str, float]:
        """What answers are worth that know nothing: "majority_accuracy" and, of melodies, "skyline_accuracy".

        The first gives each note the most frequent label of the training notes. To the skyline the highest notes are
        melody, all others accompaniment, and none a bridge. "notes" is how many there are.
        """
        truths = self._truths(asked)
        counts = [len(truth.split()) for truth in truths]
        found = {
            "notes": float(sum(counts)),
            "majority_accuracy": self._accuracy(truths, [np.full(count, self._majority) for count in counts]),
        }
        if self.kind.label == "melody":
            stored = self._store.split(self._split)
            events = (self._vocabulary.decode_events(self.kind.encoding, stored[index]["inputs"]) for index in asked)
            found["skyline_accuracy"] = self._accuracy(truths, [skyline_of_words(words) for words in events])
        return found

    @functools.cached_property
    def _majority(self) -> int:
        stored = self._store.split("train")
        counts = np.zeros(self._vocabulary.size, np.int64)
        for index in range(len(stored)):
            counts += np.bincount(stored[index]["targets"], minlength=len(counts))
        return int(np.argmax(counts[self.words]))

    def _accuracy(self, truths: Sequence[str], given: Sequence[NDArray]) -> float:
        return answer_metrics.note_classification(truths, self._texts(given), self.kind.values)["accuracy"]

    def _truths(self, asked: Sequence[int]) -> list[str]:
        stored = self._store.split(self._split)
        return [self._vocabulary.decode(stored[index]["targets"]) for index in asked]

    def _texts(self, given: Sequence[NDArray]) -> list[str]:
        return [" ".join(self.kind.values[index] for index in answers) for answers in given]
