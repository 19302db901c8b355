"""satb: the grid of any score of four parts, cell by cell."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import monophonic, scores

from t5music.errors import MidiError
from t5music.music import encodings, midi
from t5music.music.encodings.satb.grid import (
    HIGHEST,
    LOWEST,
    MAX_STEPS,
    REST,
    VOICES,
    note_count,
    to_grid,
    to_score,
)
from t5music.music.score import DRUMS, NOTE, TEMPO, Score

SATB = encodings.get("satb")
FEWER = settings(max_examples=settings.default.max_examples // 2)  # they are dear


def score_of(*rows: tuple[int, int, int, int], names: tuple[str, ...] = (), ticks: int = 480) -> Score:
    """(onset, duration, pitch, track) of each note."""
    notes = [(onset, duration, pitch, 80, 52, track) for onset, duration, pitch, track in rows]
    return Score(ticks, np.array(notes, NOTE), track_names=names)


@st.composite
def grids(draw: st.DrawFn) -> np.ndarray:
    """Grids [sixteenths, 4] that do not end in silence."""
    cell = st.just(REST) | st.integers(LOWEST, HIGHEST)
    rows = draw(st.lists(st.tuples(cell, cell, cell, cell), min_size=1, max_size=24))
    rows[-1] = (draw(st.integers(LOWEST, HIGHEST)), *rows[-1][1:])
    return np.array(rows)


# ---------------------------------------------------------------------------------------------------------- by hand


def test_words_of_a_chord_and_a_moving_alto():
    score = score_of(
        (0, 240, 67, 0), (0, 120, 62, 1), (120, 120, 64, 1), (0, 240, 58, 2), (0, 120, 43, 3), names=VOICES
    )  # fmt: skip
    events = SATB.encode(score)
    assert SATB.to_text(events) == "Cell_67 Cell_62 Cell_58 Cell_43 Cell_67 Cell_64 Cell_58 Cell_rest"
    assert SATB.grid(events).tolist() == [[67, 62, 58, 43], [67, 64, 58, REST]]
    assert SATB.decode(events) == (score_of(*_rows(score), names=VOICES), 0)
    assert SATB.times(events).tolist() == [0, 0, 0, 0, 0.125, 0.125, 0.125, 0.125, 0.25]


def _rows(score: Score) -> list[tuple[int, int, int, int]]:
    return [tuple(int(note[field]) for field in ("onset", "duration", "pitch", "track")) for note in score.notes]


def test_there_are_47_words_one_for_each_symbol():
    assert SATB.words == (*(f"Cell_{pitch}" for pitch in range(36, 82)), "Cell_rest")
    assert len(SATB.words) == 47


@pytest.mark.parametrize(
    ("rows", "soprano"),
    [
        ([(0, 120, 60, 0), (120, 120, 60, 0)], [60, 60]),  # repeated or held: the data cannot tell
        ([(59, 120, 60, 0)], [60]),  # begins at the nearest sixteenth
        ([(60, 120, 60, 0)], [REST, 60]),  # half way: the later one
        ([(0, 1, 60, 0), (240, 120, 62, 0)], [60, REST, 62]),  # lasts at least a sixteenth
        ([(0, 480, 60, 0), (240, 120, 62, 0)], [60, 60, 62]),  # ends where the next one begins
        ([(0, 60, 60, 0), (60, 60, 62, 0), (120, 60, 64, 0), (180, 60, 65, 0)], [60, 64, 65]),  # nearest to the grid
        ([(0, 120, 82, 0), (120, 120, 93, 0), (240, 120, 35, 0), (360, 120, 24, 0)], [70, 81, 47, 36]),  # by octaves
        ([(0, 120, 127, 0), (120, 120, 0, 0)], [79, 36]),
    ],
)
def test_how_notes_come_to_the_grid(rows, soprano):
    grid = to_grid(score_of(*rows, names=("soprano",)))
    assert grid[:, 0].tolist() == soprano
    assert (grid[:, 1:] == REST).all()


def test_of_a_chord_the_outer_note_counts():
    chords = (60, 64, 62), (55,), (50,), (45, 40)
    rows = [(0, 120, pitch, track) for track, chord in enumerate(chords) for pitch in chord]
    assert to_grid(score_of(*rows)).tolist() == [[64, 55, 50, 40]]


@pytest.mark.parametrize(
    ("names", "order"),
    [
        (("Bass", " tenor", "ALTO", "soprano"), [3, 2, 1, 0]),
        (("", "", "", ""), [0, 1, 2, 3]),
        (("Violin 1", "Violin 2", "Viola", "bass"), [0, 1, 2, 3]),  # not all are voices
        (("bass", "bass", "alto", "soprano"), [0, 1, 2, 3]),  # not all are different
    ],
)
def test_names_say_the_voice_or_else_the_order(names, order):
    score = score_of(*((0, 120, 60 - track, track) for track in range(4)), names=names)
    assert to_grid(score).tolist() == [[60 - track for track in order]]


def test_tracks_without_notes_are_no_parts():
    rows = [(0, 120, pitch, track) for track, pitch in ((1, 70), (3, 65), (4, 60), (6, 50))]
    assert to_grid(score_of(*rows)).tolist() == [[70, 65, 60, 50]]


@pytest.mark.parametrize(
    ("score", "reason"),
    [
        (score_of(*((0, 120, 60, track) for track in range(5))), "has 5 tracks with notes: keep at most four"),
        (
            score_of((0, 120, 60, 0), (0, 120, 64, 0)),
            "has 1 of the four parts.*begins pitches 60 and 64 at once",
        ),
        (score_of((MAX_STEPS * 120, 120, 60, 0)), "takes at most 43200: crop it"),
        (Score(480, np.array([(0, 120, 38, 80, DRUMS, 0)], NOTE)), "no percussion: leave the percussion tracks out"),
    ],
)
def test_what_cannot_be_said(score, reason):
    with pytest.raises(MidiError, match=reason):
        SATB.encode(score)


def test_the_longest_piece_is_said_and_read_back():
    events = SATB.encode(score_of(((MAX_STEPS - 1) * 120, 120, 60, 0)))
    assert len(events) == 4 * MAX_STEPS
    assert SATB.decode(events).repairs == 0
    assert SATB.decode(np.append(events, events[-8:])).repairs == 8
    assert encodings.grammar_of("satb").check([np.append(events, events[-4:])])[0].first == len(events)


def test_cells_that_are_missing_are_rests():
    decoded = SATB.decode(SATB.from_text("Cell_60 Cell_55 Cell_52 Cell_48 Cell_60"))
    assert decoded.repairs == 3
    assert to_grid(decoded.score).tolist() == [[60, 55, 52, 48], [60, REST, REST, REST]]


def test_tempo_and_meter_change_no_cell():
    rows = [(0, 480, 60, 0), (480, 480, 62, 0)]
    plain = score_of(*rows)
    slow = Score(480, plain.notes, tempos=np.array([(0, 2_000_000), (480, 100_000)], TEMPO))
    events = SATB.encode(slow)
    assert np.array_equal(SATB.encode(plain), events)
    assert SATB.times(events)[[0, 16, -1]].tolist() == [0, 0.5, 1]
    assert SATB.times_in(slow, events)[[0, 16, -1]].tolist() == [0, 2, 2.1]


def test_chunks_begin_with_bars_or_quarters():
    events = np.arange(200, dtype=np.int32) % 47
    for cut in (SATB.chunks, SATB.segments):
        assert [len(chunk) for chunk in cut(events, 100)] == [64, 64, 64, 8]
        assert [len(chunk) for chunk in cut(events, 140)] == [128, 72]
        assert [len(chunk) for chunk in cut(events, 63)] == [48] * 4 + [8]
        assert [len(chunk) for chunk in cut(events, 16)] == [16] * 12 + [8]


def test_a_gap_keeps_its_length():
    events = SATB.encode(to_score(np.arange(60, 72)[:, None] - np.array([0, 5, 10, 20])))
    assert SATB.cuts(events).tolist() == [16, 32]
    assert np.array_equal(SATB.replace(events, 16, 32, events[16:32]), events)
    short = SATB.replace(events, 16, 32, events[:4])
    assert np.array_equal(short[16:20], events[:4])
    assert (short[20:32] == SATB.ids["Cell_rest"]).all()
    assert np.array_equal(SATB.replace(events, 16, 32, events), np.concatenate([events[:16], events[:16], events[32:]]))


# ------------------------------------------------------------------------------------------------------- properties


@FEWER
@given(grid=grids(), ticks=st.sampled_from([4, 96, 480, 10_080]))
def test_any_grid_is_a_score_is_a_file_and_back(grid, ticks):
    score = to_score(grid)
    assert np.array_equal(to_grid(score), grid)
    assert len(score.notes) == note_count(grid)
    assert np.array_equal(to_grid(midi.read(midi.to_bytes(score))), grid)
    notes = score.notes.copy()
    for field in ("onset", "duration"):
        notes[field] = notes[field] // 120 * (ticks // 4)
    assert np.array_equal(to_grid(Score(ticks, notes, track_names=score.track_names)), grid)
    events = SATB.encode(score)
    assert np.array_equal(SATB.grid(events), grid)
    assert np.array_equal(SATB.of_grid(grid), events)


@FEWER
@given(score=scores(last_onset=3_000, longest=900, min_notes=1))
def test_every_note_of_a_voice_is_heard_where_it_begins(score):
    """Unless another one of its voice begins in the same cell; and nothing else is heard."""
    score = monophonic(score)
    grid = to_grid(score)
    steps = np.floor(score.notes["onset"] * 4 / score.ticks_per_quarter + 0.5).astype(int)
    tracks = np.unique(score.notes["track"])
    is_named = len(tracks) <= 4
    assert is_named
    for step, track, pitch in zip(steps, score.notes["track"], score.notes["pitch"] % 12, strict=True):
        alone = ((steps == step) & (score.notes["track"] == track)).sum() == 1
        assert not alone or grid[step, track] % 12 == pitch
    assert ((grid == REST) | ((grid >= LOWEST) & (grid <= HIGHEST))).all()
    for track in range(4):
        pitches = set((score.notes["pitch"][score.notes["track"] == track] % 12).tolist())
        assert {pitch % 12 for pitch in grid[:, track].tolist() if pitch != REST} <= pitches


# -------------------------------------------------------------------------------------------------------- real music


@pytest.mark.data
def test_the_jsb_chorales_are_said_cell_by_cell(real_music):
    sets = json.loads((real_music("jsb_chorales") / "czhuang/Jsb16thSeparated.json").read_text())
    cells, notes = {}, {}
    for split, pieces in sets.items():
        arrays = [np.array(piece) for piece in pieces]
        cells[split], notes[split] = sum(map(np.size, arrays)), sum(map(note_count, arrays))
        for grid in arrays[::8]:
            events = SATB.encode(midi.read(midi.to_bytes(to_score(grid))))
            assert np.array_equal(SATB.grid(events), grid)
    assert cells == {"train": 220_912, "valid": 73_632, "test": 75_600}
    assert notes == {"train": 49_300, "valid": 15_897, "test": 17_525}


@pytest.mark.data
def test_chorales_from_midi_files_are_those_of_the_table(real_music):
    """Of the 370 chorales as MIDI files, most have four parts, and some are note for note in the table."""
    folder = real_music("jsb_chorales")
    taken = 0
    paths = sorted((folder / "bach370_midi").rglob("*.mid"))[::10]
    for path in paths:
        grid = to_grid(midi.read(path))
        taken += bool((grid != REST).any(axis=0).all())
        assert (np.diff(grid.max(axis=0)) <= 12).all()  # the soprano first
    assert taken > 0.8 * len(paths)
