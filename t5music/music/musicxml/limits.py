"""Limits: what is too much to be a score, and the names of files that hold one.

The largest of 250 scores of OpenScore has 10 MB of XML, up to 53 times the size of its archive. What goes far beyond is
damage or malice, and is refused before memory is spent on it.
"""

from __future__ import annotations

MUSICXML_SUFFIXES = (".musicxml", ".mxl", ".xml")
CONVERTED_SUFFIXES = (".krn", ".mei")  # read by way of music21, the [scores] extra
SCORE_SUFFIXES = (*MUSICXML_SUFFIXES, *CONVERTED_SUFFIXES)

MAX_BYTES = 64 * 2**20  # of a file, and of the XML in an archive
MAX_ARCHIVED_FILES = 1000  # scores with pictures have some dozens
MAX_DEPTH = 64  # of elements within each other
MAX_ELEMENTS = 200_000  # of one part in one measure, and of the list of parts
MAX_PARTS = 1024
MAX_NOTES = 1_000_000  # written, and played
MAX_PLAYED_MEASURES = 10_000  # as of MIDI files
