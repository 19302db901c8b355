"""The Lakh MIDI dataset: all files, those matched to the Million Song Dataset, and those with artist and title.

Genres and styles are not part of it. Tables of them are read where they lie beside the music (in its folder or in the
one above), in either of the forms in which topMAGD, MASD and tagtraum's CD2 are passed on:

    *.csv with the columns file_id (md5 of a file) and topmagd, masd or tagtraum (a list of values, one for each match);
    msd-topMAGD-*.cls and msd-MASD-*.cls (ifs.tuwien.ac.at/mir/msd), msd_tagtraum_cd2*.cls
    (tagtraum.com/msd_genre_datasets.html), "TRACK_ID<tab>VALUE", for matched tracks.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from t5music.corpora.base import Corpus, Download, Entry, merge_groups
from t5music.corpora.tables import music_files, read_csv, read_json, spaced
from t5music.errors import DataError

# Schindler et al. 2012; names as in the tables by file id.
GENRES = ("Blues", "Country", "Electronic", "Folk", "International", "Jazz", "Latin", "New Age", "Pop_Rock", "Rap",
          "Reggae", "RnB", "Vocal")  # fmt: skip
STYLES = ("Big_Band", "Blues_Contemporary", "Country_Traditional", "Dance", "Electronica", "Experimental",
          "Folk_International", "Gospel", "Grunge_Emo", "Hip_Hop_Rap", "Jazz_Classic", "Metal_Alternative",
          "Metal_Death", "Metal_Heavy", "Pop_Contemporary", "Pop_Indie", "Pop_Latin", "Punk", "Reggae", "RnB_Soul",
          "Rock_Alternative", "Rock_College", "Rock_Contemporary", "Rock_Hard", "Rock_Neo_Psychedelia")  # fmt: skip
# Schreiber 2015, CD2: topMAGD's with Pop and Rock apart, Metal and Punk added, World for International, no Vocal.
TAGTRAUM = ("Blues", "Country", "Electronic", "Folk", "Jazz", "Latin", "Metal", "New Age", "Pop", "Punk", "Rap",
            "Reggae", "RnB", "Rock", "World")  # fmt: skip
# Label -> column of a CSV table, values, part of the name of a file of classes.
_TABLES = {
    "genre": ("topmagd", GENRES, "-topmagd-"),
    "style": ("masd", STYLES, "-masd-"),
    "tagtraum": ("tagtraum", TAGTRAUM, "_tagtraum_cd2"),
}
_SERVER = "http://hog.ee.columbia.edu/craffel/lmd"
_LICENCE = "CC BY 4.0 (colinraffel.com/projects/lmd)"
_CITATION = (
    "Raffel, Learning-based methods for comparing sequences, with applications to audio-to-MIDI alignment and "
    "matching, PhD thesis, Columbia University 2016"
)


def read_classes(root: Path) -> dict[str, dict[str, str]]:
    """The tables beside the music: 'genre', 'style' or 'tagtraum' -> md5 or track id -> its value.

    Of several values for one file the most frequent one is taken, and of those the first.

    Raises:
        DataError: a table that cannot be read, or a value that is none of its own.
    """
    classes: dict[str, dict[str, str]] = {label: {} for label in _TABLES}
    for folder in (root.parent, root):
        for path in sorted(folder.glob("*.csv")):
            with open(path, encoding="utf-8", errors="replace") as table:
                columns = table.readline().strip().split(",")
            for label, (column, _, _) in _TABLES.items():
                if "file_id" in columns and column in columns:
                    for row in read_csv(path, ("file_id", column)):
                        classes[label][row["file_id"]] = _most_frequent(row[column], label, path)
        for path in sorted(folder.glob("*.cls")):
            for label, (_, _, part) in _TABLES.items():
                if part in path.name.lower():
                    lines = [line.split("\t") for line in path.read_text("utf-8", "replace").splitlines()]
                    pairs = [line for line in lines if len(line) > 1 and not line[0].startswith("#")]
                    classes[label].update({track: _most_frequent(value, label, path) for track, value, *_ in pairs})
    return classes


def _most_frequent(text: str, label: str, path: Path) -> str:
    values = Counter(re.findall(r"[^\[\],'\"]*[^\[\],'\"\s]", text))
    if not values:
        return ""
    value = values.most_common(1)[0][0].strip()
    names = {name.lower().replace(" ", "_"): name for name in _TABLES[label][1]}
    word = value.lower().replace(" ", "_")
    if word not in names:
        raise DataError(f"{path}: {value!r} is no {label} of {_TABLES[label][0]}")
    return names[word]


def _labels(classes: Mapping[str, Mapping[str, str]], *keys: str) -> dict[str, str]:
    return {label: next((values[key] for key in keys if values.get(key)), "") for label, values in classes.items()}


def full_entries(root: Path) -> list[Entry]:
    """Every file, named by its md5."""
    classes = read_classes(root)
    return [Entry(path.stem, path, _labels(classes, path.stem)) for path in music_files(root, "[0-9a-f]/*.mid")]


def full_entries_by_md5(root: Path) -> list[Entry]:
    """Every file with the split of the Anticipatory Music Transformer, which goes by the first digit of its md5."""
    splits = {"e": "validation", "f": "test"}
    return [replace(entry, split=splits.get(entry.id[0], "train")) for entry in full_entries(root)]


def matched_entries(root: Path) -> list[Entry]:
    """Every file once, by its md5, with the track that it matches best.

    A file may match several tracks, and lies in the folder of each. Which one is best says `match_scores.json` (of the
    dataset's page) where it lies beside the music, else it is the first. Tracks that have a file in common, and all
    their files, are one group.
    """
    classes = read_classes(root)
    paths: dict[str, dict[str, Path]] = {}  # md5 -> track id -> file
    for path in music_files(root, "[A-Z]/[A-Z]/[A-Z]/TR*/*.mid"):
        paths.setdefault(path.stem, {})[path.parent.name] = path
    tables = [folder / "match_scores.json" for folder in (root, root.parent)]
    scores: Mapping[str, Mapping[str, float]] = next((read_json(path) for path in tables if path.is_file()), {})
    pairs = [(md5, track) for md5, tracks in paths.items() for track in tracks]
    groups = merge_groups([md5 for md5, _ in pairs], [track for _, track in pairs])
    names: dict[str, str] = {}  # a group's first track
    for (_, track), group in sorted(zip(pairs, groups, strict=True), key=lambda item: item[0][1]):
        names.setdefault(group, track)
    group_of = {md5: names[group] for (md5, _), group in zip(pairs, groups, strict=True)}
    entries = []
    for md5, tracks in sorted(paths.items()):
        track = _best(md5, sorted(tracks), scores)
        labels = _labels(classes, md5, track) | {"track_id": track}
        entries.append(Entry(md5, tracks[track], labels, group_of[md5]))
    return entries


def _best(md5: str, tracks: Sequence[str], scores: Mapping[str, Mapping[str, float]]) -> str:
    return max(tracks, key=lambda track: scores.get(track, {}).get(md5, 0.0))


def clean_entries(root: Path) -> list[Entry]:
    """Every file; of 'Artist/Title.2.mid' the label is 'Title', and the versions of one title are a group."""
    entries = []
    for path in music_files(root, "*/*.mid"):
        artist, title = path.parent.name, re.sub(r"\.\d+$", "", path.stem)
        labels = {"artist": spaced(artist), "title": spaced(title)}
        entries.append(Entry(f"{artist}/{path.stem}", path, labels, f"{artist}/{title}".lower()))
    return entries


def _corpus(name: str, title: str, archive: Download, layout: str, **more) -> Corpus:
    return Corpus(
        name=name,
        title=title,
        licence=_LICENCE,
        licence_id="cc-by-4.0",
        source="https://colinraffel.com/projects/lmd/",
        citation=_CITATION,
        downloads=(archive,),
        layout=layout,
        **more,
    )


_CLASSES = {label: values for label, (_, values, _) in _TABLES.items()}
# Sizes and checksums as MusPy publishes them (muspy/datasets/lmd.py @ 2e1dc660dde6); of the clean subset nobody does.
LAKH_FULL = _corpus(
    "lakh_full",
    "Lakh MIDI: all files, of any kind of music, a few thousand of them damaged",
    Download(
        f"{_SERVER}/lmd_full.tar.gz",
        "sha256:6fcfe2ac49ca08f3f214cec86ab138d4fc4dabcd7f27f491a838dae6db45a12b",
        1_768_163_879,
    ),
    "[0-9a-f]/????????????????????????????????.mid",
    entries=full_entries,
    labels=_CLASSES,
    files=176_581,
)
LAKH_MATCHED = _corpus(
    "lakh_matched",
    "Lakh MIDI: files matched to the Million Song Dataset",
    Download(
        f"{_SERVER}/lmd_matched.tar.gz",
        "sha256:621ff830aed771f469e5bfa13dc12a33c6ed69090adeda63d0b5c47783af0191",
        1_407_072_670,
    ),
    "[A-Z]/[A-Z]/[A-Z]/TR*/*.mid",
    entries=matched_entries,
    labels={**_CLASSES, "track_id": ()},
    files=45_129,
)
LAKH_CLEAN = _corpus(
    "lakh_clean",
    "Lakh MIDI: the clean subset, files with artist and title",
    Download(f"{_SERVER}/clean_midi.tar.gz"),
    "*/*.mid",
    entries=clean_entries,
    labels={"artist": (), "title": ()},
)

# Thickstun et al., Anticipatory music transformer, TMLR 2024: LAKH_VALID = ['e'], LAKH_TEST = ['f'] in
# github.com/jthickstun/anticipation @ 08a1a5d70354, anticipation/config.py.
LAKH_FULL_BY_MD5 = replace(
    LAKH_FULL,
    name="lakh_full_by_md5",
    title="Lakh MIDI: all files, with the split of the Anticipatory Music Transformer",
    entries=full_entries_by_md5,
    splits="by the md5 of the file: e... validation, f... test; it LEAKS, versions of a song are on both sides",
)

CORPORA = (LAKH_FULL, LAKH_FULL_BY_MD5, LAKH_MATCHED, LAKH_CLEAN)
