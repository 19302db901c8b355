"""The grammar of each encoding: which event words may come next, given those so far.

rules = grammar.get("remi")
report = rules.check([events])[0]  # report.share of legal words, report.illegal: which words, by which rule
state = rules.after([prompt], room=255)  # the state behind a prompt
legal = rules.allowed(state, np)  # bool [1, words]; jax.numpy in np's place inside a compiled loop
state = rules.advance(state, chosen, np)
"""

from __future__ import annotations

from t5music.errors import ConfigError, nearest
from t5music.music.grammar.base import Grammar, Illegal, Report
from t5music.music.grammar.performance import PerformanceGrammar
from t5music.music.grammar.remi import RemiGrammar
from t5music.music.grammar.tx1 import TX1Grammar
from t5music.music.grammar.tx2 import TX2Grammar

__all__ = ["GRAMMARS", "Grammar", "Illegal", "Report", "get"]

GRAMMARS: dict[str, type[Grammar]] = {
    "tx1": TX1Grammar,
    "tx2": TX2Grammar,
    "performance": PerformanceGrammar,
    "remi": RemiGrammar,
}


def get(name: str, *, complete: bool = True, inside: bool = False) -> Grammar:
    """The grammar of the encoding of that name; `complete` and `inside` as in `Grammar`.

    Raises ConfigError for another name.
    """
    if name not in GRAMMARS:
        known = ", ".join(GRAMMARS)
        raise ConfigError(f"no grammar for {name!r} (there are those of {known}){nearest(name, GRAMMARS)}")
    return GRAMMARS[name](complete=complete, inside=inside)
