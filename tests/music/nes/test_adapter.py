"""LakhNES's adapter, rule by rule, and on any music: what it makes can be said in tx1."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import scores

from t5music.errors import ConfigError, MidiError
from t5music.music import encodings, midi
from t5music.music.nes import adapter
from t5music.music.score import DRUMS, NOTE, TEMPO, Score

TX1 = encodings.get("tx1")
SECOND = 44_100


def music(*tracks, ticks_per_quarter=22_050) -> Score:
    """Tracks of (program, [(onset, duration, pitch, velocity), ...]), by default with one tick a sample."""
    rows = [(*note, program, track) for track, (program, notes) in enumerate(tracks) for note in notes]
    return Score(ticks_per_quarter, np.array(rows, NOTE), tempos=np.array([(0, 500_000)], TEMPO))


def melody(pitch: int, count: int = 6, start: int = 0) -> list[tuple[int, int, int, int]]:
    return [(start + i * SECOND, SECOND // 2, pitch + i, 100) for i in range(count)]


def voices(ensemble: Score) -> list[list[tuple[int, int, int]]]:
    """(onset, duration, pitch) of each of the four voices."""
    rows = ensemble.notes[["onset", "duration", "pitch"]]
    return [rows[ensemble.notes["track"] == voice].tolist() for voice in range(4)]


@st.composite
def multitrack(draw: st.DrawFn) -> Score:
    """Scores of 5 to 600 seconds, of which some tracks are made monophonic."""
    score = draw(scores(min_notes=1, max_notes=40, max_tracks=6, longest=300, pedals=False))
    notes = score.notes.copy()
    for track in range(len(score.track_names)):
        if draw(st.booleans()):
            mine = np.flatnonzero(notes["track"] == track)
            gaps = np.append(np.diff(notes["onset"][mine]), 1000)
            notes["duration"][mine] = np.minimum(notes["duration"][mine], gaps)
    notes = notes[notes["duration"] > 0]
    seconds = draw(st.floats(5.1, 599))
    quarters = int((notes["onset"] + notes["duration"]).max()) / score.ticks_per_quarter
    tempo = min(max(int(seconds / quarters * 1e6), 1), 2**24 - 1)
    return replace(score, notes=notes, tempos=np.array([(0, tempo)], TEMPO))


@settings(deadline=None, max_examples=150)
@given(multitrack(), st.integers(0, 2**32))
def test_whatever_is_made_can_be_said_in_tx1(score, seed):
    try:
        made = adapter.ensembles(score, seed=seed)
    except MidiError:
        return
    assert len(made) <= 16
    again = adapter.ensembles(score, seed=seed)
    assert made == again
    sources = [
        {(int(n["pitch"]), round(float(s) * SECOND)) for n, s in zip(part, score.seconds(part["onset"]), strict=True)}
        for track in range(len(score.track_names))
        for part in [score.notes[(score.notes["track"] == track) & (score.notes["program"] != DRUMS)]]
    ]
    for ensemble in made:
        events = TX1.encode(ensemble)
        assert TX1.is_note[events].sum() == len(ensemble.notes) > 0  # not one note is lost
        assert TX1.decode(events).repairs == 0
        assert ensemble.track_names == ("p1", "p2", "tr", "no")
        assert ensemble.duration_seconds <= 180
        assert ensemble.notes["velocity"].max() <= 15
        for mine in voices(ensemble)[:3]:
            shifts = {
                onset - mine[0][0] for source in sources for pitch, onset in source if mine and pitch == mine[0][2]
            }
            assert not mine or any(
                {(pitch, onset + shift) for onset, _, pitch in mine} <= source for source in sources for shift in shifts
            )


@pytest.mark.parametrize(("tracks", "number"), [(1, 3), (2, 6), (3, 6), (4, 24), (5, 60), (6, 120)])
def test_every_placement_comes_once(tracks, number):
    score = music(*((track, melody(40 + 8 * track)) for track in range(tracks)))
    made = adapter.ensembles(score, seed=1, limit=1000)
    placements = [tuple(voice[0][2] if voice else 0 for voice in voices(ensemble)[:3]) for ensemble in made]
    assert len(set(placements)) == len(placements) == number
    players = [*(40 + 8 * track for track in range(tracks)), *[0] * (3 - tracks)]
    assert set(placements) == set(itertools.permutations(players, 3))


def test_at_most_so_many_drawn_without_replacement():
    score = music(*((track, melody(40 + track)) for track in range(40)))
    made = adapter.ensembles(score, seed=1)
    assert len(made) == 16
    placements = {tuple(voice[0][2] for voice in voices(ensemble)[:3]) for ensemble in made}
    assert len(placements) == 16
    assert all(len(set(placement)) == 3 for placement in placements)
    other = adapter.ensembles(score, seed=2)
    assert {tuple(voice[0][2] for voice in voices(ensemble)[:3]) for ensemble in other} != placements
    assert len(adapter.ensembles(music((0, melody(60))), seed=1, limit=2)) == 2
    assert math.perm(40, 3) > 16
    with pytest.raises(ConfigError, match="limit must be at least 1"):
        adapter.ensembles(score, seed=1, limit=0)


def test_which_tracks_take_part():
    def used(*tracks) -> set[int]:
        made = adapter.ensembles(music(*tracks), seed=0, limit=1000)
        return {voice[0][2] for ensemble in made for voice in voices(ensemble)[:3] if voice}

    good = (0, melody(60))
    chord = (1, [(0, 100, 50, 90), (0, 100, 54, 90)])
    overlapping = (1, [(0, 101, 50, 90), (100, 100, 54, 90)])
    touching = (1, [(0, 100, 50, 90), (100, 100, 54, 90)])
    low, high, reaching = (1, [(0, 99, 20, 90)]), (1, [(0, 99, 109, 90)]), (1, [(0, 9, 19, 90), (9, 9, 90, 90)])
    same = (1, [(onset + 2000, last // 2, pitch, 20) for onset, last, pitch, _ in melody(60)])  # 0.045 s later
    assert used(good) == {60}
    assert used(good, chord) == used(good, overlapping) == used(good, low) == used(good, high) == {60}
    assert used(good, touching) == {60, 50}
    assert used(good, reaching) == {60, 90}
    assert used(good, same) == {60}
    assert len(adapter.ensembles(music(good, same), seed=0)) == 3  # the copy is no second track
    with pytest.raises(MidiError, match=r"no monophonic track within 21\.\.108"):
        adapter.ensembles(music((1, [(0, 9 * SECOND, 50, 90), (0, 9 * SECOND, 54, 90)])), seed=0)
    with pytest.raises(MidiError, match="no monophonic track"):
        adapter.ensembles(music((DRUMS, melody(36))), seed=0)


def test_notes_outside_a_voice_are_left_out():
    bass = (0, [(0, SECOND, 28, 90), (2 * SECOND, SECOND, 40, 90), (6 * SECOND, SECOND, 109, 90)])
    made = adapter.ensembles(music(bass), seed=0)
    assert sorted(str(voices(ensemble)) for ensemble in made) == sorted(
        str(expected)
        for expected in (
            [[(0, SECOND, 40)], [], [], []],
            [[], [(0, SECOND, 40)], [], []],
            [[], [], [(0, SECOND, 28), (2 * SECOND, SECOND, 40)], []],
        )
    )


def test_ensembles_last_three_minutes():
    late = [(30 * SECOND, SECOND, 60, 90), (209 * SECOND, SECOND, 61, 90), (209 * SECOND + 1, SECOND, 62, 90)]
    score = music((0, [late[0]]), (1, [late[1]]), (2, [late[2]]))
    for ensemble in adapter.ensembles(score, seed=0):
        found = sorted(note for voice in voices(ensemble) for note in voice)
        assert found == [(0, SECOND, 60), (179 * SECOND, SECOND, 61)]
        assert ensemble.meters.tolist()[-1] == (180 * SECOND, 1, 1)
        assert TX1.words[TX1.encode(ensemble)[-1]].endswith("NOTEOFF")
    endless = music((0, [(0, 200 * SECOND, 60, 90)]))
    assert adapter.ensembles(endless, seed=0) == []


def test_percussion():
    hits = [(0, 100, 36, 64), (50, 100, 38, 64), (100, 100, 42, 127), (150, 10, 46, 1), (7 * SECOND, 9, 36, 1)]
    made = adapter.ensembles(music((0, melody(60)), (DRUMS, hits)), seed=3)
    maps = set()
    for ensemble in made:
        noise = voices(ensemble)[3]
        assert [note[:2] for note in noise] == [(0, 100), (100, 100), (7 * SECOND, 9)]
        assert noise[0][2] == noise[2][2]
        assert all(1 <= note[2] <= 16 for note in noise)
        maps.add(tuple(note[2] for note in noise))
        volumes = ensemble.notes["velocity"][ensemble.notes["track"] == 3].tolist()
        assert volumes == [8, 15, 1]
    assert len(maps) > 1  # every ensemble has a map of its own
    two = music((0, melody(60)), (DRUMS, hits), (DRUMS, [(SECOND, 10, 36, 64)]))
    chosen = {len(voices(ensemble)[3]) for seed in range(10) for ensemble in adapter.ensembles(two, seed=seed)}
    assert chosen == {3, 1}  # one of them at a time
    keys = music((0, melody(60)), (DRUMS, [(i * 100, 50, i, 64) for i in range(128)]))
    assert {note[2] for note in voices(adapter.ensembles(keys, seed=0)[0])[3]} == set(range(1, 17))


def test_volumes():
    rows = [(i * SECOND, 100, 60, velocity) for i, velocity in enumerate((1, 13, 64, 127, 90, 90))]
    by_voice = {}
    for ensemble in adapter.ensembles(music((0, rows)), seed=0):
        by_voice[ensemble.notes["track"][0]] = ensemble.notes["velocity"].tolist()
    assert by_voice == {0: [1, 2, 8, 15, 11, 11], 1: [1, 2, 8, 15, 11, 11], 2: [1] * 6}


@pytest.mark.parametrize(
    ("seconds", "size", "message"),
    [
        (4.9, None, "lasts 4.9 s: LakhNES takes 5 to 600 s"),
        (601, 1000, "lasts 601.0 s"),
        (30, 512 * 1024 + 1, "the file has 524289 bytes: LakhNES leaves out"),
    ],
)
def test_files_that_are_left_out(seconds, size, message):
    score = music((0, [(0, int(seconds * SECOND), 60, 90)]))
    with pytest.raises(MidiError, match=message):
        adapter.ensembles(score, seed=0, file_bytes=size)


def test_tempo_is_played():
    slow = music((0, [(480, 480, 60, 90), (4800, 4800, 62, 90)]), ticks_per_quarter=480)
    slow = replace(slow, tempos=np.array([(0, 1_000_000), (960, 250_000)], TEMPO))
    first = voices(adapter.ensembles(slow, seed=0, limit=1)[0])
    assert [note for voice in first for note in voice] == [(0, SECOND, 60), (3 * SECOND, 110_250, 62)]


@pytest.mark.data
def test_real_music(real_music):
    paths = sorted(real_music("web_midi_multitrack").glob("midi/**/*.mid"))[::60]
    made = taken = 0
    for path in paths:
        try:
            ensembles = adapter.ensembles(midi.read(path), seed=7, file_bytes=path.stat().st_size)
        except MidiError:
            continue
        taken += 1
        for ensemble in ensembles:
            events = TX1.encode(ensemble)
            assert TX1.decode(events).repairs == 0
            assert TX1.is_note[events].sum() == len(ensemble.notes)
        made += len(ensembles)
    assert taken > len(paths) // 3
    assert made > 5 * taken
