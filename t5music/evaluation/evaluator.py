"""What `t5music eval` measures: one model, an ensemble of several, or every checkpoint of a run as it appears."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from t5music.data import answer_formats, vocabulary
from t5music.data.examples import LabelNotes, Pieces, Songs
from t5music.data.loading import loader, song_windows
from t5music.data.objectives.language_model import LanguageModel, SelectRandomChunk
from t5music.data.store.token_store import TokenStore
from t5music.errors import ConfigError
from t5music.evaluation import ensembles, likeliest_labels, likelihood, metrics, written_answers
from t5music.evaluation.confusion import Confusion
from t5music.evaluation.label_scores import NoteJudge, judge_pieces
from t5music.evaluation.ngrams import NGrams
from t5music.evaluation.results import Results
from t5music.inference import trained_model
from t5music.model.config import NOTES, SEQUENCE, T5Config
from t5music.model.network import T5

Score = Callable[[Iterable[likelihood.Batch], NDArray], dict[str, float]]
Rank = Callable[[Iterable[likelihood.Batch], Sequence[Any]], NDArray]


class _Models(NamedTuple):
    """A model, or an ensemble of several, and what can be asked of it.

    Attributes:
      vocabulary, lengths: it was trained with; the lengths may be others.
      config: of the (first) model.
      members: read the models.
      score, rank: `evaluate` and `rank_labels` of evaluation.likelihood or evaluation.ensembles.
      write: `generation.generate_targets`; None where nothing can be written.
    """

    vocabulary: vocabulary.Vocabulary
    lengths: Mapping[str, int]
    config: T5Config
    members: Sequence[ensembles.Member]
    score: Score
    rank: Rank
    write: Callable[..., list[NDArray]] | None = None


class Evaluator:
    """The examples to evaluate on, ready for any number of models.

    Attributes:
      confusions: of the tasks with labels, what the model that was evaluated last took for what.
    """

    def __init__(
        self,
        stores: Sequence[TokenStore],
        split: str,
        *,
        lengths: Mapping[str, int] | None,
        batch_size: int,
        limit: int | None,
        stride: int = song_windows.STRIDE,
        past: str = song_windows.TARGETS,
        ngram: int | None = None,
    ) -> None:
        """Takes the arguments of `runs.evaluate`."""
        self.split = split
        self._stores, self._lengths, self._batch_size, self._limit = stores, lengths, batch_size, limit
        self._stride, self._past, self._ngram = stride, past, ngram
        self._baselines: dict[str, dict[str, tuple[float, int]]] = {}
        self._judges: dict[str, NoteJudge] = {}
        self.confusions: dict[str, Confusion] = {}

    def evaluate(self, folders: Sequence[str | Path]) -> Results:
        """Returns the metrics of every task, of the model in a folder or of the mean logits of several.

        Raises CheckpointError for a model that cannot be read, ConfigError for models that do not go together.
        """
        models = self._load(folders)
        results: Results = {}
        self.confusions = {}
        for store in self._stores:
            if _kind(store) == Songs.kind:
                found = self._songs(store, models)
                results[store.name] = found | self._references(store, found, models.vocabulary)
            elif store.manifest["labels"]:
                results[store.name] = self._pieces(store, models)
            elif _kind(store) == LabelNotes.kind:
                results[store.name] = self._notes(store, models)
            else:
                found = models.score(self._batches(store, models), models.vocabulary.is_note)
                results[store.name] = found | self._references(store, found, models.vocabulary)
        return results

    def _load(self, folders: Sequence[str | Path]) -> _Models:
        trained = trained_model.load(folders[0])
        model, config = trained.model, trained.model.config
        about = trained.vocabulary, self._lengths or trained.lengths, config
        if len(folders) == 1:
            score, rank = partial(likelihood.evaluate, model), partial(likelihood.rank_labels, model)
            write = None if config.encoder_only else partial(written_answers.generate_targets, model)
            return _Models(*about, [lambda: model], score, rank, write)
        members = [partial(_member, folder, config) for folder in folders]  # no two of them are in memory
        return _Models(*about, members, partial(ensembles.evaluate, members), partial(ensembles.rank_labels, members))

    def _pieces(self, store: TokenStore, models: _Models) -> dict[str, float]:
        """Judges labels of pieces: the likeliest one, or a classifier's."""
        batches = self._batches(store, models)
        _require_classes(models.config, store.name, store.manifest["labels"])
        if models.config.head == SEQUENCE:
            given = np.concatenate(likeliest_labels.likeliest(models.members, batches))
        else:
            given = models.rank(batches, list(trained_model.label_ids(models.vocabulary, store.manifest["labels"])))
        found, self.confusions[store.name] = judge_pieces(store, self.split, batches.examples, given, models.vocabulary)
        return found

    def _notes(self, store: TokenStore, models: _Models) -> dict[str, float]:
        """Judges labels of notes: those written greedily, one for each note, and the likeliest of each in one pass.

        With a classifier of notes both are the same. An ensemble does not write.
        """
        vocab = models.vocabulary
        if store.name not in self._judges:
            self._judges[store.name] = NoteJudge(store, self.split, vocab)
        judge, classifier = self._judges[store.name], models.config.head == NOTES
        batches = self._batches(store, models)
        _require_classes(models.config, store.name, judge.kind.values)
        found = models.score(batches, vocab.is_note)
        del found["bits_per_note"]  # the notes among the targets are given
        found |= judge.baselines(batches.examples)
        likeliest = likeliest_labels.likeliest(models.members, batches, None if classifier else judge.words)
        verdict = judge.judge(batches.examples, likeliest)
        found["likelihood_accuracy"] = verdict.metrics["note_accuracy"]
        if models.write is not None:
            form, room = answer_formats.PerNote(vocab, judge.kind.values), models.lengths["targets"]
            written = models.write(batches, max_length=room, grammar=lambda asked: (form, form.start(asked, room)))
            verdict = judge.judge(batches.examples, [judge.classes(ids) for ids in written])
        if models.write is not None or classifier:
            found |= verdict.metrics
            self.confusions[store.name] = verdict.confusion
        return found

    def samples(self, folder: str | Path, count: int) -> list[str]:
        """Returns inputs, targets and a model's greedy answers of `count` examples of every task, as lines of text."""
        models = self._load([folder])
        if models.write is None:
            raise ConfigError(f"evaluate.samples: {folder} is an encoder alone, which writes nothing")
        vocab = models.vocabulary
        known = np.ones(vocab.size, bool)  # the embedding has more rows than the vocabulary has words
        lines = []
        for store in self._stores:
            batches = self._batches(store, models, most=count)
            written = iter(models.write(batches, max_length=models.lengths["targets"], allowed=known))
            for batch in batches:
                for row in np.flatnonzero(batch["decoder_loss_weights"].any(axis=1)):
                    asked = vocab.decode(likelihood.prompts(batch)[row])
                    targets = vocab.decode(batch["decoder_target_tokens"][row][batch["decoder_loss_weights"][row] > 0])
                    lines += [f"# {store.name} {batch['example_index'][row]}", f"inputs:  {asked}"]
                    lines += [f"targets: {targets}", f"answer:  {vocab.decode(next(written))}", ""]
        return lines

    def _batches(self, store: TokenStore, models: _Models, most: int | None = None) -> loader.EvalBatches:
        """The examples in batches, all that are asked for, or `most` of them in one batch."""
        return loader.eval_batches(
            store,
            self.split,
            feature_lengths=models.lengths,
            batch_size=most or self._batch_size,
            vocabulary=models.vocabulary,
            limit=most or self._limit,
            decoder_only=models.config.decoder_only,
            head=models.config.encoder_head,
        )

    def _songs(self, store: TokenStore, models: _Models) -> dict[str, float]:
        """Scores whole songs, every token once (data.loading.song_windows)."""
        if models.config.encoder_only:
            raise ConfigError(f"{store.name} is of whole songs, which an encoder alone does not predict")
        songs = song_windows.SongWindows(
            store,
            self.split,
            feature_lengths=models.lengths,
            batch_size=self._batch_size,
            vocabulary=models.vocabulary,
            limit=self._limit,
            decoder_only=models.config.decoder_only,
            stride=self._stride,
            past=self._past,
        )
        return models.score(songs, models.vocabulary.is_note) | {"examples": float(len(songs.songs))}

    def _references(
        self, store: TokenStore, found: Mapping[str, float], vocab: vocabulary.Vocabulary
    ) -> dict[str, float]:
        """What stands beside a model's figures: bits per second, where all the music was scored, and baselines.

        These know no music: they learn from the training targets and are asked all targets of the split, whatever the
        limit. There are none for noised targets.
        """
        entry = store.manifest["splits"][self.split]
        seconds = entry["seconds"] if _scored_whole(store, entry, found) else None
        added = {}
        if seconds is not None:
            added["bits_per_second"] = metrics.bits_per_second(found["loss"] * found["tokens"], seconds)
        if store.objectives:
            return added
        uniform = float(found["tokens"]) * math.log(_possible(store, vocab).sum())
        spent = {"uniform": (uniform, found["tokens"], found["notes"])}
        spent |= {name: (*nats, entry["notes"]) for name, nats in self._baselines_of(store, vocab).items()}
        for name, (nats, tokens, notes) in spent.items():
            added[f"{name}_perplexity"] = metrics.perplexity(nats / tokens)
            added[f"{name}_bits_per_note"] = metrics.bits_per_note(nats, notes)
            if seconds is not None:
                added[f"{name}_bits_per_second"] = metrics.bits_per_second(nats, seconds)
        return added

    def _baselines_of(self, store: TokenStore, vocab: vocabulary.Vocabulary) -> dict[str, tuple[float, int]]:
        """(nats, tokens) of a unigram model, and of n-grams if asked for, over a store's whole split; made once."""
        if store.name not in self._baselines:
            possible = _possible(store, vocab)
            symbols = int(possible.sum())
            symbol = np.cumsum(possible) - 1

            def targets(of: str) -> Iterator[np.ndarray]:
                examples = store.split(of)
                for index in range(len(examples)):
                    ids = np.append(examples[index]["targets"], vocabulary.EOS_ID)
                    yield symbol[ids[possible[ids]]]

            learnt, asked = (
                sum((np.bincount(row, minlength=symbols) for row in targets(of)), np.zeros(symbols, np.int64))
                for of in ("train", self.split)
            )
            baselines = {"unigram": (metrics.unigram_nats(learnt, asked), int(asked.sum()))}
            if self._ngram is not None:
                model = NGrams(list(targets("train")), symbols, self._ngram)
                nats = -float(model.log_probabilities(list(targets(self.split))).sum())
                baselines["ngram"] = (nats, int(asked.sum()))
            self._baselines[store.name] = baselines
        return self._baselines[store.name]


def _kind(store: TokenStore) -> str:
    """What kind of examples a store holds; '' for tokens of no kind that t5music knows."""
    return (store.manifest.get("examples") or {}).get("kind", "")


def _possible(store: TokenStore, vocab: vocabulary.Vocabulary) -> NDArray[np.bool_]:
    """Which ids a model of the store's targets has to consider: its encoding's words and EOS, bool [vocabulary]."""
    possible = vocab.event_mask(store.manifest["encoding"]).copy()
    possible[vocabulary.EOS_ID] = True
    return possible


def _scored_whole(store: TokenStore, entry: Mapping[str, Any], found: Mapping[str, float]) -> bool:
    """Whether every word of every piece of a split was scored: only then its seconds belong to the figures."""
    plain = all(isinstance(step, SelectRandomChunk | LanguageModel) for step in store.objectives)
    return (
        plain
        and _kind(store) in (Pieces.kind, Songs.kind)
        and found["tokens"] == entry["tokens"]["targets"] + entry["examples"]
    )


def _require_classes(config: T5Config, task: str, labels: Sequence[str]) -> None:
    """Raises ConfigError where a classifier was trained on another number of labels."""
    if config.encoder_head is not None and config.num_labels != len(labels):
        raise ConfigError(
            f"the model's classifier has {config.num_labels} classes and {task} has {len(labels)} "
            f"({', '.join(labels)}): evaluate it on the task that it was trained on"
        )


def _member(folder: str | Path, first: T5Config) -> T5:
    """Reads a model of an ensemble."""
    model = trained_model.load(folder).model
    for name in ("vocab_size", "decoder_only", "encoder_only", "head", "num_labels"):
        there, here = getattr(model.config, name), getattr(first, name)
        if there != here:
            raise ConfigError(f"an ensemble cannot hold {folder}: its {name} is {there} and the first model's {here}")
    return model
