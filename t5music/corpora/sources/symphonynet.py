"""SymphonyNet: orchestral music of the web, classical and of today.

A file is 'SymphonyNet_Dataset/classical/beethoven_symphony_9_1_(c)cvikl.mid': composer, work and, in brackets, who has
the rights in the file. The movements of one work are a group, by the name without its last number.

Where this comes from: the folders are those that programs which read it have, and names of files those in the authors'
repository (github.com/symphonynet/SymphonyNet), whose code is MIT. For the music no licence is stated there, and it
lies with a file service that gives no lasting address. The count is what the paper is cited for; it could not be seen
here, nor could what lies in 'contemporary' beside 'classical'.
"""

from __future__ import annotations

import re
from pathlib import Path

from t5music.corpora.base import Corpus, Entry
from t5music.corpora.tables import music_files, spaced

_FILES = "classical/**/*.mid"
_PERIODS = ("classical", "contemporary")
_RIGHTS = re.compile(r"_?\([^()]*\)[^()]*$")
_MOVEMENT = re.compile(r"_\d+[a-z]?$")


def entries(root: Path) -> list[Entry]:
    """Every file below the folders of the two periods; a composer is the first word of a classical file's name."""
    listing = []
    for period in _PERIODS:
        for path in music_files(root, f"{period}/**/*.mid"):
            name = _RIGHTS.sub("", path.stem)
            composer = name.split("_")[0] if period == "classical" and "_" in name else ""
            labels = {"period": period, "composer": composer, "title": spaced(name)}
            work = f"{period}/{_MOVEMENT.sub('', name)}".casefold()
            name_of_file = path.relative_to(root).with_suffix("").as_posix()
            listing.append(Entry(name_of_file, path, labels, work))
    return listing


SYMPHONYNET = Corpus(
    name="symphonynet",
    title="SymphonyNet: orchestral music of the web",
    licence="none stated for the music, which many files reserve rights in; the authors' code is MIT",
    source="https://symphonynet.github.io",
    citation="Liu et al., Symphony generation with permutation invariant language model, ISMIR 2022",
    entries=entries,
    layout=_FILES,
    labels={"period": _PERIODS, "composer": (), "title": ()},
    files=46_359,
)

CORPORA = (SYMPHONYNET,)
