"""From pieces to batches: vocabulary, examples, objectives, token stores, the loader."""
