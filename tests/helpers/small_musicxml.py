"""Small scores in MusicXML, written by hand."""

from __future__ import annotations

import io
import zipfile

CONTAINER = '<container><rootfiles><rootfile full-path="{path}"/></rootfiles></container>'


def note(pitch: str, duration: int, more: str = "", *, before: str = "", attributes: str = "") -> str:
    """A note such as 'C4', 'F#5', 'Bb3', or a rest 'R'; `before` goes before its pitch and `more` after its length."""
    if pitch == "R":
        return f"<note><rest/><duration>{duration}</duration>{more}</note>"
    alter = {"#": "<alter>1</alter>", "b": "<alter>-1</alter>"}.get(pitch[1:-1], "")
    sound = f"<pitch><step>{pitch[0]}</step>{alter}<octave>{pitch[-1]}</octave></pitch>"
    length = f"<duration>{duration}</duration>" if duration else ""
    return f"<note{attributes}>{before}{sound}{length}{more}</note>"


def measure(*content: str, attributes: str = 'number="1"') -> str:
    return f"<measure {attributes}>{''.join(content)}</measure>"


def start(divisions: int = 1, beats: int = 4, unit: int = 4, more: str = "") -> str:
    """The attributes of a first measure; `more` goes before the meter, where keys are."""
    time = f"<time><beats>{beats}</beats><beat-type>{unit}</beat-type></time>"
    return f"<attributes><divisions>{divisions}</divisions>{more}{time}</attributes>"


def document(*parts: list[str], listing: str | None = None, head: str = "") -> bytes:
    """A score of parts, each a list of measures."""
    if listing is None:
        listing = "".join(
            f'<score-part id="P{number}"><part-name>Piano</part-name></score-part>'
            for number in range(1, len(parts) + 1)
        )
    body = "".join(f'<part id="P{number}">{"".join(part)}</part>' for number, part in enumerate(parts, 1))
    return (
        f'<?xml version="1.0"?>{head}<score-partwise><part-list>{listing}</part-list>{body}</score-partwise>'.encode()
    )


def bars(*signs: str) -> bytes:
    """A score of bars with signs and one whole note each (|): C4, and one semitone higher in each further bar."""
    names = ("C4", "C#4", "D4", "D#4", "E4", "F4", "F#4", "G4", "G#4", "A4", "A#4", "B4")
    content = [
        measure(start() if index == 0 else "", sign.replace("|", note(names[index], 4)))
        for index, sign in enumerate(signs)
    ]
    return document(content)


def compressed(members: dict[str, bytes | str]) -> bytes:
    """A zip archive of these members."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()
