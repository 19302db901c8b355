"""Promises: what is written keeps them, as another reader of MIDI sees it; texts are read, and refused by name."""

from __future__ import annotations

import dataclasses
import itertools
import re
from pathlib import Path

import numpy as np
import pytest
import tiny_models
from promise_reader import PROMISES, broken, notes_of

from t5music.cli.main import main
from t5music.data.examples import Accompany, Continue, Improvise, Infill
from t5music.errors import ConfigError
from t5music.inference import generate
from t5music.inference.model import Model
from t5music.inference.promises import PROMISES as DECLARED
from t5music.inference.promises import Key, Length, Part, Promises, Range, parts
from t5music.music import midi
from t5music.music.score import DRUMS

BAR = 1920
TASKS = {
    "continue": Continue("pop", "remi", words=300),
    "infill": Infill("pop", "remi", words=300),
    "improvise": Improvise("pop", "remi"),
    "accompany": Accompany("pop", "remi", ("violin",), bars=2),
    "play_on": Continue("piano", "performance", words=100),
}


def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int, task: str, promises: Promises, **more) -> bytes:
    """What a model of random weights makes of a band of four bars."""
    trained = dataclasses.replace(tiny_models.trained(TASKS, seed=seed), lengths={"inputs": 512, "targets": 192})
    monkeypatch.setattr(generate, "load", lambda *_: trained)
    song, out = tmp_path / "song.mid", tmp_path / "out.mid"
    song.write_bytes(midi.to_bytes(tiny_models.band(seed, bars=4)))
    generate.generate(
        str(song), "tiny", task=task, output=str(out), promises=promises, force=True, seed=seed, temperature=1.5, **more
    )
    return out.read_bytes()


def song_notes(seed: int) -> dict[str, list]:
    data = midi.to_bytes(tiny_models.band(seed, bars=4))
    return {"violin": [note for note in notes_of(data, is_new=False) if note.program == 40]}


PAIRS = [pair for pair in itertools.combinations(PROMISES, 2) if pair[0][0] != pair[1][0]]


@pytest.mark.parametrize("seed", range(20))
def test_pairs_of_promises_are_kept(tmp_path, monkeypatch, seed):
    pair = PAIRS[(seed * 7) % len(PAIRS)]
    data = write(tmp_path, monkeypatch, seed, "continue", Promises.from_text(**dict(pair)))
    notes = notes_of(data)
    assert notes
    for promise, text in pair:
        assert not broken(promise, text, notes, 4 * BAR, BAR, song_notes(seed)), (promise, text)


def test_a_long_length_is_written_by_windows(tmp_path, monkeypatch):
    promises = Promises.from_text(
        length="24 bars", density="2-6", chords="| C | F | G |", chords_on="always", polyphony="2"
    )
    notes = notes_of(write(tmp_path, monkeypatch, 3, "continue", promises))
    steps = [{0, 4, 7}, {5, 9, 0}, {7, 11, 2}]
    pitched = [note for note in notes if note.program != DRUMS]
    assert all(note.pitch % 12 in steps[(note.begin // BAR - 4) % 3] for note in pitched)
    counts = np.bincount([note.begin // BAR for note in notes], minlength=28)
    assert (counts[4:] >= 2).all()
    assert (counts <= 6).all()
    assert len(counts) == 28
    assert not broken("polyphony", "2", notes, 4 * BAR, BAR, {})


def test_seconds_of_performance_are_exact(tmp_path, monkeypatch):
    promises = Promises.from_text(length="9 s", key="C major", polyphony="2", range="C3-C6")
    notes = notes_of(write(tmp_path, monkeypatch, 1, "play_on", promises))
    assert notes
    assert all(note.pitch % 12 in {0, 2, 4, 5, 7, 9, 11} and 48 <= note.pitch <= 84 for note in notes)
    assert not broken("polyphony", "2", notes, 0, BAR, {})
    tick = 480 * 2  # a second at tempo 120
    end = 4 * BAR + 9 * tick
    assert max(note.end for note in notes) <= end + tick // 10
    assert max(note.end for note in notes) > end - 4 * tick


@pytest.mark.parametrize(
    ("infill", "promises", "gone"),
    [
        ((Part("piano", 2, 3),), Promises(), lambda note: note.program == 0 and 1 <= note.begin // BAR < 3),
        (
            (Part("", 2, 2),),
            Promises.from_text(lock="violin, drums"),
            lambda note: note.program == 0 and note.begin // BAR == 1,
        ),
        (
            (Part("violin", 1, 1), Part("drums", 3, 4), Part("piano", 3, 4)),
            Promises(),
            lambda note: note.begin < BAR if note.program == 40 else note.begin >= 2 * BAR,
        ),
    ],
)  # fmt: skip
def test_only_rectangles_of_bars_and_tracks_are_filled_in(tmp_path, monkeypatch, infill, promises, gone):
    promises = dataclasses.replace(promises, density=(1, 20))  # a model of random weights may well write nothing
    data = write(tmp_path, monkeypatch, 5, "infill", promises, infill=infill)
    old = notes_of((tmp_path / "song.mid").read_bytes(), is_new=False)
    assert notes_of(data, is_new=False) == [note for note in old if not gone(note)]
    new = notes_of(data)
    assert new
    assert all(gone(note) for note in new)


def test_the_chords_of_a_track_bind_what_is_filled_in(tmp_path, monkeypatch):
    promises = Promises.from_text(chords_of="piano", chords_on="always", density="2-8")
    notes = notes_of(write(tmp_path, monkeypatch, 2, "infill", promises, infill=(Part("violin", 2, 4),)))
    piano = [note for note in notes_of((tmp_path / "song.mid").read_bytes(), is_new=False) if note.program == 0]
    for note in notes:
        half = note.begin - note.begin % (BAR // 2)
        sounding = {other.pitch % 12 for other in piano if other.begin < half + BAR // 2 and other.end > half}
        assert note.pitch % 12 in sounding
    assert all(2 <= sum(note.begin // BAR == bar for note in notes) <= 8 for bar in (1, 2, 3))


def test_promises_go_on_from_window_to_window_of_an_accompaniment(tmp_path, monkeypatch):
    promises = Promises.from_text(chords="| C | F | G |", chords_on="always", instruments="0", density="1-6")
    notes = notes_of(write(tmp_path, monkeypatch, 4, "accompany", promises))
    chords = [{0, 4, 7}, {5, 9, 0}, {7, 11, 2}]
    assert {note.begin // BAR for note in notes} == {0, 1, 2, 3}
    assert all(note.pitch % 12 in chords[note.begin // BAR % 3] for note in notes)


def test_what_is_filled_in_of_music_that_a_model_cannot_read_whole_comes_bar_by_bar():
    trained = dataclasses.replace(tiny_models.trained(TASKS), lengths={"inputs": 256, "targets": 192})
    model, song = Model(trained, "tiny"), midi.to_bytes(tiny_models.band(0, bars=24))
    how = {"task": "infill", "parts": "piano bars 9-10", "density": "1-20", "name": "song.mid"}
    bars = model.stream(song, **how)
    written = list(bars)
    assert bars.result.data == model.write(song, **how).data
    assert [bar.number for bar in written] == [9, 10]
    assert sum(len(bar.notes) for bar in written) == len(bars.result.notes) > 0


def test_texts_are_read():
    promises = Promises.from_text(
        instruments="violin, drums",
        key="D dorian 90%",
        range="violin G3-A7, 36-76",
        grid="1/16, triplets",
        density="4-",
        chords="| Am F | % |",
        lock="piano bars 3-4, bar 7, bass",
        length="20 s",
    )
    assert promises == Promises(
        instruments=(40, DRUMS),
        key=Key((0, 2, 4, 5, 7, 9, 11), 0.9),
        range=(Range((40,), 55, 105), Range((), 36, 76)),
        grid=(3, 4),
        density=(4, 32),
        chords=(((0, 4, 9), (0, 5, 9)), ((0, 4, 9), (0, 5, 9))),
        lock=(Part("piano", 3, 4), Part("", 7, 7), Part("bass")),
        length=Length("seconds", 20.0),
    )
    assert promises.names == ("instruments", "key", "range", "grid", "density", "chords", "lock", "length")
    assert Promises.from_text(**dict.fromkeys(promise.name for promise in DECLARED)) == Promises()
    assert parts("bars 5-8") == (Part("", 5, 8),)


@pytest.mark.parametrize(
    ("flag", "text", "message"),
    [
        ("instruments", "violon", "--instruments vi.*did you mean 'violin"),
        ("key", "H minor", "--key not a key"),
        ("key", "C dorien", "did you mean 'dorian'"),
        ("key", "C major 0%", "--key a share"),
        ("range", "C6-C3", "--range must be LOW-HIGH"),
        ("range", "C3-C99", "--range must be pitches"),
        ("polyphony", "0", "--polyphony must be a number of notes from 1"),
        ("grid", "1/5", "--grid must be of 1/1"),
        ("density", "9", "--density must be notes a bar"),
        ("density", "9-4", "--density must be notes a bar"),
        ("chords", "| Am Xy |", "--chords not a chord: 'Xy'"),
        ("chords", "||", "--chords no chord"),
        ("chords_on", "beats", "--chords_on must be strong or always"),
        ("lock", "bars 4-3", "--lock must be tracks and bars"),
        ("infill", "bar 0", "--infill must be tracks and bars"),
        ("length", "8", "--length must be '8 bars'"),
    ],
)
def test_a_text_that_cannot_be_read_is_refused_by_the_flags_name(tmp_path, capsys, flag, text, message):
    song = tmp_path / "song.mid"
    song.write_bytes(midi.to_bytes(tiny_models.band(0, bars=2)))
    assert main(["generate", str(song), f"--{flag}", text]) != 0
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert re.search(message, error)


@pytest.mark.parametrize(
    ("task", "texts", "message"),
    [
        ("play_on", {"grid": "1/8"}, "--grid has no meaning in performance.*remi"),
        ("continue", {"rhythm_of": "flute"}, "--rhythm_of flute: not a track with notes .there are 1 violin, 2 piano"),
        ("continue", {"lock": "bass"}, "--lock does not go with continue"),
        ("continue", {"key": "C pentatonic", "chords": "| Ebm |"}, "--chords, --key and --range cannot all be kept"),
        (
            "continue",
            {"density": "9-", "polyphony": "1", "grid": "1/4", "instruments": "violin"},
            "--density cannot be",
        ),
        ("infill", {"length": "4 bars"}, "--length does not go with infill"),
        ("improvise", {"length": "9 s"}, "--length in seconds needs music"),
    ],
)
def test_what_cannot_be_kept_is_refused_before_anything_is_written(tmp_path, monkeypatch, task, texts, message):
    with pytest.raises(ConfigError, match=message):
        write(tmp_path, monkeypatch, 0, task, Promises.from_text(**texts))
    assert not (tmp_path / "out.mid").exists()
