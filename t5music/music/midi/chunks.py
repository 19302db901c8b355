"""A MIDI file taken apart into header and tracks, also where wrapper, header or lengths are not as they should be.

The standard is Standard MIDI Files 1.0 (RP-001, MIDI Manufacturers Association): a chunk `MThd` of six bytes (type,
number of tracks, division), then chunks `MTrk`; other chunks are to be skipped. What is mended here and how:

- a RIFF wrapper (RMID), or anything else before the header, such as an HTTP answer's, is taken away;
- a header that is longer than six bytes is read as if it had six, one that is shorter as far as its fields go;
- a type above 2 is read as type 1;
- tracks beyond the number that the header announces are left out, as symusic and mido leave them out: files exist whose
  authors took away a second arrangement by that number alone; only if the header announces none, all are read;
- a track whose length leads beyond the file, or to a place where no chunk begins, goes on to the next `MTrk`.

A division of zero, or one that is neither ticks per quarter note nor one of SMPTE's four rates, is refused: without it
no time in the file has a meaning.
"""

from __future__ import annotations

from typing import NamedTuple

from t5music.errors import MidiError
from t5music.music.midi.limits import Limits

HEADER = b"MThd\0\0\0\x06"
TRACK = b"MTrk"
END_OF_TRACK = b"\xff\x2f\x00"

# SMPTE's rates -> a number of frames, and the microseconds in which they pass. 29 stands for the 29.97 frames a second
# of drop-frame time code, of which 30 last 1.001 seconds.
SMPTE_RATES = {24: (24, 1_000_000), 25: (25, 1_000_000), 29: (30, 1_001_000), 30: (30, 1_000_000)}

# How files that are not MIDI begin, in lower case and after white space, and what they are.
KINDS = (
    (b"http/", "an HTTP answer without a MIDI file"),
    (b"<?xml", "XML"),
    (b"<", "a web page"),
    (b"finale", "a Finale score"),
    (b"enigma", "a Finale score"),
    (b"riff", "a RIFF file"),
    (b"smf2clip", "a MIDI 2.0 clip file"),
    (b"smf2", "a MIDI 2.0 container file"),
    (b"xmf_", "an XMF container file"),
    (b"mtrk", "a track without the file's header"),
    (b"form", "an IFF file, as XMI is"),
    (b"mus\x1a", "a DOOM MUS file"),
    (b"x:", "ABC notation"),
    (b"bzh", "a bzip2 archive"),
    (b"7z\xbc\xaf", "a 7z archive"),
    (b"rar!", "a RAR archive"),
    (b"pk\x03\x04", "a zip archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"%pdf", "a PDF document"),
    (b"id3", "an MP3 file"),
    (b"oggs", "an Ogg file"),
    (b"gif8", "a picture"),
    (b"\x89png", "a picture"),
    (b"\xff\xd8\xff", "a picture"),
    (b"---\n", "the front matter of a text"),
    (b"version https://git-lfs", "a Git LFS pointer"),
)


class Chunks(NamedTuple):
    """A MIDI file's parts.

    Attributes:
        data: the file from its header on, without wrapper.
        kind: 0 or 1, or 2 for independent patterns.
        ticks_per_quarter: resolution, > 0; under SMPTE division the ticks of `microseconds`.
        microseconds: under SMPTE division, the length of a "quarter note" throughout the file; else None.
        tracks: of each track, where its events begin in `data` and where they end at the latest.
        mended: what was not as the standard has it (see `mended`).
    """

    data: bytes
    kind: int
    ticks_per_quarter: int
    microseconds: int | None
    tracks: list[tuple[int, int]]
    mended: list[str]


def parse(data: bytes, name: str, limits: Limits) -> Chunks:
    """Takes the bytes of a file apart. Time and memory are linear in their number, whatever lengths they claim.

    Raises:
        MidiError: "`name`: ..." for what is no MIDI file, a header that cannot be used, or too many tracks.
    """
    if not data:
        raise MidiError(f"{name}: the file is empty")
    mended: list[str] = []
    if not data.startswith(b"MThd"):
        data = _unwrapped(data, name, mended)
    if len(data) < 14:
        raise MidiError(f"{name}: damaged MIDI file: it ends within its header")
    kind, announced, division = (int.from_bytes(data[at : at + 2], "big") for at in (8, 10, 12))
    at = 14
    if not data.startswith(HEADER):
        length = int.from_bytes(data[4:8], "big")
        at = 8 + length
        if data[at : at + 4] != TRACK:
            at = max(data.find(TRACK, 8), 8)
        if at < 14:
            raise MidiError(f"{name}: damaged MIDI file: a header of {length} bytes, too short to hold the division")
        mended.append(f"bytes in the header: {length}")
    if kind > 2:
        mended.append(f"unknown file type: {kind}")
        kind = 1
    resolution, microseconds = _resolution(division, name)
    tracks = _tracks(data, at, announced, mended, name, limits.tracks)
    if len(tracks) < announced:
        mended.append(f"tracks missing: {announced - len(tracks)}")
    return Chunks(data, kind, resolution, microseconds, tracks, mended)


def _unwrapped(data: bytes, name: str, mended: list[str]) -> bytes:
    """The MIDI file within data that do not begin with one."""
    start = data.find(HEADER)
    if start < 0:
        raise MidiError(f"{name}: not a standard MIDI file but {_kind(data)}: there is no MIDI header in it")
    if data.startswith(b"RIFF") and data[8:12] == b"RMID":
        mended.append("RIFF wrapper")
        length = int.from_bytes(data[start - 4 : start], "little")  # of the RIFF chunk `data`
        return data[start : start + length] if data[start - 8 : start - 4] == b"data" and length else data[start:]
    mended.append(f"bytes before the header: {start}")
    return data[start:]


def _kind(data: bytes) -> str:
    """What data without a MIDI header are, in words."""
    start = data[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    for beginning, kind in KINDS:
        if start.startswith(beginning):
            return kind
    text = all(byte >= 32 or byte in b"\t\r\n" for byte in start) and start.isascii()
    return "plain text" if text and start else "other data"


def _resolution(division: int, name: str) -> tuple[int, int | None]:
    """Ticks per quarter note, and under SMPTE division the microseconds of what then counts as a quarter note.

    As many ticks as SMPTE has in about a second make a quarter note, so that both numbers are whole and seconds exact.
    """
    if division == 0:
        raise MidiError(f"{name}: damaged MIDI file: zero ticks per quarter note")
    if division < 0x8000:
        return division, None
    rate, ticks = 256 - (division >> 8), division & 0xFF
    if rate not in SMPTE_RATES or not ticks:
        raise MidiError(
            f"{name}: damaged MIDI file: its division, 0x{division:04X}, is neither ticks per quarter note "
            "nor ticks of 24, 25, 29 or 30 frames a second"
        )
    frames, microseconds = SMPTE_RATES[rate]
    return frames * ticks, microseconds


def _tracks(
    data: bytes, at: int, announced: int, mended: list[str], name: str, max_tracks: int
) -> list[tuple[int, int]]:
    """Where the events of each track begin and end, from the first chunk on."""
    tracks: list[tuple[int, int]] = []
    wrong_lengths = others = stray = surplus = 0
    while at + 8 <= len(data):
        end = at + 8 + int.from_bytes(data[at + 4 : at + 8], "big")
        complete = 0 < announced <= len(tracks)
        if data.startswith(TRACK, at) and complete:
            surplus += 1
        elif data.startswith(TRACK, at):
            if len(tracks) == max_tracks:
                raise MidiError(f"{name}: has more than {max_tracks} tracks")
            last = len(tracks) + 1 >= announced  # what follows the last track need not be a chunk
            if end > len(data) or not (_chunk_at(data, end) or (last and data[end - 3 : end] == END_OF_TRACK)):
                following = data.find(TRACK, at + 8)
                end = following if following >= 0 else len(data)
                wrong_lengths += 1
            tracks.append((at + 8, end))
        elif data.startswith(b"MThd", at):  # another file, which is not this one's music
            break
        elif _chunk_at(data, at):
            others += not complete
        else:
            end = data.find(TRACK, at + 1)
            if complete or end < 0:
                break
            stray += end - at
        if surplus + others > max_tracks:
            raise MidiError(f"{name}: has more than {max_tracks} chunks that are not among its tracks")
        at = end
    for what, count in (
        ("track lengths wrong", wrong_lengths),
        ("tracks not announced, left out", surplus),
        ("bytes between tracks", stray),
        ("bytes after the last track", len(data) - at),
    ):
        if count > 0:
            mended.append(f"{what}: {count}")
    return tracks


def _chunk_at(data: bytes, at: int) -> bool:
    """Whether the file ends here, or a track begins, or another chunk with a name of letters and digits that fits."""
    if at == len(data) or data.startswith(TRACK, at):
        return True
    end = at + 8 + int.from_bytes(data[at + 4 : at + 8], "big")
    return at + 8 <= len(data) and data[at : at + 4].isalnum() and end <= len(data)
