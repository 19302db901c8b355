"""Label scores: answers with labels judged, of pieces and of single notes, beside answers that know no music."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from t5music.data import answer_metrics
from t5music.data.examples import LabelNotes
from t5music.data.store.token_store import TRAIN, TokenStore
from t5music.data.vocabulary import Vocabulary
from t5music.evaluation import answer_scores, metrics
from t5music.evaluation.answer_scores import Answers
from t5music.evaluation.confusion import Confusion
from t5music.evaluation.example_tallies import Tallies
from t5music.music.note_classes import skyline_of_words


class Verdict(NamedTuple):
    """What answers are worth. Shares, "recall/<label>" too, are in [0, 1].

    Attributes:
        metrics: name -> figure.
        confusion: of labels.
        tallies: of metrics that are sums over examples, what each example adds.
    """

    metrics: dict[str, float]
    confusion: Confusion | None = None
    tallies: Mapping[str, Tallies] = MappingProxyType({})


def _recalls(scores: Mapping[str, Any]) -> dict[str, float]:
    """The recalls that `answer_metrics.classification_metrics` returns, as "recall/<label>"."""
    return {f"recall/{label}": share for label, share in scores["recall"].items() if label != answer_metrics.NO_ANSWER}


def judge_pieces(
    store: TokenStore, split: str, indices: Sequence[int], answers: NDArray[np.int64], vocabulary: Vocabulary
) -> Verdict:
    """Judges labels of pieces.

    Args:
        store: of a task with a label set.
        split: the split.
        indices: of the examples that were answered.
        answers: int [indices], indices into the store's labels.
        vocabulary: the store's.

    Returns:
        "accuracy", "macro_f1", "examples", "majority_accuracy" (of always giving the most frequent training label),
        recall by label, and what further metrics that the task declares give.
    """
    labels = store.labels or ()

    def true_labels(split: str, indices: Sequence[int]) -> NDArray[np.int64]:
        examples = store.split(split)
        return np.array([labels.index(vocabulary.decode(examples[index]["targets"])) for index in indices])

    truths = true_labels(split, indices)
    scores = answer_metrics.classification_metrics(truths, answers, labels)
    majority = metrics.majority_accuracy(true_labels(TRAIN, range(store.examples(TRAIN))), truths)
    shown = {name: scores[name] for name in ("accuracy", "macro_f1", "examples")}
    shown |= {"majority_accuracy": majority} | _recalls(scores)
    texts = Answers(*([labels[index] for index in indices] for indices in (truths, answers)))
    tallies = Tallies((truths == np.asarray(answers)).astype(float).tolist(), [1.0] * len(truths))
    return Verdict(
        shown | _of_further_metrics(store, texts, shown),
        Confusion(labels, scores["confusion"]),
        {"accuracy": tallies},
    )


def _of_further_metrics(store: TokenStore, answers: Answers, taken: Mapping[str, float]) -> dict[str, float]:
    """What those metrics give that a task with labels declares beside the ones that are measured here."""
    names = answer_scores.declared(store, apart_from=answer_scores.OF_LABELS)
    return answer_scores.score(store, names, answers, taken)


class NoteJudge:
    """Judges the labels of notes in one split of a task that labels notes.

    Attributes:
        words: int32 [values of the task], the id of each answer word.
    """

    def __init__(self, store: TokenStore, split: str, kind: LabelNotes, vocabulary: Vocabulary) -> None:
        """Reads nothing yet.

        Args:
            store: of the task.
            split: the split.
            kind: what the task asks.
            vocabulary: the store's.
        """
        self._store, self._split, self._kind, self._vocabulary = store, split, kind, vocabulary
        self.words: NDArray[np.int32] = np.concatenate([vocabulary.encode(value) for value in kind.values])

    def classes(self, ids: NDArray[np.int32]) -> NDArray[np.int64]:
        """Returns the classes (int64 [n]) of the answer words among ids: places in `words`."""
        return np.argmax(self.words[:, None] == ids[np.isin(ids, self.words)], axis=0)

    def judge(self, indices: Sequence[int], answers: Sequence[NDArray[np.int64]]) -> Verdict:
        """Judges answers to examples of the split.

        Args:
            indices: of the examples.
            answers: for each of them int [answers], indices into the task's values, for its notes in order. Notes
                beyond the last answer, which a model did not see because its inputs were cut, are wrong.

        Returns:
            "note_accuracy", "note_macro_f1" and recall by label, all notes of all examples together, and what further
            metrics that the task declares give.
        """
        values = self._kind.values
        texts = Answers(self._truths(indices), self._texts(answers))
        scores = answer_metrics.note_classification(texts.targets, texts.predictions, values)
        shown = {"note_accuracy": scores["accuracy"], "note_macro_f1": scores["macro_f1"]} | _recalls(scores)
        confusion = Confusion((*values, answer_metrics.NO_ANSWER), scores["confusion"])
        pairs = [(truth.split(), text.split()) for truth, text in zip(texts.targets, texts.predictions, strict=True)]
        tallies = Tallies(
            [float(sum(map(str.__eq__, truth, text))) for truth, text in pairs],
            [float(len(truth)) for truth, _ in pairs],
        )
        further = _of_further_metrics(self._store, texts, shown)
        return Verdict(shown | further, confusion, {"note_accuracy": tallies})

    def baselines(self, indices: Sequence[int]) -> dict[str, float]:
        """Returns what answers are worth that know nothing: "majority_accuracy" and, of melodies, "skyline_accuracy".

        The first gives each note the most frequent label of the training notes. To the skyline the highest notes are
        melody, all others accompaniment, and none a bridge. "notes" is how many there are.
        """
        truths = self._truths(indices)
        counts = [len(truth.split()) for truth in truths]
        scores = {
            "notes": float(sum(counts)),
            "majority_accuracy": self._accuracy(truths, [np.full(count, self._majority) for count in counts]),
        }
        if self._kind.label == "melody":
            examples = self._store.split(self._split)
            inputs = (self._vocabulary.decode_events(self._kind.encoding, examples[i]["inputs"]) for i in indices)
            scores["skyline_accuracy"] = self._accuracy(truths, [skyline_of_words(words) for words in inputs])
        return scores

    @functools.cached_property
    def _majority(self) -> int:
        """The class of the most frequent label of the training notes."""
        examples = self._store.split(TRAIN)
        counts = np.zeros(self._vocabulary.size, np.int64)
        for index in range(len(examples)):
            counts += np.bincount(examples[index]["targets"], minlength=len(counts))
        return int(np.argmax(counts[self.words]))

    def _accuracy(self, truths: Sequence[str], answers: Sequence[NDArray[np.int64]]) -> float:
        return answer_metrics.note_classification(truths, self._texts(answers), self._kind.values)["accuracy"]

    def _truths(self, indices: Sequence[int]) -> list[str]:
        examples = self._store.split(self._split)
        return [self._vocabulary.decode(examples[index]["targets"]) for index in indices]

    def _texts(self, answers: Sequence[NDArray[np.int64]]) -> list[str]:
        return [" ".join(self._kind.values[index] for index in classes) for classes in answers]
