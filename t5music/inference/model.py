"""Models in Python: what `t5music.load()` gives. The same answers as the command line's, without files.

import t5music
model = t5music.load()
music = model.continue_("song.mid")
music.play()
music.save("new.mid")
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from t5music.data.examples import Classify, Composes, LabelNotes
from t5music.devices import platforms
from t5music.inference import embed, labels, pretrained, question, trained_model
from t5music.inference.bars import Bars
from t5music.inference.given_music import Source, given_music
from t5music.inference.promises import Promises
from t5music.inference.promises import parts as promises_parts
from t5music.inference.question import Question
from t5music.inference.result import Result
from t5music.inference.sampling_settings import NAMES as SAMPLING
from t5music.inference.trained_model import TrainedModel
from t5music.training.checkpoints import selection

# The words that people have for what a model does -> the kinds of tasks that do it, the best first.
COMPOSING = ("compose", "improvise", "caption")


def load(model: str | os.PathLike[str] | None = None, checkpoint: str | int = selection.LATEST) -> Model:
    """Loads a model.

    Args:
        model: the folder of a run or of an exported model, `pretrained:NAME` or `hf://OWNER/NAME`; the model that comes
            with t5music if None.
        checkpoint: of a run: "latest", "best" or a step.

    Raises:
        CheckpointError: a model that is missing, damaged or of another vocabulary.
    """
    platforms.enable_compilation_cache()
    name = os.fspath(model) if model is not None else pretrained.DEFAULT
    return Model(trained_model.load(name, checkpoint), name)


class Model:
    """A trained model, and what it can be asked.

    Music is given as a path, as the bytes of a file, or as a Score. What is written comes back as a `Result`.

    Attributes:
        trained: the model with its tasks.
        name: what it was loaded by.
    """

    def __init__(self, trained: TrainedModel, name: str) -> None:
        self.trained, self.name = trained, name

    def __repr__(self) -> str:
        return f"<t5music model {self.name}: {', '.join(self.kinds)}>"

    @property
    def kinds(self) -> list[str]:
        """What the model can be asked: kinds of tasks, each once, such as "continue", "infill" and "classify"."""
        kinds = (Composes, Classify, LabelNotes)
        return list(dict.fromkeys(task.kind for task in self.trained.tasks.values() if isinstance(task, kinds)))

    @property
    def styles(self) -> list[str]:
        """The styles in which it writes."""
        tasks = [task for task in self.trained.tasks.values() if isinstance(task, Composes)]
        return list(dict.fromkeys(task.style for task in tasks if hasattr(task, "style")))

    def can(self, kind: str) -> bool:
        """Whether the model has a task to "continue", "infill", "accompany", "compose", "classify" or "label"."""
        tasks = self.trained.tasks.values()
        if kind in _LABELLING:
            return any(isinstance(task, _LABELLING[kind]) for task in tasks)
        kinds = COMPOSING if kind == "compose" else (kind,)
        return any(task.kind in kinds and isinstance(task, Composes) for task in tasks)

    # ---------------------------------------------------------------------------------------------- new music

    def continue_(self, music: Source, **settings: Any) -> Result:
        """Goes on where the music ends; settings as of `ask` and of `sampling_settings.SETTINGS`, and `seed`."""
        return self.write(music, task="continue", **settings)

    def infill(
        self, music: Source, region: tuple[float, float] | None = None, *, parts: str | None = None, **settings: Any
    ) -> Result:
        """Writes a part of the music anew.

        Args:
            music: the music.
            region: (begin, end) of the part in seconds; the middle if None.
            parts: bars and tracks in place of a region, such as "piano bars 5-8, bass".
            settings: as of `continue_`.
        """
        return self.write(music, task="infill", region=region, parts=parts, **settings)

    def accompany(self, music: Source, **settings: Any) -> Result:
        """Adds the other parts to a melody; settings as of `continue_`."""
        return self.write(music, task="accompany", **settings)

    def compose(self, caption: str | None = None, **settings: Any) -> Result:
        """Begins a new piece, by a description where the model knows captions; settings as of `continue_`."""
        return self.write(None, task=self.composing(caption), caption=caption, **settings)

    def write(self, music: Source | None, *, task: str | None = None, seed: int = 0, **settings: Any) -> Result:
        """Asks any task that writes music; the one that fits if `task` is None. See `ask` and `continue_`."""
        sampling = {name: settings.pop(name) for name in SAMPLING if name in settings}
        return self.ask(music, task=task, **settings).write(seed=seed, **sampling)

    def variants(self, music: Source | None, count: int, *, seed: int = 0, **settings: Any) -> list[Result]:
        """So many answers as `write` gives them, by the seeds `seed`, `seed` + 1 and so on; the best one first.

        Each has its `rank`: its place, its bits per note and its closeness to the music (see `inference.ranking`).
        """
        sampling = {name: settings.pop(name) for name in SAMPLING if name in settings}
        return self.ask(music, **settings).variants(count, seed=seed, **sampling)

    def stream(self, music: Source | None = None, *, task: str | None = None, seed: int = 0, **settings: Any) -> Bars:
        """As `write`, bar by bar as they are written; at the end the iterator's `result` is what `write` gives."""
        sampling = {name: settings.pop(name) for name in (*SAMPLING, "is_stopped") if name in settings}
        return Bars(self.ask(music, task=task, **settings), seed=seed, **sampling)

    def ask(
        self,
        music: Source | None,
        *,
        task: str | None = None,
        region: tuple[float, float] | None = None,
        parts: str | None = None,
        caption: str | None = None,
        style: str | None = None,
        name: str | None = None,
        **promises: str | None,
    ) -> Question:
        """A question that can be answered with several seeds.

        Args:
            music: a path, bytes or a Score; None for tasks that need no music.
            task: one of the model's tasks, or its kind; the one that fits if None.
            region: (begin, end) in seconds, for tasks that fill a gap.
            parts: bars and tracks to fill in, in place of a region; as of `infill`.
            caption: for tasks that compose by a description.
            style: one of `styles`; the one that the music has if None.
            name: what music is called that is given as bytes or as a Score.
            promises: what the new notes are bound to, as text: key="A minor", instruments="violin, cello" (see
                `inference.promises`).

        Raises:
            ConfigError: a task the model was not trained on, or that does not go with these arguments.
            MidiError: music that cannot be read, or that gives nothing to ask.
        """
        given = None if music is None else given_music(music, name)
        return question.ask(
            self.trained,
            given,
            self.name,
            task=task,
            region=region,
            infill=promises_parts(parts) if parts else (),
            caption=caption,
            style=style,
            promises=Promises.from_text(**promises),
        )

    def composing(self, caption: str | None) -> str | None:
        """The first kind of task that begins a piece; for a caption, the one that takes it."""
        if caption is not None:
            return None
        tasks = [task for task in self.trained.tasks.values() if isinstance(task, Composes) and not task.needs_music]
        kinds = {task.kind for task in tasks}
        return next((kind for kind in COMPOSING if kind in kinds), None)

    # ------------------------------------------------------------------------------------- what a model says

    def classify(self, music: Source, task: str | None = None, *, name: str | None = None) -> dict[str, float]:
        """Labels a piece.

        Args:
            music: a path, bytes or a Score.
            task: one of the model's tasks, or its label: composer, key ...; its first that classifies if None.
            name: what music is called that is given as bytes or as a Score.

        Returns:
            label -> probability, the likeliest first.

        Raises:
            ConfigError: a task the model was not trained on.
            MidiError: music that cannot be read, or has nothing to classify.
        """
        given = given_music(music, name)
        chosen: Classify = trained_model.choose_task(self.trained, task, Classify, self.name)
        return labels.ranked(self.trained, chosen, given.score, given.name)

    def label(self, music: Source, task: str | None = None, *, name: str | None = None) -> Result:
        """Labels every note: melody, loudness. Arguments as of `classify`; the colours of the result are the labels."""
        given = given_music(music, name)
        chosen: LabelNotes = trained_model.choose_task(self.trained, task, LabelNotes, self.name)
        return labels.labelled(self.trained, chosen, given)

    def embed(self, music: Source, layer: int | None = None, *, name: str | None = None) -> NDArray[np.float32]:
        """A vector [d_model] for a piece: the mean of the states of a layer of the encoder, the last if None.

        Raises:
            ConfigError: a model without an encoder, or a layer that it does not have.
            MidiError: music that cannot be read, or has nothing in it to embed.
        """
        settings = embed.settings_of(self.trained, self.name, layer)
        given = given_music(music, name)
        segments = embed.segments_of(given.score, self.trained, settings, given.name)
        return embed.vectors_of(self.trained, settings, [segments])[0]

    def similar(
        self, music: Source, collection: str | os.PathLike[str], *, top: int = 10, layer: int | None = None
    ) -> list[tuple[str, float]]:
        """The pieces of a collection that are most like a piece, the most alike first.

        Args:
            music: a path, bytes or a Score.
            collection: a folder of MIDI files and scores, or a file that `t5music embed` wrote.
            top: how many pieces.
            layer: of the encoder; that of the collection's file, or the last, if None.

        Returns:
            (file, similarity from -1 to 1) of each.

        Raises:
            ConfigError: as of `embed`; a file of vectors of other weights or of another layer.
            DataError: a collection that cannot be read, or of fewer than two pieces.
            MidiError: music that cannot be read.
        """
        given = given_music(music)
        return embed.ranking(self.trained, given.score, given.name, collection, self.name, top=top, layer=layer)


_LABELLING: dict[str, type] = {"classify": Classify, "label": LabelNotes}
