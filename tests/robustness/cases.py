"""What the fuzzer feeds: damaged MIDI files and scores, and senseless events, each from (seed, index) alone."""

from __future__ import annotations

import dataclasses
import io
import re
import struct
import zipfile
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from t5music.errors import MidiError
from t5music.music import midi, musicxml
from t5music.music.encodings import Encoding
from t5music.music.score import DRUMS, KEY, METER, NOTE, TEMPO, Score

MIDI_SUFFIXES, SCORE_SUFFIXES = (".mid", ".midi"), (".musicxml", ".mxl")
LARGEST_SCORE = 20_000  # bytes of a compressed score
LARGEST = 100_000  # bytes of a real file that is damaged; of larger ones the figures would only be slower


class Sources:
    """Where cases come from: the MIDI files (or scores) of a folder, or scores and files made up on the spot."""

    def __init__(self, folder: Path | None = None, suffixes: tuple[str, ...] = MIDI_SUFFIXES) -> None:
        paths = sorted(folder.rglob("*")) if folder else []
        self.paths = [
            path
            for path in paths
            if path.suffix.lower() in suffixes
            and path.is_file()
            and path.stat().st_size <= (LARGEST_SCORE if path.suffix.lower() == ".mxl" else LARGEST)
        ]
        if folder and not self.paths:
            kind = "MIDI files" if suffixes == MIDI_SUFFIXES else "scores"
            raise SystemExit(f"{folder}: no {kind} in it")

    def file(self, rng: Generator) -> bytes:
        """The bytes of a MIDI file, whole for all we know."""
        if self.paths:
            return self.paths[rng.integers(len(self.paths))].read_bytes()
        return odd_file(rng) if rng.random() < 0.5 else midi.to_bytes(made_up_score(rng))

    @lru_cache(maxsize=256)  # noqa: B019 - one object lives as long as the process
    def real_score(self, number: int) -> Score | None:
        try:
            return midi.read(self.paths[number])
        except MidiError:
            return None

    def score(self, rng: Generator) -> Score:
        """A piece of music; made up where the file drawn has none."""
        found = self.real_score(int(rng.integers(len(self.paths)))) if self.paths else None
        return found or made_up_score(rng)


def made_up_score(rng: Generator) -> Score:
    """A score of up to 300 notes that any MIDI file could hold."""
    tracks, count = int(rng.integers(1, 6)), int(rng.integers(1, 300))
    notes = np.zeros(count, NOTE)
    notes["onset"] = np.sort(rng.integers(0, 20_000, count))
    notes["duration"] = rng.integers(1, 2_000, count)
    notes["pitch"], notes["velocity"] = rng.integers(0, 128, count), rng.integers(1, 128, count)
    notes["track"] = rng.integers(0, tracks, count)
    notes["program"] = rng.integers(0, DRUMS + 1, tracks)[notes["track"]]
    ticks = np.unique(rng.integers(0, 20_000, 5))
    tempos, meters, keys = (np.zeros(len(ticks), dtype) for dtype in (TEMPO, METER, KEY))
    for changes in (tempos, meters, keys):
        changes["tick"] = ticks
    tempos["microseconds"] = rng.integers(100_000, 2_000_000, len(ticks))
    meters["numerator"], meters["denominator"] = rng.integers(1, 13, len(ticks)), 2 ** rng.integers(0, 6, len(ticks))
    keys["fifths"] = rng.integers(-7, 8, len(ticks))
    return Score(int(rng.choice([24, 96, 220, 480, 960])), notes, tempos, meters, keys)


def odd_file(rng: Generator) -> bytes:
    """A file of random events of all kinds, with running status, SysEx and escapes, of any type and division."""
    tracks = []
    for _ in range(rng.integers(1, 5)):
        events, status = b"", 0
        for _ in range(rng.integers(0, 120)):
            events += bytes([rng.integers(128)]) if rng.random() < 0.8 else bytes([0x80 | rng.integers(128), 0x10])
            kind = rng.random()
            if kind < 0.8:
                new = int(rng.choice([0x80, 0x90, 0x90, 0x90, 0xB0, 0xC0, 0xE0])) | int(rng.choice([0, 1, 9]))
                body = rng.integers(0, 128, 1 if new >> 4 == 0xC else 2, np.uint8).tobytes()
                events += body if new == status else bytes([new]) + body
                status = new
            elif kind < 0.9:
                size = int(rng.integers(0, 9))
                meta = int(rng.choice([0x01, 0x03, 0x05, 0x51, 0x58, 0x59, 0x7F]))
                events += bytes([0xFF, meta, size]) + rng.integers(0, 256, size, np.uint8).tobytes()
            else:
                size = int(rng.integers(0, 9))
                events += bytes([rng.choice([0xF0, 0xF7]), size]) + rng.integers(0, 256, size, np.uint8).tobytes()
        tracks.append(events + b"\x00\xff\x2f\x00")
    division = int(rng.choice([480, 96, 1, 0xE728, 0xE250, rng.integers(65536)]))
    header = struct.pack(">IHHH", 6, rng.integers(3), len(tracks), division)
    return b"MThd" + header + b"".join(b"MTrk" + struct.pack(">I", len(track)) + track for track in tracks)


def damaged_file(sources: Sources, rng: Generator) -> bytes:
    """A MIDI file with one to eight faults: bytes flipped, set, cut out, put in, doubled, spliced from another file."""
    data = bytearray(sources.file(rng))
    for _ in range(rng.choice([1, 1, 2, 4, 8])):
        if not data:
            break
        start = int(rng.integers(len(data)))
        if rng.random() < 0.3:  # where a fault costs most: headers, and the beginnings of tracks
            start = int(rng.integers(min(40, len(data))))
            start += max(data.find(b"MTrk", int(rng.integers(len(data)))), 0) if rng.random() < 0.5 else 0
            start = min(start, len(data) - 1)
        end = start + int(rng.choice([1, 1, 2, 4, 16, 256, 4096]))
        match int(rng.integers(9)):
            case 0:
                data[start] ^= 1 << int(rng.integers(8))
            case 1:
                data[start] = int(rng.choice([0, 0x7F, 0x80, 0xF0, 0xF7, 0xF8, 0xFF, rng.integers(256)]))
            case 2:
                data[start:end] = rng.integers(0, 256, len(data[start:end]), np.uint8).tobytes()
            case 3:
                del data[start:end]
            case 4:
                data[start:start] = rng.integers(0, 256, end - start, np.uint8).tobytes()
            case 5:
                data[start:start] = data[start:end] * int(rng.integers(1, 5))
            case 6:
                del data[start:]
            case 7:
                other = sources.file(rng)
                at = int(rng.integers(len(other) + 1))
                data[start:end] = other[at : at + int(rng.choice([4, 64, 1024, len(other)]))]
            case 8:
                data[start : start + 4] = struct.pack(">I", int(rng.choice([0, 1, 2**16, 2**31, 2**32 - 1])))
    return bytes(data)


_LEAF = re.compile(rb"<([a-z-]+)([^<>/]*)>([^<>]*)</\1>")
_ELEMENT = re.compile(rb"<(note|direction|attributes|barline|measure|part|backup|forward)\b.*?</\1>", re.DOTALL)
_VALUES = (
    b"",
    b"0",
    b"-1",
    b"1",
    b"3",
    b"0.5",
    b"7/3",
    b"1e9",
    b"99999999999999999999",
    b"nan",
    b"x",
    b"start",
    b"stop",
)
_SIGNS = (
    b'<barline><repeat direction="forward"/></barline>', b'<barline><repeat direction="backward" times="9"/></barline>',
    b'<barline><ending number="1" type="start"/></barline>', b'<barline><ending number="2,3" type="stop"/></barline>',
    b'<sound dacapo="yes" fine="yes" tocoda="a" coda="b"/>',
    b'<note><grace/><pitch><step>C</step><octave>4</octave></pitch></note>',
    b"<forward><duration>7</duration></forward>", b"<attributes><divisions>7</divisions></attributes>",
    b"<attributes><transpose><chromatic>-60</chromatic></transpose></attributes>", b"<note><chord/><rest/></note>",
    b'<direction><direction-type><wedge type="crescendo"/></direction-type></direction>',
)  # fmt: skip


def damaged_score(sources: Sources, rng: Generator) -> bytes:
    """A score with one to eight faults: other values and signs, elements lost, doubled or moved, and other bytes."""
    if sources.paths:
        data = sources.paths[rng.integers(len(sources.paths))].read_bytes()
    else:
        score = dataclasses.replace(made_up_score(rng), ticks_per_quarter=480)  # else it may have thousands of bars
        data = musicxml.to_bytes(score, is_compressed=bool(rng.random() < 0.1))
    if data.startswith(b"PK") and rng.random() < 0.8:
        data = _unpacked(data)
    for _ in range(rng.choice([1, 1, 2, 4, 8])):
        start = int(rng.integers(len(data) + 1))
        leaf, element = _LEAF.search(data, start), _ELEMENT.search(data, start)
        match int(rng.integers(7)):
            case 0 | 1 if leaf:
                value = _VALUES[rng.integers(len(_VALUES))]
                data = data[: leaf.start(3)] + value + data[leaf.end(3) :]
            case 2 if element:
                data = data[: element.start()] + data[element.end() :]
            case 3 if element:
                data = data[: element.end()] + element[0] * int(rng.integers(1, 4)) + data[element.end() :]
            case 4 if element:
                data = data[: element.start()] + _SIGNS[rng.integers(len(_SIGNS))] + data[element.start() :]
            case 5 if element:
                other = _ELEMENT.search(data)
                data = data[: element.start()] + (other[0] if other else b"") + data[element.start() :]
            case 6 if rng.random() < 0.3:
                data = data[:start] + rng.integers(0, 256, 3, np.uint8).tobytes() + data[start + 2 :]
    return data


def _unpacked(data: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        names = [name for name in archive.namelist() if not name.startswith("META-INF/")]
        return archive.read(next(name for name in names if name.endswith(("xml", ".musicxml"))))


def senseless_events(encoding: Encoding, sources: Sources, rng: Generator) -> NDArray[np.int32]:
    """Events (int32 [0 to 4000]): any ids, ids of families drawn evenly, or real events shuffled, cut and doubled."""
    count = int(rng.choice([0, 1, 20, 200, rng.integers(4000)]))
    if rng.random() < 0.25:
        return rng.integers(0, len(encoding.words), count).astype(np.int32)
    if rng.random() < 0.35:
        families: dict[str, list[int]] = {}
        for word, index in encoding.ids.items():
            families.setdefault(word.rstrip("0123456789/"), []).append(index)
        members = list(families.values())
        drawn = [members[family] for family in rng.integers(0, len(members), count)]
        return np.array([family[rng.integers(len(family))] for family in drawn], np.int32)
    try:
        events = encoding.encode(sources.score(rng))[:4000]
    except MidiError:  # music that this encoding cannot say
        return rng.integers(0, len(encoding.words), count).astype(np.int32)
    size = int(rng.choice([1, 2, 5, 50, 500]))
    pieces = [events[start : start + size] for start in range(0, len(events), size)]
    order = rng.permutation(len(pieces)) if rng.random() < 0.7 else rng.integers(0, len(pieces), len(pieces))
    return np.concatenate([pieces[number] for number in order]) if pieces else events
