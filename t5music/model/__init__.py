"""Model: the T5 and its decoding. Imports jax and flax only."""
