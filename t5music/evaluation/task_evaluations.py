"""Evaluations of a task: a class for each kind of task, which measures any number of models on one split of it."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, Protocol

import numpy as np

from t5music.data import answer_formats
from t5music.data.examples import FourParts, LabelNotes, Songs
from t5music.data.loading import loader, song_windows
from t5music.data.store.token_store import TRAIN, TokenStore
from t5music.data.vocabulary import Vocabulary
from t5music.errors import ConfigError
from t5music.evaluation import answer_scores, cells, likeliest_labels
from t5music.evaluation.baselines import Baselines
from t5music.evaluation.example_tallies import Tallies
from t5music.evaluation.label_scores import NoteJudge, Verdict, judge_pieces
from t5music.evaluation.models import Models
from t5music.inference import trained_model
from t5music.model.config import NOTES, SEQUENCE, T5Config
from t5music.music.encodings.satb.encoding import BAR


@dataclass(frozen=True)
class Settings:
    """What is evaluated of every task.

    Attributes:
        split: the split.
        batch_size: examples at a time.
        limit: at most so many examples, evenly spread; None for all.
        stride: of whole songs, see data.loading.song_windows.
        past: likewise.
        ngram: order of an n-gram model to stand beside the model's figures; None for none.
        answers: at most so many examples are answered in writing, for the metrics that the task declares; None for
            all, if it has any but `answer_scores.ON_REQUEST`.
    """

    split: str
    batch_size: int
    limit: int | None = None
    stride: int = song_windows.STRIDE
    past: str = song_windows.TARGETS
    ngram: int | None = None
    answers: int | None = None


class OwnMetric(NamedTuple):
    """The metric by which the checkpoints of a task are compared.

    Attributes:
        name: of the metric.
        higher_is_better: whether a higher value is better.
    """

    name: str
    higher_is_better: bool


_LOSS = OwnMetric("loss", higher_is_better=False)  # orders checkpoints as perplexity and bits per note do


class Evaluation(Protocol):
    """An evaluation of one task.

    Attributes:
        own_metric: by which the task's checkpoints are compared.
    """

    own_metric: ClassVar[OwnMetric]

    def measure(self, models: Models) -> Verdict:
        """Returns the metrics of a model or an ensemble and, of labels, its confusion."""
        ...


def evaluation_of(store: TokenStore, settings: Settings) -> Evaluation:
    """Returns the evaluation that fits the kind of a store's task.

    Raises ConfigError for a task of whole pieces that declares metrics of answers.
    """
    if isinstance(store.kind, Songs | FourParts) and store.manifest.metrics:
        names = ", ".join(store.manifest.metrics)
        raise ConfigError(f"{store.name} is of whole pieces, which are not answers: {names} cannot judge them")
    if isinstance(store.kind, Songs):
        return SongEvaluation(store, settings)
    if isinstance(store.kind, FourParts):
        return CellEvaluation(store, settings)
    if store.labels:
        return PieceLabelEvaluation(store, settings, store.labels)
    if isinstance(store.kind, LabelNotes):
        return NoteLabelEvaluation(store, settings, store.kind)
    return TargetEvaluation(store, settings)


def batches_of(
    store: TokenStore, settings: Settings, models: Models, *, count: int | None = None
) -> loader.EvalBatches:
    """Returns the examples in batches, as the settings say, or `count` of them in one batch."""
    return loader.eval_batches(
        store,
        settings.split,
        feature_lengths=models.lengths,
        batch_size=count or settings.batch_size,
        vocabulary=models.vocabulary,
        limit=count or settings.limit,
        decoder_only=models.config.decoder_only,
        head=models.config.encoder_head,
    )


class TargetEvaluation:
    """How likely the true targets are, beside baselines; and what the task's metrics say of written answers."""

    own_metric: ClassVar[OwnMetric] = _LOSS

    def __init__(self, store: TokenStore, settings: Settings) -> None:
        self._store, self._settings = store, settings
        self._baselines = Baselines(store, settings.split, ngram=settings.ngram)

    def measure(self, models: Models) -> Verdict:
        """Returns the metrics of `likelihood.evaluate` and `Baselines.beside`, and those that the task declares."""
        scores = models.score(batches_of(self._store, self._settings, models), models.vocabulary.is_note)
        scores |= self._baselines.beside(scores, models.vocabulary)
        return Verdict(scores | self._of_answers(models, scores))

    def _of_answers(self, models: Models, scores: Mapping[str, float]) -> dict[str, float]:
        """Returns what the declared metrics say of the answers that the model writes, beside other scores."""
        settings = self._settings
        on_request = answer_scores.ON_REQUEST if settings.answers is None else ()
        names = answer_scores.declared(self._store, apart_from=on_request)
        if not names or settings.answers == 0 or not _writes(models, self._store, names):
            return {}
        answers = answer_scores.write(
            models.members[0](),
            self._store,
            settings.split,
            lengths=models.lengths,
            batch_size=settings.batch_size,
            vocabulary=models.vocabulary,
            limit=min((most for most in (settings.limit, settings.answers) if most is not None), default=None),
        )
        return answer_scores.score(self._store, names, answers, taken=scores)


class SongEvaluation:
    """How likely whole songs are, every token scored once (data.loading.song_windows), beside baselines."""

    own_metric: ClassVar[OwnMetric] = _LOSS

    def __init__(self, store: TokenStore, settings: Settings) -> None:
        self._store, self._settings = store, settings
        self._baselines = Baselines(store, settings.split, ngram=settings.ngram)

    def measure(self, models: Models) -> Verdict:
        """Returns the metrics of `likelihood.evaluate` and `Baselines.beside`; "examples" are songs.

        Raises ConfigError for an encoder alone, which predicts nothing.
        """
        windows = _windows_of(self._store, self._settings, models)
        scores = models.score(windows, models.vocabulary.is_note) | {"examples": float(len(windows.songs))}
        return Verdict(scores | self._baselines.beside(scores, models.vocabulary))


def _windows_of(store: TokenStore, settings: Settings, models: Models, multiple: int = 1) -> song_windows.SongWindows:
    """Returns the windows of whole pieces. Raises ConfigError for an encoder alone, which predicts nothing."""
    if models.config.encoder_only:
        raise ConfigError(f"{store.name} is of whole pieces, which an encoder alone does not predict")
    return song_windows.SongWindows(
        store,
        settings.split,
        feature_lengths=models.lengths,
        batch_size=settings.batch_size,
        vocabulary=models.vocabulary,
        limit=settings.limit,
        decoder_only=models.config.decoder_only,
        stride=settings.stride,
        past=settings.past,
        multiple=multiple,
    )


class CellEvaluation:
    """How likely whole pieces of four parts are, cell by cell, beside baselines (see `cells`)."""

    own_metric: ClassVar[OwnMetric] = OwnMetric("nats_per_cell", higher_is_better=False)

    def __init__(self, store: TokenStore, settings: Settings) -> None:
        self._store, self._settings = store, settings

    def measure(self, models: Models) -> Verdict:
        """Returns the figures of `cells.scores`. Raises ConfigError for an encoder alone, which predicts nothing."""
        windows = _windows_of(self._store, self._settings, models, multiple=BAR)
        nats, ends = cells.nats_of_pieces(models.members, windows)
        pieces = {piece: self._piece(self._settings.split, piece, models.vocabulary) for piece in windows.songs}
        train = [self._piece(TRAIN, piece, models.vocabulary) for piece in range(self._store.examples(TRAIN))]
        tallies = Tallies([nats[piece] for piece in pieces], [float(len(events)) for events in pieces.values()])
        return Verdict(cells.scores(nats, ends, pieces, train), tallies={"nats_per_cell": tallies})

    def _piece(self, split: str, index: int, vocabulary: Vocabulary) -> cells.Piece:
        return vocabulary.decode_events(self._store.encoding, self._store.split(split)[index]["targets"])


class PieceLabelEvaluation:
    """Labels of pieces: each is answered with the likeliest label, or a classifier's likeliest class."""

    own_metric: ClassVar[OwnMetric] = OwnMetric("accuracy", higher_is_better=True)

    def __init__(self, store: TokenStore, settings: Settings, labels: Sequence[str]) -> None:
        self._store, self._settings, self._labels = store, settings, labels

    def measure(self, models: Models) -> Verdict:
        """Returns the verdict of `label_scores.judge_pieces`.

        Raises ConfigError for a classifier of another number of classes.
        """
        batches = batches_of(self._store, self._settings, models)
        _require_classes(models.config, self._store.name, self._labels)
        if models.config.head == SEQUENCE:
            answers = np.concatenate(likeliest_labels.likeliest(models.members, batches))
        else:
            answers = models.rank(batches, list(trained_model.label_ids(models.vocabulary, self._labels)))
        return judge_pieces(self._store, self._settings.split, batches.examples, answers, models.vocabulary)


class NoteLabelEvaluation:
    """Labels of notes: those written greedily, one for each note, and the likeliest of each in one pass.

    With a classifier of notes both are the same. An ensemble does not write.
    """

    own_metric: ClassVar[OwnMetric] = OwnMetric("note_accuracy", higher_is_better=True)

    def __init__(self, store: TokenStore, settings: Settings, kind: LabelNotes) -> None:
        self._store, self._settings, self._kind = store, settings, kind
        self._judge: NoteJudge | None = None

    def measure(self, models: Models) -> Verdict:
        """Returns the likelihood of the true labels, and what `NoteJudge` says of those written and the likeliest.

        Raises ConfigError for a classifier of another number of classes.
        """
        judge, is_classifier = self._judge_for(models.vocabulary), models.config.head == NOTES
        batches = batches_of(self._store, self._settings, models)
        _require_classes(models.config, self._store.name, self._kind.values)
        scores = models.score(batches, models.vocabulary.is_note)
        del scores["bits_per_note"]  # the notes among the targets are given
        scores |= judge.baselines(batches.examples)
        likeliest = likeliest_labels.likeliest(models.members, batches, None if is_classifier else judge.words)
        verdict = judge.judge(batches.examples, likeliest)
        scores["likelihood_accuracy"] = verdict.metrics["note_accuracy"]
        if models.write is not None:
            form, length = answer_formats.PerNote(models.vocabulary, self._kind.values), models.lengths["targets"]
            written = models.write(
                batches, max_length=length, grammar=lambda prompts: (form, form.start(prompts, length))
            )
            verdict = judge.judge(batches.examples, [judge.classes(ids) for ids in written])
        elif not is_classifier:
            names = answer_scores.declared(self._store, apart_from=answer_scores.OF_LABELS)
            _writes(models, self._store, names)
            return Verdict(scores)
        return verdict._replace(metrics=scores | verdict.metrics)

    def _judge_for(self, vocabulary: Vocabulary) -> NoteJudge:
        """Returns the judge, which has read the truths of the split once."""
        if self._judge is None:
            self._judge = NoteJudge(self._store, self._settings.split, self._kind, vocabulary)
        return self._judge


def _writes(models: Models, store: TokenStore, names: Sequence[str]) -> bool:
    """Whether the models write answers; where they do not, says which metrics are not measured."""
    if models.write is None and names:
        print(f"{store.name}: {', '.join(names)} not measured: an ensemble does not write answers", file=sys.stderr)
    return models.write is not None


def _require_classes(config: T5Config, task: str, labels: Sequence[str]) -> None:
    """Raises ConfigError where a classifier was trained on another number of labels."""
    if config.encoder_head is not None and config.num_labels != len(labels):
        raise ConfigError(
            f"the model's classifier has {config.num_labels} classes and {task} has {len(labels)} "
            f"({', '.join(labels)}): evaluate it on the task that it was trained on"
        )
