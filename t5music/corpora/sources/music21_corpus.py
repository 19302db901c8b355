"""Real music that installs from the package index: parts of the corpus that comes with music21.

music21's corpus/license.txt leaves the terms to each file, and each corpus' licence here repeats what its files say
(t5music/corpora/README.md counts them). A file whose own text reserves rights, or refers to an agreement that is not
shipped with it, is left out and reported; that takes out all of Palestrina ("Rights to all derivative electronic
formats reserved") and a few files elsewhere. The chorales carry "PDF (c) 2004 Margaret Greentree, used by permission":
a credit with permission, so they stay.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from t5music.corpora.base import Corpus, Entry, Piece, Skipped
from t5music.corpora.listing import relative_id
from t5music.errors import DataError, MidiError
from t5music.music.score import KEY, METER, NOTE, Score

TICKS_PER_QUARTER = 10_080  # 2^5 * 3^2 * 5 * 7: every tuplet of these collections falls on a tick
VELOCITY = 80  # these encodings carry no dynamics
CHOIR, VIOLIN = 52, 40  # General MIDI programs, counted from 0

_RESERVED = re.compile(
    r"rights\s+(to\s+all\s+derivative\s+electronic\s+formats\s+)?reserved"
    r"|<rights>[^<]*(©|\(c\)|copyright)"
    r"|©\s*UT\s*ORPHEUS",  # a modern edition's notice inside two of the Monteverdi files
    re.IGNORECASE,
)
_LICENCE = (
    'music out of copyright, in encodings "distributed with the permission of the encoders", of which some "may not be '
    'used for commercial uses or have other restrictions: please see the licenses embedded in individual compositions" '
    "(music21's corpus/license.txt). These files: {}"
)
_CITATION = "Cuthbert & Ariza, music21: a toolkit for computer-aided musicology, ISMIR 2010"
_COMPOSERS = ("bach", "monteverdi", "traditional", "trecento")


def corpus_root() -> Path:
    """The folder of music21's corpus. Raises DataError when music21, or its corpus, is not installed."""
    spec = find_spec("music21")
    if spec is None or not spec.submodule_search_locations:
        raise DataError("music21 is not installed: pip install 't5music[data]'")
    root = Path(spec.submodule_search_locations[0]) / "corpus"
    if not (root / "bach").is_dir():
        raise DataError(f"music21 is installed without its corpus ({root}/bach is missing): reinstall music21")
    return root


def reserves_rights(path: Path) -> bool:
    """True if the file's own text reserves rights to it (MusicXML, compressed or not, Humdrum, ABC)."""
    if path.suffix == ".mxl":
        with zipfile.ZipFile(path) as archive:
            scores = [name for name in archive.namelist() if name.endswith("xml") and not name.startswith("META-INF")]
            text = archive.read(scores[0]).decode("utf-8", "replace")
    else:
        text = path.read_text("utf-8", "replace")
    return _RESERVED.search(text) is not None


def to_score(stream: Any, program: int, voices: tuple[str, ...] = ()) -> Score:
    """Turns a parsed music21 stream into a Score.

    One track per part; tied notes joined; grace notes, chord symbols and lyrics left out; repeats not expanded;
    pitches as written, as in music21's own MIDI files. A piece that begins with an upbeat is moved so that bar lines
    fall where they are written.

    Args:
        stream: music21.stream.Score, with parts that hold measures.
        program: General MIDI program given to every note, 0..127.
        voices: lower-case names of the parts to keep, in their order; all parts if empty.

    Raises:
        MidiError: the stream has no notes, or not the voices asked for.
    """
    parts = list(stream.parts)
    if voices:
        parts = [part for part in parts if str(part.partName).strip().lower() in voices]
        names = tuple(str(part.partName).strip().lower() for part in parts)
        if names != voices:
            raise MidiError(f"its parts are not {', '.join(voices)}")
    measures = list(parts[0].getElementsByClass("Measure")) if parts else []
    upbeat = float(measures[0].paddingLeft) if measures else 0.0

    def tick(quarters: float) -> int:
        return round((float(quarters) + upbeat) * TICKS_PER_QUARTER)

    notes: list[tuple[int, ...]] = []
    meters: dict[int, tuple] = {}
    keys: dict[int, tuple] = {}
    for track, part in enumerate(parts):
        flat = part.flatten()
        notes += [(*note, VELOCITY, program, track) for note in _joined(flat.notes, tick)]
        for signature in flat.getElementsByClass("TimeSignature"):
            meters[tick(signature.offset)] = (signature.numerator, signature.denominator)
        for signature in flat.getElementsByClass("KeySignature"):
            minor = getattr(signature, "mode", None) == "minor"
            keys[tick(signature.offset)] = (signature.sharps, minor)
    if not notes:
        raise MidiError("no notes in it")

    def from_the_start(changes: dict[int, tuple]) -> list[tuple]:
        ordered = sorted(changes.items())
        return [(0 if index == 0 else at, *value) for index, (at, value) in enumerate(ordered)]

    return Score(
        TICKS_PER_QUARTER,
        np.array(notes, NOTE),
        meters=np.array(from_the_start(meters), METER),
        keys=np.array(from_the_start(keys), KEY),
        track_names=tuple(str(part.partName or "") for part in parts),
    )


def _joined(elements: Any, tick: Callable[[float], int]) -> list[tuple[int, int, int]]:
    """(onset, duration, pitch) of a part's notes in ticks, each chain of tied notes as one."""
    notes: list[list[int]] = []
    tied: dict[int, list[int]] = {}  # pitch -> the note that a tie leads on from
    for element in elements:
        onset, end = tick(element.offset), tick(element.offset + element.quarterLength)
        if end <= onset or "ChordSymbol" in element.classes:
            continue  # a grace note, or a chord that names a harmony
        for single in getattr(element, "notes", (element,)):  # the notes of a chord, or the note itself
            pitch, tie = single.pitch.midi, single.tie
            before = tied.pop(pitch, None)  # many encodings leave out the tie's end
            if before is not None and before[0] + before[1] == onset:
                note = before
                note[1] = end - note[0]
            else:
                note = [onset, end - onset, pitch]
                notes.append(note)
            if tie is not None and tie.type in ("start", "continue"):
                tied[pitch] = note
    return [(onset, duration, pitch) for onset, duration, pitch in notes]


def read(entry: Entry, program: int, voices: tuple[str, ...]) -> Iterator[Piece | Skipped]:
    """Reads one file with music21; see `to_score`. `voices`, where given, are the parts the piece must have."""
    from music21 import converter

    try:
        if reserves_rights(entry.path):
            yield Skipped(entry.id, "its text reserves rights")
            return
        stream = converter.parse(entry.path, forceSource=True, storePickle=False)
    except Exception as error:  # music21 raises many kinds; a file it cannot read is left out with its reason
        yield Skipped(entry.id, f"music21 cannot read it: {error}".splitlines()[0])
        return
    try:
        score = to_score(stream, program, voices)
    except MidiError as error:
        yield Skipped(entry.id, str(error))
        return
    yield Piece(entry.id, score, entry.labels)


def entries(root: Path, pattern: str, composer: str) -> list[Entry]:
    """The files of music21's corpus that match a pattern."""
    return [Entry(relative_id(path, root), path, {"composer": composer}) for path in sorted(root.glob(pattern))]


def _corpus(
    name: str, title: str, pattern: str, composer: str, program: int, say: str, voices: tuple[str, ...] = ()
) -> Corpus:
    """A part of music21's corpus; `say` is what its files say of their terms."""
    return Corpus(
        name=name,
        title=title,
        licence=_LICENCE.format(say),
        source=f"music21 corpus, {pattern}",
        citation=_CITATION,
        entries=partial(entries, pattern=pattern, composer=composer),
        read=partial(read, program=program, voices=voices),
        installed=corpus_root,
        layout=pattern,
        labels={"composer": _COMPOSERS},
    )


BACH_CHORALES = _corpus(
    "bach_chorales",
    "Four-part chorales of J. S. Bach (soprano, alto, tenor, bass)",
    "bach/bwv*.mxl",
    "bach",
    CHOIR,
    'most say "PDF © 2004 Margaret Greentree, used by permission", the others nothing',
    ("soprano", "alto", "tenor", "bass"),
)
MONTEVERDI = _corpus(
    "monteverdi",
    "Madrigals of Claudio Monteverdi",
    "monteverdi/*.mxl",
    "monteverdi",
    CHOIR,
    "they say nothing; two with a publisher's copyright are left out",
)
TRECENTO = _corpus(
    "trecento",
    "Music of the Italian Trecento: Landini, Ciconia, Jacopo and others",
    "trecento/*.xml",
    "trecento",
    CHOIR,
    'they say nothing of terms, and some name their encoder; ten with "Copyright ©" are left out',
)
RYANS_MAMMOTH = _corpus(
    "ryans_mammoth",
    "Ryan's Mammoth Collection: reels, jigs and hornpipes for the fiddle",
    "ryansMammoth/*.abc",
    "traditional",
    VIOLIN,
    "they say nothing of terms, and most name who contributed them",
)

CORPORA = (BACH_CHORALES, MONTEVERDI, TRECENTO, RYANS_MAMMOTH)
