"""Loading: from token stores to batches."""
