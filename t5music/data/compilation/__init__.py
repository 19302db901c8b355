"""Compilation: a task run once into a token store."""
