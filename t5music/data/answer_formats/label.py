"""Label: answers that are one text of a label set."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from t5music.data.answer_formats.base import Array, Format
from t5music.data.vocabulary import EOS_ID
from t5music.errors import ConfigError
from t5music.music.encodings.grammar import int32s


class LabelState(NamedTuple):
    """int32 [batch]."""

    node: Array  # of the tree of all labels' ids, the root first


@dataclass(frozen=True)
class Label(Format):
    """One of a set of labels, each any text.

    Attributes:
        labels: at least one, each of one id or more.
    """

    labels: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.labels or not all(self.labels):
            raise ConfigError(f"a label set needs one label or more, none of them empty, not {self.labels}")

    @functools.cached_property
    def _tree(self) -> NDArray[np.int32]:
        """int32 [nodes, size]: the node that each id leads to from each node, -1 where it is illegal.

        EOS leads from the end of a label to the end of that node's labels: itself.
        """
        children: list[dict[int, int]] = [{}]
        for label in self.labels:
            node = 0
            for token in self.vocabulary.encode(label).tolist():
                if token not in children[node]:
                    children[node][token] = len(children)
                    children.append({})
                node = children[node][token]
            children[node][EOS_ID] = node
        tree = np.full((len(children), self.vocabulary.size), -1, np.int32)
        for node, edges in enumerate(children):
            tree[node, list(edges)] = list(edges.values())
        return tree

    def start(self, inputs: ArrayLike, max_length: int) -> LabelState:
        longest = max(len(self.vocabulary.encode(label)) for label in self.labels)
        if longest + 1 > max_length:
            raise ConfigError(f"the longest label has {longest} ids, and max_length {max_length} has no room for it")
        return LabelState(int32s(len(np.asarray(inputs)), 0))

    def allowed(self, state: LabelState, xp: Any) -> Array:
        return xp.asarray(self._tree >= 0)[state.node]

    def advance(self, state: LabelState, ids: Array, xp: Any) -> LabelState:
        ids = xp.clip(ids, 0, self.vocabulary.size - 1)
        return LabelState(xp.maximum(xp.asarray(self._tree)[state.node, ids], 0))
