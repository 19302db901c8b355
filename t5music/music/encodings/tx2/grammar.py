"""The grammar of tx2: tx1's, with volumes and timbres.

Legal is what TX2.encode writes: at one instant a voice says its note, its volume and its timbre, each at most once, and
a note of a pulse or the noise is followed by its volume.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from t5music.music.encodings.base import Encoding
from t5music.music.encodings.tx1.encoding import VOICES
from t5music.music.encodings.tx1.grammar import TX1Grammar, table
from t5music.music.encodings.tx2.encoding import TRIANGLE, TX2


@dataclass(frozen=True)
class TX2Grammar(TX1Grammar):
    """The grammar of tx2; see the module, `Grammar` and `TX1Grammar`."""

    encoding: ClassVar[Encoding] = TX2()
    TABLE: ClassVar[NDArray[np.int32]] = table(encoding)
    KIND: ClassVar[NDArray[np.int32]] = TABLE[:, 0]
    LOUD: ClassVar[int] = sum(1 << voice for voice in range(len(VOICES)) if voice != TRIANGLE)
    NOTE: ClassVar[int] = 4  # the words of a note: begun, its volume, waited, ended
    RULES: ClassVar[Mapping[str, str]] = {
        **TX1Grammar.RULES,
        "order": "at one instant the voices speak in the order P1 P2 TR NO, each its note, its volume, its timbre",
        "volume": "the volume of its voice follows a NOTEON of a pulse or the noise",
    }
