"""The vocabulary for seqio and TensorFlow: the same ids as t5music.data.vocabulary, in graph mode without Python."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import seqio
import tensorflow as tf

from t5music.data.vocabulary import EOS_ID, FIRST_BYTE, FIRST_EVENT, PAD_ID, UNK_ID, Vocabulary, default


class T5MusicVocabulary(seqio.Vocabulary):
    """A seqio.Vocabulary over a t5music Vocabulary.

    Sentinels are seqio's extra ids; unlike seqio's own vocabularies this one writes them out when it decodes, so that
    text with sentinels is exact both ways.

    Attributes:
        vocabulary: the numpy vocabulary.
    """

    def __init__(self, vocabulary: Vocabulary | None = None) -> None:
        """`vocabulary` None: the default one."""
        self.vocabulary = vocabulary or default()
        self._table: Any = None
        super().__init__(extra_ids=self.vocabulary.sentinels)

    eos_id = property(lambda self: EOS_ID)
    unk_id = property(lambda self: UNK_ID)
    _base_vocab_size = property(lambda self: self.vocabulary.size - self.vocabulary.sentinels)

    def __eq__(self, other: object) -> bool:
        return self.vocabulary == other.vocabulary if isinstance(other, T5MusicVocabulary) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.vocabulary)

    def __repr__(self) -> str:
        return f"T5MusicVocabulary({self.vocabulary!r})"

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_table": None}  # TensorFlow tables cannot be pickled; Beam pickles tasks

    # --------------------------------------------------------------------------------------------------- Python

    def _encode(self, s: str) -> Sequence[int]:
        return self.vocabulary.encode(s).tolist()

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ids, up to the first EOS, sentinels included."""
        return self._decode(ids)

    def _decode(self, ids: Iterable[int]) -> str:
        return self.vocabulary.decode(np.asarray(ids if isinstance(ids, np.ndarray) else list(ids), np.int64))

    # ----------------------------------------------------------------------------------------------- TensorFlow

    def _lookup(self, pieces: tf.Tensor) -> tf.Tensor:
        if self._table is None:
            words = self.vocabulary.words[FIRST_EVENT:]
            with tf.init_scope():  # outside any graph that happens to be traced, so that all of them can use it
                values = tf.range(FIRST_EVENT, self.vocabulary.size, dtype=tf.int32)
                initializer = tf.lookup.KeyValueTensorInitializer(tf.constant(words), values)
                self._table = tf.lookup.StaticHashTable(initializer, default_value=-1)
        return self._table.lookup(pieces)

    def _encode_tf(self, s: tf.Tensor) -> tf.Tensor:
        """string [] -> int32 [n]."""
        pieces = tf.strings.split(s, " ")  # [pieces]
        empty = tf.equal(pieces, "")
        beside_empty = tf.concat([empty[1:], [False]], 0) | tf.concat([[False], empty[:-1]], 0)
        ids = self._lookup(pieces)
        is_word = (ids >= 0) & ~beside_empty
        # The space between two pieces that are not words belongs to the second.
        after_text = tf.concat([[False], ~is_word[:-1]], 0)
        raw = tf.where(is_word, "", tf.where(after_text, tf.strings.join([" ", pieces]), pieces))
        raw_bytes = tf.cast(tf.io.decode_raw(tf.strings.reduce_join(raw), tf.uint8), tf.int32) + FIRST_BYTE
        of_bytes = tf.RaggedTensor.from_row_lengths(raw_bytes, tf.strings.length(raw))
        of_words = tf.RaggedTensor.from_row_lengths(tf.boolean_mask(ids, is_word), tf.cast(is_word, tf.int32))
        return tf.concat([of_words, of_bytes], axis=1).flat_values

    def decode_tf(self, ids: tf.Tensor) -> tf.Tensor:
        """The texts of ids [..., n], each up to its first EOS, sentinels included: string [...]."""
        return self._decode_tf(ids)

    def _decode_tf(self, ids: tf.Tensor) -> tf.Tensor:
        ids = tf.cast(ids, tf.int32)
        shape = tf.shape(ids)
        rows = tf.reshape(ids, [tf.reduce_prod(shape[:-1]), shape[-1]])
        ended = tf.cumsum(tf.cast(tf.equal(rows, EOS_ID), tf.int32), axis=-1) > 0
        tokens = tf.ragged.boolean_mask(rows, ~ended & tf.not_equal(rows, PAD_ID))  # [rows, (kept)]
        flat = tokens.flat_values
        is_byte = (flat >= FIRST_BYTE) & (flat < FIRST_EVENT)
        first = tf.scatter_nd(tokens.row_starts()[:, None], tf.ones_like(tokens.row_starts()), [tf.size(flat) + 1]) > 0
        within_bytes = tf.concat([[False], is_byte[1:] & is_byte[:-1]], 0)[: tf.size(flat)]
        spaces = tf.where(first[:-1] | within_bytes, "", " ")
        words = [
            bytes([i - FIRST_BYTE]) if FIRST_BYTE <= i < FIRST_EVENT else word.encode()
            for i, word in enumerate(self.vocabulary.words)
        ]
        pieces = tf.strings.join([spaces, tf.gather(tf.constant(words), flat)])
        texts = tf.strings.reduce_join(tokens.with_flat_values(pieces), axis=-1)
        texts = tf.strings.unicode_transcode(texts, "UTF-8", "UTF-8", errors="replace")
        return tf.reshape(texts, shape[:-1])
