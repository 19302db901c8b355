"""One vector for each segment of music: a trained encoder's states, pooled over time, of every layer.

Features are frozen: nothing here is trained (Choi et al. 2017; Hamel et al. 2013). They come from a token store alone,
and what else describes the same segment (its Score, its label, its piece) is read from the same words, so that whatever
is compared has seen the same notes.

The encoder is shown the bare words of the music, as in pre-training, and not the prompt of the store's task: vectors
then mean the same for every task, and a model that never saw a prompt is not asked one. `prompted` shows the whole
input, as a model has it that was fine-tuned on the task; only the music's positions are pooled either way.
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
    """Labelled segments of music of one split of a task to classify.

    Attributes:
      inputs: int32 [n] each, prompt and music, without EOS.
      labels: int [segments], indices into the label set.
      pieces: [segments], the piece that each is of.
      music: bool [vocabulary size], True at the words of the encoding.
      encoding: name of the encoding.
    """

    inputs: tuple[Ids, ...]
    labels: NDArray[np.int64]
    pieces: NDArray[np.str_]
    music: NDArray[np.bool_]
    encoding: str

    def scores(self, vocabulary: Vocabulary) -> Iterator[Score]:
        """The music of each segment."""
        encoding = encodings.get(self.encoding)
        for ids in self.inputs:
            yield encoding.decode(vocabulary.decode_events(self.encoding, ids)).score


def read(
    store: TokenStore, split: str, vocabulary: Vocabulary, *, of_piece: int | None = None, limit: int | None = None
) -> Segments:
    """The segments of a split: at most `of_piece` of each piece, and at most `limit` of these, evenly spaced.

    Raises ConfigError for a store whose task has no label set, DataError for a split that is not there or empty.
    """
    labels = store.labels
    if not labels:
        raise ConfigError(f"probe.tasks: {store.name} has no label set; name tasks to classify")
    for name, most in (("segments", of_piece), ("limit", limit)):
        if most is not None and most < 1:
            raise ConfigError(f"probe.{name} must be at least 1 (or None for all), not {most}")
    source = store.split(split)
    examples = [source[index] for index in range(len(source))]
    pieces: dict[str, list[int]] = {}
    for index, example in enumerate(examples):
        pieces.setdefault(example["piece"], []).append(index)
    kept = [index for segments in pieces.values() for index in evenly(segments, of_piece or len(segments))]
    kept = list(evenly(kept, limit or len(kept)))
    music = vocabulary.event_mask(store.encoding)
    return Segments(
        tuple(examples[index]["inputs"] for index in kept),
        np.array([labels.index(vocabulary.decode(examples[index]["targets"])) for index in kept]),
        np.array([examples[index]["piece"] for index in kept]),
        music,
        store.encoding,
    )


def pool(model: T5, segments: Segments, *, batch_size: int, prompted: bool = False) -> NDArray[np.float32]:
    """The pooled states of every layer, float32 [layers + 1, segments, 2 d_model]: means, then standard deviations.

    See `embedding.pool`. Raises ConfigError for a model without an encoder.
    """
    if model.config.decoder_only:
        raise ConfigError(f"probe.model_dir: a {model.config.architecture} has no encoder whose states could be pooled")
    rows = [ids if prompted else ids[segments.music[ids]] for ids in segments.inputs]
    return embed.pool(model, rows, segments.music, batch_size=batch_size)
