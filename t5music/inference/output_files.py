"""Output files: what is written of one's own music is called how, and that nothing is overwritten.

Light to import: what cannot be is refused before a model is loaded.
"""

from __future__ import annotations

import itertools
import os
from pathlib import Path
from typing import NamedTuple

from t5music.errors import ConfigError
from t5music.files import is_there, require_free_file
from t5music.music import engraving
from t5music.music.music_files import OUTPUT_SUFFIXES
from t5music.sound import sound_files
from t5music.storage import path_of

PAGE = ".html"


class Outputs(NamedTuple):
    """The files of an answer: its music, or the page that holds it, and what lies beside: sound, sheet music."""

    music: Path
    beside: list[Path]


def outputs(
    output: str | os.PathLike[str], file: str | None, variants: int, *, sound: bool, force: bool
) -> list[Outputs]:
    """Returns the files to write, for each variant: song.mid, and song.wav where there is sound. All share a page.

    Args:
        output: the name of the music, of its sound, of its sheet music, or of a page; beside sound and sheet music
            there is MIDI of the same name but for its ending.
        file: as for `music_paths`, as variants and force.
        variants: likewise.
        sound: whether there is sound beside music; where `output` is sound's, there always is.
        force: likewise.

    Raises:
        ConfigError: as `music_paths`, or a format that needs a package that is not installed.
    """
    path = path_of(output)
    suffix = path.suffix.lower()
    if suffix == PAGE:
        require_free_file(path, "--output", force=force)
        return [Outputs(path, [])]
    is_sound, is_sheet = sound_files.is_sound(path), engraving.is_picture(path)
    if not is_sound and not is_sheet and suffix not in OUTPUT_SUFFIXES:
        raise ConfigError(
            f"--output {path}: its name must end in {', '.join(OUTPUT_SUFFIXES)} (music), in "
            f"{', '.join(sound_files.SUFFIXES)} (sound, beside music), in {', '.join(engraving.SUFFIXES)} "
            f"(sheet music, beside music), or in {PAGE} (a page)"
        )
    if is_sheet:
        engraving.require_writable(path, "--output")
    music = music_paths(path.with_suffix(".mid") if is_sound or is_sheet else path, file, variants, force=force)
    suffixes = [path.suffix] if is_sheet else []
    if sound or is_sound:
        suffixes.append(path.suffix if is_sound else sound_files.WAV)
    beside = [[song.with_suffix(ending) for ending in suffixes] for song in music]
    for other in (other for others in beside for other in others):
        if sound_files.is_sound(other):
            sound_files.require_writable(other, "--output")
        require_free_file(other, "--output", force=force)
    return [Outputs(*pair) for pair in zip(music, beside, strict=True)]


def has_sound(paths: list[Outputs]) -> bool:
    """Whether there is sound among the files, or in them: a page has its own."""
    return any(
        path.music.suffix.lower() == PAGE or any(sound_files.is_sound(other) for other in path.beside) for path in paths
    )


def music_paths(output: str | os.PathLike[str], file: str | None, variants: int, *, force: bool) -> list[Path]:
    """Returns the files to write, one for each variant: `output`, or with several output_1, output_2 and so on.

    Args:
        output: the name of the file, MIDI or MusicXML.
        file: the file that is read; None where there is none.
        variants: how many there are.
        force: whether files that exist may be replaced; not the one that is read.

    Raises:
        ConfigError: a name that is neither a MIDI file's nor a score's, or a file that must not be replaced.
    """
    path = path_of(output)
    if path.suffix.lower() not in OUTPUT_SUFFIXES:
        raise ConfigError(
            f"--output {path}: MIDI or MusicXML is written, so its name must end in {', '.join(OUTPUT_SUFFIXES)}"
        )
    numbered = [path.with_name(f"{path.stem}_{number}{path.suffix}") for number in range(1, variants + 1)]
    paths = numbered if variants > 1 else [path]
    for path in paths:
        if file is not None and path.resolve() == path_of(file).resolve():
            raise ConfigError(f"--output {path} is the prompt itself: choose another name")
        require_free_file(path, "--output", force=force)
    return paths


def picture_path(music: Path, *, force: bool) -> Path:
    """Returns the name of a piano roll: song_roll.svg for song.mid, and for any other song.midi_roll.svg.

    Where that exists it is replaced if `force`; else the first of song.mid_roll.svg, song.mid_roll_2.svg and so on that
    is free.
    """
    stem = music.stem if music.suffix == ".mid" else music.name
    others = (music.with_name(f"{music.name}_roll_{number}.svg") for number in itertools.count(2))
    first, second = (music.with_name(f"{name}_roll.svg") for name in (stem, music.name))
    names = itertools.chain([first, second], others)
    return first if force else next(path for path in names if not is_there(path))
