"""Song windows: songs of any length for rows of a limited one, every token scored exactly once.

A window scores the next `stride` tokens after as many of those before them as its row holds. That is how LakhNES is
evaluated: of Transformer-XL, 128 events are scored at a time after a memory of 896 (`model/eval.py` of the authors'
code), so targets of 1,025 and a stride of 128 give every event the 896 events before its window, or all there are.

A window is as long as the music of a training row at most, one token less than its targets. The next place is where
EOS always stood in training, behind music that was cut there, and a model that can tell places apart expects it there.

Where the past is read decides who can be evaluated so. As a language model reads it, in the same sequence, "targets"
(here | stands before what is scored):

    song a b c d e f g, targets of 5, stride 2       | a b c d     c d | e f     e f | g EOS

or as the inputs of a prefix language model, "inputs", for models that were trained on `..._prefix_lm`:

    inputs of 4, stride 2                   -> a b   a b -> c d   b c d -> e f   d e f -> g EOS
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from t5music.data.loading.loader import Batch
from t5music.data.loading.packing import Pair, assemble
from t5music.data.loading.task_stream import check_lengths
from t5music.data.store.token_store import Split, TokenStore
from t5music.data.vocabulary import EOS_ID, Ids, Vocabulary
from t5music.errors import ConfigError

STRIDE = 128  # LakhNES's
PASTS = TARGETS, INPUTS = ("targets", "inputs")


class SongWindows:
    """Batches of windows of all songs of a split, in order; can be gone through again.

    Attributes:
        songs: the indices of the songs, in order.
    """

    def __init__(
        self,
        store: TokenStore,
        split: str,
        *,
        feature_lengths: Mapping[str, int],
        batch_size: int,
        vocabulary: Vocabulary,
        limit: int | None = None,
        decoder_only: bool = False,
        stride: int = STRIDE,
        past: str = TARGETS,
        multiple: int = 1,
    ) -> None:
        """Takes the arguments of `loader.eval_batches`, and how to cut.

        Args:
            store: of whole songs.
            split: as of `loader.eval_batches`, as are the five that follow.
            feature_lengths: likewise.
            batch_size: likewise.
            vocabulary: likewise.
            limit: likewise.
            decoder_only: likewise.
            stride: how many tokens to score at a time.
            past: where the past is read.
            multiple: windows begin at multiples of so many tokens of their song.

        Raises:
            ConfigError: a past that is neither place, or a stride that leaves no room for a past.
        """
        store.check_vocabulary(vocabulary)
        if past not in PASTS:
            raise ConfigError(f"the past of a song is read in {' or '.join(PASTS)}, not in {past!r}")
        if batch_size < 1 or (limit is not None and limit < 1):
            raise ConfigError(f"batch size and limit must be at least 1, not {batch_size} and {limit}")
        self._lengths = check_lengths(feature_lengths)
        self._past, self._stride, self._decoder_only = past, stride, decoder_only
        self._room = self._lengths["targets" if past == TARGETS else "inputs"] - 1  # tokens of a song in a row
        self._multiple = multiple
        # The past may lose up to a multiple less one, so that a window begins at one.
        longest = self._room - multiple + 1 if past == TARGETS else self._lengths["targets"]
        if not 1 <= stride <= longest:
            raise ConfigError(f"a stride must be from 1 to {longest} for rows of these lengths, not {stride}")
        self._examples: Split = store.split(split)
        stored = len(self._examples)
        count = stored if limit is None else min(limit, stored)
        self.songs = [index * stored // count for index in range(count)]
        self._batch_size = batch_size

    def __iter__(self) -> Iterator[Batch]:
        rows: list[tuple[int, Pair, int]] = []
        for song in self.songs:
            for pair, scored in self._windows(np.append(self._examples[song]["targets"], np.int32(EOS_ID))):
                rows.append((song, pair, scored))
                if len(rows) == self._batch_size:
                    yield self._batch(rows)
                    rows = []
        if rows:
            yield self._batch(rows)

    def _windows(self, song: Ids) -> Iterator[tuple[Pair, int]]:
        """The windows of a song with its EOS: inputs and targets, and how many of the last targets are scored."""
        nothing = np.array([EOS_ID], np.int32)  # inputs of nothing, as the objectives make them
        start = 0
        while start < len(song):
            in_targets = self._past == TARGETS
            # Nothing before the first window: in one sequence it can be as long as a row, with the same outcome.
            stop = min(start + (self._room if in_targets and not start else self._stride), len(song))
            if in_targets:
                yield Pair(nothing, song[self._begin(stop) : stop]), stop - start
            else:
                before = song[self._begin(start) : start]
                yield Pair(np.append(before, nothing), song[start:stop]), stop - start
            start = stop

    def _begin(self, end: int) -> int:
        """Where a window begins whose row is full at `end`, or a little before."""
        return -(-max(0, end - self._room) // self._multiple) * self._multiple

    def _batch(self, rows: list[tuple[int, Pair, int]]) -> Batch:
        padding = self._batch_size - len(rows)
        empty: list[list[Pair]] = [[] for _ in range(padding)]
        pairs = [[pair] for _, pair, _ in rows]
        batch = assemble(pairs + empty, self._lengths, packed=False, decoder_only=self._decoder_only)
        weights = batch["decoder_loss_weights"]
        still = np.cumsum(weights[:, ::-1], axis=1)[:, ::-1]  # how many targets there are from a place on
        scored = np.array([*(count for _, _, count in rows), *[0] * padding])
        batch["decoder_loss_weights"] = weights * (still <= scored[:, None])
        batch["example_index"] = np.array([*(song for song, _, _ in rows), *[-1] * padding], np.int32)
        return batch
