"""Vocabulary: bytes for any text, one id for every event word of every encoding, and T5's sentinels on top.

    id                   word
    0, 1, 2              <pad>, </s> (end of sequence), <unk>
    3 .. 258             the 256 bytes of UTF-8
    259 ..               event words of the encodings, each in its own order; then the labels of single notes
    size-100 .. size-1   <extra_id_99> .. <extra_id_0>: sentinels count down from `size`, as T5's do

Text becomes ids by one rule. It is split at single spaces; a piece that is a known word, and has no empty piece beside
it, is one id; everything else, with the spaces between such pieces, is its UTF-8 bytes. The one space between a known
word and whatever stands beside it has no id. So text -> ids -> text is exact for every text, and music costs one id an
event:

    "continue nes: WT_12 P1_NOTEON_60"  ->  [c o n t i n u e   n e s :] WT_12 P1_NOTEON_60      13 + 2 ids
"""

from __future__ import annotations

import functools
import hashlib
import itertools
from collections.abc import Collection, Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from t5music.errors import ConfigError, DataError, nearest

PAD_ID, EOS_ID, UNK_ID = 0, 1, 2
FIRST_BYTE = 3
FIRST_EVENT = FIRST_BYTE + 256
SENTINELS = 100  # as T5 has them
ROW_MULTIPLE = 128  # embedding rows are rounded up to this, as in T5: 32,100 ids, 32,128 rows

# One word for each note of the input: who plays it (POP909's three tracks), how loud it is (the six classes of
# MIDI-BERT, with velocities from 0, 32, 48, 64, 80 and 96).
ROLES = ("Role_melody", "Role_bridge", "Role_accompaniment")
DYNAMICS = ("Dynamic_pp", "Dynamic_p", "Dynamic_mp", "Dynamic_mf", "Dynamic_f", "Dynamic_ff")
NOTE_LABELS = "note_labels"  # their place in Vocabulary.encodings

Ids = NDArray[np.int32]


class Vocabulary:
    """Exact two-way mapping between text and int32 ids.

    Attributes:
        size: number of ids, sentinels included.
        rows: rows of an embedding table, `size` rounded up to a multiple of 128.
        sentinels: number of sentinels.
        words: the word of every id, in order; bytes are written <0x00> .. <0xFF>.
        encodings: the id range of each encoding's event words, for an encoding that shares words of those it adds.
        is_note: bool [size], True where an event word begins a note.
        fingerprint: SHA-256 (hex) of `words`; what a store and a checkpoint remember.
    """

    pad_id, eos_id, unk_id = PAD_ID, EOS_ID, UNK_ID

    def __init__(
        self,
        events: Mapping[str, Sequence[str]],
        is_note: Mapping[str, ArrayLike] | None = None,
        *,
        shared: Collection[str] = (),
        sentinels: int = SENTINELS,
    ) -> None:
        """Builds the vocabulary from the event words of each encoding, in the order given.

        `is_note` gives a bool array as long as the words for the encodings that have notes. `shared` names the
        encodings whose words may be those of earlier encodings, whose ids they then have. Raises ConfigError for any
        other word that is there twice, and for one that holds a space.
        """
        self.encodings: dict[str, range] = {}
        self._ids: dict[str, Ids] = {}  # of each encoding, the id of each event
        event_words: list[str] = []
        id_of: dict[str, int] = {}
        for name, words in events.items():
            added = [word for word in words if name not in shared or word not in id_of]
            start = FIRST_EVENT + len(event_words)
            self.encodings[name] = range(start, start + len(added))
            id_of.update(zip(added, self.encodings[name], strict=True))
            event_words += added
            self._ids[name] = np.fromiter(map(id_of.__getitem__, words), np.int32, len(words))
        extra = [f"<extra_id_{i}>" for i in reversed(range(sentinels))]
        self.sentinels = sentinels
        self.words = (
            "<pad>",
            "</s>",
            "<unk>",
            *(f"<0x{byte:02X}>" for byte in range(256)),
            *event_words,
            *extra,
        )
        self.size = len(self.words)
        self.rows = -(-self.size // ROW_MULTIPLE) * ROW_MULTIPLE
        self._lookup = {word: FIRST_EVENT + i for i, word in enumerate(event_words + extra)}
        if len(self._lookup) != self.size - FIRST_EVENT or any(not word or " " in word for word in self._lookup):
            raise ConfigError("event words must be different from each other and from sentinels, and hold no space")
        self.is_note = np.zeros(self.size, bool)
        for name, mask in (is_note or {}).items():
            self.is_note[self.event_ids(name)] = mask
        self.is_note.flags.writeable = False
        self.fingerprint = hashlib.sha256("\n".join(self.words).encode()).hexdigest()

    def __eq__(self, other: object) -> bool:
        return self.fingerprint == other.fingerprint if isinstance(other, Vocabulary) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.fingerprint)

    def __repr__(self) -> str:
        return f"Vocabulary({self.size} ids: {', '.join(self.encodings)}; {self.fingerprint[:12]})"

    def sentinel(self, index: int) -> int:
        """The id of `<extra_id_{index}>`: size - 1 for the first, counting down."""
        if not 0 <= index < self.sentinels:
            raise ConfigError(f"sentinel {index} is not one of 0..{self.sentinels - 1}")
        return self.size - 1 - index

    def event_mask(self, encoding_name: str) -> NDArray[np.bool_]:
        """bool [size], True at the event words of one encoding."""
        return self.spread(encoding_name, True, elsewhere=False)

    def spread(self, encoding_name: str, values: ArrayLike, *, elsewhere: int | bool) -> NDArray:
        """[size], an encoding's values ([words], or one for all) at the ids of its words, `elsewhere` at others."""
        ids = self.event_ids(encoding_name)
        values = np.broadcast_to(np.asarray(values), len(ids))
        table = np.full(self.size, elsewhere, values.dtype)
        table[ids] = values
        return table

    # ---------------------------------------------------------------------------------------------------- text

    def encode(self, text: str) -> Ids:
        """The ids (int32 [n], no EOS) of any text. Raises DataError for text with surrogates, which has no UTF-8."""
        if not text:
            return np.empty(0, np.int32)
        pieces = text.split(" ")
        ids = np.fromiter(map(self._lookup.get, pieces, itertools.repeat(-1)), np.int32, len(pieces))
        if "" in pieces:
            empty = np.flatnonzero([not piece for piece in pieces])
            ids[np.maximum(empty - 1, 0)] = -1
            ids[np.minimum(empty + 1, len(ids) - 1)] = -1
        if ids.min() >= 0:
            return ids
        parts: list[Ids] = []
        edges = np.flatnonzero(np.diff(ids < 0)) + 1
        for start, end in itertools.pairwise([0, *edges.tolist(), len(ids)]):
            if ids[start] >= 0:
                parts.append(ids[start:end])
                continue
            try:
                raw = " ".join(pieces[start:end]).encode()
            except UnicodeEncodeError as error:
                raise DataError(f"text holds {error.object[error.start]!r}, which is no character: {error}") from error
            parts.append(np.frombuffer(raw, np.uint8).astype(np.int32) + FIRST_BYTE)
        return np.concatenate(parts)

    def decode(self, ids: ArrayLike) -> str:
        """The text of ids [n]: up to the first EOS, without padding, broken UTF-8 as replacement characters.

        Raises DataError for an id outside 0..size-1.
        """
        tokens = self._before_eos(ids)
        tokens = tokens[tokens != PAD_ID]
        if not len(tokens):
            return ""
        is_byte = (tokens >= FIRST_BYTE) & (tokens < FIRST_EVENT)
        edges = np.flatnonzero(np.diff(is_byte)) + 1
        parts: list[str] = []
        for run in np.split(tokens, edges):
            if FIRST_BYTE <= run[0] < FIRST_EVENT:
                parts.append((run - FIRST_BYTE).astype(np.uint8).tobytes().decode("utf-8", "replace"))
            else:
                parts.extend(map(self.words.__getitem__, run.tolist()))
        return " ".join(parts)

    # --------------------------------------------------------------------------------------------------- events

    def encode_events(self, encoding_name: str, events: ArrayLike) -> Ids:
        """The ids (int32 [n]) of event ids (0 .. words-1) of one encoding. Raises DataError outside that range."""
        ids = self.event_ids(encoding_name)
        array = np.asarray(events)
        if array.size and (array.min() < 0 or array.max() >= len(ids)):
            raise DataError(f"event ids of {encoding_name} are 0..{len(ids) - 1}, not {array.min()}..{array.max()}")
        return ids[array.astype(np.int32)]

    def decode_events(self, encoding_name: str, ids: ArrayLike) -> Ids:
        """The event ids (int32 [m]) of one encoding among ids [n], up to the first EOS; all other ids are passed over.

        Raises DataError for an id outside 0..size-1.
        """
        events_of_ids = np.arange(len(self.event_ids(encoding_name)), dtype=np.int32)
        events = self.spread(encoding_name, events_of_ids, elsewhere=-1)[self._before_eos(ids)]
        return events[events >= 0]

    def event_ids(self, encoding_name: str) -> Ids:
        """The id (int32 [words]) of every event word of one encoding. Raises ConfigError for an unknown encoding."""
        if encoding_name not in self.encodings:
            names = ", ".join(self.encodings)
            raise ConfigError(
                f"no encoding {encoding_name!r} (there are {names}){nearest(encoding_name, self.encodings)}"
            )
        return self._ids[encoding_name]

    def _before_eos(self, ids: ArrayLike) -> Ids:
        array = np.asarray(ids)
        if array.ndim != 1 or (array.size and not np.issubdtype(array.dtype, np.integer)):
            raise DataError(f"ids must be one row of integers, not {array.dtype} {list(array.shape)}")
        if array.size and (array.min() < 0 or array.max() >= self.size):
            raise DataError(f"ids must be within 0..{self.size - 1}, not {array.min()}..{array.max()}")
        ends = np.flatnonzero(array == EOS_ID)
        return array[: ends[0] if len(ends) else None].astype(np.int32, copy=False)


@functools.cache
def default() -> Vocabulary:
    """The vocabulary of t5music: event words in the order of `encodings.ENCODINGS`, then the labels of notes."""
    from t5music.music.encodings import ENCODINGS

    words = {name: encoding.words for name, encoding in ENCODINGS.items()} | {NOTE_LABELS: (*ROLES, *DYNAMICS)}
    notes = {name: encoding.is_note for name, encoding in ENCODINGS.items() if encoding.says_onsets}
    return Vocabulary(words, notes, shared=[name for name, encoding in ENCODINGS.items() if encoding.adds_to])
