"""Results: music that a model wrote or labelled, to be heard, seen and saved.

music = model.continue_("song.mid")
music.save("new.mid")           # or .musicxml, .mxl, .wav, .mp3, .html, .svg, .pdf, .png
music.play()                    # in a notebook: a player and a piano roll
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from t5music import figures, files
from t5music.errors import ConfigError
from t5music.files import printable_name
from t5music.inference import playing
from t5music.music import engraving, midi, music_files, pianoroll, roll_svg
from t5music.music.roll_layout import Classes
from t5music.music.roll_svg import Roll
from t5music.music.score import Score
from t5music.sound import sound_files
from t5music.storage import path_of

if TYPE_CHECKING:
    from t5music.inference.likelihoods import Exchange
    from t5music.sound.soundfont import SoundFont

PAGE, PICTURE = ".html", ".png"
SUFFIXES = (*music_files.OUTPUT_SUFFIXES, *sound_files.SUFFIXES, PAGE, *engraving.SUFFIXES, PICTURE)


class Rank(NamedTuple):
    """Where a result stands among the variants of one prompt; see `ranking`.

    Attributes:
        place: 1 is the best.
        variants: how many there are.
        bits_per_note: of the new notes under the model; infinite without any.
        closeness: to the person's music, 0 to 1; None where there is none, or no new note.
    """

    place: int
    variants: int
    bits_per_note: float
    closeness: float | None

    def __str__(self) -> str:
        bits = "no new notes" if math.isinf(self.bits_per_note) else f"{self.bits_per_note:.2f} bits per note"
        close = "" if self.closeness is None else f", {self.closeness:.0%} like the prompt"
        return f"number {self.place} of {self.variants}: {bits}{close}"


@dataclass(frozen=True, eq=False)
class Result:
    """Music, and what is to be known of it.

    Attributes:
        data: the MIDI file.
        score: its music.
        is_new: bool [notes], True for notes that the model wrote; None for music that was only labelled.
        notes_kept: how many of the person's notes are in it.
        remarks: what the person should know; a sentence each.
        kind: of the task: "continue", "infill" ...; of labelled music, the label.
        stem: what files are named after.
        seed: of what was drawn; None where nothing was.
        repairs: words of the answer that were dropped or mended.
        classes: of the notes of labelled music; None for new music.
        source: the path of the person's file, which is never replaced; None where there is none.
        exchanges: what the model was asked, and what it wrote, in its own words.
        rank: where it stands among the variants of one prompt; None for an answer that is the only one.
    """

    data: bytes
    score: Score
    is_new: NDArray[np.bool_] | None
    notes_kept: int
    remarks: tuple[str, ...] = ()
    kind: str = ""
    stem: str = "music"
    seed: int | None = None
    repairs: int = 0
    classes: Classes | None = None
    source: str | None = None
    exchanges: tuple[Exchange, ...] = ()
    rank: Rank | None = None

    @property
    def notes(self) -> NDArray:
        """NOTE [notes]: the notes that the model wrote; of labelled music, all notes."""
        return self.score.notes if self.is_new is None else self.score.notes[self.is_new]

    @property
    def seconds(self) -> float:
        """How long the music lasts."""
        return self.score.duration_seconds

    @property
    def title(self) -> str:
        """What the music is called over pictures."""
        return f"{printable_name(self.stem)}: {self.kind}"

    @cached_property
    def roll(self) -> Roll:
        """The piano roll as an SVG element for pages, with its legend."""
        return roll_svg.draw(self.score, is_new=self.is_new, classes=self.classes)

    @property
    def picture(self) -> str:
        """The piano roll as an SVG file with its title and legend; of new music, with a few bars around it."""
        return roll_svg.document(self.score, is_new=self.is_new, classes=self.classes, title=self.title)

    def save(
        self,
        path: str | os.PathLike[str],
        *,
        sound_font: str | SoundFont | None = None,
    ) -> Path:
        """Writes the music whole or not at all, in the format that the file's name says.

        Args:
            path: the file: .mid, .musicxml or .mxl (music), .wav, .flac, .ogg or .mp3 (sound), .html (a page that needs
                nothing else), .svg or .pdf (sheet music), .png (a piano roll; `picture` is one as SVG). What is there
                is replaced, unless it is the music that the model was given.
            sound_font: what plays sound; the one that is found on this machine if None.

        Returns:
            The path.

        Raises:
            ConfigError: a name of another ending, one that needs a package that is not installed, or that of the
                person's own file; no sound font.
            DataError: a file that cannot be written.
            MidiError: music that the format cannot hold.
        """
        path = path_of(path)
        if self.source is not None and path.resolve() == path_of(self.source).resolve():
            raise ConfigError(f"{printable_name(path)} is the music that the model was given: choose another name")
        files.write_bytes(path, self.to_bytes(path, sound_font=sound_font))
        return path

    def to_bytes(self, path: str | os.PathLike[str], *, sound_font: str | SoundFont | None = None) -> bytes:
        """The bytes of a file of this name, as `save` writes it."""
        suffix = path_of(path).suffix.lower()
        if suffix in music_files.OUTPUT_SUFFIXES:
            # The notes of labelled music lie in other tracks, or are as loud as their labels, in its MIDI file alone.
            score = self.score if self.classes is None else midi.read(self.data)
            return music_files.to_bytes(score, path) if music_files.is_score(path) else self.data
        if suffix in sound_files.SUFFIXES:
            sound_files.require_writable(path, "the file")
            return sound_files.to_bytes(*playing.play(self.data, playing.font_for(sound_font, self.score)), path)
        if suffix in engraving.SUFFIXES:
            return engraving.to_bytes(self.score, path)
        if suffix == PICTURE:
            figures.require(path)
            return pianoroll.png(self.score, new_notes=self.is_new, classes=self.classes, title=self.title)
        if suffix == PAGE:
            from t5music.inference.player import page  # which draws results

            return page.to_page([self], font=sound_font).html.encode()
        raise ConfigError(f"{printable_name(path)}: its name must end in one of {', '.join(SUFFIXES)}")

    def page_sound(self, sound_font: str | SoundFont | None = None) -> tuple[bytes, str]:
        """The sound for a page, in one channel: the bytes of a file, and its MIME type.

        Raises ConfigError where there is no sound font, and MidiError for music that is too long.
        """
        return playing.play_for_page(self.data, playing.font_for(sound_font, self.score))

    def play(self) -> None:
        """Shows the player and the piano roll below a notebook's cell. Raises ConfigError outside of a notebook."""
        from importlib.util import find_spec

        if find_spec("IPython") is not None:
            from IPython import display, get_ipython

            if get_ipython() is not None:
                display.display(display.HTML(self._repr_html_()))
                return
        raise ConfigError('play() is for notebooks: elsewhere, save("song.html") and open that, or save("song.wav")')

    def _repr_html_(self) -> str:
        """What a notebook shows: a player, where there is a sound font, and the piano roll."""
        from t5music.inference.player import page

        return page.to_fragment(self)

    def __repr__(self) -> str:
        new = "" if self.is_new is None else f"{int(self.is_new.sum())} new beside {self.notes_kept}, "
        return f"<{self.title}: {len(self.score.notes)} notes, {new}{self.seconds:.1f} s>"
