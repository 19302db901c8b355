"""VGMIDI: piano arrangements of video game music, some with the emotion that people hear in them."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from t5music.corpora.base import Corpus, Download, Entry
from t5music.corpora.tables import music_files, read_csv
from t5music.errors import DataError

_COLUMNS = ("series", "console", "game", "piece", "midi")
_QUADRANTS = {(1, 1): "Q1", (-1, 1): "Q2", (-1, -1): "Q3", (1, -1): "Q4"}  # (valence, arousal)


def entries(root: Path) -> list[Entry]:
    """The labelled phrases and then the unlabelled pieces, by the two tables. Phrases of one piece are a group.

    The tables' paths are those of the repository's archives or older still, so files are found by their names.

    Raises:
        DataError: a table is missing or damaged.
    """
    files = {path.name: path for path in music_files(root, "**/*.mid")}
    listing: dict[str, Entry] = {}
    for part, extra in (("labelled", ("valence", "arousal")), ("unlabelled", ())):
        table = root / f"vgmidi_{part}.csv"
        for row in read_csv(table, (*_COLUMNS, *extra)):
            name = PurePosixPath(row["midi"]).name
            labels = {label: row[label] for label in ("series", "console", "game")} | {"title": row["piece"]}
            labels |= {label: row[label] if label in extra else "" for label in ("valence", "arousal")}
            labels["emotion"] = _quadrant(row["valence"], row["arousal"], table, name) if extra else ""
            piece = Entry(
                f"{part}/{PurePosixPath(name).stem}",
                files.get(name, root / row["midi"]),
                labels,
                f"{row['series']}, {row['game']}: {row['piece']}",
            )
            listing.setdefault(piece.id, piece)  # the tables name a few pieces twice
    return list(listing.values())


def _quadrant(valence: str, arousal: str, table: Path, name: str) -> str:
    try:
        return _QUADRANTS.get((int(valence), int(arousal)), "")
    except ValueError as error:
        raise DataError(f"{table}, {name}: valence {valence!r} or arousal {arousal!r} is no number") from error


_FILES = "https://github.com/lucasnfe/vgmidi/raw/1e62f0af8c866ded8e665cefad06dc02c35cb739"
VGMIDI = Corpus(
    name="vgmidi",
    title="VGMIDI: piano arrangements of video game music, 204 phrases with emotions",
    licence="none stated",
    source="https://github.com/lucasnfe/vgmidi",
    citation="Ferreira & Whitehead, Learning to generate music with sentiment, ISMIR 2019",
    entries=entries,
    downloads=(
        Download(f"{_FILES}/vgmidi_labelled.csv"),
        Download(f"{_FILES}/vgmidi_unlabelled.csv"),
        Download(f"{_FILES}/labelled/phrases.zip"),
        Download(f"{_FILES}/unlabelled/midi.zip"),
    ),
    layout="vgmidi_labelled.csv",
    labels={
        "emotion": ("Q1", "Q2", "Q3", "Q4"),
        "valence": ("-1", "1"),
        "arousal": ("-1", "1"),
        "series": (),
        "console": (),
        "game": (),
        "title": (),
    },
    files=4054,  # the rows of its tables
)

CORPORA = (VGMIDI,)
