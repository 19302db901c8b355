"""Cost: memory, operations and time of a training, before it begins."""
