"""A sound font of a few hundred bytes: one looped sine, in the presets that a test wants."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np

PERIOD = 50  # samples of the sine, two periods of which are looped
RATE = 22_000  # so that it sounds 440 Hz
KEY = 69
GUARD = 46  # zeros that the specification wants behind a sample


def chunk(name: bytes, body: bytes) -> bytes:
    return name + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)


def generators(values: dict[int, int]) -> bytes:
    return b"".join(struct.pack("<Hh", kind, amount) for kind, amount in values.items())


def font_bytes(
    presets: Sequence[tuple[int, int]] = ((0, 0), (128, 0)),
    zone: dict[int, int] | None = None,
    outer: dict[int, int] | None = None,
) -> bytes:
    """The bytes of a font.

    Args:
        presets: (bank, program) of each; all have the same instrument.
        zone: further generators of the instrument, by number; sampleModes is 1 (looped) where it is not there.
        outer: further generators of the presets.
    """
    sine = np.rint(16_384 * np.sin(2 * np.pi * np.arange(4 * PERIOD) / PERIOD)).astype("<i2")
    inner = {**{kind: value for kind, value in (zone or {}).items() if kind in (43, 44)}, 54: 1, **(zone or {})}
    inner = {**dict(sorted(inner.items())), 53: 0}
    outer = {**(outer or {}), 41: 0}
    headers, bags, gens = b"", b"", b""
    for number, (bank, program) in enumerate(presets):
        headers += struct.pack("<20sHHHIII", b"sine", program, bank, number, 0, 0, 0)
        bags += struct.pack("<HH", number * len(outer), 0)
        gens += generators(outer)
    headers += struct.pack("<20sHHHIII", b"EOP", 0, 0, len(presets), 0, 0, 0)
    bags += struct.pack("<HH", len(presets) * len(outer), 0)
    sample = struct.pack("<20sIIIIIBbHH", b"sine", 0, len(sine), PERIOD, 3 * PERIOD, RATE, KEY, 0, 0, 1)
    tables = [
        (b"phdr", headers),
        (b"pbag", bags),
        (b"pmod", bytes(10)),
        (b"pgen", gens + bytes(4)),
        (b"inst", struct.pack("<20sH20sH", b"sine", 0, b"EOI", 1)),
        (b"ibag", struct.pack("<HHHH", 0, 0, len(inner), 0)),
        (b"imod", bytes(10)),
        (b"igen", generators(inner) + bytes(4)),
        (b"shdr", sample + struct.pack("<20sIIIIIBbHH", b"EOS", 0, 0, 0, 0, 0, 0, 0, 0, 0)),
    ]
    body = b"sfbk" + chunk(b"LIST", b"INFO" + chunk(b"ifil", struct.pack("<HH", 2, 1)))
    body += chunk(b"LIST", b"sdta" + chunk(b"smpl", sine.tobytes() + bytes(2 * GUARD)))
    body += chunk(b"LIST", b"pdta" + b"".join(chunk(name, table) for name, table in tables))
    return chunk(b"RIFF", body)


def write_font(path: Path, *settings: object, **more: object) -> Path:
    path.write_bytes(font_bytes(*settings, **more))  # type: ignore[arg-type]
    return path
