"""ABC read by abc2midi (Debian's package abcmidi) and by music21, to be compared with what is read here."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from small_abc import played

from t5music.errors import MidiError
from t5music.music import midi
from t5music.music.abc_notation import parse

Notes = list[tuple[float, float, int]]  # (onset, duration in quarters, pitch)

_BAR = r"(?:\[(?=\|))?[:|](?:[:|\]]|\[(?=[|\]]))*(?:\s*\[?\d[\d,.\-]*)?|\[\d[\d,.\-]*"
_FIELD = re.compile(r"\s*[A-Za-z+]:(?![|:\]])")
# abc2midi spreads the notes of a chord over a tenth of a quarter, and ends notes 0.002 quarters early.
_NEAR = 0.11
# What abc2midi says where it does not read a note as the ABC standard has it.
_MESSAGES = {
    "Cannot apply broken rhythm": "broken rhythm of unequal notes",
    "nested tuples": "tuplets",
    "Unrecognized character": "characters it skips",
    "Unknown mode": "modes it does not know",
}


def abc2midi(text: str) -> tuple[Notes | None, str]:
    """What abc2midi plays without grace notes, chord symbols and fermatas, and its messages.

    Skips the test, by name, where abc2midi is missing.
    """
    if shutil.which("abc2midi") is None:
        pytest.skip("abc2midi is not at hand: install Debian's package abcmidi")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "tune.abc")
        path.write_text(text, "utf-8")
        command = ["abc2midi", path, "-o", path.with_suffix(".mid"), "-NGRA", "-NGUI", "-NFER", "-quiet"]
        process = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=30, check=False)
        try:
            score = midi.read(path.with_suffix(".mid"))
        except MidiError:
            return None, process.stdout
    quarter = score.ticks_per_quarter
    return [(n["onset"] / quarter, n["duration"] / quarter, int(n["pitch"])) for n in score.notes], process.stdout


def of_music(change: Callable[[str], str]) -> Callable[[str], str]:
    """A change of the text of music alone, not of fields, chord symbols or comments."""

    def of_line(line: str) -> str:
        if _FIELD.match(line) or line.lstrip().startswith("%"):
            return line
        parts = re.split(r'("[^"]*"|\[[A-Za-z]:[^\]]*\])', line)
        return "".join(part if index % 2 else change(part) for index, part in enumerate(parts))

    return lambda text: "\n".join(map(of_line, re.split(r"\r\n|\r|\n", text.lstrip("\ufeff"))))


def without_performance(text: str) -> str:
    """The text without what abc2midi performs: ornaments, staccato, the swing of hornpipes, its own instructions."""
    lines = [line for line in text.split("\n") if not re.match(r"\s*(R:|%%(?!begin|end))", line)]
    ornaments = r"![^!\s|\[\]]{1,50}!|\+[a-zA-Z.]+\+|[.~H-WRVh-w]"
    return of_music(lambda music: re.sub(ornaments, "", music))("\n".join(lines))


def as_written(text: str) -> str:
    """The text with plain bar lines: no repeats, endings and parts."""
    text = "\n".join(line for line in text.split("\n") if not re.match(r"\s*P:", line))
    return of_music(lambda music: re.sub(_BAR, "|", music))(text)


def alike(ours: Notes, peer: Notes) -> bool:
    """True if the same pitches begin and end together, nearly."""
    rest = sorted(peer)
    for onset, length, pitch in sorted(ours):
        end = onset + length
        near = (
            index
            for index, (start, duration, other) in enumerate(rest[:64])
            if other == pitch and abs(start - onset) < _NEAR and abs(start + duration - end) < _NEAR
        )
        index = next(near, None)
        if index is None:
            return False
        del rest[index]
    return not rest


def verdict(text: str) -> str:
    """How this text is read in comparison with abc2midi: 'alike', or why not."""
    try:
        ours = played(parse(text))
    except MidiError:
        return "refused"
    peer, messages = abc2midi(without_performance(text))
    if alike(ours, peer or []):
        return "alike"
    plain = without_performance(as_written(text))
    peer_plain, messages_plain = abc2midi(plain)
    if alike(played(parse(plain)), peer_plain or []):
        return "order of repeats"
    for message, reason in _MESSAGES.items():
        if message in messages + messages_plain:
            return reason
    if re.search(r"\([579](?![:\d])", plain) and re.search(r"M:\s*(3/|9/16)", plain):
        return "tuplets"
    return "other"
