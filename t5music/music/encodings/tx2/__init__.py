"""tx2: tx1 with volumes and timbres."""

from t5music.music.encodings.tx2.grammar import TX2Grammar as Grammar

__all__ = ["Grammar"]
