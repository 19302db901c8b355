"""EMOPIA: clips of pop piano with the emotion that people hear in them; with two splits.

`emopia` keeps the clips of one song on one side, as the authors' own classifiers did. `emopia_clips` is the split of
MIDI-BERT's paper, by clip, to compare with its figures: 93 of its 107 test clips have another clip of their song in
training.
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial
from pathlib import Path

from t5music.corpora.base import Corpus, Download, Entry
from t5music.corpora.tables import music_files, published_split

EMOTIONS = ("Q1", "Q2", "Q3", "Q4")  # quadrants of valence and arousal: happy, angry, sad, calm
_NAME = re.compile(r"(Q[1-4])_(.{11})_\d+")  # the quadrant, the song on YouTube, the clip's number


def entries(root: Path, by_song: bool) -> list[Entry]:
    """Every clip 'midis/Q1_youtube_id_0.mid', with the split by song or by clip."""
    held_out = published_split("emopia" if by_song else "emopia_clips")
    listing = []
    for path in music_files(root, "midis/Q*.mid"):
        if match := _NAME.fullmatch(path.stem):
            emotion, song = match.groups()
            split = held_out.get(song if by_song else path.stem, "train")
            listing.append(Entry(path.stem, path, {"emotion": emotion, "song": song}, song, split))
    return listing


EMOPIA = Corpus(
    name="emopia",
    title="EMOPIA: clips of pop piano with emotions",
    licence="CC BY-NC-SA 4.0",
    licence_id="cc-by-nc-sa-4.0",
    source="https://zenodo.org/record/5257995",
    citation=(
        "Hung et al., EMOPIA: a multi-modal pop piano dataset for emotion recognition and emotion-based music "
        "generation, ISMIR 2021"
    ),
    entries=partial(entries, by_song=True),
    # md5 as MusPy publishes it (muspy/datasets/emopia.py @ 2e1dc660dde6).
    downloads=(
        Download("https://zenodo.org/record/5257995/files/EMOPIA_2.2.zip", "md5:bad5171786a4898f37fc2678e99afd94"),
    ),
    layout="midis/Q*.mid",
    labels={"emotion": EMOTIONS, "song": ()},
    splits="the authors' (EMOPIA_cls), by song: no song is in two of them",
    hours=11.0,  # number and average length of the clips of each quadrant, annahung31.github.io/EMOPIA
    files=1078,
)
EMOPIA_CLIPS = replace(
    EMOPIA,
    name="emopia_clips",
    title="EMOPIA with MIDI-BERT's split, which leaks",
    entries=partial(entries, by_song=False),
    splits="MIDI-BERT's, by clip: 864, 107 and 107; it LEAKS, 93 of the 107 test clips have their song in train",
)

CORPORA = (EMOPIA, EMOPIA_CLIPS)
