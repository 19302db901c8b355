"""Note masking: which notes of the music are masked, learnt by a second network."""
