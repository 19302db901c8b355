"""ASAP: performances of classical piano music, each with its printed score, aligned beat by beat.

A piece is a performance; `others["score"]` is what is printed, as the authors' MIDI file, and the label `alignment` is
JSON of [[seconds in the score, ...], [seconds in the performance, ...]] of the beats they have in common; '' for the
performances in which some beats are missing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from t5music.corpora.base import Corpus, Download, Entry, Piece, Skipped, read_file
from t5music.corpora.tables import read_csv, read_json, spaced
from t5music.errors import DataError, MidiError
from t5music.music import midi

_COLUMNS = ("composer", "title", "midi_score", "midi_performance")


def entries(root: Path) -> list[Entry]:
    """The rows of `metadata.csv`, in the order of their files. The performances of one composition are a group.

    Raises:
        DataError: the table or the annotations are missing or damaged.
    """
    annotations = root / "asap_annotations.json"
    beats = read_json(annotations)
    if not isinstance(beats, dict):
        raise DataError(f"{annotations}: not a table of performances")
    listing = []
    for row in read_csv(root / "metadata.csv", _COLUMNS):
        name = row["midi_performance"]
        performer = re.sub(r"\d+M?$", "", PurePosixPath(name).stem)  # "LeeSH01M": the first of LeeSH's, MIDI only
        labels = {
            "composer": row["composer"],
            "title": spaced(row["title"]),
            "performer": performer,
            "alignment": _alignment(beats.get(name, {}), f"{annotations}, {name}"),
        }
        more = {"score": root / row["midi_score"]}
        listing.append(Entry(name, root / name, labels, f"{row['composer']}: {row['title']}", more=more))
    return sorted(listing, key=lambda entry: entry.id)


def _alignment(annotation: Mapping[str, Any], where: str) -> str:
    if not annotation.get("score_and_performance_aligned"):
        return ""
    try:
        sides = annotation["midi_score_beats"], annotation["performance_beats"]
        written, played = ([round(float(beat), 6) for beat in side] for side in sides)
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{where}: no lists of seconds 'midi_score_beats' and 'performance_beats'") from error
    if len(written) != len(played):
        raise DataError(f"{where}: {len(written)} beats in the score and {len(played)} in the performance")
    return json.dumps([written, played], separators=(",", ":"))


def read(entry: Entry) -> Iterator[Piece | Skipped]:
    """Reads a performance and its score."""
    [played] = read_file(entry)
    if isinstance(played, Skipped):
        yield played
        return
    path = entry.more["score"]
    try:
        written = midi.read_mended(path)
    except MidiError as error:
        yield Skipped(entry.id, f"its score: {str(error).removeprefix(f'{path}: ')}")
        return
    mended = (*played.mended, *(f"its score: {what}" for what in written.mended))
    yield Piece(entry.id, played.score, entry.labels, entry.group, others={"score": written.score}, mended=mended)


_COMMIT = "afc815c75c42e83a79c03feb6da8a35e77d4c6b8"  # version 1.1
ASAP = Corpus(
    name="asap",
    title="ASAP: piano performances aligned with their scores",
    licence="CC BY-NC-SA 4.0",
    licence_id="cc-by-nc-sa-4.0",
    source="https://github.com/fosfrancesco/asap-dataset",
    citation=(
        "Foscarin et al., ASAP: a dataset of aligned scores and performances for piano transcription, ISMIR 2020"
    ),
    entries=entries,
    read=read,
    downloads=(Download(f"https://github.com/fosfrancesco/asap-dataset/archive/{_COMMIT}.zip", file="asap.zip"),),
    layout="asap_annotations.json",
    labels={"composer": (), "title": (), "performer": (), "alignment": ()},
    others=("score",),
    splits="ours: 80/10/10 by composition",
    hours=92,  # the paper: "more than"
    files=1067,  # the repository's README
)

CORPORA = (ASAP,)
