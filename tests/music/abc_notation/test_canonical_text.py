"""Canonical text of ABC: one for all ways to type a tune; and what is read of any text."""

from __future__ import annotations

import contextlib
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from t5music.errors import MidiError
from t5music.music import abc_notation
from t5music.music.abc_notation import Bar, Key, Meter, Note, Part, Pitch, Symbol, Tune, parse
from t5music.music.abc_notation.items import MODES
from t5music.music.abc_notation.spelling import key_of_signature


def test_all_ways_to_type_a_tune_become_one():
    one = 'X: 4\nT:A tune\n%%scale 1\nS:somewhere\nM:C|\nL:1/4\nK:Gmaj\n|: "G"G>A (3B/c/d/ ^c |\\\n c e/f/ =c2 :|'
    two = 'X:9\nT: A tune\nM:2/2\nL:1/16\nK:G\n|:"G" G6 A2 (3B2c2d2 ^c4|"^quick"c4 e2f2 =c8:|'
    canonical = 'X:1\nT:A tune\nM:2/2\nL:1/8\nK:G\n|:"G"G3A(3Bcd^c2|=c2ef=c4:|\n'
    assert parse(two).to_text() == canonical.replace("|=c2ef=c4", "|c2efc4")
    assert parse(one).to_text() == canonical.replace("|=c2ef=c4", "|c2efc4")
    assert parse(canonical).to_text() == parse(one).to_text()


def test_accidentals_are_written_where_either_reading_of_the_rule_needs_them():
    # After ^F an f in another octave is sharp by the standard, natural by older practice: written out either way.
    assert parse("K:C\n^F f").to_text().endswith("\n^F^f\n")
    assert parse("K:C\n^F =f").to_text().endswith("\n^F=f\n")
    assert parse("K:C\n^F F | F").to_text().endswith("\n^FF|F\n")
    # So is what a tie gives; and what it would give, but is not meant.
    assert parse("K:C\n^F-|F F").to_text().endswith("\n^F-|^F=F\n")
    assert parse("K:C\n^F-|=F F").to_text().endswith("\n^F-|=FF\n")


def test_text_of_chords_voices_and_parts():
    assert parse("K:C\n[C-E]2[CE]-[CE]").to_text().endswith("\n[C-E]2[CE]-[CE]\n")
    assert parse("P:A2B\nM:2/4\nK:Dphr^f\nP:A\nA:|\nP:B\n|:B::|").to_text() == (
        "X:1\nP:AAB\nM:2/4\nL:1/8\nK:Dphr ^f\nA/2::\n[P:B]B/2::|\n".replace("A/2", "[P:A]A/2")
    )
    assert parse("K:C\nV:a\nC|\nV:b\nE|\nV:a\n|:D:|").to_text() == "X:1\nM:none\nL:1/8\nK:C\nV:1\nC|:D:|\nV:2\nE|\n"


# -------------------------------------------------------------------------------------------------- random tunes


PITCHES = st.builds(Pitch, st.integers(-20, 25), st.integers(-2, 2))
KEYS = st.builds(
    key_of_signature,
    st.sampled_from("CDEFGAB"),
    st.tuples(*[st.integers(-1, 1)] * 7),
    st.sampled_from(sorted(MODES)),
)
METERS = st.builds(Meter, st.integers(1, 12), st.sampled_from([2, 4, 8]))
LENGTHS = st.builds(Fraction, st.integers(1, 24), st.sampled_from([8, 16, 24, 32, 40]))


@st.composite
def notes(draw: st.DrawFn) -> Note:
    pitches = tuple(draw(st.lists(PITCHES, max_size=3, unique=True)))
    ties = draw(st.sets(st.sampled_from(pitches))) if pitches else set()
    return Note(pitches, draw(LENGTHS), tuple(pitch for pitch in pitches if pitch in ties))


BARS = st.sampled_from([Bar(ends, begins) for ends in range(3) for begins in range(3)] + [Bar(double=True)])
MUSIC = st.one_of(
    notes(), notes(), notes(), BARS, st.just(Bar(ending="1")), st.just(Bar(ends=1, ending="2,3")),
    st.sampled_from([Symbol("G7"), Symbol("Am/C")]), KEYS, METERS,
)  # fmt: skip


@st.composite
def tunes(draw: st.DrawFn) -> Tune:
    """Tunes as `parse` gives them: bar lines that nothing parts are one, and what stands already is not changed to."""
    key, meter = draw(KEYS), draw(st.none() | METERS)
    state: dict[type, object] = {Key: key, Meter: meter}
    items: list = [draw(notes())]
    for item in draw(st.lists(MUSIC, max_size=25)):
        if isinstance(item, Key | Meter):
            if state[type(item)] == item:
                continue
            state[type(item)] = item
        if isinstance(item, Bar) and isinstance(items[-1], Bar | Key | Meter):
            continue
        items.append(item)
    title = draw(st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), max_size=8))
    return Tune(key, meter, tuple(items), title)


@settings(deadline=None)
@given(tunes(), st.booleans())
def test_a_tune_is_read_as_it_was_written(tune: Tune, more: bool):
    if more:
        tune = Tune(tune.key, tune.meter, tune.items, tune.title, other_voices=(tune.items[:1], tune.items[:1]))
    assert parse(tune.to_text()) == tune
    unfolded = tune.unfolded()
    assert not any(bar.ends or bar.begins or bar.ending for bar in unfolded.items if isinstance(bar, Bar))
    sounds = [note for note in unfolded.items if isinstance(note, Note)]
    assert [note for note in parse(unfolded.to_text()).items if isinstance(note, Note)] == sounds


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from("ABC"), st.lists(notes(), min_size=1, max_size=3)), min_size=1, max_size=3))
def test_parts_are_read_as_they_were_written(parts: list[tuple[str, list[Note]]]):
    items: list = []
    for name, music in parts:
        items += [Part(name), *music]
    tune = Tune(Key("C"), None, tuple(items), part_order="CABBA")
    assert parse(tune.to_text()) == tune
    last = dict(parts)
    assert list(tune.unfolded().items) == [note for name in "CABBA" for note in last.get(name, [])]


@settings(deadline=None)
@given(st.text(st.sampled_from("ABCdefg|:[]()123/<>^_=-zZ \"{}!\nKMLPVIXT:'&,~+%y"), max_size=50))
def test_any_text_is_a_tune_or_a_midi_error(text: str):
    for head in ("M:4/4\nK:G\n", "P:AB\nM:6/8\nK:D clef=treble-8 transpose=3\n"):
        try:
            tune = parse(f"{head}{text}")
        except MidiError:
            continue
        assert parse(tune.to_text()) == tune
        assert parse(tune.to_text()).to_text() == tune.to_text()
        tune.unfolded().to_text()


@settings(deadline=None)
@given(tunes(), st.data())
def test_a_damaged_tune_is_a_tune_or_a_midi_error(tune: Tune, data: st.DataObject):
    text = tune.to_text()
    start = data.draw(st.integers(0, len(text)))
    stop = data.draw(st.integers(start, min(len(text), start + 9)))
    other = data.draw(st.text(st.sampled_from("AZz|:[]&()9-+{}\"'!/<^_%\\\nXKMLVP\r\t\0é"), max_size=5))
    damaged = text[:start] + other + text[stop:]
    with contextlib.suppress(MidiError):
        for one in abc_notation.parse_tunes(damaged):
            again = parse(one.to_text())
            assert (again.items, again.other_voices) == (one.items, one.other_voices)
            one.unfolded().to_score()


@settings(deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes_are_tunes_or_a_midi_error(content: bytes):
    with contextlib.suppress(MidiError):
        abc_notation.parse_tunes(abc_notation.decode(b"K:C\n" + content))


@pytest.mark.slow
@pytest.mark.parametrize(
    "text",
    [
        "|:" * 20_000,
        "A&" * 10,
        "A|" * 30_000,
        '"G"-' * 20_000,
        "!" * 50_000,
        "{" * 50_000,
        "[" * 50_000,
        "(3" * 30_000,
        "A" + "," * 90_000,
        "%%begintext\n" * 8_000,
        "V:1\n" * 20_000,
        "+" * 90_000,
        '"' * 90_001,
        "A>" * 40_000,
        "[K:D]" * 19_000,
        "[1 A:|" * 15_000,
        "A & B |" * 12_000,
    ],
)
def test_long_texts_take_no_long_time(text: str):
    with contextlib.suppress(MidiError):
        parse(f"M:4/4\nK:C\nA{text}").unfolded()
