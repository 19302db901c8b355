"""The grammars: all that is written is legal, all that is legal is as written, in NumPy and in JAX."""

from __future__ import annotations

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from grammar_walks import walk
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from strategies import any_scores, playable, scores

from t5music.errors import ConfigError, MidiError
from t5music.music import encodings, midi
from t5music.music.encodings import GRAMMARS, Grammar, Illegal
from t5music.music.encodings.clock import MAX_SECONDS
from t5music.music.encodings.tx2.encoding import EXPRESSION, TIMBRE, TX2, VOLUME
from t5music.music.score import Score

every_grammar = pytest.mark.parametrize("name", GRAMMARS)
FEWER = settings(max_examples=settings.default.max_examples // 2)  # they are dear
SCORES = scores(last_onset=1_000, longest=400) | any_scores()


def said(rules: Grammar, score: Score) -> np.ndarray:
    """A score's events; of an encoding of voices those of a score of its voices."""
    return rules.encoding.encode(playable(rules.encoding, score))


def faults(rules: Grammar, sequences: list, prompts: list | None = None) -> list[str]:
    return [rules.explain(found) for report in rules.check(sequences, prompts) for found in report.illegal]


def as_written(rules: Grammar, events: np.ndarray) -> np.ndarray:
    """What encode writes of what decode reads in the events."""
    decoded = rules.encoding.decode(events)
    if isinstance(rules.encoding, TX2):
        return rules.encoding.encode(decoded.score, rules.encoding.expression(events))
    return rules.encoding.encode(decoded.score)


def ordered(rules: Grammar, events: np.ndarray) -> list[int]:
    """The events; of performance without silence at the end, and the note-offs of a step by pitch: both are free."""
    if rules.encoding.name != "performance":
        return events.tolist()
    shifts = ((events >= 256) & (events < 356))[::-1]
    long = np.append(True, (events == 355)[-2::-1])[: len(events)]  # but for the last one, or it is not one silence
    events = events[: len(events) - int(np.logical_and.accumulate(shifts & long).sum())]
    off = (events >= 128) & (events < 256)
    keys = np.where(off, events, 0)
    return events[np.lexsort((keys, np.cumsum(~off | ~np.append(False, off[:-1]))))].tolist()


# --------------------------------------------------------------------------------------------- what is written is legal


@every_grammar
@FEWER
@given(data=st.data())
def test_the_words_of_any_score_are_legal(name, data):
    rules, part = encodings.grammar_of(name), encodings.grammar_of(name, complete=False, inside=True)
    events = said(rules, data.draw(SCORES))
    assert faults(rules, [events]) == []
    length = data.draw(st.integers(16, 60))
    pieces = [*rules.encoding.chunks(events, length), *rules.encoding.segments(events, length)]
    assert faults(part, pieces) == []
    chunks = rules.encoding.chunks(events, length)
    before = [np.concatenate([events[:0], *chunks[:i]]) for i in range(len(chunks))]
    assert faults(encodings.grammar_of(name, complete=False), chunks, before) == []


@FEWER
@given(score=SCORES, data=st.data())
def test_volumes_and_timbres_are_legal(score, data):
    rules = encodings.grammar_of("tx2")
    changes = st.tuples(st.integers(0, 1_500), st.sampled_from([0, 1, 3]), st.just(VOLUME), st.integers(1, 15))
    changes |= st.tuples(st.integers(0, 1_500), st.sampled_from([0, 1, 3]), st.just(TIMBRE), st.integers(0, 1))
    expression = np.array(data.draw(st.lists(changes, max_size=12)), EXPRESSION)
    score = playable(encodings.get("tx1"), score)
    last = expression["tick"].max(initial=0)
    assume(score.seconds([last])[0] < MAX_SECONDS)  # of a slow piece, a change may be hours after the last note
    assert faults(rules, [rules.encoding.encode(score, expression)]) == []


REAL = [
    ("web_midi_multitrack", "midi/**/*.mid", 8),
    ("pop909", "POP909/**/*.mid", 4),
    ("nes_nsf2midi", "midi/**/*.mid", 8),
    ("classical_piano", "**/*.mid", 4),
]


def check_real_music(paths: list[Path], most: int | None = None) -> int:
    """Checks the words of these files, of each at most so many, in every encoding that takes it; returns how many."""
    words = 0
    for name in GRAMMARS:
        rules, cut = encodings.grammar_of(name), encodings.grammar_of(name, complete=False, inside=True)
        pieces = []
        for path in paths:
            try:
                pieces.append(rules.encoding.encode(midi.read(path)))
            except MidiError:
                continue
        whole = rules
        if most is not None:
            whole = encodings.grammar_of(name, complete=False)
            pieces = [piece for events in pieces for piece in rules.encoding.chunks(events, most)[:1]]
        assert faults(whole, pieces) == []
        for way in (rules.encoding.chunks, rules.encoding.segments):
            assert faults(cut, [piece for events in pieces for piece in way(events, 300)]) == []
        words += sum(map(len, pieces))
    return words


@pytest.mark.data
@pytest.mark.parametrize(("archive", "pattern", "files"), REAL)
def test_real_music_is_legal(real_music, archive, pattern, files):
    paths = sorted(real_music(archive).glob(pattern))
    assert check_real_music(paths[:: len(paths) // files][:files], most=1000) > 500 * files


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.parametrize("archive", [*(archive for archive, _, _ in REAL), "emopia", "nottingham", "multitrack_extra"])
def test_all_real_music_is_legal(real_music, archive):
    paths = sorted(real_music(archive).rglob("*.mid"), key=lambda path: path.stat().st_size)  # equals together
    assert sum(check_real_music(paths[begin : begin + 64]) for begin in range(0, len(paths), 64)) > 100_000


# -------------------------------------------------------------------------------------------- what is legal is playable


def check_walks(rules: Grammar, state: object, rng: np.random.Generator, prompt: np.ndarray | None = None) -> None:
    """Random music from a state ends in time, needs no repair, and is what encode writes, also through a MIDI file."""
    for by_kind in (False, True):
        for events in walk(rules, state, rng, by_kind=by_kind):
            whole = events if prompt is None else np.concatenate([prompt, events])
            score, repairs = rules.encoding.decode(whole)
            assert repairs == 0
            assert ordered(rules, as_written(rules, whole)) == ordered(rules, whole)
            if len(score.notes) and not isinstance(rules.encoding, TX2):  # whose expression a Score does not hold
                back = rules.encoding.encode(midi.read(midi.to_bytes(score)))
                assert ordered(rules, back) == ordered(rules, whole)


@every_grammar
@pytest.mark.parametrize("room", [0, 1, 4, 9, 30, 150])
def test_random_legal_music_is_playable(name, room):
    rules = encodings.grammar_of(name)
    check_walks(rules, rules.start(40, room), np.random.default_rng(room))


@pytest.mark.slow
@every_grammar
def test_much_random_legal_music_is_playable(name):
    rules, rng = encodings.grammar_of(name), np.random.default_rng(1)
    for _ in range(50):
        check_walks(rules, rules.start(100, rng.integers(0, 300, 100)), rng)


@pytest.mark.parametrize(
    ("name", "wait", "left"),
    [("tx1", "WT_100000", 40_100), ("tx2", "WT_100000", 40_100), ("performance", "TIME_SHIFT_100", 300)],
)
def test_random_music_ends_within_90_minutes(name, wait, left):
    rules = encodings.grammar_of(name)
    unit = int(wait.split("_")[-1])
    rate = 100 if name == "performance" else 44_100
    prompt = np.full((MAX_SECONDS * rate - left) // unit, rules.encoding.ids[wait], np.int32)
    state = rules.after([prompt] * 20, 60)
    check_walks(rules, state, np.random.default_rng(0), prompt)
    last = state._replace(elapsed=np.full_like(state.elapsed, MAX_SECONDS * rate - 1))
    for events in walk(rules, last, np.random.default_rng(0), by_kind=True):
        assert rules.encoding.times(events)[-1] * rate <= 1.001  # one note of the shortest length is all


def test_random_music_has_at_most_20000_bars():
    rules = encodings.grammar_of("remi")
    state = rules.after([rules.encoding.from_text(text) for text in ["Bar TimeSig_1/32 Pos_0 Tempo_20"] * 20], 100)
    state = state._replace(bars=np.full_like(state.bars, 19_998))
    counts = [int((events == 0).sum()) for events in walk(rules, state, np.random.default_rng(0), by_kind=True)]
    assert max(counts) == 2


@every_grammar
@FEWER
@given(data=st.data())
def test_legal_is_exactly_what_encode_writes(name, data):
    """Of legal music with a word changed, left out, doubled or moved, legal is what encode would write."""
    rules = encodings.grammar_of(name)
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    for events in walk(rules, rules.start(8, 40), rng, by_kind=True):
        if not len(events):
            continue
        place, other = rng.integers(len(events), size=2)
        change = rng.integers(4)
        if change == 0:
            kind = rules.KIND[events[place]]
            events[place] = rng.choice(np.flatnonzero(rules.KIND[:-1] == kind))
        elif change == 1:
            events = np.delete(events, place)
        elif change == 2:
            events = np.insert(events, place, events[other])
        else:
            events[[place, other]] = events[[other, place]]
        written = rules.encoding.decode(events).repairs == 0 and ordered(rules, as_written(rules, events)) == ordered(
            rules, events
        )
        found = faults(rules, [events])
        assert written == (not found), (rules.encoding.to_text(events), found)


# ------------------------------------------------------------------------------------------------ rule by rule, by hand

BAR = "Bar TimeSig_4/4 Pos_0 Tempo_120"
NOTE = "Program_0 Velocity_20 Pitch_60 Duration_12"


@pytest.mark.parametrize(
    ("name", "text", "place", "rule"),
    [
        ("tx1", "P2_NOTEON_60 P1_NOTEON_60", 1, "order"),
        ("tx1", "WT_5 WT_5", 1, "wait"),
        ("tx1", "P1_NOTEOFF", 0, "silent"),
        ("tx1", "P1_NOTEON_60 WT_100000 WT_5", 3, "end"),
        ("tx1", "WT_5", 1, "end"),
        ("tx2", "P1_NOTEON_60 P2_NOTEON_60", 1, "volume"),
        ("tx2", "P1_TIMBRE_0 P1_VELOCITY_3", 1, "order"),
        ("performance", "VELOCITY_9 NOTE_ON_60 NOTE_OFF_60", 2, "order"),
        ("performance", "NOTE_ON_60", 0, "velocity"),
        ("performance", "VELOCITY_9 VELOCITY_8", 1, "velocity"),
        ("performance", "VELOCITY_9 NOTE_ON_60 VELOCITY_9", 2, "velocity"),
        ("performance", "TIME_SHIFT_99 TIME_SHIFT_1", 1, "wait"),
        ("performance", "VELOCITY_9 NOTE_ON_60 TIME_SHIFT_5 NOTE_OFF_61", 3, "silent"),
        ("performance", "VELOCITY_9 NOTE_ON_60 TIME_SHIFT_5", 3, "end"),
        ("remi", "TimeSig_4/4", 0, "fields"),
        ("remi", f"{BAR} Program_0 Velocity_20 Drum_38", 6, "fields"),
        ("remi", "Bar TimeSig_4/4 Pos_1", 2, "position"),
        ("remi", "Bar TimeSig_4/4 Pos_0 Program_0", 3, "start"),
        ("remi", f"{BAR} {NOTE} Pos_48", 8, "position"),
        ("remi", f"{BAR} {NOTE} Pos_5 Pitch_61 Duration_1 Pos_5", 11, "position"),
        ("remi", f"{BAR} {NOTE} Pos_5 Tempo_120", 9, "tempo"),
        ("remi", f"{BAR} Velocity_20 Pitch_60", 5, "program"),
        ("remi", f"{BAR} {NOTE} Program_0", 8, "program"),
        ("remi", f"{BAR} Program_1 Velocity_20 Pitch_60 Duration_1 Program_0", 8, "program"),
        ("remi", f"{BAR} Program_0 Pitch_60", 5, "velocity"),
        ("remi", f"{BAR} {NOTE} Velocity_20", 8, "velocity"),
        ("remi", f"{BAR} {NOTE} Pitch_59", 8, "pitch"),
        ("remi", f"{BAR} {NOTE} Drum_38 Pitch_61", 9, "pitch"),
        ("remi", f"{BAR} {NOTE} Pos_11 Pitch_60", 9, "sounding"),
        ("remi", f"{BAR} {NOTE} Bar TimeSig_4/4", 10, "end"),
        ("satb", "Cell_60 Cell_rest Cell_rest", 3, "end"),
        ("satb", "Cell_60 Cell_rest Cell_rest Cell_rest Cell_rest Cell_rest Cell_rest Cell_rest", 8, "end"),
    ],
)
def test_a_broken_rule_is_named(name, text, place, rule):
    rules = encodings.grammar_of(name)
    events = rules.encoding.from_text(text)
    report = rules.check([events])[0]
    word = "" if rule == "end" else rules.encoding.words[events[-1]]
    assert report.illegal[0] == Illegal(place, word, rule)
    assert report.first == place
    assert report.share == pytest.approx(1 - (rule != "end") / len(events))
    assert (rule == "end") or rules.RULES[rule] in rules.explain(report.illegal[0])


def test_a_program_without_a_free_pitch_is_not_said():
    rules = encodings.grammar_of("remi")
    notes = " ".join(f"Pitch_{pitch} Duration_384" for pitch in range(128))
    text = f"{BAR} Program_0 Velocity_20 {notes} Bar TimeSig_4/4 Pos_0 "
    reports = rules.check([rules.encoding.from_text(text + f"Program_{program}") for program in (0, 1)])
    assert [report.illegal[0].rule for report in reports] == ["sounding", "end"]


def test_a_report_of_many_sequences():
    rules = encodings.grammar_of("tx1")
    texts = ["", "P1_NOTEOFF P1_NOTEOFF WT_5 WT_6", "P1_NOTEON_60 WT_9 P1_NOTEOFF"]
    reports = rules.check([rules.encoding.from_text(text) for text in texts])
    assert [(report.words, report.first, report.share) for report in reports] == [
        (0, None, 1),
        (4, 0, 0.25),
        (3, None, 1),
    ]
    assert [(found.place, found.rule) for found in reports[1].illegal] == [
        (0, "silent"),
        (1, "order"),
        (1, "silent"),
        (3, "wait"),
        (4, "end"),
    ]
    assert rules.explain(reports[1].illegal[0]) == "word 1, 'P1_NOTEOFF': a NOTEOFF ends a note of its voice"
    assert rules.check([]) == []


def test_what_does_not_fit():
    with pytest.raises(ConfigError, match=r"no encoding 'rem' .*did you mean 'remi'"):
        encodings.grammar_of("rem")
    with pytest.raises(MidiError, match=r"sequence 1 holds event ids outside 0\.\.387"):
        encodings.grammar_of("performance").check([[0], [388]])


# --------------------------------------------------------------------------------------------------- room, prompts, JAX


def test_a_prompt_that_sounds_beyond_the_room_is_closed_as_fast_as_can_be():
    rules = encodings.grammar_of("performance")
    prompt = rules.encoding.from_text("VELOCITY_9 NOTE_ON_60 NOTE_ON_64 NOTE_ON_67")
    state = rules.after([prompt], 2)
    words = []
    while not rules.end(state, np)[0]:
        legal = np.flatnonzero(rules.allowed(state, np)[0])
        words.append(rules.encoding.words[legal[0]].rstrip("0123456789"))
        state = rules.advance(state, legal[:1], np)
    assert words == ["TIME_SHIFT_", "NOTE_OFF_", "NOTE_OFF_", "NOTE_OFF_"]


@every_grammar
def test_prompts_of_different_lengths_are_read_as_one_by_one(name):
    rules, rng = encodings.grammar_of(name), np.random.default_rng(3)
    prompts = walk(rules, rules.start(6, np.arange(0, 60, 10)), rng, by_kind=True)
    together = rules.after(prompts, 7)
    for row, prompt in enumerate(prompts):
        for field, alone in zip(together, rules.after([prompt], 7), strict=True):
            assert field.dtype == np.int32
            assert np.array_equal(field[row], alone[0])


@every_grammar
@pytest.mark.parametrize("how", [{}, {"complete": False, "inside": True}])
def test_jax_allows_what_numpy_allows(name, how):
    rules = encodings.grammar_of(name, **how)
    rng = np.random.default_rng(5)
    words, room, batch = len(rules.encoding.words), 50, 24
    said = np.full((batch, room), words, np.int32)
    for row, events in zip(said, walk(rules, rules.start(batch, room), rng, by_kind=True, stop=0), strict=True):
        row[: len(events)] = events
    wild = rng.random(said.shape) < 0.05  # illegal words, too, and ids that are no words
    said = np.where(wild, rng.integers(words + 1, size=said.shape), said).astype(np.int32)

    @jax.jit
    def masks(state, ids):
        def step(state, column):
            return rules.advance(state, column, jnp), (rules.allowed(state, jnp), rules.end(state, jnp))

        return jax.lax.scan(step, state, ids.T)

    last, (allowed, end) = masks(rules.start(batch, room), said)
    state = rules.start(batch, room)
    for step in range(room):
        assert np.array_equal(allowed[step], rules.allowed(state, np))
        assert np.array_equal(end[step], rules.end(state, np))
        state = rules.advance(state, said[:, step], np)
    for ours, theirs in zip(state, last, strict=True):
        assert np.array_equal(ours, theirs)
