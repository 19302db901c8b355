"""tx1: LakhNES's words for the four voices of the NES."""

from t5music.music.encodings.tx1.grammar import TX1Grammar as Grammar

__all__ = ["Grammar"]
