"""Corpora: where music comes from, under which terms, and how it is split."""
