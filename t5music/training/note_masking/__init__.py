"""Note masking: pre-training on masked notes, which a second network learns to choose."""
