"""The formats of answers: what is asked for is legal, what is legal has the form, in NumPy and in JAX."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from t5music.data.answer_formats import Format, Label, Music, PerNote, Spans
from t5music.data.objectives.noise import IidDenoising, SpanCorruption
from t5music.data.vocabulary import DYNAMICS, EOS_ID, default
from t5music.errors import ConfigError, DataError
from t5music.music import encodings
from t5music.music.encodings.remi.bounds import Bounds
from t5music.music.encodings.remi.grid import METERS
from t5music.music.encodings.remi.promised import PromisedRemi, fewest_words

VOCABULARY = default()
FEWER = settings(max_examples=settings.default.max_examples // 2)  # they are dear


def rows(*texts: str) -> np.ndarray:
    """The texts as inputs: ids with EOS, padded."""
    ids = [[*VOCABULARY.encode(text).tolist(), EOS_ID] for text in texts]
    return np.array([row + [0] * (max(map(len, ids)) - len(row)) for row in ids], np.int32)


def wander(form: Format, state: object, rng: np.random.Generator, most: int) -> list[np.ndarray]:
    """A random legal answer to each row, without EOS, which must come within `most` ids."""
    written: list[np.ndarray] = []
    for _ in range(most):
        legal = form.allowed(state, np)
        assert legal.shape[1] == VOCABULARY.size
        assert legal.any(axis=1).all(), "a dead end"
        ids = np.argmax(legal * rng.random(legal.shape), axis=1).astype(np.int32)
        written.append(ids)
        state = form.advance(state, ids, np)
    out = []
    for row in np.stack(written, axis=1):
        assert EOS_ID in row, "no end"
        out.append(row[: int(np.argmax(row == EOS_ID))])
    return out


FORMS = [
    *(Music(VOCABULARY, name) for name in VOCABULARY.encodings if name in encodings.ENCODINGS),
    Music(VOCABULARY, "remi", complete=False, inside=True, continues=True, begins="<extra_id_0>"),
    Music(VOCABULARY, "performance", continues=True, fill=True),
    Label(VOCABULARY, ("bach", "bach family", "Bar Pos_0", "monteverdi")),
    PerNote(VOCABULARY, DYNAMICS),
    Spans(VOCABULARY),
    Spans(VOCABULARY, "remi", denoising=False),
]
INPUTS = rows(
    "",
    "infill: Bar TimeSig_4/4 Pos_0 Tempo_120 Velocity_9 Drum_3 <extra_id_0> Bar TimeSig_3/4 Pos_0 Velocity_5 Drum_4",
    "<extra_id_0> Pitch_60 Pitch_61 <extra_id_1>",
    "VELOCITY_9 NOTE_ON_60 NOTE_ON_64 TIME_SHIFT_20 NOTE_OFF_60",
)


@pytest.mark.parametrize("form", FORMS, ids=lambda form: type(form).__name__)
def test_random_answers_end_in_time_and_are_legal(form):
    rng, most = np.random.default_rng(0), 40
    for _ in range(5):
        answers = wander(form, form.start(INPUTS, most), rng, most)
        assert form.check(INPUTS, answers, most).tolist() == [-1] * len(INPUTS)


@pytest.mark.parametrize("form", FORMS, ids=lambda form: type(form).__name__)
def test_jax_allows_what_numpy_allows(form):
    rng, most = np.random.default_rng(1), 30
    ids = np.zeros((len(INPUTS), most), np.int32)
    for row, answer in zip(ids, wander(form, form.start(INPUTS, most), rng, most), strict=True):
        row[: len(answer)] = answer
    ids = np.where(rng.random(ids.shape) < 0.05, rng.integers(VOCABULARY.size, size=ids.shape), ids).astype(np.int32)

    @jax.jit
    def masks(state, ids):
        def step(state, column):
            return form.advance(state, column, jnp), form.allowed(state, jnp)

        return jax.lax.scan(step, state, ids.T)[1]

    found = masks(form.start(INPUTS, most), ids)
    state = form.start(INPUTS, most)
    for step in range(most):
        assert np.array_equal(found[step], form.allowed(state, np))
        state = form.advance(state, ids[:, step], np)


def test_equal_formats_are_one():
    assert Music(VOCABULARY, "remi") == Music(default(), "remi")
    assert len({Label(VOCABULARY, ("a", "b")), Label(VOCABULARY, ("a", "b")), Label(VOCABULARY, ("b", "a"))}) == 2


# --------------------------------------------------------------------------------------------------------------- music


def test_an_answer_goes_on_where_the_inputs_end():
    form = Music(VOCABULARY, "performance", continues=True)
    inputs = rows("continue piano: VELOCITY_9 NOTE_ON_60 TIME_SHIFT_9", "continue piano: VELOCITY_9 NOTE_ON_61")
    answers = [VOCABULARY.encode(text) for text in ("NOTE_OFF_60", "TIME_SHIFT_9 NOTE_OFF_61")]
    assert form.check(inputs, answers).tolist() == [-1, -1]
    assert form.check(inputs, answers[::-1]).tolist() == [0, 0]
    given = form.start(inputs, 99, prompts=[np.array([], np.int32)] * 2)  # prompts in place of the inputs'
    assert not form.allowed(given, np)[:, VOCABULARY.encode("NOTE_OFF_60")].any()


def test_a_gap_is_filled_from_where_it_begins():
    form = Music(VOCABULARY, "remi", complete=False, inside=True, continues=True, begins="<extra_id_0>")
    past = "Bar TimeSig_4/4 Pos_0 Tempo_120 Velocity_9 Drum_3"
    inputs = rows(*[f"infill: {past} <extra_id_0> Pos_40 Drum_5 Bar TimeSig_3/4"] * 5)
    texts = ["<extra_id_0> Pos_6 Drum_3", "<extra_id_0>", "Pos_6 Drum_3", "<extra_id_0> Pos_6", "<extra_id_0> bach"]
    assert form.check(inputs, [VOCABULARY.encode(text) for text in texts]).tolist() == [-1, -1, 0, 2, 1]


def test_a_full_answer_ends_only_where_nothing_else_may_come():
    form, most = Music(VOCABULARY, "performance", fill=True), 30
    answers = wander(form, form.start(INPUTS, most), np.random.default_rng(0), most)
    assert min(map(len, answers)) >= most - 3  # what is left has no room for a note
    for answer in answers:
        assert encodings.get("performance").decode(VOCABULARY.decode_events("performance", answer)).repairs == 0


# --------------------------------------------------------------------------------------------------- labels and notes


def test_labels_are_those_of_the_set():
    form = Label(VOCABULARY, ("bach", "bach family", "Bar Pos_0"))
    texts = ["bach", "bach family", "Bar Pos_0", "bac", "bachs", "handel", "bach fam", "Bar", ""]
    found = form.check(rows(*[""] * len(texts)), [VOCABULARY.encode(text) for text in texts])
    assert found.tolist() == [-1, -1, -1, 3, 4, 0, 8, 1, 0]
    answers = wander(form, form.start(rows(*[""] * 60), 12), np.random.default_rng(0), 12)
    assert {VOCABULARY.decode(answer) for answer in answers} == set(texts[:3])


def test_one_word_for_each_note():
    form = PerNote(VOCABULARY, DYNAMICS)
    asked = "predict velocity: Bar TimeSig_4/4 Pos_0 Pitch_60 Duration_1 Pitch_64 Duration_2"
    texts = {
        "Pitch_60 Dynamic_p Pitch_64 Dynamic_ff": -1,
        "Pitch_60 Dynamic_p": 2,
        "Pitch_60 Dynamic_p Pitch_60 Dynamic_p": 2,  # there is no such note
        "Pitch_60 Dynamic_p Pitch_64 Role_melody": 3,
        "Pitch_60 Dynamic_p Pitch_64 Dynamic_p Dynamic_p": 4,
        "Dynamic_p Dynamic_p": 0,
    }
    found = form.check(rows(*[asked] * len(texts)), [VOCABULARY.encode(text) for text in texts])
    assert found.tolist() == list(texts.values())
    uneven = rows(asked, "predict velocity: Bar", "Pitch_62 Duration_1")
    assert form.longest(uneven) == 5
    answers = wander(form, form.start(uneven, 5), np.random.default_rng(0), 5)
    echoes = [VOCABULARY.decode(answer).split()[::2] for answer in answers]
    assert echoes == [["Pitch_60", "Pitch_64"], [], ["Pitch_62"]]


# --------------------------------------------------------------------------------------------------------------- spans


@FEWER
@given(data=st.data(), seed=st.integers(0, 2**32 - 1))
def test_what_denoising_asks_for_is_legal(data, seed):
    objective = data.draw(
        st.sampled_from([SpanCorruption(), SpanCorruption(0.5, 2.0), IidDenoising(0.15), IidDenoising(0.6)])
    )
    length = data.draw(st.integers(0, 300))
    rng = np.random.default_rng(seed)
    tokens = rng.integers(3, VOCABULARY.size - VOCABULARY.sentinels, length).astype(np.int32)
    example = objective({"targets": tokens}, rng, {"inputs": 512, "targets": 512}, VOCABULARY)
    form, inputs = Spans(VOCABULARY), np.append(example["inputs"], EOS_ID)[None]
    assert form.check(inputs, [example["targets"]]).tolist() == [-1]
    if length > 1:
        missing = form.check(inputs, [example["targets"][:-1]])[0]  # legal only where the last span has words left
        assert missing in (-1, len(example["targets"]) - 1)
        assert (missing == -1) == (example["targets"][-2:] < VOCABULARY.sentinel(99)).all()


@pytest.mark.parametrize(
    ("inputs", "answer", "place"),
    [
        ("a <extra_id_0> b <extra_id_1>", "<extra_id_0> x y <extra_id_1> z", -1),
        ("a <extra_id_0> b <extra_id_1>", "<extra_id_1> x", 0),  # out of order
        ("a <extra_id_0> b <extra_id_1>", "<extra_id_0> <extra_id_1> x", 1),  # an empty span
        ("a <extra_id_0> b <extra_id_1>", "<extra_id_0> x", 2),  # one too few
        ("a <extra_id_0> b <extra_id_1>", "x <extra_id_0> y <extra_id_1> z", 0),  # words before the first
        ("a <extra_id_0>", "<extra_id_0> x <extra_id_1> y", 2),  # one too many
        ("a <extra_id_0> b", "<extra_id_0> x <extra_id_1>", -1),  # the inputs go on: so does a sentinel
        ("a <extra_id_0> b", "<extra_id_0> x <extra_id_1> y", 3),
        ("<extra_id_0> b <extra_id_1>", "x <extra_id_0> y", -1),  # the inputs begin with noise: so does the answer
        ("<extra_id_0> b <extra_id_1>", "<extra_id_0> y", 0),
        ("", "", -1),
        ("", "x", 0),
    ],
)
def test_spans_of_denoising(inputs, answer, place):
    assert Spans(VOCABULARY).check(rows(inputs), [VOCABULARY.encode(answer)]).tolist() == [place]


def test_spans_of_music():
    form = Spans(VOCABULARY, "tx1", denoising=False)
    texts = ["<extra_id_0> WT_5 <extra_id_1> WT_6", "<extra_id_0> x", "<extra_id_0> WT_5"]
    inputs = rows(*["<extra_id_0> WT_9 <extra_id_1> WT_10"] * 3)
    assert form.check(inputs, [VOCABULARY.encode(text) for text in texts]).tolist() == [-1, 1, 2]


# ---------------------------------------------------------------------------------------------------------- what is not


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Music(VOCABULARY, "rem"), "no encoding 'rem' .*did you mean 'remi'"),
        (lambda: Music(VOCABULARY, "remi", begins="gap:"), "'gap:' must be one id"),
        (lambda: PerNote(VOCABULARY, ("loud",)), "'loud' must be one id"),
        (lambda: PerNote(VOCABULARY, ()), "there are none"),
        (lambda: Label(VOCABULARY, ()), "one label or more"),
        (lambda: Label(VOCABULARY, ("a", "")), "none of them empty"),
        (lambda: Label(VOCABULARY, ("abcde",)).start(INPUTS, 5), "the longest label has 5 ids"),
    ],
)
def test_a_format_that_cannot_be(make, message):
    with pytest.raises(ConfigError, match=message):
        make()


def test_more_notes_than_an_answer_has_room_for():
    with pytest.raises(DataError, match="row 1 has 3 notes, two words each: too many for max_length 6"):
        PerNote(VOCABULARY, DYNAMICS).start(rows("Pitch_1", "Pitch_1 Pitch_2 Drum_3"), 6)


def lazy(form: Music, state: object, most: int) -> list[str]:
    """The words of an answer that ends where it may, and otherwise begins bars as long as it may."""
    preferred = [EOS_ID, *VOCABULARY.encode("Bar").tolist(), *VOCABULARY.encode("TimeSig_4/4").tolist()]
    ids = []
    for _ in range(most):
        (legal,) = form.allowed(state, np)
        assert legal.any(), "a dead end"
        ids.append(next((token for token in preferred if legal[token]), int(np.flatnonzero(legal)[-1])))
        state = form.advance(state, np.array(ids[-1:], np.int32), np)
        if ids[-1] == EOS_ID:
            return VOCABULARY.decode(np.array(ids[:-1], np.int32)).split()
    raise AssertionError("no end")


@pytest.mark.parametrize("bars", [1, 2, 4])
def test_a_gap_is_filled_with_a_note_in_one_of_its_bars(bars: int):
    questions = rows("infill folk: Bar TimeSig_4/4 Pos_0 Tempo_120 Velocity_9 Drum_3 <extra_id_0>")
    before = [VOCABULARY.decode_events("remi", questions[0])]
    form = Music(VOCABULARY, "remi", complete=False, begins="<extra_id_0>", needs_note=True)
    words = lazy(form, form.start(questions, 60, prompts=before, most_silent=[bars]), 60)
    assert words[0] == "<extra_id_0>"
    assert words.count("Bar") == bars
    assert words[-1].startswith(("Drum_", "Duration_"))
    usual = Music(VOCABULARY, "remi", complete=False, begins="<extra_id_0>")
    assert lazy(usual, usual.start(questions, 60, prompts=before), 60) == ["<extra_id_0>"]


def test_music_that_goes_on_has_no_long_silence():
    form = Music(VOCABULARY, "remi", fill=True, needs_note=True)
    questions = rows("continue folk: Bar TimeSig_4/4 Pos_0 Tempo_120 Velocity_9 Drum_3")
    before = [VOCABULARY.decode_events("remi", questions[0])]

    def silences(most_silent: int) -> list[int]:
        """Bars that begin before each note, and after the last."""
        words = lazy(form, form.start(questions, 120, prompts=before, most_silent=most_silent), 120)
        counts = [0]
        for word in words:
            counts[-1] += word == "Bar"
            if word.startswith(("Drum_", "Pitch_")):
                counts.append(0)
        return counts

    assert max(silences(4)) == 4
    assert len(silences(4)) > 8
    silent, *others = silences(1 << 30)
    assert silent > 40  # and then a note where the room ends
    assert len(others) < 4


@pytest.mark.parametrize("room", range(2, 24))
@pytest.mark.parametrize("begins", ["", "<extra_id_0>"])
def test_the_least_room_is_no_dead_end(room: int, begins: str):
    questions = rows("infill folk: Bar TimeSig_4/4 Pos_0 Tempo_120 Velocity_9 Drum_3 <extra_id_0>")
    before = [VOCABULARY.decode_events("remi", questions[0])]
    form = Music(VOCABULARY, "remi", complete=not begins, begins=begins, needs_note=True)
    rng = np.random.default_rng(room)
    for most_silent in (1, 2):
        wander(form, form.start(questions, room, prompts=before, most_silent=most_silent), rng, room)
        lazy(form, form.start(questions, room, prompts=before, most_silent=most_silent), room)


@pytest.mark.parametrize("more", range(12))
@pytest.mark.parametrize("begins", ["", "<extra_id_0>"])
def test_bars_that_are_owed_are_written_in_the_least_room(more: int, begins: str):
    questions = rows("infill folk: Bar TimeSig_4/4 Pos_0 Tempo_120 Velocity_9 Drum_3 <extra_id_0>")
    before, bars, rng = [VOCABULARY.decode_events("remi", questions[0])], 5, np.random.default_rng(more)
    limits = [Bounds(np.ones((129, 128), bool), bars=bars, meters=(METERS.index((4, 4)),))]
    rules = PromisedRemi(owes=False)
    form = Music(VOCABULARY, "remi", complete=False, begins=begins, needs_note=True, promised=rules)
    room = fewest_words(bars) + 1 + bool(begins) + more
    for most_silent in (1, 2):
        start = form.start(questions, room, prompts=before, bounds=limits, most_silent=most_silent)
        (words,) = wander(form, start, rng, room)
        assert (words == VOCABULARY.encode("Bar")[0]).sum() - bars in (0, 1)  # a Bar behind the last one ends
        lazy(form, start, room)
