"""The Session: dance tunes, mostly Irish, in ABC, from the site's own dump.

`tunes.csv` has a row for each setting of a tune: tune_id, setting_id, name, type (reel), meter (4/4), mode (Gmajor),
abc (the notes alone, in eighths), date, username, composer. The settings of one tune are a group. They are read with
their repeats played; a setting whose ABC cannot be read is left out, by its reason.

The columns and the terms are those of the dump (github.com/adactio/TheSession-data). Note the terms: its LICENSE.md
opens the database under the ODbL and the contents to everybody, but forbids any use of the contents with large
language models. Whether a model of music alone is one, the file does not say. So nothing is fetched from here: who has
read the terms builds it with --from. How many settings there are is not stated there.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from t5music.corpora.base import Corpus, Entry, Piece, Skipped
from t5music.corpora.tables import read_csv, spaced
from t5music.music import abc_notation

_TABLE = "tunes.csv"
_COLUMNS = ("tune_id", "setting_id", "name", "type", "meter", "mode", "abc", "composer")
# The kinds of tunes that the site knows, each with its meter.
TYPES = ("barndance", "hornpipe", "jig", "march", "mazurka", "polka", "reel", "slide", "slip jig", "strathspey",
         "three-two", "waltz")  # fmt: skip


def entries(root: Path) -> list[Entry]:
    """Every setting, by its number. Raises DataError if the table is missing or damaged."""
    settings = []
    for row in read_csv(root / _TABLE, _COLUMNS[:-1]):
        title = spaced(row["name"])
        head = ["X:1", f"T:{title}", f"M:{row['meter']}", "L:1/8", f"K:{row['mode']}"]
        labels = {
            "title": title,
            "type": row["type"] if row["type"] in TYPES else "",
            "meter": row["meter"],
            "mode": row["mode"],
            "composer": spaced(row.get("composer", "")),
            "abc": "\n".join([*head, *row["abc"].split("\n")]),
        }
        settings.append(Entry(row["setting_id"], root / _TABLE, labels, f"tune {row['tune_id']}"))
    return settings


def read(entry: Entry) -> Iterator[Piece | Skipped]:
    """Reads a setting's ABC and plays its repeats. MidiError where it is no ABC."""
    score = abc_notation.parse(entry.labels["abc"], entry.id).unfolded().to_score()
    if len(score.notes):
        yield Piece(entry.id, score, entry.labels, entry.group)
    else:
        yield Skipped(entry.id, "no notes in it")


THE_SESSION = Corpus(
    name="thesession",
    title="The Session: dance tunes, mostly Irish, in ABC",
    licence="database: ODbL 1.0; contents: free, but NOT for use with large language models (LICENSE.md of the dump)",
    source="https://github.com/adactio/TheSession-data",
    citation="Keith, The Session, thesession.org",
    entries=entries,
    read=read,
    layout=_TABLE,
    labels={"title": (), "type": TYPES, "meter": (), "mode": (), "composer": (), "abc": ()},
)

CORPORA = (THE_SESSION,)
