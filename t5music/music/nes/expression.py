"""Expression in NES-MDB's MIDI files: volumes that change within a note, and timbres.

NES-MDB writes them as controllers of the tracks p1, p2, tr and no: 11 (expression) is the chip's volume, 1..15, and 12
the timbre, 0..3 of the pulses (duty cycle) and 0..1 of the noise (mode). `encodings.tx2` makes words of them.
"""

from __future__ import annotations

import os

import numpy as np
import symusic
from numpy.typing import NDArray

from t5music.errors import MidiError
from t5music.music.encodings.tx1.encoding import VOICES
from t5music.music.encodings.tx2.encoding import EXPRESSION, TIMBRE, TIMBRES, VOLUME, VOLUMES

_CONTROLLERS = {11: VOLUME, 12: TIMBRE}


def read(source: str | os.PathLike[str] | bytes) -> NDArray:
    """EXPRESSION [changes] of a MIDI file, by tick; empty where no track has a voice's name and these controllers.

    Values that the chip does not have are left out. Raises MidiError for a file that cannot be read.
    """
    name = "MIDI data" if isinstance(source, bytes) else os.fspath(source)
    try:
        parsed = symusic.Score.from_midi(source) if isinstance(source, bytes) else symusic.Score(source)
    except Exception as error:  # RuntimeError for most damage; whatever else a parser of untrusted bytes may raise
        raise MidiError(f"{name}: damaged MIDI file: {error}") from None
    parts = [np.empty(0, EXPRESSION)]
    for track in parsed.tracks:
        voice = track.name.strip().upper()
        if voice not in VOICES:
            continue
        controls = track.controls.numpy()
        for number, kind in _CONTROLLERS.items():
            rows = controls["number"] == number
            part = np.empty(int(rows.sum()), EXPRESSION)
            part["tick"], part["value"] = controls["time"][rows], controls["value"][rows]
            part["voice"], part["kind"] = VOICES.index(voice), kind
            parts.append(part)
    changes = np.concatenate(parts)
    timbres = np.array(TIMBRES)[changes["voice"]]
    volume = (changes["kind"] == VOLUME) & (changes["value"] >= 1) & (changes["value"] <= VOLUMES)
    timbre = (changes["kind"] == TIMBRE) & (changes["value"] < timbres)
    changes = changes[(timbres > 0) & (volume | timbre)]
    return changes[np.argsort(changes["tick"], kind="stable")]
