"""LabelNotes: the task that labels notes, one word for each note of the input, in the order of its note words.

    "extract melody: Bar TimeSig_4/4 Pos_0 Tempo_120 Pitch_48 Duration_24 Pitch_76 Duration_12 Pos_12 ..."
        ->  "Role_accompaniment Role_melody ..."
    "predict velocity: <the same words>"  ->  "Dynamic_mp Dynamic_f ..."

What a model writes has each note's own word before its label: "Pitch_48 Role_accompaniment Pitch_76 ..." (`EchoNotes`).

The inputs are remi's words without Program and Velocity, for both tasks: as in MIDI-BERT, whose inputs are bars,
positions, pitches and durations, neither the track nor the instrument nor the loudness is told. All pitched notes
become one part; percussion is left out, and gets no label. Every note has its words: where several of one pitch begin
at one position, of which remi itself would keep one (2 % of POP909's notes, a melody doubled by the piano), the longer
one comes first, after them those of other pitches; notes equal in all of that are told apart by nothing, and the one
whose label comes first in the label set comes first.

MIDI-BERT's arrays have what begins together by track, then pitch (read_items of its data_creation/prepare_data/utils.py
sorts each instrument's notes, then all of them stably by their starts). That gives roles away, for it is always written
melody, bridge, accompaniment, and a pitch below the one before it begins another track. `order` "track" is this order,
for comparison with its figures.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from t5music.corpora.base import Piece
from t5music.data.examples.base import Example
from t5music.data.objectives.base import Objective
from t5music.data.objectives.echo_notes import EchoNotes
from t5music.data.vocabulary import DYNAMICS, ROLES
from t5music.errors import DataError, MidiError, nearest
from t5music.music import encodings
from t5music.music.encodings.remi.bars import bare, from_first_note
from t5music.music.encodings.remi.grid import DURATIONS, POSITION, TICKS, lay_bars, nearest_index, place
from t5music.music.encodings.remi.words import KINDS, PITCH
from t5music.music.midibert.compound_words import spans
from t5music.music.note_classes import (
    ACCOMPANIMENT,
    POP909_TRACKS,
    VELOCITY_EDGES,
    melody_classes,
    velocity_classes,
)
from t5music.music.score import DRUMS, Score

_PROMPTS = {"melody": "extract melody", "velocity": "predict velocity"}
_VALUES = {"melody": ROLES, "velocity": DYNAMICS}
_ORDERS = ("pitch", "track")
_NOTE = f"{KINDS[PITCH]}_"
_MIDDLES = (VELOCITY_EDGES[:-1] + VELOCITY_EDGES[1:]) // 2  # the velocity that stands for each class


@dataclass(frozen=True)
class LabelNotes:
    """`extract melody: <words>` or `predict velocity: <words>` -> one word for each note.

    Attributes:
        label: 'melody' or 'velocity'.
        encoding: remi; no other encoding has its notes in an order that both sides can count in.
        words: the longest input, in event words; a note takes two or three of them.
        notes: cut into inputs of so many notes instead, as MIDI-BERT does with 512, whatever words they take; the last
            one has what is left. Which notes these are is decided by onset, track and pitch, as there.
        order: of notes that begin together: 'pitch', or 'track' (and then pitch), as MIDI-BERT's, which LEAKS roles.
    """

    kind: ClassVar[str] = "label_notes"
    metrics: ClassVar[tuple[str, ...]] = ("note_accuracy", "note_macro_f1")
    objectives: ClassVar[tuple[Objective, ...]] = (EchoNotes(),)
    label: str
    encoding: str = "remi"
    words: int = 480
    notes: int | None = None
    order: str = "pitch"

    def __post_init__(self) -> None:
        if self.label not in _PROMPTS:
            raise DataError(
                f"notes have the labels melody and velocity, not {self.label}{nearest(self.label, _VALUES)}"
            )
        if self.encoding != "remi":
            raise DataError(f"{_PROMPTS[self.label]}: the words must be remi's, not {self.encoding}'s")
        if self.notes is not None and self.notes < 1:
            raise DataError(f"{_PROMPTS[self.label]}: an input has at least 1 note, not {self.notes}")
        if self.order not in _ORDERS:
            raise DataError(f"{_PROMPTS[self.label]}: notes are ordered by pitch or track, not by {self.order}")

    @property
    def values(self) -> tuple[str, ...]:
        """The words of the answers: class i of a note is written `values[i]`."""
        return _VALUES[self.label]

    def examples(self, piece: Piece) -> Iterator[Example]:
        """Yields one example per window of whole bars, or of so many notes.

        Raises MidiError for a piece whose notes have no such labels: roles are known by the names of POP909's tracks,
        and a piece of one velocity throughout was never played.
        """
        texts = np.array(self.values, object)
        classes = self._truth(piece.score)
        for prompt, notes in self._windows(piece.score, classes):
            yield Example(prompt, " ".join(texts[classes[notes]]))

    def prompts(self, score: Score) -> list[str]:
        """The prompts of a score, one per window. Raises MidiError for a score without pitched notes."""
        prompts = [prompt for prompt, _ in self._windows(score)]
        if not prompts:
            raise MidiError("no pitched notes to label")
        return prompts

    def classes(self, score: Score, answers: Sequence[str]) -> NDArray[np.int64]:
        """The class of every note of the score (int64 [notes], indices into `values`) from the answers to its prompts.

        The words of the notes among the answers are passed over. -1 for percussion, and where an answer has no word, or
        no word of `values`, for the note. Raises DataError unless there is one answer to each prompt.
        """
        windows = list(self._windows(score))
        if len(answers) != len(windows):
            raise DataError(f"there are {len(answers)} answers to {len(windows)} prompts: give one to each")
        classes = np.full(len(score.notes), -1)
        for (_, notes), answer in zip(windows, answers, strict=True):
            words = self.restored(answer).split()[: len(notes)]
            labels = [self.values.index(word) if word in self.values else -1 for word in words]
            classes[notes[: len(labels)]] = labels
        return classes

    @staticmethod
    def restored(text: str, **_: Any) -> str:
        """The labels in what a model wrote, without the words of the notes; as a seqio postprocessor."""
        return " ".join(word for word in text.split() if not word.startswith(_NOTE))

    def labelled(self, score: Score, classes: NDArray[np.int64]) -> Score:
        """The score with its labels in it, for `classes` as above; nothing changes where they are -1.

        Melody: the tracks MELODY, BRIDGE and PIANO, all else (percussion too) in PIANO; a sustain pedal, of whatever
        track, holds for all three. Velocity: each note has the middle velocity of its class.
        """
        notes = score.notes.copy()
        if self.label == "velocity":
            notes["velocity"] = np.where(classes < 0, notes["velocity"], _MIDDLES[classes])
            return score.with_notes(notes)
        notes["track"] = np.where(classes < 0, ACCOMPANIMENT, classes)
        pedals = np.repeat(score.pedals, len(POP909_TRACKS))
        pedals["track"] = np.arange(len(pedals)) % len(POP909_TRACKS)
        return dataclasses.replace(score, notes=notes, pedals=pedals, track_names=POP909_TRACKS)

    def _truth(self, score: Score) -> NDArray[np.int64]:
        if self.label == "melody":
            return melody_classes(score)
        if len(np.unique(score.notes["velocity"])) < 2:
            raise MidiError("all notes have one velocity")
        return velocity_classes(score.notes["velocity"])

    def _windows(
        self, score: Score, classes: NDArray[np.int64] | None = None
    ) -> Iterator[tuple[str, NDArray[np.int64]]]:
        """(prompt, which note of `score.notes` each of its note words is), window by window.

        `classes` decide only the order of notes whose words are the same.
        """
        encoding = encodings.get(self.encoding)
        pitched = np.flatnonzero(score.notes["program"] != DRUMS)
        for cut in spans(len(pitched), self.notes or max(1, len(pitched))):
            window_notes = pitched[cut]
            ties = None if classes is None else classes[window_notes]
            part, order = _one_part(score.with_notes(score.notes[window_notes]), ties, by_track=self.order == "track")
            events = bare(encoding.encode(part))
            segments = encoding.segments(events, self.words) if self.notes is None else [from_first_note(events)]
            first = 0
            for segment in segments:
                count = int(encoding.is_note[segment].sum())
                if count:  # else bars of rest
                    segment_notes = window_notes[order[first : first + count]]
                    yield f"{_PROMPTS[self.label]}: {encoding.to_text(segment)}", segment_notes
                first += count


def _one_part(score: Score, classes: NDArray[np.int64] | None, *, by_track: bool) -> tuple[Score, NDArray[np.int64]]:
    """The notes as one part in which remi keeps all of them, and the order (indices) in which it writes them.

    What begins at one position is written by program, then pitch. Of the notes of one pitch the first has program 0,
    the next 1, and so on; by track, of all the notes there.

    Raises MidiError for more than 128 such notes.
    """
    notes = score.notes
    edges, _ = lay_bars(score)
    bars, positions = place(notes["onset"], score.ticks_per_quarter, edges)
    starts = edges[bars] + POSITION * positions
    pitches = notes["pitch"].astype(np.int64)
    lengths = (notes["onset"] + notes["duration"]) * TICKS / score.ticks_per_quarter - starts
    durations = nearest_index(lengths / POSITION, DURATIONS)
    tracks = notes["track"] if by_track else np.zeros(len(notes))
    order = np.lexsort((np.zeros(len(notes)) if classes is None else classes, -durations, pitches, tracks, starts))
    first = np.append(True, (np.diff(starts[order]) > 0) | (not by_track and np.diff(pitches[order]) > 0))
    places = np.arange(len(order))
    ranks = np.empty(len(notes), np.int64)
    ranks[order] = places - np.maximum.accumulate(np.where(first, places, 0))
    if ranks.max() >= DRUMS:
        raise MidiError(f"more than {DRUMS} notes{'' if by_track else ' of one pitch'} begin together")
    parted = notes.copy()
    parted["program"], parted["track"], parted["velocity"] = ranks, 0, 64
    part = dataclasses.replace(score, notes=parted, pedals=score.pedals[:0], track_names=())
    return part, np.lexsort((pitches, ranks, starts))
