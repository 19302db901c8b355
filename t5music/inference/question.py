"""Questions: what a model is asked of a person's music, and what the person gets of its answers."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from t5music.data.examples import Answer, Composes
from t5music.inference import placement, requests
from t5music.inference.answering import answer
from t5music.inference.given_music import GivenMusic
from t5music.inference.promises import NOTHING, Promises
from t5music.inference.result import Result
from t5music.inference.trained_model import TrainedModel
from t5music.music import encodings, midi
from t5music.music.midi import insertion
from t5music.music.score import DRUMS, NOTE, Score


@dataclass(frozen=True)
class Question:
    """What a model is asked of somebody's music, ready to be answered as often as one likes.

    Attributes:
        trained: the model.
        task: that fits the music, with prompts that the model can read.
        given: the person's music; None where the task needs none and none was given.
        score: its notes; none without music.
        name: the music's name in errors.
        stem: what the files of the answers are named after.
        programs: that new notes may have; None for all.
        promises: what new notes are bound to beside their programs.
        remarks: what the person should know, a sentence each.
    """

    trained: TrainedModel
    task: Composes
    given: GivenMusic | None
    score: Score
    name: str
    stem: str
    programs: tuple[int, ...] | None
    promises: Promises
    remarks: tuple[str, ...]

    def write(self, *, seed: int = 0, **sampling: Any) -> Result:
        """Answers, with what is drawn by a seed; `sampling` as of `decoding_settings`."""
        settings = {**self.settings(seed), **sampling}
        return self.result(answer(self.trained, self.task, self.score, self.name, **settings), seed)

    def settings(self, seed: int) -> dict[str, Any]:
        """What `decoding_settings` takes of a question and a seed."""
        return {"seed": seed, "programs": self.programs, "promises": self.promises}

    def result(self, music: Answer, seed: int) -> Result:
        """What the person gets of an answer: their own file with the new notes in it, or new music."""
        source = None
        if self.given is not None:
            source = None if isinstance(self.given.source, Score | bytes) else str(self.given.source)
        if self.given is not None and self.task.extends:
            result = _extended(self.given, music, self.task, self.programs)
        else:
            result = Result(midi.to_bytes(music.score), music.score, music.is_new, len(music.prompt.notes))
        remarks = tuple(dict.fromkeys([*self.remarks, *result.remarks]))
        return dataclasses.replace(
            result,
            remarks=remarks,
            kind=self.task.kind,
            stem=self.stem,
            seed=seed,
            repairs=music.repairs,
            source=source,
        )


def ask(
    trained: TrainedModel,
    given: GivenMusic | None,
    model_dir: str,
    *,
    task: str | None = None,
    region: tuple[float, float] | None = None,
    caption: str | None = None,
    style: str | None = None,
    promises: Promises = NOTHING,
) -> Question:
    """Chooses the task that fits, and as much of the music as the model can read; arguments as of `generate`.

    Raises:
        ConfigError: a task the model was not trained on, or that does not go with these arguments.
        MidiError: music that gives nothing to ask.
    """
    score = None if given is None else given.score
    chosen, style_remarks = requests.choose(
        trained, task, model_dir, score, region=region, caption=caption, style=style
    )
    name, stem = (given.name, given.stem) if given is not None and chosen.needs_music else (chosen.kind, "music")
    score = score if score is not None else Score(480, np.empty(0, NOTE))
    chosen, remarks = requests.fitted(trained, chosen, score, name)
    promises.require_meaning(chosen.encoding)
    programs = requests.programs(promises.instruments, chosen, score)
    return Question(trained, chosen, given, score, name, stem, programs, promises, (*style_remarks, *remarks))


def _extended(given: GivenMusic, music: Answer, task: Composes, programs: tuple[int, ...] | None) -> Result:
    """The person's file with the new notes of an answer in it."""
    score = given.score
    placed = placement.place(score, music, encodings.get(task.encoding))
    inserted = insertion.insert(
        given.midi,
        _played_by(placed.notes, programs),
        label=f"t5music {task.kind.replace('_', ' ')}",
        removal=placed.removal,
        name=given.name,
    )
    notes = score.notes
    if (removal := placed.removal) is not None:
        replaced = (notes["onset"] >= removal.first) & (notes["onset"] < removal.last)
        notes = notes[~(replaced & (removal.drums | (notes["program"] != DRUMS)))]
    tracks = len(score.track_names)
    added = inserted.notes.copy()
    added["track"] += tracks
    instruments = [name.partition(": ")[2] for name in inserted.names]
    whole = dataclasses.replace(
        score, notes=np.concatenate([notes, added]), track_names=(*score.track_names, *instruments)
    )
    return Result(inserted.data, whole, whole.notes["track"] >= tracks, len(notes), tuple(inserted.remarks))


def _played_by(notes: NDArray, programs: tuple[int, ...] | None) -> NDArray:
    """The notes with programs that they may have; some encodings do not say any. Percussion cannot become anything."""
    if programs is None:
        return notes
    notes = notes.copy()
    pitched = [program for program in programs if program != DRUMS]
    strange = ~np.isin(notes["program"], programs)
    if pitched:
        notes["program"][strange & (notes["program"] != DRUMS)] = pitched[0]
    return notes[np.isin(notes["program"], programs)]
