"""Training samples: the music that a model writes for the same prompts again and again while it is trained."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import jax
import numpy as np

from t5music import figures, files
from t5music.data.examples import Compose, Composes
from t5music.data.examples.base import Answer
from t5music.data.store.token_store import TRAIN, TokenStore
from t5music.data.vocabulary import Ids, Vocabulary
from t5music.errors import T5MusicError
from t5music.inference import requests
from t5music.inference.answers import answer
from t5music.inference.trained_model import TrainedModel
from t5music.model.network import T5
from t5music.music import encodings, midi, pianoroll, roll_svg
from t5music.music.score import NOTE, Score
from t5music.sound import sound_files
from t5music.sound.fonts import find_font
from t5music.sound.soundfont import SoundFont
from t5music.storage import path_of
from t5music.training.checkpoints.layout import first_line
from t5music.training.trackers.base import Sample

FOLDER = "samples"  # in a run's folder
WORDS = 256  # of an answer, at most: a sample is to cost little
SEED = 0
SOUND_RATE, SOUND_SECONDS = 22_050, 60  # of what trackers play: 2.6 MB a sample at most
SPLITS = ("validation", "test", TRAIN)  # a prompt is of the first one that a task has


@dataclasses.dataclass(frozen=True)
class Prompt:
    """What the model is asked.

    Attributes:
        name: the task's.
        task: the task.
        score: the music that the question is made of; without notes where a task needs none.
    """

    name: str
    task: Composes
    score: Score


class Sampler:
    """Writes MODEL_DIR/samples/TASK_STEP.mid and, where there are notes, a piano roll, .svg.

    The prompts, the seed and the way of drawing are always the same, so that samples of several steps can be compared,
    and a run that was killed writes the same ones again.
    """

    def __init__(
        self,
        stores: Sequence[TokenStore],
        vocabulary: Vocabulary,
        lengths: Mapping[str, int],
        model_dir: str | Path,
        count: int,
    ) -> None:
        """Chooses the prompts: the first held-out example of each of the first tasks that write music.

        Args:
            stores: of the tasks.
            vocabulary: the vocabulary.
            lengths: of the rows in training, {"inputs": n, "targets": n}.
            model_dir: the run's folder.
            count: tasks to write samples of, at most.
        """
        self._vocabulary, self._lengths, self._folder = vocabulary, lengths, path_of(model_dir) / FOLDER
        self._font: SoundFont | None = None  # read once
        self.prompts: list[Prompt] = []
        for store in stores if count else ():
            prompt = _prompt(store, vocabulary, lengths["inputs"] - 1)
            if prompt is not None:
                self.prompts.append(prompt)
            if len(self.prompts) == count:
                break

    def write(self, model: T5, step: int) -> list[Sample]:
        """Writes a sample of each task, and returns those that were written. What fails is said, and stops nothing."""
        samples = []
        for prompt in self.prompts:
            trained = TrainedModel(model, self._vocabulary, {}, self._lengths, step)
            try:
                programs = requests.programs((), prompt.task, prompt.score)  # as `t5music generate` has them
                music = answer(
                    trained, prompt.task, prompt.score, prompt.name, words=WORDS, seed=SEED, programs=programs
                )
                path = self._folder / f"{prompt.name}_{step:06d}.mid"
                midi.write(music.score, path)
                title = f"{prompt.name}, step {step}"
                if len(music.score.notes):
                    document = roll_svg.document(music.score, is_new=music.is_new, title=title)
                    files.write_text(path.with_suffix(".svg"), document)
                picture, sound = _picture(music, title), self._sound(music.score)
                samples.append(Sample(prompt.name, _text(prompt, music), picture, sound))
            except (T5MusicError, jax.errors.JaxRuntimeError) as error:  # the latter where memory is short
                reason = str(error) if isinstance(error, T5MusicError) else first_line(error)
                print(f"t5music: warning: no sample of {prompt.name} at step {step}: {reason}", file=sys.stderr)
        return samples

    def _sound(self, score: Score) -> bytes | None:
        """The first minute of music as a WAV file; None where there is no music, or no sound font to play it."""
        beginning = score.sustained().crop(0, int(score.ticks(SOUND_SECONDS)))
        if not len(beginning.notes):
            return None
        from t5music.sound import render  # SciPy's filters take as long to import as JAX

        try:
            if self._font is None and render.needs_font(beginning):
                self._font = SoundFont(find_font())
            sound = render.render(beginning, self._font, SOUND_RATE)
        except T5MusicError:  # `t5music generate --output sample.wav` says why
            return None
        return sound_files.to_bytes(sound.mean(axis=0, keepdims=True), SOUND_RATE, "sample.wav")


def _picture(music: Answer, title: str) -> bytes | None:
    """The piano roll for trackers, which show no SVG; None of music without notes, and where it cannot be drawn."""
    if not len(music.score.notes) or figures.left_out("the samples' piano roll for trackers"):
        return None
    return pianoroll.png(music.score, new_notes=music.is_new, title=title)


def _text(prompt: Prompt, music: Answer) -> str:
    """What was asked, and all of the music in the task's words."""
    encoding = encodings.get(prompt.task.encoding)
    answer = f"-> {encoding.to_text(encoding.encode(music.score))}"
    return "\n\n".join([*prompt.task.prompts(prompt.score), answer])


def _prompt(store: TokenStore, vocabulary: Vocabulary, room: int) -> Prompt | None:
    """The prompt of a task's first held-out example from which one can be made that has room; None without one."""
    try:
        task = store.kind
    except T5MusicError:  # one that this version does not know: no reason not to train on its tokens
        return None
    split = next((name for name in SPLITS if name in store.splits and store.examples(name)), None)
    if not isinstance(task, Composes) or split is None:
        return None
    source = store.split(split)
    for index in range(min(len(source), 10)):
        example = source[index]
        if isinstance(task, Compose):
            caption = vocabulary.decode(example["inputs"]).partition(":")[2].strip()
            task = dataclasses.replace(task, caption=caption)
        try:
            score = _score(task, vocabulary, example["inputs"], example["targets"])
            prompts = task.prompts(score)
        except T5MusicError:
            continue
        if prompts and all(len(vocabulary.encode(prompt)) <= room for prompt in prompts):
            return Prompt(store.name, task, score)
    return None


def _score(task: Composes, vocabulary: Vocabulary, inputs: Ids, targets: Ids) -> Score:
    """The music of an example's question: what is read, with the answer in its gap where the answer fills one."""
    if not task.needs_music:
        return Score(480, np.empty(0, NOTE))
    if task.begins:
        gap = vocabulary.encode(task.begins)
        places = np.flatnonzero(np.isin(inputs, gap))
        inputs = np.concatenate([inputs[: places[0]], targets, inputs[places[0] :]]) if len(places) else inputs
    return encodings.get(task.encoding).decode(vocabulary.decode_events(task.encoding, inputs)).score
