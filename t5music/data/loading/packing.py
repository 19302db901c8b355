"""Packing: several examples in one row, told apart by segment ids.

inputs  [4 5 6 1] [7 8 1]           encoder_input_tokens   4 5 6 1 7 8 1 0
targets [9 10 1] [11 12 13 1]       encoder_segment_ids    1 1 1 1 2 2 2 0
                                    decoder_target_tokens  9 10 1 11 12 13 1 0
                                    decoder_input_tokens   0 9 10 0 11 12 13 0
                                    decoder_segment_ids    1 1 1 2 2 2 2 0

A decoder-only model reads each example's inputs and targets as one sequence, in rows of inputs plus targets (as seqio's
PrefixLMFeatureConverter makes them); only the targets are to be learned:

                          decoder_target_tokens     4 5 6 1 9 10 1  7 8 1 11 12 13 1  0 0
                          decoder_input_tokens      0 4 5 6 1  9 10 0 7 8  1 11 12 13 0 0
                          decoder_loss_weights      0 0 0 0 1  1 1  0 0 0  1  1  1 1  0 0
                          decoder_causal_attention  1 1 1 1 1  0 0  1 1 1  1  0  0 0  0 0
                          decoder_segment_ids       1 1 1 1 1  1 1  2 2 2  2  2  2 2  0 0
"""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Mapping, Sequence
from typing import Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from t5music.data.vocabulary import Ids

OPEN_ROWS = 20  # rows a packer keeps open: more fill better, hold more examples back and delay the first row
PATIENCE = 16 * OPEN_ROWS  # examples after which waiting weighs as much as a row's whole length

Key = TypeVar("Key", bound=Hashable)


class Pair(NamedTuple):
    """Inputs and targets of one example, int32 [n] and [m], EOS included, no longer than a row.

    `weights`, float32 [m], are what the loss of each target counts; None where each counts 1. `read`, int32 [m], are
    what the decoder reads of the targets, the last one never; None where it reads the targets themselves.
    """

    inputs: Ids
    targets: Ids
    weights: NDArray[np.float32] | None = None
    read: Ids | None = None


class _OpenRow(Generic[Key]):
    """A row that may still take examples; opened when `since` examples had been placed."""

    def __init__(self, since: int) -> None:
        self.since = since
        self.keys: list[Key] = []
        self.pairs: list[Pair] = []
        self.inputs = self.targets = 0  # tokens used
        self.fill = 0.0  # share of the fuller side; see Packer

    def add(self, key: Key, pair: Pair, inputs: int, targets: int) -> None:
        self.keys.append(key)
        self.pairs.append(pair)
        self.inputs += inputs
        self.targets += targets


class Packer(Generic[Key]):
    """Places each example in the fullest open row that has room; where none has, opens one and finishes another.

    The row that is finished is the fullest, with the time it has waited counted in its favour. Without that, examples
    much shorter than a row would wait for ever beside long ones, and the first batches of a run would hold long
    examples only. With 20 open rows, rows are 95 to 99 % full for every distribution of lengths that was tried, from
    a tenth of a row to normally distributed around half a row (the worst).

    The keys of the examples in its open rows, and the rows' ages, are all of its state: whoever can make the examples
    again from their keys can make the packer again.
    """

    def __init__(self, lengths: Mapping[str, int], open_rows: int = OPEN_ROWS, *, decoder_only: bool = False) -> None:
        """`lengths` are the row lengths of "inputs" and "targets"; with `decoder_only` a row has room for their sum."""
        self._decoder_only = decoder_only
        self._lengths = (joint_length(lengths), 1) if decoder_only else (lengths["inputs"], lengths["targets"])
        self._open_rows = open_rows
        self._placed = 0
        self._rows: list[_OpenRow[Key]] = []

    @property
    def waiting(self) -> list[tuple[int, list[Key]]]:
        """Each open row's age (examples placed since it was opened) and the keys of its examples."""
        return [(self._placed - row.since, list(row.keys)) for row in self._rows]

    def restore(self, rows: Sequence[tuple[int, Sequence[tuple[Key, Pair]]]]) -> None:
        """Goes to the position at which `waiting` was read, given the examples of its keys."""
        self._placed = 0
        self._rows = []
        for age, examples in rows:
            row = _OpenRow[Key](-age)
            for key, pair in examples:
                row.add(key, pair, *self._sizes(pair))
            row.fill = self._fill(row)
            self._rows.append(row)

    def add(self, key: Key, pair: Pair) -> tuple[list[Key], list[Pair]] | None:
        """Places one example; returns the keys and examples of the row that had to be finished for it, if any."""
        self._placed += 1
        inputs, targets = self._sizes(pair)
        most_inputs, most_targets = self._lengths[0] - inputs, self._lengths[1] - targets
        best: _OpenRow[Key] | None = None
        most = -1.0
        for row in self._rows:
            if row.fill > most and row.inputs <= most_inputs and row.targets <= most_targets:
                best, most = row, row.fill
        if best is not None:
            best.add(key, pair, inputs, targets)
            best.fill = self._fill(best)
            return None
        done = None
        if len(self._rows) == self._open_rows:
            scores = [row.fill + (self._placed - row.since) / PATIENCE for row in self._rows]
            done = self._rows.pop(scores.index(max(scores)))
        new = _OpenRow[Key](self._placed)
        new.add(key, pair, inputs, targets)
        new.fill = self._fill(new)
        self._rows.append(new)
        return None if done is None else (done.keys, done.pairs)

    def _fill(self, row: _OpenRow[Key]) -> float:
        return max(row.inputs / self._lengths[0], row.targets / self._lengths[1])

    def _sizes(self, pair: Pair) -> tuple[int, int]:
        """What an example takes up of the two sides of a row; rows of a decoder-only model have one side."""
        inputs, targets = len(pair.inputs), len(pair.targets)
        return (inputs + targets, 0) if self._decoder_only else (inputs, targets)


def joint_length(lengths: Mapping[str, int]) -> int:
    """Length of a decoder-only model's rows."""
    return lengths["inputs"] + lengths["targets"]


def assemble(
    rows: Sequence[Sequence[Pair]], lengths: Mapping[str, int], *, packed: bool, decoder_only: bool = False
) -> dict[str, NDArray]:
    """Batch of rows, each the examples it holds; an empty row is all padding.

    Returns:
        encoder_input_tokens, int32 [rows, inputs]; decoder_input_tokens and decoder_target_tokens, int32
        [rows, targets], 0 where there is nothing; decoder_loss_weights, float32 [rows, targets], the targets' weights
            (1
        where a pair has none), 0 where there is nothing.
        With `packed`, also encoder_segment_ids and decoder_segment_ids, 1, 2, ... for the examples of a row, 0 for
        padding.

        With `decoder_only`, none of the encoder's; the others are [rows, inputs + targets], each example's inputs
            before
        its targets; and decoder_causal_attention, int32, is 1 where inputs are read and where the first target is to be
        predicted.
    """
    if decoder_only:
        return _assemble_joint(rows, joint_length(lengths), packed=packed)
    encoder, encoder_segments = _lay_out([[pair.inputs for pair in row] for row in rows], lengths["inputs"])
    targets, target_segments = _lay_out([[pair.targets for pair in row] for row in rows], lengths["targets"])
    batch: dict[str, NDArray] = {
        "encoder_input_tokens": encoder,
        "decoder_input_tokens": _shifted(_read(targets, target_segments > 0, rows), target_segments),
        "decoder_target_tokens": targets,
        "decoder_loss_weights": _loss_weights(target_segments > 0, rows),
    }
    if packed:
        batch["encoder_segment_ids"] = encoder_segments
        batch["decoder_segment_ids"] = target_segments
    return batch


def _assemble_joint(rows: Sequence[Sequence[Pair]], length: int, *, packed: bool) -> dict[str, NDArray]:
    parts = [[part for pair in row for part in (pair.inputs, pair.targets)] for row in rows]
    tokens, numbers = _lay_out(parts, length)
    segments = (numbers + 1) // 2
    inputs = numbers % 2 == 1
    is_target = (segments > 0) & ~inputs
    starts = np.diff(segments, axis=1, prepend=0) != 0
    # What is predicted at a position is read at the next one, and the first target is predicted with all inputs read.
    seen = np.pad(inputs[:, :-1], ((0, 0), (1, 0))) & ~starts
    batch: dict[str, NDArray] = {
        "decoder_input_tokens": _shifted(_read(tokens, is_target, rows), segments),
        "decoder_target_tokens": tokens,
        "decoder_loss_weights": _loss_weights(is_target, rows),
        "decoder_causal_attention": ((segments > 0) & (starts | seen)).astype(np.int32),
    }
    if packed:
        batch["decoder_segment_ids"] = segments
    return batch


def _read(tokens: Ids, is_target: NDArray[np.bool_], rows: Sequence[Sequence[Pair]]) -> Ids:
    """int32 [rows, length]: the tokens, of targets what the decoder reads of them instead."""
    pairs = list(itertools.chain.from_iterable(rows))
    if all(pair.read is None for pair in pairs):
        return tokens
    read = tokens.copy()
    read[is_target] = np.concatenate([pair.targets if pair.read is None else pair.read for pair in pairs])
    return read


def _loss_weights(is_target: NDArray[np.bool_], rows: Sequence[Sequence[Pair]]) -> NDArray[np.float32]:
    """float32 [rows, length]: the weights of the rows' targets, in order, where `is_target`; 0 elsewhere."""
    weights = is_target.astype(np.float32)
    pairs = list(itertools.chain.from_iterable(rows))
    if any(pair.weights is not None for pair in pairs):
        ones = (np.ones(len(pair.targets), np.float32) if pair.weights is None else pair.weights for pair in pairs)
        weights[is_target] = np.concatenate(list(ones))
    return weights


def _shifted(tokens: Ids, segments: Ids) -> Ids:
    """Tokens one place later, with 0 where an example begins and in the padding."""
    starts = np.diff(segments, axis=1, prepend=0) != 0
    return np.where(starts | (segments == 0), np.int32(0), np.pad(tokens[:, :-1], ((0, 0), (1, 0))))


def _lay_out(rows: Sequence[Sequence[Ids]], length: int) -> tuple[Ids, Ids]:
    """Tokens and segment ids, int32 [rows, length], of rows of token sequences."""
    tokens = np.zeros((len(rows), length), np.int32)
    segments = np.zeros((len(rows), length), np.int32)
    sizes = [[len(part) for part in row] for row in rows]
    used = np.array([sum(row) for row in sizes], np.int64)
    where = np.arange(length) < used[:, None]  # [rows, length], in the order in which boolean indexing fills
    flat = list(itertools.chain.from_iterable(rows))
    if flat:
        tokens[where] = np.concatenate(flat)
        numbers = [number for row in sizes for number in range(1, len(row) + 1)]
        segments[where] = np.repeat(numbers, list(itertools.chain.from_iterable(sizes)))
    return tokens, segments
