"""Encodings: a Score as event words, and back; and the grammar of each: which words may come next.

    encoding = encodings.get("remi")
    events = encoding.encode(score)  # int32 [events]
    text = encoding.to_text(events)  # "Bar TimeSig_4/4 Pos_0 Tempo_120 ..."
    score, repairs = encoding.decode(encoding.from_text(text))

    rules = encodings.grammar_of("remi")
    report = rules.check([events])[0]  # report.share of legal words, report.illegal: which words, by which rule
    state = rules.after([prompt], room=255)  # the state behind a prompt
    legal = rules.allowed(state, np)  # bool [1, words]; jax.numpy in np's place inside a compiled loop
    state = rules.advance(state, chosen, np)

An encoding is a folder here: its words, its grammar, its cuts, and what augmentations need to know of its words. The
folder's `Grammar` has the encoding itself; its name stands in _FOLDERS. The order is that of the vocabulary: a new one
goes to the end.
"""

from __future__ import annotations

from importlib import import_module

from t5music.errors import ConfigError, nearest
from t5music.music.encodings.base import Decoded, Encoding
from t5music.music.encodings.grammar import Grammar, Illegal, Promised, Report

__all__ = ["ENCODINGS", "GRAMMARS", "Decoded", "Encoding", "Grammar", "Illegal", "Promised", "Report", "get"]
__all__ += ["grammar_of"]

_FOLDERS = ("tx1", "performance", "remi", "tx2", "satb")

GRAMMARS: dict[str, type[Grammar]] = {name: import_module(f"{__name__}.{name}").Grammar for name in _FOLDERS}
ENCODINGS: dict[str, Encoding] = {name: grammar.encoding for name, grammar in GRAMMARS.items()}


def get(name: str) -> Encoding:
    """Returns the encoding of that name: tx1, performance, remi, tx2 or satb. Raises ConfigError for another name."""
    if name not in ENCODINGS:
        names = ", ".join(ENCODINGS)
        raise ConfigError(f"there is no encoding {name!r} (there are {names}){nearest(name, ENCODINGS)}")
    return ENCODINGS[name]


def grammar_of(
    name: str, *, complete: bool = True, inside: bool = False, programs: tuple[int, ...] | None = None
) -> Grammar:
    """Returns the grammar of the encoding of that name; all else as in `Grammar`.

    Raises ConfigError for another name.
    """
    return GRAMMARS[get(name).name](complete=complete, inside=inside, programs=programs)
