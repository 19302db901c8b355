"""Questions: what a model is asked of a person's music, and what the person gets of its answers."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from t5music.data.examples import Answer, Composes, Infill
from t5music.errors import ConfigError
from t5music.inference import gaps, placement, ranking, requests, stand_ins
from t5music.inference.answers import answer_in_words
from t5music.inference.given_music import GivenMusic
from t5music.inference.likelihoods import Exchange
from t5music.inference.promises import NOTHING, Part, Promises
from t5music.inference.result import Result
from t5music.inference.sampling_settings import require_one_variant
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
        infill: bars and tracks to fill in; () for what the task fills in.
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
    infill: tuple[Part, ...]
    programs: tuple[int, ...] | None
    promises: Promises
    remarks: tuple[str, ...]

    def write(self, *, seed: int = 0, **sampling: Any) -> Result:
        """Answers, with what is drawn by a seed; `sampling` as of `sampling_settings.SETTINGS`."""
        if isinstance(self.task, Infill) and (self.infill or self.promises.lock):
            return self._described(self._filled(self.task, seed, sampling), seed)
        bound: dict[str, Any] = {"programs": self.programs, "promises": self.promises}
        music, exchanges = answer_in_words(
            self.trained, self.task, self.score, self.name, seed=seed, **bound, **sampling
        )
        return self.result(music, exchanges, seed)

    def variants(self, count: int, *, seed: int = 0, **sampling: Any) -> list[Result]:
        """So many answers as `write` gives them, by the seeds `seed`, `seed` + 1 and so on; the best one first.

        Raises:
            ConfigError: several variants of a search, which has one answer.
        """
        require_one_variant(count, sampling)
        return self.ranked([self.write(seed=seed + number, **sampling) for number in range(count)])

    def ranked(self, results: Sequence[Result]) -> list[Result]:
        """Variants in order, the best one first, each with its rank; a single one is not ranked. See `ranking`."""
        if len(results) < 2:
            return list(results)
        return ranking.ranked(self.trained, results, accompanies=self.task.accompanies)

    def result(self, music: Answer, exchanges: Sequence[Exchange], seed: int) -> Result:
        """What the person gets of an answer: their own file with the new notes in it, or new music."""
        if self.given is not None and self.task.extends:
            result = put_into_file(self.given.midi, self.given.name, self.given.score, music, self.task, self.programs)
        else:
            result = Result(
                midi.to_bytes(music.score),
                music.score,
                music.is_new,
                len(music.prompt.notes),
                repairs=music.repairs,
            )
        return self._described(dataclasses.replace(result, exchanges=tuple(exchanges)), seed)

    def _described(self, result: Result, seed: int) -> Result:
        """A result with what is to be known of it."""
        source = None
        if self.given is not None:
            source = None if isinstance(self.given.source, Score | bytes) else str(self.given.source)
        remarks = tuple(dict.fromkeys([*self.remarks, *result.remarks]))
        return dataclasses.replace(
            result, remarks=remarks, kind=self.task.kind, stem=self.stem, seed=seed, source=source
        )

    def _filled(self, task: Infill, seed: int, sampling: dict[str, Any]) -> Result:
        """The person's file with gaps filled in, one after the other, each between what is there by then."""
        assert self.given is not None
        trained, promises, name = self.trained, self.promises, self.name
        data, score, tracks = self.given.midi, self.score, len(self.score.track_names)
        remarks: list[str] = []
        exchanges: list[Exchange] = []
        repairs = 0
        for gap in gaps.of_parts(self.infill, score) if self.infill else [gaps.Gap(0, 0)]:
            stays = gaps.locked(gap, promises.lock, score)
            programs = promises.instruments or tuple(np.unique(score.notes["program"][~stays]).tolist())
            if not programs:
                raise ConfigError("--lock: all tracks are locked, and none is left to be filled in")
            room = min(trained.lengths["targets"], sampling.get("words") or trained.lengths["targets"])
            for piece in gaps.windows(gap, task, score, stays, room) if self.infill else [task]:
                stays = gaps.locked(gap, promises.lock, score)
                here, _ = requests.fitted(trained, piece, score, name)
                bound: dict[str, Any] = {"programs": programs, "promises": promises, "locked": stays}
                music, more = answer_in_words(trained, here, score, name, seed=seed, **bound, **sampling)
                exchanges += more
                result = put_into_file(data, name, score, music, here, programs, stays)
                remarks += result.remarks
                repairs += music.repairs
                data, score = result.data, midi.read(result.data)
        is_new = score.notes["track"] >= tracks
        return Result(
            data, score, is_new, int((~is_new).sum()), tuple(remarks), repairs=repairs, exchanges=tuple(exchanges)
        )


def ask(
    trained: TrainedModel,
    given: GivenMusic | None,
    model_dir: str,
    *,
    task: str | None = None,
    region: tuple[float, float] | None = None,
    infill: Sequence[Part] = (),
    caption: str | None = None,
    style: str | None = None,
    promises: Promises = NOTHING,
) -> Question:
    """Chooses the task that fits, and as much of the music as the model can read; arguments as of `generate`.

    Raises:
        ConfigError: a task the model was not trained on, or that does not go with these arguments.
        MidiError: music that gives nothing to ask.
    """
    if region is not None and infill:
        raise ConfigError("--region and --infill both say what to fill in: give one of them")
    score = None if given is None else given.score
    if (infill or promises.lock) and task is None:
        task = Infill.kind
    heard = [] if score is None else np.unique(score.notes["program"]).tolist()
    trained, new_to_it = stand_ins.with_stand_ins(trained, [*heard, *promises.instruments])
    chosen, style_remarks = requests.choose(
        trained, task, model_dir, score, region=region, caption=caption, style=style
    )
    if infill and not isinstance(chosen, Infill):
        raise ConfigError(f"--infill does not go with {chosen.kind}")
    if promises.lock and not isinstance(chosen, Infill):
        raise ConfigError(f"--lock does not go with {chosen.kind}: it is for music that is filled in")
    name, stem = (given.name, given.stem) if given is not None and chosen.needs_music else (chosen.kind, "music")
    score = score if score is not None else Score(480, np.empty(0, NOTE))
    promises.require_meaning(chosen.encoding)
    remarks: list[str] = []
    if not infill:
        chosen, remarks = requests.fitted(trained, chosen, score, name)
    programs = requests.programs(promises.instruments, chosen, score)
    return Question(
        trained,
        chosen,
        given,
        score,
        name,
        stem,
        tuple(infill),
        programs,
        promises,
        (*style_remarks, *new_to_it, *remarks),
    )


def put_into_file(
    data: bytes,
    name: str,
    score: Score,
    music: Answer,
    task: Composes,
    programs: tuple[int, ...] | None,
    locked: NDArray[np.bool_] | None = None,
) -> Result:
    """A person's file with the new notes of an answer in it; notes that are locked (True [notes]) stay."""
    placed = placement.place(score, music, encodings.get(task.encoding))
    removal = placed.removal
    if removal is not None and locked is not None:
        removal = removal._replace(spared=score.notes[locked])
    inserted = insertion.insert(
        data,
        _played_by(placed.notes, programs),
        label=f"t5music {task.kind.replace('_', ' ')}",
        removal=removal,
        name=name,
    )
    notes = score.notes
    if removal is not None:
        replaced = (notes["onset"] >= removal.first) & (notes["onset"] < removal.last)
        replaced &= removal.drums | (notes["program"] != DRUMS)
        notes = notes[~replaced if locked is None else ~replaced | locked]
    tracks = len(score.track_names)
    added = inserted.notes.copy()
    added["track"] += tracks
    instruments = [name.partition(": ")[2] for name in inserted.names]
    whole = dataclasses.replace(
        score, notes=np.concatenate([notes, added]), track_names=(*score.track_names, *instruments)
    )
    is_new = whole.notes["track"] >= tracks
    return Result(inserted.data, whole, is_new, len(notes), tuple(inserted.remarks), repairs=music.repairs)


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
