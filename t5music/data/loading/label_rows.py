"""Rows for an encoder alone: the inputs and the classes that its head predicts, one example a row.

The targets of a task, which are text, become numbers of classes. Of a task that labels notes, each note's class stands
at the word that begins the note; of one that classifies pieces, there is one number for a row:

    inputs   [: Bar Pitch_60 Duration_4 Pitch_64 Duration_4 EOS]       head "notes"
    targets  [Pitch_60 Role_melody Pitch_64 Role_accompaniment EOS]

    encoder_input_tokens    : Bar Pitch_60 Duration_4 Pitch_64 Duration_4 EOS 0
    decoder_target_tokens   0  0    0         0          2         0       0  0
    decoder_loss_weights    0  0    1         0          1         0       0  0

With the head "words" the targets are the true words of the inputs, one for one. The names of the features are those of
`packing.assemble`, though nothing here is decoded: the loss and the loop read them so.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from t5music.data.examples import LabelNotes
from t5music.data.loading.packing import Pair
from t5music.data.objectives.echo_notes import EchoNotes
from t5music.data.store.token_store import TokenStore
from t5music.data.vocabulary import EOS_ID, Ids, Vocabulary
from t5music.errors import ConfigError, DataError

WORDS, NOTES, SEQUENCE = HEADS = ("words", "notes", "sequence")


def label_set(stores: Sequence[TokenStore], head: str) -> tuple[str, ...]:
    """The labels that tasks have for a head, class by class; () for the head "words", which needs none.

    Raises ConfigError for a task that has none, and for tasks of different ones.
    """
    if head == WORDS:
        return ()
    label_sets = {store.name: _labels(store, head) for store in stores}
    first, *others = label_sets
    for other in others:
        if label_sets[other] != label_sets[first]:
            raise ConfigError(
                f"a head {head!r} has one set of labels: {first} has {', '.join(label_sets[first])}, "
                f"{other} has {', '.join(label_sets[other])}"
            )
    return label_sets[first]


def _labels(store: TokenStore, head: str) -> tuple[str, ...]:
    if head == NOTES and isinstance(store.kind, LabelNotes):
        return store.kind.values
    if head == SEQUENCE and store.labels:
        return store.labels
    wanted = {NOTES: "label notes", SEQUENCE: "choose one label of a set"}[head]
    raise ConfigError(f"a head {head!r} needs tasks that {wanted}, which {store.name} does not")


def check_echoes(stores: Sequence[TokenStore]) -> None:
    """Raises DataError for a store of labels of notes without `EchoNotes`: a decoder could not know which is whose."""
    for store in stores:
        if isinstance(store.kind, LabelNotes) and EchoNotes() not in store.objectives:
            raise DataError(f"{store.path} has labels without the words of their notes: compile {store.name} again")


class LabelRows:
    """Makes batches of rows; see the module. Called as `packing.assemble` is, with at most one example a row."""

    def __init__(self, head: str, labels: Sequence[str], length: int, vocabulary: Vocabulary) -> None:
        """`labels` are those of `label_set`, `length` is that of a row of inputs."""
        self._head, self._length, self._vocabulary = head, length, vocabulary
        self._index = {vocabulary.encode(label).tobytes(): index for index, label in enumerate(labels)}
        self._class_of = np.full(vocabulary.size, -1, np.int32)  # of a word that is by itself a label
        if head == NOTES:
            self._class_of[np.concatenate([vocabulary.encode(label) for label in labels])] = np.arange(len(labels))

    def __call__(self, rows: Sequence[Sequence[Pair]]) -> dict[str, NDArray]:
        """Returns the batch, see the module: targets and weights are [rows, length] or, of sequences, [rows, 1].

        Raises DataError for targets that do not belong to the inputs, or are no label.
        """
        size = 1 if self._head == SEQUENCE else self._length
        batch: dict[str, NDArray] = {
            "encoder_input_tokens": np.zeros((len(rows), self._length), np.int32),
            "decoder_target_tokens": np.zeros((len(rows), size), np.int32),
            "decoder_loss_weights": np.zeros((len(rows), size), np.float32),
        }
        answers = {WORDS: self._words, NOTES: self._notes, SEQUENCE: self._sequence}[self._head]
        for number, row in enumerate(rows):
            for pair in row:
                places, targets, weights = answers(pair)
                batch["encoder_input_tokens"][number, : len(pair.inputs)] = pair.inputs
                batch["decoder_target_tokens"][number, places] = targets
                batch["decoder_loss_weights"][number, places] = weights
        return batch

    def _words(self, pair: Pair) -> tuple[NDArray, Ids, NDArray]:
        if len(pair.targets) != len(pair.inputs):
            raise DataError(
                "with the head 'words' there must be one target for each input token, "
                f"not {len(pair.targets)} for {len(pair.inputs)}; both TASK_FEATURE_LENGTHS must be equal"
            )
        return np.arange(len(pair.targets)), pair.targets, _weights(pair)

    def _notes(self, pair: Pair) -> tuple[NDArray, Ids, NDArray]:
        mask = self._vocabulary.sentinel(0)
        echoes = self._vocabulary.is_note[pair.targets] | (pair.targets == mask)  # they tell a decoder of which note
        is_label = ~echoes & (pair.targets != EOS_ID)
        classes, weights = self._class_of[pair.targets[is_label]], _weights(pair)[is_label]
        if (classes < 0).any():
            word = self._vocabulary.words[pair.targets[is_label][classes < 0][0]]
            raise DataError(f"the targets of a task that labels notes hold notes and labels alone, not {word!r}")
        if (pair.inputs == mask).any():
            # Masked notes have lost their words, and their answers have no weight.
            classes, weights = classes[weights > 0], weights[weights > 0]
        places = np.flatnonzero(self._vocabulary.is_note[pair.inputs])
        if len(places) < len(classes) and len(pair.inputs) < self._length:  # inputs that were not cut
            raise DataError(f"an example has {len(places)} notes in its inputs and {len(classes)} labels for them")
        return places[: len(classes)], classes[: len(places)], weights[: len(places)]

    def _sequence(self, pair: Pair) -> tuple[NDArray, Ids, NDArray]:
        label = pair.targets[pair.targets != EOS_ID]
        if label.tobytes() not in self._index:
            raise DataError(
                f"{self._vocabulary.decode(label)!r} is not a label of the task: compile it again, "
                "or give its labels room in TASK_FEATURE_LENGTHS"
            )
        return np.zeros(1, int), np.array([self._index[label.tobytes()]], np.int32), np.ones(1, np.float32)


def _weights(pair: Pair) -> NDArray[np.float32]:
    """How much every target weighs, float32 [targets]."""
    return np.ones(len(pair.targets), np.float32) if pair.weights is None else pair.weights
