"""From scores to batches: vocabulary, corpora, objectives, token stores, the loader."""
