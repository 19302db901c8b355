"""Cost: memory, floating point operations and time of a training, computed before it begins."""
