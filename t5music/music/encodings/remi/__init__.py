"""remi: bars and positions, any instruments."""

from t5music.music.encodings.remi.grammar import RemiGrammar as Grammar

__all__ = ["Grammar"]
