"""Denoising of music alone: one task per corpus, `<corpus>_span_corruption`."""

from t5music.data.examples import Pieces
from t5music.data.objectives import SelectRandomChunk, SpanCorruption
from t5music.data.seqio_tasks import add_task

CORPORA = ("bach_chorales", "monteverdi", "ryans_mammoth", "trecento")
SPAN_CORRUPTION = (SelectRandomChunk(), SpanCorruption(noise_density=0.15, mean_span_length=3.0))

for _corpus in CORPORA:
    add_task(f"{_corpus}_span_corruption", _corpus, Pieces("remi"), SPAN_CORRUPTION)
