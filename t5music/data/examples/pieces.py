"""Pieces, Ensembles, Songs and Texts: music alone and text alone, for objectives that make their own inputs."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from t5music.corpora.base import Piece
from t5music.data.examples.base import Example
from t5music.music import encodings
from t5music.music.nes import adapter


@dataclass(frozen=True)
class Pieces:
    """Music alone, for objectives that make their own inputs: targets are segments of the piece.

        inputs   (none)
        targets  Bar TimeSig_4/4 Pos_0 Tempo_120 Program_52 Velocity_20 Pitch_67 Duration_12 Pos_12 Pitch_69 ...

    Attributes:
        encoding: name of the encoding.
        words: the longest segment, in event words.
    """

    kind: ClassVar[str] = "pieces"
    metrics: ClassVar[tuple[str, ...]] = ()
    encoding: str
    words: int = 1024

    def examples(self, piece: Piece) -> Iterator[Example]:
        """Yields one example per segment; its inputs are empty."""
        encoding = encodings.get(self.encoding)
        for segment in encoding.segments(encoding.encode(piece.score), self.words):
            yield Example("", encoding.to_text(segment))


@dataclass(frozen=True)
class Ensembles:
    """Any music as music for the NES (music.nes, LakhNES's adapter): targets are segments of each ensemble, in tx1.

        inputs   (none)
        targets  P1_NOTEON_76 TR_NOTEON_40 NO_NOTEON_5 WT_11000 P1_NOTEOFF WT_5500 P1_NOTEON_79 ...

    Which tracks play, and which percussion key sounds as which noise, is drawn from the piece's id: a piece makes the
    same ensembles in every compile.

    Attributes:
        words: the longest segment, in event words.
        limit: the most ensembles of a piece.
    """

    kind: ClassVar[str] = "ensembles"
    metrics: ClassVar[tuple[str, ...]] = ()
    encoding: ClassVar[str] = "tx1"
    words: int = 1024
    limit: int = adapter.LIMIT

    def examples(self, piece: Piece) -> Iterator[Example]:
        """Yields one example per segment. Raises MidiError for a piece that LakhNES leaves out."""
        encoding = encodings.get(self.encoding)
        for ensemble in adapter.ensembles(piece.score, seed=zlib.crc32(piece.id.encode()), limit=self.limit):
            for segment in encoding.segments(encoding.encode(ensemble), self.words):
                yield Example("", encoding.to_text(segment))


@dataclass(frozen=True)
class Songs:
    """Whole pieces in tx1, targets of any length; LakhNES's event perplexity is measured on them.

        inputs   (none)
        targets  P1_NOTEON_76 TR_NOTEON_40 WT_11000 P1_NOTEOFF ... TR_NOTEOFF

    As LakhNES has it in evaluation (`trim_padding` and `skip_short` of the authors' code): without the waits before the
    first event and after the last one, and pieces of fewer events than `shortest` are left out.
    """

    kind: ClassVar[str] = "songs"
    metrics: ClassVar[tuple[str, ...]] = ()
    encoding: ClassVar[str] = "tx1"
    shortest: int = 8

    def examples(self, piece: Piece) -> Iterator[Example]:
        """Yields the one example of a piece."""
        encoding = encodings.get(self.encoding)
        events = encoding.encode(piece.score)
        happens = np.flatnonzero(np.diff(encoding.times(events)) == 0)  # whatever takes time is a wait
        if len(happens):
            events = events[happens[0] : happens[-1] + 1]
        if len(events) >= self.shortest:
            yield Example("", encoding.to_text(events))


@dataclass(frozen=True)
class Texts:
    """Text that is no music, for objectives that make their own inputs: targets are the pieces as they are.

        inputs   (none)
        targets  In the beginning God created the heaven and the earth.

    Attributes:
        encoding: name of the encoding whose words the text is made of; "text" for any text, which becomes bytes.
    """

    kind: ClassVar[str] = "texts"
    metrics: ClassVar[tuple[str, ...]] = ()
    encoding: str = "text"

    def examples(self, piece: Piece) -> Iterator[Example]:
        """Yields the one example of a piece; none of a piece of music."""
        if piece.text:
            yield Example("", piece.text)
