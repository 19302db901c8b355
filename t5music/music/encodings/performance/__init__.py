"""performance: Performance RNN's and Music Transformer's words."""

from t5music.music.encodings.performance.grammar import PerformanceGrammar as Grammar

__all__ = ["Grammar"]
