"""Music sets: the pieces of a folder, read; files that cannot be used are named with their reasons and left out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath

from tqdm import tqdm

from t5music.corpora.listing import relative_id
from t5music.corpora.sources.folder import find_files
from t5music.errors import DataError, MidiError
from t5music.files import printable_name
from t5music.inference.left_out import LeftOut
from t5music.music import music_files
from t5music.music.score import Score
from t5music.storage import bucket_copies, path_of


@dataclass(frozen=True)
class MusicSet:
    """The pieces of a folder.

    Attributes:
        name: the folder, as it was given.
        names: each piece's path below the folder, in order.
        scores: their music.
        left_out: a file's path below the folder -> why it is not among them.
    """

    name: str
    names: tuple[str, ...]
    scores: tuple[Score, ...]
    left_out: dict[str, str]

    def by_stem(self) -> dict[str, Score]:
        """Path without its ending -> score, so that song.mid and song.mxl are of the same name; the first of two."""
        stems: dict[str, Score] = {}
        for name, score in zip(self.names, self.scores, strict=True):
            stems.setdefault(str(PurePosixPath(name).with_suffix("")), score)
        return stems


def read(folder: str, least: int, purpose: str) -> MusicSet:
    """Reads all music below a folder.

    Args:
        folder: where it is, also in a bucket.
        least: how many pieces there must be.
        purpose: what they are for, in errors.

    Raises:
        DataError: no music in the folder, or fewer pieces than that.
    """
    place = path_of(folder)
    root = bucket_copies.copy_of_folder(place)
    listing = find_files(root)
    left_out = LeftOut(len(listing.files) + len(listing.unreadable), place)
    for name, reason in listing.unreadable.items():
        left_out.add(name, reason)
    scores: dict[str, Score] = {}
    title = printable_name(folder)
    for path in tqdm(listing.files, desc=f"read {title}", unit="file", dynamic_ncols=True, disable=None):
        name = relative_id(path, root)
        try:
            score = music_files.read(path, name=name)
            if not len(score.notes):
                raise MidiError(f"{name}: no notes in it")
        except MidiError as error:
            left_out.add(name, error)
        else:
            scores[name] = score
    left_out.check()
    left_out.count()
    if len(scores) < least:
        pieces = "a single piece" if len(scores) == 1 else f"{len(scores)} pieces"
        raise DataError(f"{title} has {pieces} that can be read: {purpose} needs {least} or more in each folder")
    return MusicSet(title, tuple(scores), tuple(scores.values()), left_out.reasons)
