"""Generate: music by a trained model for one's own MIDI file or score (`t5music generate`). No TensorFlow, no seqio.

What a model says about music is asked in `labels` (labels) and `embed` (vectors).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from t5music import files
from t5music.inference import output_files, playing
from t5music.inference.given_music import given_music
from t5music.inference.player import page
from t5music.inference.promises import NOTHING, Part, Promises
from t5music.inference.question import ask
from t5music.inference.result import Result
from t5music.inference.trained_model import load
from t5music.music import encodings
from t5music.music.encodings.tx1.encoding import TX1
from t5music.sound import sound_files
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
        output: the file to write: MIDI or MusicXML by its name; or sound or sheet music, beside which there is MIDI
            then; or a page (.html), which holds all variants. Named after `file` and the task if None.
        region: (begin, end) in seconds, for tasks that fill a gap.
        infill: bars and tracks to fill in, one after the other, in place of `region`.
        caption: for tasks that compose by a description.
        style: of the new music, one of those of the model's tasks; the style that the file has if None.
        promises: what the new notes are bound to.
        checkpoint: of the run: "latest", "best" or a step.
        variants: how many answers, drawn with the seeds `seed`, `seed` + 1 and so on; the best one is written first
            (see `ranking`).
        force: whether files that exist may be replaced.
        sound: whether to write sound, too.
        sound_font: what to play it with; see `fonts.find_font`.
        seed: of the first answer.
        sampling: see `sampling_settings.SETTINGS`.

    Returns:
        The paths of the files of music, or of the page.

    Raises:
        CheckpointError: a model that is missing, damaged or of another vocabulary.
        ConfigError: a task the model was not trained on, or that does not go with these arguments; no sound font.
        DataError: a file that cannot be written.
        MidiError: a file that cannot be read, or that gives nothing to ask.
    """
    if output is not None:
        output_files.outputs(output, file, variants, sound=sound, force=force)
        sound = sound or sound_files.is_sound(output)
    given = given_music(file) if file is not None else None
    font = playing.font_for(sound_font, None if given is None else given.score) if sound or sound_font else None
    trained = load(model_dir, checkpoint)
    question = ask(
        trained,
        given,
        model_dir,
        task=task,
        region=region,
        infill=infill,
        caption=caption,
        style=style,
        promises=promises,
    )
    paths = output_files.outputs(
        output or f"{question.stem}_{question.task.kind}.mid", file, variants, sound=sound, force=force
    )
    if sound and font is None and (promises.instruments or not isinstance(encodings.get(question.task.encoding), TX1)):
        font = playing.open_font(None)
    results = question.variants(variants, seed=seed, **sampling)
    if paths[0].music.suffix.lower() == output_files.PAGE:
        return [_write_page(paths[0].music, results, font)]
    for result, written in zip(results, paths, strict=True):
        _write(result, written, font, force=force)
    return [written.music for written in paths]


def _write(result: Result, written: output_files.Outputs, font: SoundFont | None, *, force: bool) -> None:
    """Writes an answer and what lies beside it, and prints what each file is."""
    result.save(written.music)
    _print_about(result, written.music)
    if not len(result.score.notes):
        return
    picture = output_files.picture_path(written.music, force=force)
    files.write_text(picture, result.picture)
    print(f"{picture}: piano roll")
    for path in written.beside:
        if sound_files.is_sound(path):
            sound, rate = playing.play(result.data, font)
            sound_files.write(path, sound, rate)
            player, remarks = playing.players(result.score, font)
            print(f"{path}: {sound.shape[1] / rate:.1f} s of sound, by {player}")
            for remark in remarks:
                print(f"  {remark}")
        else:
            print(f"{result.save(path)}: sheet music")


def _print_about(result: Result, path: Path) -> None:
    """A line on an answer, its rank among variants, and its remarks."""
    print(
        f"{path}: {len(result.notes)} new notes beside {result.notes_kept} of the prompt, seed {result.seed} "
        f"({result.repairs} words mended)"
    )
    if result.rank is not None:
        print(f"  {result.rank}")
    for remark in result.remarks:
        print(f"  {remark}")


def _write_page(path: Path, results: list[Result], font: SoundFont | None) -> Path:
    """Writes a page with all answers, and prints what it is."""
    document = page.to_page(results, font=font)
    files.write_text(path, document.html)
    for result in results:
        _print_about(result, path)
    print(f"{path}: a page with {', '.join(document.parts)}, {path.stat().st_size / 1e6:.1f} MB")
    for remark in document.remarks:
        print(f"  {remark}")
    return path
