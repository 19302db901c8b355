"""Sound fonts: SoundFont 2 files (.sf2), which instruments they have, and which samples play a note.

After the SoundFont 2.04 specification (Creative, 2006). A preset is made of zones that name instruments, an instrument
of zones that name samples; each zone may be limited to keys and velocities, and sets generators. Those of a preset are
added to those of its instruments. Read are pitch, loop, volume envelope, attenuation, pan, low-pass filter and
exclusive class. Not read are what moves within a note beside the volume (LFOs, modulation envelope), reverb
and chorus.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from t5music import files
from t5music.errors import ConfigError
from t5music.files import printable_name
from t5music.music.instruments import instrument_name
from t5music.music.score import DRUMS
from t5music.storage import path_of

KIT_BANK = 128  # of percussion
FAMILY = 8  # programs of General MIDI come in families of eight

# Generators (section 8.1.2), by number.
START, END, LOOP_START, LOOP_END = 0, 1, 2, 3  # offsets in samples; those below, in units of 32,768 samples
COARSE = {START: 4, END: 12, LOOP_START: 45, LOOP_END: 50}
FILTER_CENTS, FILTER_Q, PAN = 8, 9, 17
DELAY, ATTACK, HOLD, DECAY, SUSTAIN, RELEASE, KEY_TO_HOLD, KEY_TO_DECAY = range(33, 41)
INSTRUMENT, KEYS, VELOCITIES, FIXED_KEY, FIXED_VELOCITY, ATTENUATION = 41, 43, 44, 46, 47, 48
COARSE_TUNE, FINE_TUNE, SAMPLE, LOOPING, SCALE_TUNING, EXCLUSIVE, ROOT_KEY = 51, 52, 53, 54, 56, 57, 58
DEFAULTS = {FILTER_CENTS: 13_500, SCALE_TUNING: 100, FIXED_KEY: -1, FIXED_VELOCITY: -1, ROOT_KEY: -1} | dict.fromkeys(
    (DELAY, ATTACK, HOLD, DECAY, RELEASE), -12_000
)
# What a preset's zone cannot add to.
OF_INSTRUMENTS = {*COARSE, *COARSE.values(), FIXED_KEY, FIXED_VELOCITY, LOOPING, EXCLUSIVE, ROOT_KEY, SAMPLE}

_BAG = np.dtype([("generator", "<u2"), ("modulator", "<u2")])
_GENERATOR = np.dtype([("kind", "<u2"), ("amount", "<i2")])
_RECORDS = {
    b"phdr": np.dtype([("name", "S20"), ("program", "<u2"), ("bank", "<u2"), ("bag", "<u2"), ("more", "V12")]),
    b"pbag": _BAG,
    b"pgen": _GENERATOR,
    b"inst": np.dtype([("name", "S20"), ("bag", "<u2")]),
    b"ibag": _BAG,
    b"igen": _GENERATOR,
    b"shdr": np.dtype(
        [("name", "S20"), ("start", "<u4"), ("end", "<u4"), ("loop_start", "<u4"), ("loop_end", "<u4"), ("rate", "<u4"),
         ("key", "u1"), ("correction", "i1"), ("link", "<u2"), ("type", "<u2")]
    ),
}  # fmt: skip
_IN_ROM, _COMPRESSED = 0x8000, 0x10  # sample types; the second is that of .sf3


@dataclass(frozen=True, eq=False)
class Region:
    """A sample and how it is played; two are equal only where they are the same object.

    Attributes:
        start: of the sample, an index into `SoundFont.samples`.
        end: of the sample.
        loop_start: of its loop.
        loop_end: of its loop.
        rate: of the sample, in Hz.
        key: MIDI pitch of the sample as it is.
        cents: added to every pitch.
        generators: number -> amount, those that are neither ranges nor offsets.
    """

    start: int
    end: int
    loop_start: int
    loop_end: int
    rate: int
    key: int
    cents: int
    generators: Mapping[int, int]


class _Zone(NamedTuple):
    """keys, velocities: lowest and highest; target: the number of an instrument or of a sample."""

    keys: tuple[int, int]
    velocities: tuple[int, int]
    generators: dict[int, int]
    target: int

    def plays(self, pitch: int, velocity: int) -> bool:
        return self.keys[0] <= pitch <= self.keys[1] and self.velocities[0] <= velocity <= self.velocities[1]


class SoundFont:
    """A sound font.

    Attributes:
        name: of the file, to be printed.
        samples: int16 [samples], of all instruments.
        presets: (bank, program) -> zones.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Reads a file. Raises ConfigError where that cannot be done."""
        self.name = printable_name(path_of(path).name)
        name = f"--sound_font {printable_name(path)}"
        try:
            content = files.read_bytes(path)
        except OSError as error:
            raise ConfigError(f"{name}: cannot be read: {error.strerror or error}") from error
        try:
            self._read(content)
        except (ValueError, IndexError, KeyError) as error:
            raise ConfigError(f"{name}: is not a whole SoundFont 2 file (.sf2): {error}") from error
        if (self._headers["type"] & _COMPRESSED).any():
            raise ConfigError(f"{name}: its samples are compressed (SoundFont 3); name an .sf2 file")
        if not self.presets:
            raise ConfigError(f"{name}: has no instruments")

    def _read(self, content: bytes) -> None:
        if content[:4] != b"RIFF" or content[8:12] != b"sfbk":
            raise ValueError("it does not begin as one")
        chunks = dict(_chunks(content[12 : 8 + int.from_bytes(content[4:8], "little")]))
        self.samples = np.frombuffer(chunks[b"smpl"], "<i2", len(chunks[b"smpl"]) // 2)
        tables = {name: np.frombuffer(chunks[name], dtype) for name, dtype in _RECORDS.items()}
        self._headers = tables[b"shdr"][:-1]  # the last record of each table only ends it
        presets = _zones(tables[b"phdr"]["bag"], tables[b"pbag"], tables[b"pgen"], INSTRUMENT)
        self._instruments = _zones(tables[b"inst"]["bag"], tables[b"ibag"], tables[b"igen"], SAMPLE)
        numbers = zip(tables[b"phdr"]["bank"].tolist(), tables[b"phdr"]["program"].tolist(), strict=True)
        self.presets = dict(zip(numbers, presets, strict=False))  # without the last record
        self._regions: dict[tuple[int, int], Region | None] = {}
        for zones, count in ((presets, len(self._instruments)), (self._instruments, len(self._headers))):
            for zone in (zone for part in zones for zone in part):
                if zone.target >= count:
                    raise ValueError("a zone names what the file does not have")

    def preset(self, program: int) -> tuple[int, int] | None:
        """(bank, program) that plays a program (DRUMS for percussion): the same, or the nearest that the font has.

        That is a program of the same family, else the lowest program. None for percussion without any kit.
        """
        if program == DRUMS:
            return min((key for key in self.presets if key[0] == KIT_BANK), default=None)
        melodic = [key for key in self.presets if key[0] != KIT_BANK]
        first = (program - program % FAMILY) if melodic else 0
        same = [key for key in melodic if key[1] == program]
        family = [key for key in melodic if first <= key[1] < first + FAMILY]
        return min(same or family or melodic, default=None)

    def substitutes(self, programs: list[int]) -> list[str]:
        """A sentence for each program (DRUMS for percussion) that the font does not have."""
        remarks = []
        for program in programs:
            preset = self.preset(program)
            if preset is None:
                remarks.append(f"the sound font has no {instrument_name(program)}: they are silent")
            elif program != DRUMS and preset[1] != program:
                other = instrument_name(preset[1])
                remarks.append(f"the sound font has no {instrument_name(program)}: it is played by {other}")
        return remarks

    def regions(self, preset: tuple[int, int], pitch: int, velocity: int) -> list[Region]:
        """The regions that sound for a note."""
        result = []
        for outer in self.presets[preset]:
            if not outer.plays(pitch, velocity):
                continue
            for inner in self._instruments[outer.target]:
                if inner.plays(pitch, velocity):
                    pair = (id(inner), id(outer))
                    if pair not in self._regions:
                        self._regions[pair] = self._region(inner, outer)
                    result.append(self._regions[pair])
        return [region for region in result if region is not None]

    def _region(self, inner: _Zone, outer: _Zone) -> Region | None:
        """The region of an instrument's zone within a preset's; None where its sample is not in the file."""
        header = self._headers[inner.target]
        values = DEFAULTS | inner.generators
        for kind, amount in outer.generators.items():
            if kind not in OF_INSTRUMENTS:
                values[kind] = values.get(kind, 0) + amount
        offset = {kind: values.get(kind, 0) + 32_768 * values.get(more, 0) for kind, more in COARSE.items()}
        start, end = int(header["start"]) + offset[START], int(header["end"]) + offset[END]
        loop_start = max(int(header["loop_start"]) + offset[LOOP_START], start)
        loop_end = min(int(header["loop_end"]) + offset[LOOP_END], end)
        if header["type"] & _IN_ROM or not 0 <= start < end <= len(self.samples) or not header["rate"]:
            return None
        if loop_end <= loop_start:
            values[LOOPING] = 0
        key = int(header["key"]) if values[ROOT_KEY] < 0 else values[ROOT_KEY]
        cents = 100 * values.get(COARSE_TUNE, 0) + values.get(FINE_TUNE, 0) + int(header["correction"])
        key = 60 if key > 127 else key  # the specification's value for a sample without a pitch
        return Region(start, end, loop_start, loop_end, int(header["rate"]), key, cents, values)


def _chunks(content: bytes) -> list[tuple[bytes, bytes]]:
    """The chunks of a RIFF file by name, those within lists too."""
    result, place = [], 0
    while place + 8 <= len(content):
        name, size = content[place : place + 4], int.from_bytes(content[place + 4 : place + 8], "little")
        body = content[place + 8 : place + 8 + size]
        if len(body) < size:
            raise ValueError("it is cut short")
        result += _chunks(body[4:]) if name == b"LIST" else [(name, body)]
        place += 8 + size + size % 2
    return result


def _zones(bags: NDArray, bag: NDArray, generators: NDArray, target: int) -> list[list[_Zone]]:
    """The zones of each preset or instrument, with what its global zone sets; `target` is their last generator."""
    every = []
    for first, last in zip(bags[:-1].tolist(), bags[1:].tolist(), strict=True):
        shared: dict[int, int] = {}
        zones = []
        for place in range(first, last):
            rows = generators[bag["generator"][place] : bag["generator"][place + 1]].tolist()
            values = shared | dict(rows)
            named = values.pop(target, None)
            if named is None:
                shared = values if place == first else shared
                continue
            keys, velocities = (_ends(values.pop(kind, 0x7F00)) for kind in (KEYS, VELOCITIES))
            zones.append(_Zone(keys, velocities, values, named & 0xFFFF))
        every.append(zones)
    return every


def _ends(amount: int) -> tuple[int, int]:
    """Lowest and highest value of a range, which is two bytes in one number."""
    return amount & 0xFF, amount >> 8 & 0xFF
