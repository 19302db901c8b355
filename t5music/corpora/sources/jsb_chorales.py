"""The JSB chorales: Bach's chorales as they are used in machine learning since Boulanger-Lewandowski et al. 2012.

They are given as the pitch of each of the four voices at every sixteenth note. That does not tell a repeated note from
one that is held, so here a voice's equal pitches in a row are one note. No tempo, meter or key is given either: scores
have none (120 quarters a minute and 4/4 by default), and begin where the lists do, upbeat or not.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from t5music.corpora.base import Corpus, Download, Entry, Piece, Skipped
from t5music.corpora.tables import as_split, read_json
from t5music.errors import DataError
from t5music.music.encodings.satb.grid import VOICES, to_score

_TABLE = "Jsb16thSeparated.json"


def entries(root: Path) -> list[Entry]:
    """The chorales of the three official sets, in order. Raises DataError if the file is missing or damaged."""
    path = root / _TABLE
    sets = read_json(path)
    if not isinstance(sets, dict) or set(sets) != {"train", "valid", "test"}:
        raise DataError(f"{path}: not the sets train, valid and test")
    return [
        Entry(f"{name}/{number:03d}", path, {}, "", as_split(name, str(path)), {"steps": steps})
        for name in ("train", "valid", "test")
        for number, steps in enumerate(sets[name])
    ]


def read(entry: Entry) -> Iterator[Piece | Skipped]:
    """Makes the score of one chorale from its list of steps."""
    try:
        steps = np.array(entry.more["steps"], np.int64)
    except (TypeError, ValueError, OverflowError):
        steps = np.empty(0, np.int64)
    if steps.ndim != 2 or steps.shape[1] != len(VOICES) or (steps > 127).any() or (steps < -1).any():
        yield Skipped(entry.id, "not four pitches at every step")
    elif (steps < 0).all():
        yield Skipped(entry.id, "no notes in it")
    else:
        yield Piece(entry.id, to_score(steps), entry.labels, entry.group, entry.split)


_COMMIT = "9a7f733ddb4ed91f48da64ac7f0f621c34aadd4d"
JSB_CHORALES = Corpus(
    name="jsb_chorales",
    title="JSB chorales: Bach's chorales in sixteenths, with the standard split",
    licence="none stated; the music is out of copyright",
    source="https://github.com/czhuang/JSB-Chorales-dataset",
    citation=(
        "Boulanger-Lewandowski, Bengio & Vincent, Modeling temporal dependencies in high-dimensional sequences, "
        "ICML 2012; Allan & Williams, Harmonising chorales by probabilistic inference, NIPS 2004"
    ),
    entries=entries,
    read=read,
    downloads=(Download(f"https://github.com/czhuang/JSB-Chorales-dataset/archive/{_COMMIT}.zip", file="jsb.zip"),),
    layout=_TABLE,
    splits="official: 229, 76 and 77",
    files=382,
)

CORPORA = (JSB_CHORALES,)
