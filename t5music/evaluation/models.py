"""Models under evaluation: one model, or an ensemble of several, and what can be asked of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from numpy.typing import NDArray

from t5music.data.vocabulary import Vocabulary
from t5music.errors import ConfigError
from t5music.evaluation import ensembles, likelihood, written_answers
from t5music.inference import trained_model
from t5music.model.config import T5Config
from t5music.model.network import T5

Score = Callable[[Iterable[likelihood.Batch], NDArray], dict[str, float]]
Rank = Callable[[Iterable[likelihood.Batch], Sequence[Any]], NDArray]
Write = Callable[..., list[NDArray]]

# What the models of an ensemble must have in common for the mean of their logits to mean anything.
_COMMON = ("vocab_size", "decoder_only", "encoder_only", "head", "num_labels")


class Models(NamedTuple):
    """A model, or an ensemble of several, and what can be asked of it.

    Attributes:
        vocabulary: it was trained with.
        lengths: of inputs and targets, in tokens.
        config: of the (first) model.
        members: read the models.
        score: `evaluate` of evaluation.likelihood or evaluation.ensembles.
        rank: `rank_labels` of the same.
        write: `written_answers.generate_targets`; None where nothing can be written.
    """

    vocabulary: Vocabulary
    lengths: Mapping[str, int]
    config: T5Config
    members: Sequence[ensembles.Member]
    score: Score
    rank: Rank
    write: Write | None = None


def load(folders: Sequence[str | Path], lengths: Mapping[str, int] | None = None) -> Models:
    """Loads the model of a folder, or the first of several: the others are read when their logits are needed.

    Args:
        folders: of runs, of steps or of exported models.
        lengths: of inputs and targets; None for those that the (first) model was trained with.

    Raises:
        CheckpointError: a model that cannot be read.
    """
    trained = trained_model.load(folders[0])
    model, config = trained.model, trained.model.config
    lengths = lengths or trained.lengths
    if len(folders) > 1:
        members = [partial(_member, folder, config) for folder in folders]  # no two of them are in memory
        score, rank = partial(ensembles.evaluate, members), partial(ensembles.rank_labels, members)
        return Models(trained.vocabulary, lengths, config, members, score, rank)
    write = None if config.encoder_only else partial(written_answers.generate_targets, model)
    score, rank = partial(likelihood.evaluate, model), partial(likelihood.rank_labels, model)
    return Models(trained.vocabulary, lengths, config, [lambda: model], score, rank, write)


def _member(folder: str | Path, first: T5Config) -> T5:
    """Reads a model of an ensemble. Raises ConfigError for one that does not go with the first."""
    model = trained_model.load(folder).model
    for name in _COMMON:
        there, here = getattr(model.config, name), getattr(first, name)
        if there != here:
            raise ConfigError(f"an ensemble cannot hold {folder}: its {name} is {there} and the first model's {here}")
    return model
