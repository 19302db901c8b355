"""Generate: music by a trained model for one's own MIDI file (`t5music generate`). No TensorFlow, no seqio.

What a model says about music is asked in `labels` (labels) and `embed` (vectors).
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import jax
import numpy as np

from t5music.data import answer_formats
from t5music.data.examples import Answer, Composes
from t5music.errors import ConfigError
from t5music.inference.trained_model import TrainedModel, choose_task, encode_prompts, load, output_path
from t5music.model import decoding
from t5music.music import midi, pianoroll
from t5music.music.score import NOTE, Score
from t5music.training.checkpoints import selection


def answer(
    trained: TrainedModel,
    task: Composes,
    score: Score,
    name: str,
    *,
    words: int | None = None,
    temperature: float = 0.9,
    top_k: int = 0,
    top_p: float = 0.95,
    seed: int = 0,
) -> Answer:
    """Returns the music of a score and of the model's answer to it.

    Args:
        trained: the model.
        task: one of its tasks.
        score: the music.
        name: the music's name in errors.
        words: length of the answer (of each window's); as long as the model was trained for if None.
        temperature: see `decoding.generate`, as for top_k and top_p.
        top_k: likewise.
        top_p: likewise.
        seed: of what is drawn.

    Raises:
        MidiError: music that gives nothing to ask, or more than the model was trained for.
    """
    tokens = encode_prompts(trained, task.prompts(score), name)  # [windows, source]
    length = min(words or trained.lengths["targets"], trained.lengths["targets"])
    # Where the targets of training end where an example was cut, and not the music, answers fill the room they have.
    form = answer_formats.Music(
        trained.vocabulary, task.encoding, complete=not task.begins, begins=task.begins, fill=not task.ends
    )
    written = decoding.generate(
        trained.model,
        tokens,
        max_length=length,
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        key=jax.random.key(seed),
        grammar=(form, form.start(tokens, length, prompts=task.before(score))),
    )  # [windows, length]
    return task.music(score, [trained.vocabulary.decode_events(task.encoding, row) for row in np.asarray(written)])


def generate(
    file: str | None,
    model_dir: str,
    *,
    task: str | None = None,
    output: str | None = None,
    region: tuple[float, float] | None = None,
    caption: str | None = None,
    checkpoint: str = selection.LATEST,
    **sampling: Any,
) -> Path:
    """`t5music generate`: writes the music as MIDI and, beside it, as a piano roll.

    Args:
        file: the MIDI file; None for tasks that need none.
        model_dir: the run whose model is used, or an exported model.
        task: one of the model's tasks, or its kind; the first that makes music if None.
        output: the MIDI file to write; named after `file` and the task if None.
        region: (begin, end) in seconds, for tasks that fill a gap.
        caption: for tasks that compose by a description.
        checkpoint: of the run: "latest", "best" or a step.
        sampling: see `answer`.

    Returns:
        The path of the MIDI file.

    Raises:
        CheckpointError: a model that is missing, damaged or of another vocabulary.
        ConfigError: a task the model was not trained on, or that does not go with these arguments.
        MidiError: a file that cannot be read, or that gives nothing to ask.
    """
    score = midi.read(file) if file is not None else Score(480, np.empty(0, NOTE))
    trained = load(model_dir, checkpoint)
    chosen = _with_request(choose_task(trained, task, Composes, model_dir), region, caption)
    if chosen.needs_music and file is None:
        raise ConfigError(f"{chosen.kind} needs a MIDI file")
    name = Path(file).stem if file is not None and chosen.needs_music else "music"
    path = output_path(output or f"{name}_{chosen.kind}.mid", file)
    music = answer(trained, chosen, score, file or chosen.kind, **sampling)
    midi.write(music.score, path)
    picture = path.with_suffix(".png")
    title = f"{name}: {chosen.kind}"
    if music.cut is not None:
        pianoroll.draw(music.score, picture, prompt_seconds=music.cut, title=title)
    else:
        pianoroll.draw(music.score, picture, prompt_notes=music.prompt.notes, title=title)
    added = len(music.score.notes) - len(music.prompt.notes)
    print(f"{path}: {added} new notes after {len(music.prompt.notes)} given ones ({music.repairs} words mended)")
    print(f"{picture}: piano roll")
    return path


def _with_request(task: Any, region: tuple[float, float] | None, caption: str | None) -> Any:
    """Returns the task with what a person adds to it. Raises ConfigError where it takes no such thing."""
    for name, value in (("region", region), ("caption", caption)):
        if value is None:
            continue
        if not hasattr(task, name):
            raise ConfigError(f"--{name} does not go with {task.kind}")
        task = dataclasses.replace(task, **{name: value})
    return task
