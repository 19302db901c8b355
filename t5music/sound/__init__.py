"""Sound: music as waveforms, by a sound font or as the NES plays it."""
