"""The kinds of examples on real music: true answers, put back, give the music again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from t5music.corpora import catalogue
from t5music.corpora.base import Piece, locate
from t5music.data.examples import Accompany, Continue, Develop, Ensembles, Infill
from t5music.errors import MidiError
from t5music.music import encodings, midi
from t5music.music.score import Score

pytestmark = pytest.mark.data
RealMusic = Callable[[str], Path]
PIECES = 8


def pieces(corpus_name: str, real_music: RealMusic) -> Iterator[Piece]:
    """A few pieces of a corpus, spread over it."""
    corpus = catalogue.get(corpus_name)
    entries = corpus.entries(locate(corpus, real_music(corpus_name)))
    for entry in entries[:: len(entries) // PIECES]:
        yield from (piece for piece in corpus.read(entry) if isinstance(piece, Piece))


def onsets(score: Score) -> set[tuple[int, int]]:
    """(onset in 1/480 quarter, pitch) of the notes."""
    ticks = np.rint(score.notes["onset"] * (480 / score.ticks_per_quarter)).astype(int)
    return set(zip(ticks.tolist(), score.notes["pitch"].tolist(), strict=True))


@pytest.mark.parametrize(
    ("corpus", "kind"),
    [
        ("jsb_chorales", Accompany("chorale", "remi", ("soprano",))),
        ("pop909", Accompany("pop", "remi", ("melody",), answer=("piano",))),
        ("nottingham", Accompany("folk", "remi", ("melody",), answer=("chords",))),
    ],
)
def test_true_accompaniments_are_those_of_the_piece(corpus: str, kind: Accompany, real_music: RealMusic):
    remi = encodings.get("remi")
    examples = 0
    for piece in pieces(corpus, real_music):
        made, prompts, answers = list(kind.examples(piece)), kind.prompts(piece.score), []
        rest = list(made)
        for prompt in prompts:  # in the same order; only where nobody answers there is no example
            true = rest.pop(0).targets if rest and rest[0].inputs == prompt else ""
            answers.append(remi.from_text(true))
        assert not rest
        music = kind.music(piece.score, answers)
        examples += len(made)
        tracks = {name.lower(): track for track, name in enumerate(piece.score.track_names)}
        wanted = [tracks[name] for name in kind.answer or set(tracks) - set(kind.part) if name in tracks]
        asked = piece.score.with_notes(piece.score.notes[np.isin(piece.score.notes["track"], wanted)])
        assert onsets(music.prompt) <= onsets(music.score)
        if not len(asked.notes):
            continue
        # What is answered is in the piece, and where all windows are asked about, all of the piece is answered.
        answered, real = onsets(music.score) - onsets(music.prompt), onsets(remi.decode(remi.encode(asked)).score)
        assert answered <= real
        if len(made) == len(prompts) == -(-len(piece.score.bars()[0]) // kind.bars):
            assert answered == real - onsets(music.prompt)
    assert examples > PIECES


@pytest.mark.parametrize(("corpus", "encoding"), [("pop909", "performance"), ("nottingham", "remi")])
def test_what_was_there_put_back_is_the_music_again(corpus: str, encoding: str, real_music: RealMusic):
    kind, found = Infill("x", encoding), encodings.get(encoding)
    for piece in pieces(corpus, real_music):
        events, first, last = kind._gap(piece.score)
        music = kind.music(piece.score, [events[first:last]])
        assert music.score == found.decode(events).score
        assert music.repairs == 0
        assert list(kind.examples(piece))


def test_the_nes_goes_on(real_music: RealMusic):
    tx1, kind = encodings.get("tx1"), Continue("nes", "tx1", words=128)
    examples = 0
    for path in sorted((real_music("nes_nsf2midi") / "midi").rglob("*.mid"))[::40]:
        score = midi.read(path)
        made = list(kind.examples(Piece(path.name, score)))
        if made:
            texts = [made[0].inputs.removeprefix("continue nes: "), *(example.targets for example in made)]
            assert np.array_equal(tx1.from_text(" ".join(texts)), tx1.encode(score))
        examples += len(made)
    assert examples > PIECES


def test_songs_have_themes(real_music: RealMusic):
    themes = [len(list(Develop("remi").examples(piece))) for piece in pieces("pop909", real_music)]
    assert np.mean(np.array(themes) > 0) > 0.8


def test_web_music_makes_ensembles(real_music: RealMusic):
    """LakhNES's adapter on files like Lakh's: most have a monophonic track."""
    made = []
    for path in sorted((real_music("web_midi_multitrack") / "midi").rglob("*.mid"))[::150]:
        try:
            score = midi.read(path)
        except MidiError:
            continue
        try:
            made.append(len(list(Ensembles(limit=4).examples(Piece(path.name, score)))))
        except MidiError:  # left out
            made.append(0)
    assert len(made) > PIECES
    assert np.mean(np.array(made) > 0) > 0.5
