"""Scores in Humdrum (.krn) and MEI (.mei), read by way of music21, which turns them into MusicXML.

music21 is the [scores] extra. It is slow and its memory has no bound, so only small files are given to it.
"""

from __future__ import annotations

import warnings
from importlib.util import find_spec

from t5music.errors import MidiError

MAX_BYTES = 4 * 2**20
_FORMATS = {".krn": "humdrum", ".mei": "mei"}


def to_musicxml(data: bytes, suffix: str, name: str) -> bytes:
    """The MusicXML of a score in another format.

    Args:
        data: its bytes.
        suffix: '.krn' or '.mei'.
        name: what to call it in errors.

    Raises:
        MidiError: music21 is not installed, or cannot read it.
    """
    if find_spec("music21") is None:
        raise MidiError(f"{name}: {suffix} files need music21: pip install 't5music[scores]'")
    if len(data) > MAX_BYTES:
        raise MidiError(f"{name}: larger than {MAX_BYTES} bytes, too large for a {suffix} file")
    if b"<!ENTITY" in data:
        raise MidiError(f"{name}: declares entities of its own, which no score needs: refused")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    from music21 import converter
    from music21.musicxml.m21ToXml import GeneralObjectExporter

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            stream = converter.parseData(text, format=_FORMATS[suffix])
            return GeneralObjectExporter().parse(stream)
    except Exception as error:  # music21 raises many kinds
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise MidiError(f"{name}: music21 cannot read it: {reason}") from None
