"""Losses, optimizers, checkpoints, the training loop and evaluation."""
