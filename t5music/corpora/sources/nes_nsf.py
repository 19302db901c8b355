"""Songs of 39 games of the NES, converted from NSF by nsf2midi: a stand-in for NES-MDB where that is not at hand.

The converter writes type 0 at 60 ticks a second, wall-clock time: its channels 1, 2 and 3 are pulse 1, pulse 2 and
triangle, channel 10 is the noise; no song is longer than a minute, most are cut off at 31 s. They become scores with
the tracks p1, p2, tr and no, as NES-MDB has them, so that tx1 can say them. Left behind are the pitch bends (the chip's
vibrato) and notes outside a voice's range (530 of 210,000, nearly all of them in pulse 2), which the report counts.

The repository has all files in `raw`, those that its authors hold to be songs, and neither jingles nor effects, in
`all_songs`, and these again, dealt by the throw of a die, in `training_songs` (349) and `testing_songs` (179). So every
one of the 39 games is on both sides. Validation is taken out of the training songs, a tenth of them, by the hash of how
they open, as `assign_splits` has it.
"""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Iterator
from pathlib import Path

import mido
import numpy as np

from t5music.corpora.base import Corpus, Download, Entry, Piece, Skipped, assign_splits
from t5music.corpora.tables import as_split, music_files, read_csv
from t5music.errors import MidiError
from t5music.files import read_bytes
from t5music.music import fingerprint, midi
from t5music.music.encodings.tx1.encoding import NOISE, PROGRAMS, RANGES, VOICES
from t5music.music.score import Score

_CHANNELS = {0: "p1", 1: "p2", 2: "tr", 9: "no"}  # as MIDI counts them on the wire, from 0
_FOLDERS = {"training_songs": "train", "testing_songs": "test"}
_TABLE = "manifest.csv"  # of a copy that has its files below `midi`: file, game, is_song, split


def entries(root: Path) -> list[Entry]:
    """The songs by game and number, of the repository's folder `data`, or of a copy with a table of its files."""
    if (root / _TABLE).is_file():
        rows = read_csv(root / _TABLE, ("file", "game", "is_song", "split"))
        paths = [(root / row["file"], row["split"]) for row in rows if row["is_song"] == "1"]
    else:
        paths = [(path, split) for folder, split in _FOLDERS.items() for path in music_files(root, f"{folder}/*/*.mid")]
    songs = [
        Entry(f"{path.parent.name}/{path.stem}", path, {"game": path.parent.name}, split=as_split(split, str(path)))
        for path, split in paths
    ]
    return sorted(songs, key=lambda entry: entry.id)


def read(entry: Entry) -> Iterator[Piece | Skipped]:
    """Reads a song as the tracks p1, p2, tr and no; takes a tenth of the training songs for validation."""
    try:
        score, mended = _voices(midi.read(_by_channel(entry.path), name=entry.id))
    except (MidiError, OSError, EOFError, ValueError, KeyError, IndexError) as error:  # mido's, for what is no MIDI
        yield Skipped(entry.id, str(error).removeprefix(f"{entry.id}: ") or type(error).__name__)
        return
    if not len(score.notes):
        yield Skipped(entry.id, "no note that a voice could play")
        return
    split = entry.split
    if split == "train":
        opening = fingerprint.opening(score)
        split = "validation" if assign_splits([opening])[opening] == "validation" else "train"
    yield Piece(entry.id, score, entry.labels, entry.group, split, mended=mended)


def _by_channel(path: Path) -> bytes:
    """The file's notes and tempi as a file with a named track for each channel: a Score knows nothing of channels."""
    source = mido.MidiFile(file=io.BytesIO(read_bytes(path)))
    tracks = {None: mido.MidiTrack()} | {
        channel: mido.MidiTrack([mido.MetaMessage("track_name", name=name)]) for channel, name in _CHANNELS.items()
    }
    last = dict.fromkeys(tracks, 0)
    tick = 0
    for message in mido.merge_tracks(source.tracks):
        tick += message.time
        channel = None if message.type == "set_tempo" else getattr(message, "channel", -1)
        if message.type in ("set_tempo", "note_on", "note_off") and channel in tracks:
            tracks[channel].append(message.copy(time=tick - last[channel]))
            last[channel] = tick
    written = io.BytesIO()
    mido.MidiFile(type=1, ticks_per_beat=source.ticks_per_beat, tracks=list(tracks.values())).save(file=written)
    return written.getvalue()


def _voices(score: Score) -> tuple[Score, tuple[str, ...]]:
    """The notes that the voices of the NES can play, and what was left out. Percussion key p is noise 1 + p mod 16."""
    notes = score.notes.copy()
    voices = np.array([VOICES.index(name.upper()) for name in score.track_names], int)[notes["track"]]
    notes["program"] = np.array(PROGRAMS)[voices]
    notes["pitch"] = np.where(voices == NOISE, 1 + notes["pitch"] % 16, notes["pitch"])
    low, high = np.array(RANGES).T
    within = (notes["pitch"] >= low[voices]) & (notes["pitch"] <= high[voices])
    mended = (f"notes out of their voice's range: {np.count_nonzero(~within)}",) if not within.all() else ()
    return dataclasses.replace(score, notes=notes[within]), mended


_COMMIT = "0ff382f95c7be7ba3815d30576e39b5162f9bc45"
_REPOSITORY = "https://github.com/pes10k/nes-machine-learning"
NES_NSF = Corpus(
    name="nes_nsf",
    title="NES songs of 39 games, converted from NSF",
    licence="none stated; the music belongs to the games' publishers",
    source=_REPOSITORY,
    citation="pes10k et al., nes-machine-learning, 2013; files made with nsf2midi",
    entries=entries,
    read=read,
    downloads=(Download(f"{_REPOSITORY}/archive/{_COMMIT}.zip", file="nes_nsf.zip"),),
    layout="*/*/01.mid",  # raw/1942/01.mid, or midi/1942/01.mid
    labels={"game": ()},
    splits="the authors' training and testing songs (of the same games); a tenth of the former is validation",
    hours=4.1,
    files=528,
)

CORPORA = (NES_NSF,)
