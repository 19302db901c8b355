"""Generate: music by a trained model for one's own MIDI file or score (`t5music generate`). No TensorFlow, no seqio.

What a model says about music is asked in `labels` (labels) and `embed` (vectors).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from t5music import files
from t5music.data.examples import Answer, Composes, Infill
from t5music.errors import ConfigError
from t5music.inference import gaps, output_files, placement, requests
from t5music.inference.answers import answer
from t5music.inference.promises import NOTHING, Part, Promises
from t5music.inference.trained_model import TrainedModel, load
from t5music.music import encodings, midi, music_files, pianoroll
from t5music.music.encodings.tx1.encoding import TX1
from t5music.music.midi import insertion
from t5music.music.score import DRUMS, NOTE, Score
from t5music.sound import sound_files
from t5music.storage import path_of
from t5music.training.checkpoints import selection

if TYPE_CHECKING:
    from t5music.sound.soundfont import SoundFont


def generate(
    file: str | None,
    model_dir: str,
    *,
    task: str | None = None,
    output: str | None = None,
    region: tuple[float, float] | None = None,
    infill: Sequence[Part] = (),
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
        infill: bars and tracks to fill in, one after the other, in place of `region`.
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
    if (infill or promises.lock) and task is None:
        task = Infill.kind
    chosen, style_remarks = requests.choose(
        trained, task, model_dir, score, region=region, caption=caption, style=style
    )
    if infill and not isinstance(chosen, Infill):
        raise ConfigError(f"--infill does not go with {chosen.kind}")
    if promises.lock and not isinstance(chosen, Infill):
        raise ConfigError(f"--lock does not go with {chosen.kind}: it is for music that is filled in")
    music_name = files.printable_name(file) if file is not None and chosen.needs_music else chosen.kind
    stem = path_of(file).stem if file is not None and chosen.needs_music else "music"
    paths = output_files.paths_with_sound(
        output or f"{stem}_{chosen.kind}.mid", file, variants, sound=sound, force=force
    )
    if sound and font is None and (promises.instruments or not isinstance(encodings.get(chosen.encoding), TX1)):
        font = _open_font(None)
    score = score if score is not None else Score(480, np.empty(0, NOTE))
    promises.require_meaning(chosen.encoding)
    remarks: list[str] = []
    if not infill:
        chosen, remarks = requests.fitted(trained, chosen, score, music_name)
    for number, (path, sound_path) in enumerate(paths):
        sampling["seed"] = seed + number
        if isinstance(chosen, Infill) and (infill or promises.lock):
            assert file is not None
            result = _filled(trained, file, score, chosen, infill, promises, music_name, sampling)
        else:
            programs = requests.programs(promises.instruments, chosen, score)
            music = answer(trained, chosen, score, music_name, programs=programs, promises=promises, **sampling)
            if file is not None and chosen.extends:
                data = music_files.midi_bytes(file, score)
                result = put_into_file(data, files.printable_name(file), score, music, chosen, programs)
            else:
                data, new, old = midi.to_bytes(music.score), music.is_new, len(music.prompt.notes)
                result = Result(data, music.score, new, old, [], music.repairs)
        data = music_files.to_bytes(result.score, path) if music_files.is_score(path) else result.data
        files.write_bytes(path, data)
        added = int(result.is_new.sum())
        print(
            f"{path}: {added} new notes beside {result.notes_kept} of the prompt, seed {seed + number} "
            f"({result.repairs} words mended)"
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
        repairs: illegal words of the answer that were dropped or mended.
    """

    data: bytes
    score: Score
    is_new: NDArray[np.bool_]
    notes_kept: int
    remarks: list[str]
    repairs: int


def _filled(
    trained: TrainedModel,
    file: str,
    score: Score,
    task: Infill,
    infill: Sequence[Part],
    promises: Promises,
    music_name: str,
    sampling: dict[str, Any],
) -> Result:
    """The person's file with gaps filled in, one after the other, each between what is there by then."""
    data, tracks = music_files.midi_bytes(file, score), len(score.track_names)
    remarks: list[str] = []
    repairs, result = 0, None
    parts = gaps.of_parts(infill, score) if infill else [gaps.Gap(0, 0)]
    for gap in parts:
        stays = gaps.locked(gap, promises.lock, score)
        programs = promises.instruments or tuple(np.unique(score.notes["program"][~stays]).tolist())
        if not programs:
            raise ConfigError("--lock: all tracks are locked, and none is left to be filled in")
        room = min(trained.lengths["targets"], sampling.get("words") or trained.lengths["targets"])
        pieces = gaps.windows(gap, task, score, stays, room) if infill else [task]
        for piece in pieces:
            stays = gaps.locked(gap, promises.lock, score)
            here, _ = requests.fitted(trained, piece, score, music_name)
            music = answer(
                trained, here, score, music_name, programs=programs, promises=promises, locked=stays, **sampling
            )
            result = put_into_file(data, files.printable_name(file), score, music, here, programs, stays)
            remarks += result.remarks
            repairs += music.repairs
            data, score = result.data, midi.read(result.data)
    assert result is not None
    is_new = score.notes["track"] >= tracks
    return Result(data, score, is_new, int((~is_new).sum()), remarks, repairs)


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
    return Result(inserted.data, whole, is_new, len(notes), inserted.remarks, music.repairs)


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
