"""GiantMIDI-Piano: classical piano music, transcribed from recordings by a network."""

from __future__ import annotations

from pathlib import Path

from t5music.corpora.base import Corpus, Entry
from t5music.corpora.tables import music_files


def entries(root: Path) -> list[Entry]:
    """Every 'Surname, First name, Title, youtube_id.mid'. The recordings of one work are a group."""
    listing = []
    for path in music_files(root, "*, *, *, ???????????.mid"):
        name, video = path.stem[:-13], path.stem[-11:]  # the title may have commas, the video's name has none
        surname, first, title = name.split(", ", 2)
        labels = {"composer": f"{first} {surname}".strip(), "title": title, "youtube": video}
        listing.append(Entry(path.stem, path, labels, name.lower()))
    return listing


GIANTMIDI = Corpus(
    name="giantmidi",
    title="GiantMIDI-Piano: transcribed recordings of classical piano music",
    licence="CC BY 4.0, and a disclaimer to agree to (disclaimer.md of the repository)",
    # The files lie in a folder of a file service that gives no lasting address of the archive itself.
    source="https://github.com/bytedance/GiantMIDI-Piano/blob/master/disclaimer.md",
    citation="Kong et al., GiantMIDI-Piano: a large-scale MIDI dataset for classical piano music, TISMIR 2022",
    entries=entries,
    layout="*, *, *, ???????????.mid",
    labels={"composer": (), "title": (), "youtube": ()},
    hours=1237,  # as others quote the paper
    files=10_855,
)

CORPORA = (GIANTMIDI,)
