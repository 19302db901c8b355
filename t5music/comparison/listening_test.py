"""Listening test: a blind test as one HTML file that needs no network, and the key that says which clip is whose.

Every listener hears each pair once, in an order and with sides that a seed of the listener's decides. The page has
clips by numbers that were drawn; which system each is of stands in the key alone, a second file.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from t5music import json_files
from t5music.comparison import listening_clips
from t5music.comparison.music_sets import MusicSet
from t5music.errors import DataError, MidiError
from t5music.inference.left_out import LeftOut
from t5music.music.score import Score
from t5music.sound import render
from t5music.sound.fonts import find_font
from t5music.sound.soundfont import SoundFont

KEY_ENDING = ".key.json"
KEY_FORMAT = "t5music listening key"
TEMPLATE = Path(__file__).with_name("listening_test.html")
DATA = "{{data}}"  # where the template takes the test
QUESTIONS = ("Which of the two do you like better?", "Which of the two sounds more like music by a person?")


@dataclass(frozen=True)
class Clip:
    """One clip of a pair.

    Attributes:
        clip: its name on the page.
        system: the place of its folder among the test's.
        file: the piece in that folder.
    """

    clip: str
    system: int
    file: str


@dataclass(frozen=True)
class Key:
    """What the page does not say.

    Attributes:
        format: KEY_FORMAT.
        test: what page and answers call the test.
        seed: that the test was made with.
        systems: the folders.
        questions: what listeners are asked of each pair.
        pairs: two clips each, of different systems.
    """

    format: str
    test: str
    seed: int
    systems: tuple[str, ...]
    questions: tuple[str, ...]
    pairs: tuple[tuple[Clip, Clip], ...]


@dataclass(frozen=True)
class Test:
    """A listening test.

    Attributes:
        key: which clip is whose.
        page: the HTML.
        level: the loudness of all clips, LUFS.
        is_matched: whether pairs are of files of the same name.
    """

    key: Key
    page: str
    level: float
    is_matched: bool


def make(
    sets: Sequence[MusicSet],
    *,
    pairs: int,
    begin: float,
    seconds: float,
    questions: Sequence[str] = QUESTIONS,
    title: str = "Listening test",
    sound_font: str | None = None,
    seed: int = 0,
) -> Test:
    """Makes a listening test.

    Args:
        sets: the music of each system, two or more.
        pairs: of any two systems, how many pairs; fewer where there are no more pieces.
        begin: where clips begin, in seconds after a piece's first note.
        seconds: how long clips are at most.
        questions: asked of each pair.
        title: of the page.
        sound_font: what plays; see `fonts.find_font`.
        seed: of pieces, names and orders in the file.

    Raises:
        ConfigError: no sound font.
        DataError: no piece of some system can be heard.
    """
    rng = np.random.default_rng(seed)
    rows, is_matched = _rows(sets, rng)
    rate = listening_clips.RATES[listening_clips.suffix()]
    pieces = _clips(sets, rows, pairs, begin, seconds, sound_font, rate)
    couples = [
        ((one, row[one]), (other, row[other]))
        for one, other in itertools.combinations(range(len(sets)), 2)
        for row in pieces
    ]
    sounds: list[NDArray[np.float32]] = []
    for couple in couples:
        sounds += listening_clips.equally_long([sound for _, (_, sound) in couple], rate)
    sounds, level = listening_clips.equally_loud(sounds, rate)
    names = [f"clip{number + 1:0{len(str(len(sounds)))}}" for number in rng.permutation(len(sounds)).tolist()]
    places = [(number, system, name) for number, couple in enumerate(couples) for system, (name, _) in couple]
    clips = [Clip(name, system, file) for name, (_, system, file) in zip(names, places, strict=True)]
    whose = [tuple(sorted(clips[2 * n : 2 * n + 2], key=lambda clip: clip.clip)) for n in range(len(couples))]
    shuffled = tuple(whose[place] for place in rng.permutation(len(whose)).tolist())
    systems = tuple(part.name for part in sets)
    content = json.dumps([seed, systems, tuple(questions), [[asdict(clip) for clip in pair] for pair in shuffled]])
    identifier = hashlib.sha256(content.encode()).hexdigest()[:16]
    key = Key(KEY_FORMAT, identifier, seed, systems, tuple(questions), shuffled)  # type: ignore[arg-type]
    encoded = {
        name: listening_clips.as_data(sound, rate)
        for name, sound in tqdm(
            sorted(zip(names, sounds, strict=True), key=lambda pair: pair[0]),
            desc="encode",
            unit="clip",
            dynamic_ncols=True,
            disable=None,
        )
    }
    return Test(key, _page(key, title, encoded), level, is_matched)


def _rows(sets: Sequence[MusicSet], rng: np.random.Generator) -> tuple[list[list[tuple[str, Score]]], bool]:
    """(for each piece (file, score) of every system, in a drawn order; whether they are files of the same name)."""
    stems = [part.by_stem() for part in sets]
    common = sorted(set(stems[0]).intersection(*stems[1:]))
    if common:
        order = rng.permutation(len(common)).tolist()
        return [[(common[place], part[common[place]]) for part in stems] for place in order], True
    orders = [rng.permutation(len(part.names)).tolist() for part in sets]
    drawn = [
        [(part.names[place], part.scores[place]) for place in order] for part, order in zip(sets, orders, strict=True)
    ]
    return [list(row) for row in zip(*drawn, strict=False)], False


def _clips(
    sets: Sequence[MusicSet],
    rows: list[list[tuple[str, Score]]],
    count: int,
    begin: float,
    seconds: float,
    sound_font: str | None,
    rate: int,
) -> list[list[tuple[str, NDArray[np.float32]]]]:
    """(file, sound) of every system for the first `count` rows of which each can be heard; others are named."""
    font: SoundFont | None = None
    left_out = LeftOut(len(rows) * len(sets), Path(sets[0].name))
    heard: list[list[tuple[str, NDArray[np.float32]]]] = []
    with tqdm(total=min(count, len(rows)), desc="play", unit="piece", dynamic_ncols=True, disable=None) as bar:
        for row in rows:
            if len(heard) == count:
                break
            clips = []
            for part, (name, score) in zip(sets, row, strict=True):
                if font is None and render.needs_font(score):
                    font = SoundFont(find_font(sound_font))
                try:
                    clips.append((name, listening_clips.clip(score, begin, seconds, font, rate)))
                except MidiError as error:
                    left_out.add(f"{part.name}/{name}", error)
                    break
            else:
                heard.append(clips)
                bar.update()
    if not heard:
        raise DataError("no piece can be heard in all of the folders: see what was left out, --begin and --seconds")
    return heard


def _page(key: Key, title: str, sounds: dict[str, str]) -> str:
    """The page: the template with the test in it."""
    test = {
        "test": key.test,
        "title": title,
        "questions": key.questions,
        "pairs": [[clip.clip for clip in pair] for pair in key.pairs],
        "sounds": sounds,
    }
    data = json.dumps(test, ensure_ascii=False).replace("<", "\\u003c")  # nothing in it ends the script element
    return TEMPLATE.read_text(encoding="utf-8").replace(DATA, data)


def key_json(key: Key) -> str:
    """The content of the key's file."""
    return json.dumps(asdict(key), indent=1, ensure_ascii=False) + "\n"


def read_key(path: Path) -> Key:
    """Reads a key.

    Raises:
        DataError: the file is none, or is damaged.
    """
    try:
        key = json_files.parse(Key, json_files.read_json(path), complete=True)
        if key.format != KEY_FORMAT:
            raise ValueError(f"format must be {KEY_FORMAT!r}")
        if any(clip.system not in range(len(key.systems)) for pair in key.pairs for clip in pair):
            raise ValueError("a clip is of a system that there is not")
        if not key.pairs or not key.questions:
            raise ValueError("there are no pairs, or no questions")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"--key {path}: this is no key of a listening test ({reason})") from error
    return key
