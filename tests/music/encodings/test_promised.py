"""Promised grammars: any bounds are kept by any words, no state is a dead end, and NumPy and JAX agree."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from t5music.errors import ConfigError
from t5music.music import encodings
from t5music.music.encodings import Promised
from t5music.music.encodings.performance import promised as performance
from t5music.music.encodings.remi.bounds import Bounds, Lock, Slot
from t5music.music.encodings.remi.grid import METERS, POSITION, POSITIONS
from t5music.music.encodings.remi.promised import PromisedRemi
from t5music.music.score import DRUMS

REMI, PERFORMANCE = encodings.get("remi"), encodings.get("performance")
COMMON_TIME, WALTZ, ODD = METERS.index((4, 4)), METERS.index((3, 4)), METERS.index((7, 32))
TICKS = {COMMON_TIME: 1920, WALTZ: 1440, ODD: 420}


@st.composite
def remi_bounds(draw: st.DrawFn) -> Bounds:
    """Bounds of every kind together; some cannot be met."""
    keys = np.zeros((DRUMS + 1, 128), bool)
    for program in draw(st.sets(st.sampled_from([0, 1, 40, 127]), min_size=1, max_size=3)):
        low = draw(st.integers(0, 120))
        keys[program, low : low + draw(st.sampled_from([1, 5, 12, 128]))] = True
    if draw(st.booleans()):
        keys[DRUMS, draw(st.integers(0, 127)) :] = True
    classes = np.zeros(12, bool)
    classes[list(draw(st.sampled_from([range(12), (0, 2, 4, 5, 7, 9, 11), (0, 7), (3,)])))] = True
    step = draw(st.sampled_from([1, 3, 6, 12, 48]))
    least = draw(st.sampled_from([0, 0, 1, 4, 12]))
    meters = draw(st.sampled_from([(), (COMMON_TIME,), (COMMON_TIME, WALTZ), (ODD,), (WALTZ, ODD, COMMON_TIME)]))
    bars = draw(st.sampled_from([1, 3, 4, 1 << 20]))
    chords = draw(st.sampled_from([(), (((0, 4, 7),),), (((0, 4, 7), (2, 5, 7, 11)), ((0, 3, 9),))]))
    slots: tuple[Slot, ...] = ()
    if meters and draw(st.booleans()):
        places = sorted(draw(st.sets(st.integers(0, 9), min_size=1, max_size=4)))
        slots = tuple(Slot(0, place, draw(st.integers(1, 3)), 0) for place in places)
    locks: list[Lock] = []
    if meters and bars < 9 and draw(st.booleans()):
        for bar in range(bars):
            line = sum(TICKS[meters[min(number, len(meters) - 1)]] for number in range(bar))
            for place in sorted(draw(st.sets(st.integers(0, 9), max_size=3))):
                for program in sorted(draw(st.sets(st.sampled_from([0, 40, 60, DRUMS]), min_size=1, max_size=3))):
                    pitch = draw(st.integers(30, 90))
                    locks.append(Lock(bar, place, program, pitch, 0, line + place * POSITION))
    return Bounds(
        keys,
        classes,
        share=draw(st.sampled_from([1000, 1000, 900, 500])),
        polyphony=draw(st.sampled_from([0, 1, 2, 5])),
        grid=np.arange(POSITIONS) % step == 0,
        least=least,
        most=draw(st.integers(max(1, least), 40)),
        chords=chords,
        always=draw(st.booleans()),
        slots=slots,
        rhythm_bars=1 if slots else 0,
        locks=tuple(locks),
        bars=bars,
        growth=bars if bars < 9 and not locks and draw(st.booleans()) else 0,
        meters=meters,
        hold_tempo=draw(st.booleans()),
    )


def write(rules: Promised, state, rng: np.random.Generator, kinds: np.ndarray) -> list[int]:
    """Random legal words to an end, of every kind as often as of any other; asserts that nothing is a dead end."""
    events: list[int] = []
    favoured = rng.random(kinds.max() + 1) ** 2 + 0.01  # each walk likes other kinds of words
    while True:
        legal, end = np.flatnonzero(rules.allowed(state, np)[0]), bool(rules.end(state, np)[0])
        if end and (not len(legal) or rng.random() < 0.1):
            return events
        assert len(legal), f"a dead end after {[rules.encoding.words[event] for event in events[-9:]]}"
        assert state.room[0] > 0, "no room is left, and the words may not end"
        present = np.unique(kinds[legal])
        kind = rng.choice(present, p=favoured[present] / favoured[present].sum())
        events.append(int(rng.choice(legal[kinds[legal] == kind])))
        state = rules.advance(state, np.array(events[-1:], np.int32), np)


REMI_KINDS = encodings.GRAMMARS["remi"].KIND[:-1]
PROMPTS = [
    "",
    "Bar TimeSig_4/4 Pos_0 Tempo_120 Program_0 Velocity_20 Pitch_60 Duration_48 Pitch_64 Duration_96 Pos_46 Pitch_67 "
    "Duration_24",
]


def check_remi(events: np.ndarray, prompt: np.ndarray, bounds: Bounds) -> None:
    """Reads the words by themselves, and compares them with what was promised."""
    rules = encodings.grammar_of("remi", complete=False)
    assert not rules.check([events], [prompt])[0].illegal
    bar, position, program, meter, length = -1, -1, -1, -1, 0
    line = 0
    notes: list[tuple[int, int, int, int, int, int]] = []  # bar, position, program, pitch, begin, end
    meters: list[int] = []
    for event in events.tolist():
        kind, _, value = REMI.words[event].partition("_")
        match kind:
            case "Bar":
                bar, line, position = bar + 1, line + length, -1
            case "TimeSig":
                meter = METERS.index(tuple(map(int, value.split("/"))))
                length = 480 * 4 * METERS[meter][0] // METERS[meter][1]
                meters.append(meter)
            case "Pos":
                position = int(value)
            case "Program":
                program = int(value)
            case "Pitch":
                notes.append((bar, position, program, int(value), line + position * POSITION, -1))
            case "Drum":
                begin = line + position * POSITION
                notes.append((bar, position, DRUMS, int(value), begin, begin + POSITION))
            case "Duration":
                notes[-1] = (*notes[-1][:5], notes[-1][4] + int(value) * POSITION)
    if bounds.bars < 1 << 20:
        assert bar + 1 >= bounds.bars
        assert bounds.growth or bar + 1 == bounds.bars
        assert not bounds.growth or (bar + 1) % bounds.growth == 0
    for number, each in enumerate(meters):
        given = bounds.meters[min(number, len(bounds.meters) - 1)] if bounds.meters else meters[0]
        assert each == given
    locks = {lock[:4] for lock in bounds.locks}
    assert locks <= {note[:4] for note in notes}
    new = [note for note in notes if note[:4] not in locks]
    for note in new:
        assert bounds.keys[note[2], note[3]], note
        assert bounds.grid[note[1]], note
    pitched = [note for note in new if note[2] < DRUMS]
    inside = np.array([bounds.classes[note[3] % 12] for note in pitched], bool)
    if len(inside):
        assert (np.cumsum(inside) * 1000 >= bounds.share * np.arange(1, len(inside) + 1)).all()
    if bounds.polyphony:
        for note in pitched:
            assert sum(other[4] <= note[4] < other[5] for other in pitched) <= bounds.polyphony
    for number in range(bar + 1):
        begun = [note for note in new if note[0] == number]
        assert bounds.least <= len(begun) <= bounds.most
        if bounds.slots:
            counts = {slot.position: slot.notes for slot in bounds.slots}
            assert {place: sum(note[1] == place for note in begun) for place in {note[1] for note in begun}} == counts
        if bounds.chords:
            chords = bounds.chords[number % len(bounds.chords)]
            ticks = 480 * 4 * METERS[meters[number]][0] // METERS[meters[number]][1]
            for note in begun:
                at = note[1] * POSITION
                index = at * len(chords) // ticks
                changes = note[1] == 0 or max(at - POSITION, 0) * len(chords) // ticks != index
                middle = 2 * at == ticks and METERS[meters[number]][0] % 2 == 0
                if note[2] < DRUMS and (bounds.always or changes or middle):
                    assert note[3] % 12 in chords[index], (note, chords)


@settings(max_examples=30)
@given(bounds=remi_bounds(), prompt=st.sampled_from(PROMPTS), room=st.integers(20, 260), seed=st.integers(0, 999))
def test_any_words_of_promised_remi_keep_any_bounds(bounds, prompt, room, seed):
    owes = bool(bounds.least or bounds.slots)
    rules, events = PromisedRemi(bounds.polyphony > 0, owes=owes), REMI.from_text(prompt)
    try:
        state = rules.after([events], room, [bounds])
    except ConfigError:
        assume(False)
    answer = np.array(write(rules, state, np.random.default_rng(seed), REMI_KINDS), np.int32)
    assert len(answer) <= room
    check_remi(rules.without_closing(answer), events, bounds)


@settings(max_examples=15)
@given(bounds=remi_bounds(), prompt=st.sampled_from(PROMPTS), seed=st.integers(0, 999))
def test_where_no_notes_are_owed_looking_ahead_changes_nothing(bounds, prompt, seed):
    bounds = dataclasses.replace(bounds, least=0, slots=(), rhythm_bars=0)
    rng, ahead, behind = (
        np.random.default_rng(seed),
        *(PromisedRemi(bounds.polyphony > 0, owes=owes) for owes in (1, 0)),
    )
    try:
        state = ahead.after([REMI.from_text(prompt)], 120, [bounds])
    except ConfigError:
        assume(False)
    for _ in range(60):
        legal = ahead.allowed(state, np)
        assert np.array_equal(legal, behind.allowed(state, np))
        if not legal.any():
            break
        state = ahead.advance(state, np.argmax(legal * rng.random(legal.shape), axis=1).astype(np.int32), np)


@settings(max_examples=5, suppress_health_check=[HealthCheck.filter_too_much])  # two bounds can rarely both be met
@given(rows=st.lists(remi_bounds(), min_size=2, max_size=2), voices=st.sampled_from([0, 3]), seed=st.integers(0, 99))
def test_promised_remi_is_the_same_in_jax(rows, voices, seed):
    rules, rng = PromisedRemi(voices > 0, has_locks=True), np.random.default_rng(seed)
    rows = [type(each)(**{**vars(each), "polyphony": voices}) for each in rows]
    try:
        state = rules.after([REMI.from_text(PROMPTS[1])] * 2, 200, rows)
    except ConfigError:
        assume(False)
    agree(rules, state, rng)


def agree(rules: Promised, state, rng: np.random.Generator) -> None:
    """Both array modules give the same masks and states, whatever is written."""
    in_jax = jax.tree.map(jnp.asarray, state)
    allowed, advance, end = (
        jax.jit(lambda *args, method=method: getattr(rules, method)(*args, jnp))
        for method in ("allowed", "advance", "end")
    )
    for _ in range(25):
        legal = rules.allowed(state, np)
        assert np.array_equal(legal, allowed(in_jax))
        assert np.array_equal(rules.end(state, np), end(in_jax))
        jax.tree.map(np.testing.assert_array_equal, rules.stand_ins(state, np), rules.stand_ins(in_jax, jnp))
        ids = np.where(
            legal.any(axis=1), np.argmax(legal * rng.random(legal.shape), axis=1), len(rules.encoding.words)
        ).astype(np.int32)
        state, in_jax = rules.advance(state, ids, np), advance(in_jax, ids)
        jax.tree.map(np.testing.assert_array_equal, state, in_jax)
        assert all(a.dtype == b.dtype for a, b in zip(jax.tree.leaves(state), jax.tree.leaves(in_jax), strict=True))


@st.composite
def performance_bounds(draw: st.DrawFn) -> performance.Bounds:
    low = draw(st.integers(0, 120))
    classes = np.zeros(12, bool)
    classes[list(draw(st.sampled_from([range(12), (0, 2, 4, 5, 7, 9, 11), (0, 7)])))] = True
    return performance.Bounds(
        np.isin(np.arange(128), range(low, low + draw(st.sampled_from([1, 12, 60])))),
        classes,
        share=draw(st.sampled_from([1000, 800])),
        polyphony=draw(st.sampled_from([1, 3, 1024])),
        steps=draw(st.sampled_from([1, 250, 1000, performance.UNBOUNDED_STEPS])),
    )


@settings(max_examples=30)
@given(bounds=performance_bounds(), room=st.integers(8, 200), held=st.booleans(), seed=st.integers(0, 999))
def test_any_words_of_promised_performance_keep_any_bounds(bounds, room, held, seed):
    prompt = PERFORMANCE.from_text("VELOCITY_20 NOTE_ON_60 TIME_SHIFT_40" if held else "")
    rules = performance.PromisedPerformance()
    try:
        state = rules.after([prompt], room, [bounds])
    except ConfigError:
        assume(False)
    kinds = encodings.GRAMMARS["performance"].KIND[:-1]
    answer = np.array(write(rules, state, np.random.default_rng(seed), kinds), np.int32)
    assert len(answer) <= room
    assert not encodings.grammar_of("performance").check([answer], [prompt])[0].illegal
    sounding, steps, inside, notes = [60] if held else [], 0, 0, 0
    for event in answer.tolist():
        kind, _, value = PERFORMANCE.words[event].rpartition("_")
        if kind == "NOTE_ON":
            assert bounds.pitches[int(value)]
            sounding.append(int(value))
            assert len(sounding) <= bounds.polyphony
            notes, inside = notes + 1, inside + bounds.classes[int(value) % 12]
            assert inside * 1000 >= bounds.share * notes
        elif kind == "NOTE_OFF":
            sounding.remove(int(value))
        elif kind == "TIME_SHIFT":
            steps += int(value)
    assert steps <= bounds.steps


@settings(max_examples=5)
@given(rows=st.lists(performance_bounds(), min_size=2, max_size=2), seed=st.integers(0, 99))
def test_promised_performance_is_the_same_in_jax(rows, seed):
    rules = performance.PromisedPerformance()
    try:
        state = rules.after([[], []], 100, rows)
    except ConfigError:
        assume(False)
    agree(rules, state, np.random.default_rng(seed))


def test_a_long_note_does_not_take_the_only_key_while_notes_are_owed():
    bounds = Bounds(keys((0, 0, 0)), least=4, most=4, bars=1)
    rules = PromisedRemi()
    state = rules.after([[]], 60, [bounds])
    for event in REMI.from_text("Bar TimeSig_9/8 Pos_0 Tempo_20 Program_0 Velocity_3 Pitch_0").tolist():
        assert rules.allowed(state, np)[0, event]
        state = rules.advance(state, np.array([event], np.int32), np)
    assert [REMI.words[event] for event in np.flatnonzero(rules.allowed(state, np)[0])] == ["Duration_1"]


def test_a_locked_note_waits_for_the_notes_that_only_its_position_has_room_for():
    quarters = np.arange(POSITIONS) % 12 == 0
    bounds = Bounds(
        keys((0, 0, 0)), grid=quarters, least=4, most=4, locks=(Lock(0, 0, 0, 30, 0, 0),), bars=1, meters=(COMMON_TIME,)
    )
    rules = PromisedRemi(has_locks=True)
    state = rules.after([[]], 91, [bounds])
    for event in REMI.from_text("Bar TimeSig_4/4 Pos_0 Tempo_20 Program_0 Velocity_11").tolist():
        assert rules.allowed(state, np)[0, event]
        state = rules.advance(state, np.array([event], np.int32), np)
    assert [REMI.words[event] for event in np.flatnonzero(rules.allowed(state, np)[0])] == ["Pitch_0"]


def test_behind_percussion_no_velocity_waits_for_a_pitch():
    locks = (Lock(0, 0, DRUMS, 30, 0, 0),)
    rules = PromisedRemi(has_locks=True)
    state = rules.after([[]], 60, [Bounds(keys((0, 0, 127)), locks=locks, bars=1, meters=(COMMON_TIME,))])
    for event in REMI.from_text(
        "Bar TimeSig_4/4 Pos_0 Tempo_120 Program_0 Velocity_9 Pitch_60 Duration_1 Drum_30"
    ).tolist():
        assert rules.allowed(state, np)[0, event]
        state = rules.advance(state, np.array([event], np.int32), np)
    legal = {REMI.words[event].partition("_")[0] for event in np.flatnonzero(rules.allowed(state, np)[0])}
    assert legal == {"Pos", "Bar"}


def test_a_note_cannot_stay_where_the_prompt_holds_its_key():
    locks = (Lock(0, 0, 0, 64, 0, 0),)
    with pytest.raises(ConfigError, match="the note 64 in bar 1 cannot stay"):
        PromisedRemi(has_locks=True).after(
            [REMI.from_text(PROMPTS[1])], 60, [Bounds(keys((0, 0, 127)), locks=locks, bars=1, meters=(COMMON_TIME,))]
        )


def keys(*spans: tuple[int, int, int]) -> np.ndarray:
    table = np.zeros((DRUMS + 1, 128), bool)
    for program, low, high in spans:
        table[program, low : high + 1] = True
    return table


@pytest.mark.parametrize(
    ("bounds", "room", "message"),
    [
        (Bounds(keys((0, 60, 60)), classes=np.arange(12) == 1), 99, "--key, --range and --instruments cannot all"),
        (Bounds(keys((0, 60, 64)), chords=(((0,),), ((8,),))), 99, "--chords, --key and --range .* bar 2 "),
        (Bounds(keys((0, 60, 61)), least=9, grid=np.arange(POSITIONS) % 12 == 0), 99, "--density cannot be kept"),
        (Bounds(keys((0, 0, 127)), slots=(Slot(0, 1, 1, 0),), rhythm_bars=1, grid=np.arange(POSITIONS) % 3 == 0), 99,
         "--rhythm_of and --grid"),
        (Bounds(keys((0, 0, 127)), slots=(Slot(0, 1, 1, 0),), rhythm_bars=1, least=3), 99, "--rhythm_of and --density"),
        (Bounds(keys((0, 0, 127)), slots=(Slot(0, 1, 3, 0),), rhythm_bars=1, polyphony=2), 99, "--rhythm_of cannot"),
        (Bounds(keys((0, 0, 127)), bars=40, least=4), 99, "take up to .* words .* has 99"),
    ],
)  # fmt: skip
def test_what_can_never_be_met_is_refused_by_name(bounds, room, message):
    with pytest.raises(ConfigError, match=message):
        PromisedRemi(bounds.polyphony > 0).after([[]], room, [bounds])
