"""Scores in MusicXML in and out: `musicxml.read("song.mxl")`, `musicxml.write(score, "song.musicxml")`."""

from t5music.music.musicxml.limits import MUSICXML_SUFFIXES, SCORE_SUFFIXES
from t5music.music.musicxml.reader import READING_RULES, read_mended
from t5music.music.musicxml.writer import to_bytes, write

__all__ = ["MUSICXML_SUFFIXES", "READING_RULES", "SCORE_SUFFIXES", "read_mended", "to_bytes", "write"]
