"""MidiBERT: compound words, and POP909 aligned to its beats."""
