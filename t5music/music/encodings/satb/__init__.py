"""satb: four voices on a grid of sixteenths."""

from t5music.music.encodings.satb.grammar import SatbGrammar as Grammar

__all__ = ["Grammar"]
