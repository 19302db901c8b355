"""Generate: music by a trained model for one's own MIDI file or score (`t5music generate`). No TensorFlow, no seqio.

What a model says about music is asked in `labels` (labels) and `embed` (vectors).
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import numpy as np
from numpy.typing import NDArray

from t5music import files
from t5music.data import answer_formats
from t5music.data.examples import Answer, Composes
from t5music.errors import ConfigError
from t5music.inference import bounds, output_files, placement, requests
from t5music.inference.promises import NOTHING, Promises
from t5music.inference.trained_model import TrainedModel, encode_prompts, load
from t5music.model import decoding
from t5music.music import encodings, midi, music_files, pianoroll
from t5music.music.encodings.tx1.encoding import TX1
from t5music.music.midi import insertion
from t5music.music.score import DRUMS, NOTE, Score
from t5music.sound import sound_files
from t5music.storage import path_of
from t5music.training.checkpoints import selection

if TYPE_CHECKING:
    from t5music.sound.soundfont import SoundFont


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
    programs: tuple[int, ...] | None = None,
    promises: Promises = NOTHING,
) -> Answer:
    """Returns the music of a score and of the model's answer to it.

    Args:
        trained: the model.
        task: one of its tasks.
        score: the music.
        name: the music's name in errors.
        words: length of the answer (of each window's), at most that of training; that of training if None.
        temperature: see `decoding.generate`, as for top_k and top_p.
        top_k: likewise.
        top_p: likewise.
        seed: of what is drawn.
        programs: that the answer's notes may have, DRUMS for percussion; None for all. It binds encodings that say
            programs.
        promises: what the answer's notes are bound to beside their programs.

    Raises:
        ConfigError: a setting that cannot be, or promises that cannot be kept.
        MidiError: music that gives nothing to ask, or more than the model was trained for.
    """
    if words is not None and words < 1:
        raise ConfigError(f"words must be at least 1, not {words}")
    tokens = encode_prompts(trained, task.prompts(score), name)  # [windows, source]
    longest = trained.lengths["targets"]
    length = longest if words is None else min(words, longest)
    promised, rows = None, None
    if set(promises.names) - {"instruments"}:
        promised, rows = bounds.of_answers(promises, task, score, programs)
    # Where the targets of training end where an example was cut, and not the music, answers fill the room they have.
    form = answer_formats.Music(
        trained.vocabulary,
        task.encoding,
        complete=not task.begins,
        begins=task.begins,
        fill=not task.ends,
        programs=programs,
        promised=promised,
    )
    written = decoding.generate(
        trained.model,
        tokens,
        max_length=length,
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        key=jax.random.key(seed),
        grammar=(form, form.start(tokens, length, prompts=task.before(score), bounds=rows)),
        prefix=_prefix(trained, task, score, length),
    )  # [windows, length]
    answers = [trained.vocabulary.decode_events(task.encoding, row) for row in np.asarray(written)]
    if promised is not None:
        answers = [promised.without_closing(events) for events in answers]
    return task.music(score, answers)


def _prefix(trained: TrainedModel, task: Composes, score: Score, length: int) -> NDArray[np.int32] | None:
    """The ids that are given of the answers, int32 [windows, at most length], 0 where the model decides."""
    given = task.given(score)
    if given is None:
        return None
    prefix = np.zeros((len(given), min(length, max(map(len, given)))), np.int32)
    ids = trained.vocabulary.event_ids(task.encoding)
    for row, events in zip(prefix, given, strict=True):
        events = events[: len(row)]
        row[: len(events)] = np.where(events < 0, 0, ids[events])
    return prefix


def generate(
    file: str | None,
    model_dir: str,
    *,
    task: str | None = None,
    output: str | None = None,
    region: tuple[float, float] | None = None,
    caption: str | None = None,
    style: str | None = None,
    promises: Promises = NOTHING,
    checkpoint: str = selection.LATEST,
    variants: int = 1,
    force: bool = False,
    sound: bool = False,
    sound_font: str | None = None,
    seed: int = 0,
    **sampling: Any,
) -> list[Path]:
    """`t5music generate`: writes the music as MIDI or MusicXML and, beside it, as a piano roll and as sound.

    Args:
        file: the MIDI file or score; None for tasks that need none. Where the task extends a MIDI file, its events stay
            byte for byte and new notes are put into it (see `insertion`).
        model_dir: the run whose model is used, or an exported model.
        task: one of the model's tasks, or its kind; the one that fits if None (see `requests.choose`).
        output: the file to write, MIDI or MusicXML by its name, or sound, beside which there is MIDI then; named after
            `file` and the task if None.
        region: (begin, end) in seconds, for tasks that fill a gap.
        caption: for tasks that compose by a description.
        style: of the new music, one of those of the model's tasks; the style that the file has if None.
        promises: what the new notes are bound to.
        checkpoint: of the run: "latest", "best" or a step.
        variants: how many answers, drawn with the seeds `seed`, `seed` + 1 and so on.
        force: whether files that exist may be replaced.
        sound: whether to write sound, too.
        sound_font: what to play it with; see `fonts.find_font`.
        seed: of the first answer.
        sampling: see `answer`.

    Returns:
        The paths of the files of music.

    Raises:
        CheckpointError: a model that is missing, damaged or of another vocabulary.
        ConfigError: a task the model was not trained on, or that does not go with these arguments; no sound font.
        DataError: a file that cannot be written.
        MidiError: a file that cannot be read, or that gives nothing to ask.
    """
    if output is not None:
        output_files.paths_with_sound(output, file, variants, sound=sound, force=force)
        sound = sound or sound_files.is_sound(output)
    score = music_files.read(file) if file is not None else None
    font = _font(sound_font, score) if sound else None
    trained = load(model_dir, checkpoint)
    chosen, style_remarks = requests.choose(
        trained, task, model_dir, score, region=region, caption=caption, style=style
    )
    music_name = files.printable_name(file) if file is not None and chosen.needs_music else chosen.kind
    stem = path_of(file).stem if file is not None and chosen.needs_music else "music"
    paths = output_files.paths_with_sound(
        output or f"{stem}_{chosen.kind}.mid", file, variants, sound=sound, force=force
    )
    if sound and font is None and (promises.instruments or not isinstance(encodings.get(chosen.encoding), TX1)):
        font = _open_font(None)
    score = score if score is not None else Score(480, np.empty(0, NOTE))
    chosen, remarks = requests.fitted(trained, chosen, score, music_name)
    promises.require_meaning(chosen.encoding)
    programs = requests.programs(promises.instruments, chosen, score)
    for number, (path, sound_path) in enumerate(paths):
        music = answer(
            trained, chosen, score, music_name, seed=seed + number, programs=programs, promises=promises, **sampling
        )
        if file is not None and chosen.extends:
            result = _extended(file, score, music, chosen, programs)
        else:
            result = Result(midi.to_bytes(music.score), music.score, music.is_new, len(music.prompt.notes), [])
        data = music_files.to_bytes(result.score, path) if music_files.is_score(path) else result.data
        files.write_bytes(path, data)
        added = int(result.is_new.sum())
        print(
            f"{path}: {added} new notes beside {result.notes_kept} of the prompt, seed {seed + number} "
            f"({music.repairs} words mended)"
        )
        for remark in dict.fromkeys([*style_remarks, *remarks, *result.remarks]):
            print(f"  {remark}")
        if len(result.score.notes):
            picture = output_files.picture_path(path, force=force)
            title = f"{files.printable_name(stem)}: {chosen.kind}"
            pianoroll.draw(result.score, picture, new_notes=result.is_new, title=title)
            print(f"{picture}: piano roll")
            if sound_path is not None:
                _write_sound(sound_path, result.data, font)
    return [path for path, _ in paths]


def _font(sound_font: str | None, score: Score | None) -> SoundFont | None:
    """The font that plays, or None where it is too early to know whether one is needed: for the NES's music, it is not.

    Raises ConfigError where there is none, and MidiError for a prompt whose sound would be too long.
    """
    from t5music.sound import render  # only where there is sound: SciPy's filters take more than a second to import

    if score is not None:
        render.require_short(score, "the prompt")
    if sound_font is None and (score is None or not render.needs_font(score)):
        return None
    return _open_font(sound_font)


def _open_font(path: str | None) -> SoundFont:
    """The font of this path, or the one that is found on this machine for None. Raises ConfigError for none."""
    from t5music.sound.fonts import find_font
    from t5music.sound.soundfont import SoundFont

    return SoundFont(find_font(path))


def _write_sound(path: Path, data: bytes, font: SoundFont | None) -> None:
    """Writes the sound of a MIDI file, and prints what it is."""
    from t5music.sound import render

    samples = render.render(data, font)
    sound_files.write(path, samples, render.RATE)
    remarks = []
    player = "the NES's own waveforms"
    score = midi.read(data)
    if font is not None and render.needs_font(score):
        player, remarks = font.name, font.substitutes(np.unique(score.notes["program"]).tolist())
    print(f"{path}: {samples.shape[1] / render.RATE:.1f} s of sound, by {player}")
    for remark in remarks:
        print(f"  {remark}")


class Result(NamedTuple):
    """What is written.

    Attributes:
        data: the MIDI file.
        score: its music.
        is_new: bool [notes], True for notes that the model wrote.
        notes_kept: how many of the person's notes are in it.
        remarks: what the person should know; a sentence each.
    """

    data: bytes
    score: Score
    is_new: NDArray[np.bool_]
    notes_kept: int
    remarks: list[str]


def _extended(file: str, score: Score, music: Answer, task: Composes, programs: tuple[int, ...] | None) -> Result:
    """The person's file with the new notes of an answer in it."""
    placed = placement.place(score, music, encodings.get(task.encoding))
    inserted = insertion.insert(
        music_files.midi_bytes(file, score),
        _played_by(placed.notes, programs),
        label=f"t5music {task.kind.replace('_', ' ')}",
        removal=placed.removal,
        name=files.printable_name(file),
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
    return Result(inserted.data, whole, whole.notes["track"] >= tracks, len(notes), inserted.remarks)


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
