"""The encodings: a Score as event words, and back.

encoding = encodings.get("remi")
events = encoding.encode(score)  # int32 [events]
text = encoding.to_text(events)  # "Bar TimeSig_4/4 Pos_0 Tempo_120 ..."
score, repairs = encoding.decode(encoding.from_text(text))
"""

from __future__ import annotations

from t5music.errors import ConfigError, nearest
from t5music.music.encodings.base import Decoded, Encoding
from t5music.music.encodings.performance import Performance
from t5music.music.encodings.remi import Remi
from t5music.music.encodings.tx1 import TX1
from t5music.music.encodings.tx2 import TX2

__all__ = ["ENCODINGS", "Decoded", "Encoding", "get"]

ENCODINGS: dict[str, Encoding] = {encoding.name: encoding for encoding in (TX1(), Performance(), Remi(), TX2())}


def get(name: str) -> Encoding:
    """The encoding of that name: tx1, performance, remi or tx2. Raises ConfigError for another name."""
    try:
        return ENCODINGS[name]
    except KeyError:
        known = ", ".join(ENCODINGS)
        raise ConfigError(f"there is no encoding {name!r} (there are {known}){nearest(name, ENCODINGS)}") from None
