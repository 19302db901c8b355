"""Training: the loop, its state and step, losses, optimizers, schedules, freezing, metrics and checkpoints."""
