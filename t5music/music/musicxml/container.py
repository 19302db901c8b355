"""Containers: the XML of a score, from a plain file or from a compressed one (.mxl).

A compressed score is a zip archive. Nothing of it is written to disk, and only the list of contents and the score
itself are unpacked, within a limit.
"""

from __future__ import annotations

import io
import os
import zipfile
import zlib

from t5music.errors import MidiError
from t5music.files import open_regular, printable_name
from t5music.music.musicxml import xml_stream
from t5music.music.musicxml.limits import MAX_ARCHIVED_FILES, MAX_BYTES

_CONTENTS = "META-INF/container.xml"
_MAX_CONTENTS = 2**20  # bytes


def load(path: str | os.PathLike[str], name: str) -> bytes:
    """The bytes of a file. Raises MidiError that names it where it cannot be read, or is too large."""
    try:
        with open_regular(path) as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise MidiError(f"{name}: no such file") from None
    except IsADirectoryError:
        raise MidiError(f"{name}: is a folder, not a score") from None
    except OSError as error:
        raise MidiError(f"{name}: cannot be read: {error.strerror or error}") from None
    except ValueError as error:  # a path with a NUL in it
        raise MidiError(f"'{name}': not a file name: {error}") from None
    if len(data) > MAX_BYTES:
        raise MidiError(f"{name}: larger than {MAX_BYTES} bytes, too large for a score")
    return data


def xml_of(data: bytes, name: str) -> bytes:
    """The XML of a score: the bytes as they are, or what a compressed score's list of contents names.

    Raises:
        MidiError: a compressed score that is damaged, encrypted or too large, or has no score in it.
    """
    if not data.startswith(b"PK"):
        return data
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if len(archive.infolist()) > MAX_ARCHIVED_FILES:
                raise MidiError(f"{name}: more than {MAX_ARCHIVED_FILES} files in it, too many for a compressed score")
            return _member(archive, _root_file(archive, name), MAX_BYTES, name)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise MidiError(f"{name}: cannot be unpacked as a compressed score: {reason}") from None


def _root_file(archive: zipfile.ZipFile, name: str) -> str:
    """The name of the score in an archive: the first MusicXML of its contents, or its only XML where it has no list."""
    members = [member for member in archive.namelist() if not member.endswith("/")]
    if _CONTENTS in members:
        contents = _member(archive, _CONTENTS, _MAX_CONTENTS, name)
        for element in xml_stream.elements(contents, f"{name}, {_CONTENTS}"):
            kind = element.get("media-type", "application/vnd.recordare.musicxml+xml")
            if element.tag == "rootfile" and kind in ("application/vnd.recordare.musicxml+xml", "text/xml"):
                path = element.get("full-path", "")
                if path not in members:
                    raise MidiError(f"{name}: its contents name {printable_name(path)!r}, which is not in it")
                return path
    scores = [
        member
        for member in members
        if member.lower().endswith((".xml", ".musicxml")) and not member.startswith(("META-INF/", "__MACOSX/"))
    ]
    if len(scores) != 1:
        raise MidiError(f"{name}: has no list of contents ({_CONTENTS}), and {len(scores)} scores in it instead of one")
    return scores[0]


def _member(archive: zipfile.ZipFile, member: str, limit: int, name: str) -> bytes:
    with archive.open(member) as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise MidiError(f"{name}: {printable_name(member)} in it is larger than {limit} bytes, too large for a score")
    return content
