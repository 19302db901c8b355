"""The layout of piano rolls, whatever draws them: the row of each note, the parts that get a colour, the colours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from t5music.music.instruments import family_name, instrument_name
from t5music.music.score import DRUMS, Score

# Colours that stay apart on white, for colour-blind eyes too where there are few (Okabe and Ito's first, without
# their yellow); drums are grey and so is whatever is given rather than made.
COLOURS = [
    *("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7A4FBF", "#8C6D31"),
    *("#B22222", "#2F4B7C", "#6B8E23", "#C71585", "#008B8B", "#A0522D", "#4169E1", "#708238"),
]
DRUM_COLOUR, NEW_DRUM_COLOUR, PROMPT_COLOUR = "#7F7F7F", "#332288", "#4D4D4D"  # beside a prompt, grey is given
MAX_TRACKS_SHOWN = 8  # more tracks are shown by instrument, more instruments than colours by family
DRUMS_GAP = 3  # rows between the lowest pitch and percussion
AROUND = 4  # bars before and after the new notes, where only these are shown


class Classes(NamedTuple):
    """What the notes of a score are coloured by in place of their parts: roles, degrees of loudness.

    Attributes:
        names: of the classes, in the order of the legend; notes of the first lie above all others.
        colours: one each.
        of_notes: int [notes], the class of each note of the score.
    """

    names: Sequence[str]
    colours: Sequence[str]
    of_notes: NDArray[np.int64]


class View(NamedTuple):
    """What of a score a picture shows.

    Attributes:
        score: with the notes that are in view alone.
        is_new: bool [notes], which of them a model wrote; None where none is told apart.
        begin: in seconds.
        end: likewise.
    """

    score: Score
    is_new: NDArray[np.bool_] | None
    begin: float
    end: float


def view_of(score: Score, is_new: NDArray[np.bool_] | None) -> View:
    """The whole score or, where a model wrote some of its notes, these with AROUND bars on either side."""
    if is_new is None or not is_new.any():
        return View(score, is_new, 0.0, score.duration_seconds)
    notes = score.notes[is_new]
    starts, _ = score.bars()
    first = int(np.searchsorted(starts, notes["onset"].min(), side="right")) - 1
    last = int(np.searchsorted(starts, (notes["onset"] + notes["duration"]).max(), side="left")) + AROUND
    stop = int(starts[last]) if last < len(starts) else score.end_tick
    begin, end = score.seconds(np.array([starts[max(0, first - AROUND)], stop])).tolist()
    onsets = score.seconds(score.notes["onset"])
    inside = (onsets < end) & (score.seconds(score.notes["onset"] + score.notes["duration"]) > begin) | is_new
    return View(score.with_notes(score.notes[inside]), is_new[inside], begin, end)


def note_rows(notes: NDArray) -> NDArray:
    """The height of each note: its pitch; for percussion one row for each sound in use, below all pitches."""
    drums = notes["program"] == DRUMS
    rows = notes["pitch"].astype(np.int64)
    sounds, sound = np.unique(rows[drums], return_inverse=True)
    lowest = 0 if drums.all() else rows[~drums].min()
    rows[drums] = lowest - DRUMS_GAP - len(sounds) + sound
    return rows


def parts_of(score: Score) -> tuple[Sequence[str], Sequence[str], NDArray]:
    """What gets a colour: the names of the parts, their colours, and the part of each note (int [notes])."""
    tracks, part = np.unique(score.notes[["track", "program"]], return_inverse=True)
    programs = tracks["program"].tolist()
    if len(tracks) <= MAX_TRACKS_SHOWN:
        labels = [instrument_name(program) for program in programs]
        names = [printable(score.track_names[track], 28) for track in tracks["track"].tolist()]
        if len(set(labels)) < len(tracks):
            told_apart = all(names) and len(set(names)) == len(names)
            labels = names if told_apart else [f"{index}: {label}" for index, label in enumerate(labels, 1)]
        drums = [program == DRUMS for program in programs]
    else:
        pitched = {program for program in programs if program != DRUMS}
        name_of = instrument_name if len(pitched) <= len(COLOURS) else family_name
        names = [name_of(program) for program in programs]
        labels = list(dict.fromkeys(names))
        part = np.array([labels.index(name) for name in names])[part]
        drums = [label == instrument_name(DRUMS) for label in labels]
    colours = iter(COLOURS)
    return labels, [DRUM_COLOUR if drum else next(colours) for drum in drums], part


def printable(text: str, longest: int) -> str:
    """The text on one line without control characters, cut to a length."""
    text = " ".join("".join(character if character.isprintable() else " " for character in text).split())
    return text if len(text) <= longest else text[: longest - 1] + "…"
