"""The joint of windows: bits per note of the first bars after it, beside those inside a window.

    python tests/benchmarks/joints.py SONG.mid ... [--model_dir MODEL] [--length "24 bars"] [--first 2] [--seed 0]

Long music is written window by window: each answer goes on from the music before, as much of it as the model reads.
Two tables say what a joint costs:

- of the music that the model writes after each song: bits per note as it was written, of the first bars after a joint
  and of all others;
- of the songs themselves: every bar is scored as the first after a joint, as the second and so on. The bars are the
  same in all rows, and so is the music before them: up to the joint it is read as the prompt, then as the answer.

Wanted: the first bars within a tenth of the others, in both. Measured with the model that comes with t5music on two
quartets and two songs of OpenScore, 24 bars after each: a song's bar costs 9.13 bits per note as the first after a
joint, 8.70 as the second and 8.68 to 8.76 later. So an answer is given the last bar of the one before: as written, 2.56
after joints and 2.71 later (3.06 and 2.94 before that, in other music, for all words after the first joint are drawn
anew). A longer prompt did not help (9.15).
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from common import table
from numpy.typing import NDArray

from t5music.data.examples import Continue
from t5music.inference import requests
from t5music.inference.likelihoods import Exchange, bits
from t5music.inference.model import Model, load
from t5music.inference.trained_model import encode_prompts
from t5music.music import encodings, music_files
from t5music.music.encodings.remi.words import BAR, FIRST
from t5music.music.score import Score

DISTANCES = 6  # bars from a joint
MOST_BARS = 24  # of a song that are scored


class Bars(NamedTuple):
    """The bars of what was written at once.

    Attributes:
        bits: float64 [bars], of the words of each.
        notes: int [bars], that begin in each.
    """

    bits: NDArray[np.float64]
    notes: NDArray[np.int64]


def bars_of(model: Model, exchange: Exchange) -> Bars:
    """The bits and notes of each bar that the model wrote; the last one, which may be cut, is left out."""
    vocabulary = model.trained.vocabulary
    (written,), (counted,) = exchange.written, exchange.is_counted()
    places = np.cumsum(written == vocabulary.event_ids("remi")[FIRST[BAR]]) - 1
    places -= int(places[counted].min(initial=len(places)))  # bars that were given come before
    inside = counted & (places >= 0) & (places < places.max(initial=0))
    length = int(places.max(initial=0))
    return Bars(
        np.bincount(places[inside], bits(model.trained, exchange)[0][inside], minlength=length),
        np.bincount(places[inside], vocabulary.is_note[written[inside]], minlength=length).astype(int),
    )


def per_note(parts: Sequence[tuple[float, int]]) -> str:
    total, notes = np.sum(parts, axis=0) if parts else (0, 0)
    return f"{total / notes:.2f}" if notes else "-"


def as_written(model: Model, songs: Sequence[str], length: str, first: int, seed: int) -> list[tuple[str, str, str]]:
    """Rows of a table: songs, bits per note of the first bars after joints, and of the other bars of those windows."""
    rows, sums = [], ([], [])
    for song in songs:
        result = model.continue_(song, length=length, seed=seed)
        parts: tuple[list, list] = ([], [])
        for exchange in result.exchanges[1:]:
            for number, pair in enumerate(zip(*bars_of(model, exchange), strict=True)):
                parts[number >= first].append(pair)
        for one, both in zip(parts, sums, strict=True):
            both += one
        rows.append((song.rpartition("/")[2], *map(per_note, parts)))
    return [*rows, ("all", *map(per_note, sums))]


def cuts(model: Model, task: Continue, score: Score) -> Iterator[tuple[int, Bars]]:
    """Yields (bar, the bars from there on) for a joint before each bar of a song, scored with the music before it."""
    encoding = encodings.get("remi")
    events = encoding.encode(score)
    edges = np.flatnonzero(events == FIRST[BAR])
    room = model.trained.lengths["targets"] - 1
    for bar in range(4, min(len(edges), MOST_BARS)):
        before = encoding.decode(events[: edges[bar]]).score
        fitted, _ = requests.fitted(model.trained, task, before, "the song")
        prompts = encode_prompts(model.trained, fitted.prompts(before), "the song")
        target = model.trained.vocabulary.encode_events("remi", events[edges[bar] : edges[bar] + room])
        row = np.zeros((1, room + 1), np.int32)
        row[0, : len(target)] = target
        yield bar, bars_of(model, Exchange(prompts, row))


def of_songs(model: Model, songs: Sequence[str]) -> list[tuple[str, str]]:
    """Rows of a table: bars since the joint, bits per note of the same bars."""
    parts: list[list[tuple[float, int]]] = [[] for _ in range(DISTANCES)]
    for song in songs:
        question = model.ask(song, task="continue")
        assert isinstance(question.task, Continue)
        scored = dict(cuts(model, question.task, music_files.read(song)))
        for bar in scored:
            behind = [(bar - distance, distance) for distance in range(DISTANCES)]
            if all(cut in scored and distance < len(scored[cut].bits) for cut, distance in behind):
                for cut, distance in behind:
                    parts[distance].append((scored[cut].bits[distance], scored[cut].notes[distance]))
    return [(str(distance + 1), per_note(pairs)) for distance, pairs in enumerate(parts)]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("songs", nargs="+", metavar="SONG")
    parser.add_argument("--model_dir", help="the model (default: the one that comes with t5music)")
    parser.add_argument("--length", default="24 bars", help="of the new music (default: %(default)s)")
    parser.add_argument("--first", type=int, default=2, help="bars that are the first (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    model = load(options.model_dir)
    first = f"first {options.first} bars after a joint"
    rows = as_written(model, options.songs, options.length, options.first, options.seed)
    print(table(("as written, bits per note", first, "later bars"), rows))
    print()
    print(table(("bar after the joint", "bits per note of the same bars"), of_songs(model, options.songs)))


if __name__ == "__main__":
    main()
