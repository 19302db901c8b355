"""Music as arrays: scores, MIDI files, encodings. Imports numpy and MIDI readers only."""
