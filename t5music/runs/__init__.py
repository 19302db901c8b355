"""Runs: one training or one evaluation, from its settings to its folder."""
