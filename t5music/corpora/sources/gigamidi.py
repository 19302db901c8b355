"""GigaMIDI: MIDI files of the web without duplicates, with the authors' split.

A file is 'training-V1.1-80%/no-drums/24/58dfa7ff18afca6c6cf701d9e96d4432.mid' by its MD5; 'validation-V1.1-10%' and
'test-V1.1-10%' are beside it. The second folder says whether it has drums. What is given is an archive of archives:
unpack them all first, and give their folder to --from.

Where this comes from: the terms are the dataset card's (huggingface.co/datasets/Metacreation/GigaMIDI), and the licence
as a program that reads it states it. The count is that of version 2.0, "over 2.1 million" in the README
(github.com/Metacreation-Lab/GigaMIDI-Dataset). The folders are those that such programs have, whose names are still
those of 1.1. The card asks who wants it, and the files are given by hand.
"""

from __future__ import annotations

from pathlib import Path

from t5music.corpora.base import Corpus, Entry
from t5music.corpora.tables import as_split, music_files

DRUMS = ("drums-only", "no-drums", "all-instruments-with-drums")
_FOLDERS = "*-V*%/*/**/*.mid"


def entries(root: Path) -> list[Entry]:
    """Every file, named by its MD5, with its official split."""
    listing = []
    for path in music_files(root, _FOLDERS):
        folder, drums = path.relative_to(root).parts[:2]
        name = folder.split("-")[0].lower()
        split = "train" if name == "training" else as_split(name, str(root / folder))
        listing.append(Entry(path.stem, path, {"drums": drums if drums in DRUMS else ""}, split=split))
    return listing


GIGAMIDI = Corpus(
    name="gigamidi",
    title="GigaMIDI: MIDI files of the web, without duplicates",
    licence="CC BY-NC 4.0; for research and education alone, on request (the dataset's card)",
    source="https://huggingface.co/datasets/Metacreation/GigaMIDI",
    citation=(
        "Lee, Ens, Adkins, Sarmento, Barthet & Pasquier, The GigaMIDI dataset with features for expressive music "
        "performance detection, TISMIR 2025"
    ),
    entries=entries,
    layout=_FOLDERS,
    labels={"drums": DRUMS},
    splits="official: 80/10/10 by file",
    files=2_100_000,
)

CORPORA = (GIGAMIDI,)
