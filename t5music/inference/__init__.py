"""Inference: a trained model and one's own music."""
