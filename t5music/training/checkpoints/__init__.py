"""Checkpoints: written, read, averaged, chosen."""
