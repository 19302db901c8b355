"""Segment vectors: a trained encoder's states for each segment of music, pooled over time, layer by layer.

The features are frozen: nothing here is trained (Choi et al. 2017; Hamel et al. 2013). A segment's vector, score, label
and piece all come from the same words of a token store, so that features that are compared saw the same notes.

The encoder reads the words of the music alone, as in pre-training, without the prompt of the store's task: so vectors
mean the same for every task, and a model that was trained without prompts reads none. With `prompted` it reads the
whole input, as a model that was fine-tuned on the task did. Only the positions of the music are pooled either way.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from t5music.data.examples.classification import evenly
from t5music.data.store.token_store import TokenStore
from t5music.data.vocabulary import Ids, Vocabulary
from t5music.errors import ConfigError
from t5music.inference import embed
from t5music.model.network import T5
from t5music.music import encodings
from t5music.music.score import Score


@dataclass(frozen=True)
class Segments:
    """Labelled segments of music, of one split of a classification task.

    Attributes:
        inputs: the ids of each segment's prompt and music, without EOS, int32 [length] each.
        labels: indices into the label set, int [segments].
        pieces: the piece that each segment belongs to, [segments].
        music: True at the words of the encoding, bool [vocabulary size].
        encoding: name of the encoding.
    """

    inputs: tuple[Ids, ...]
    labels: NDArray[np.int64]
    pieces: NDArray[np.str_]
    music: NDArray[np.bool_]
    encoding: str

    def scores(self, vocabulary: Vocabulary) -> Iterator[Score]:
        """Yields the music of each segment."""
        encoding = encodings.get(self.encoding)
        for ids in self.inputs:
            yield encoding.decode(vocabulary.decode_events(self.encoding, ids)).score


def read(
    store: TokenStore, split: str, vocabulary: Vocabulary, *, of_piece: int | None = None, limit: int | None = None
) -> Segments:
    """Reads the segments of a split.

    Args:
        store: the store of a classification task.
        split: the split.
        vocabulary: the vocabulary.
        of_piece: at most this many segments of each piece, evenly spaced; None for all.
        limit: at most this many of these, evenly spaced; None for all.

    Raises:
        ConfigError: the store's task has no label set, or a limit is below 1.
        DataError: the split is missing or empty.
    """
    labels = store.labels
    if not labels:
        raise ConfigError(f"probe.tasks: {store.name} has no label set; name classification tasks")
    for name, most in (("segments", of_piece), ("limit", limit)):
        if most is not None and most < 1:
            raise ConfigError(f"probe.{name} must be at least 1 (or None for all), not {most}")
    source = store.split(split)
    examples = [source[index] for index in range(len(source))]
    pieces: dict[str, list[int]] = {}
    for index, example in enumerate(examples):
        pieces.setdefault(example["piece"], []).append(index)
    indices = [index for segments in pieces.values() for index in evenly(segments, of_piece or len(segments))]
    indices = list(evenly(indices, limit or len(indices)))
    music = vocabulary.event_mask(store.encoding)
    return Segments(
        tuple(examples[index]["inputs"] for index in indices),
        np.array([labels.index(vocabulary.decode(examples[index]["targets"])) for index in indices]),
        np.array([examples[index]["piece"] for index in indices]),
        music,
        store.encoding,
    )


def pool(model: T5, segments: Segments, *, batch_size: int, prompted: bool = False) -> NDArray[np.float32]:
    """Pools the states of every layer: means, then standard deviations (see `embed.pool`).

    Args:
        model: the model.
        segments: the segments.
        batch_size: segments at a time.
        prompted: the encoder reads the whole inputs, not the music alone.

    Returns:
        float32 [layers + 1, segments, 2 d_model].

    Raises:
        ConfigError: the model has no encoder.
    """
    if model.config.decoder_only:
        raise ConfigError(f"probe.model_dir: a {model.config.architecture} has no encoder whose states could be pooled")
    rows = [ids if prompted else ids[segments.music[ids]] for ids in segments.inputs]
    return embed.pool(model, rows, segments.music, batch_size=batch_size)
