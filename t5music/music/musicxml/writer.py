"""Writing: Scores as MusicXML that notation programs open: bars, meters, keys, voices, ties and tuplets.

Music whose times lie on a grid, at most MOST_UNITS a quarter, is written exactly: for it `read` gives back the notes,
programs, meters, keys and tempi that were written. Music that was played freely is moved to sixteenths and their
triplets, in at most four voices a staff; velocities stay as they are.
"""

from __future__ import annotations

import io
import os
import zipfile

import numpy as np

from t5music import files
from t5music.errors import MidiError
from t5music.music import midi
from t5music.music.musicxml.layout import Layout
from t5music.music.musicxml.part_writer import PartWriter
from t5music.music.score import Score
from t5music.storage import path_of

MAX_MEASURES = 500_000  # of all parts together
_HEAD = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE score-partwise PUBLIC "-//Recordare//DTD MusicXML 4.0 Partwise//EN" "http://www.musicxml.org/dtds/partwise.dtd">
<score-partwise version="4.0">
<identification><encoding><software>t5music</software></encoding></identification>
"""
_CONTAINER = """<?xml version="1.0" encoding="UTF-8"?>
<container><rootfiles>
<rootfile full-path="score.musicxml" media-type="application/vnd.recordare.musicxml+xml"/>
</rootfiles></container>
"""


def write(score: Score, path: str | os.PathLike[str]) -> None:
    """Writes a score, whole or not at all; compressed where the name ends in .mxl.

    Raises MidiError as `to_bytes`, and DataError where the file system refuses.
    """
    files.write_bytes(path, to_bytes(score, is_compressed=path_of(path).suffix.lower() == ".mxl"))


def _compressed(data: bytes) -> bytes:
    """The bytes of a compressed score (.mxl) with this XML; the same for the same XML."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in (("META-INF/container.xml", _CONTAINER.encode()), ("score.musicxml", data)):
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def to_bytes(score: Score, *, is_compressed: bool = False) -> bytes:
    """The bytes of a score in MusicXML. A part is a track with one program, as `midi.representable` parts them.

    Args:
        score: the music.
        is_compressed: whether they are those of a compressed score (.mxl) or XML.

    Raises:
        MidiError: a score without notes, with more measures than can be written, or that MIDI could not hold either.
    """
    score = midi.representable(score)
    if not len(score.notes):
        raise MidiError("a score without notes cannot be written as MusicXML")
    layout = Layout.of(score)
    if len(layout.bars) * len(score.track_names) > MAX_MEASURES:
        raise MidiError(f"the score would have more than {MAX_MEASURES} measures: cut it into pieces")
    programs = np.zeros(len(score.track_names), np.int64)
    programs[score.notes["track"]] = score.notes["program"]
    parts = [
        PartWriter(score, layout, track, name, program)
        for track, (name, program) in enumerate(zip(score.track_names, programs.tolist(), strict=True))
    ]
    lines = [_HEAD, "<part-list>"]
    for part in parts:
        lines += part.listing()
    lines.append("</part-list>")
    for part in parts:
        lines += part.measures()
    data = "\n".join([*lines, "</score-partwise>\n"]).encode()
    return _compressed(data) if is_compressed else data
