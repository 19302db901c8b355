"""Masks of notes: which words are a note's, and rows with notes masked, against the objectives of the data path."""

import jax
import numpy as np
import tiny_notes
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from tiny_notes import BAR, DURATION, PITCH, POSITION, SENTINEL, WORDS

from t5music.data import vocabulary
from t5music.data.loading.note_chunks import note_words
from t5music.data.objectives import noise
from t5music.training.note_masking import note_masks


def test_a_note_is_its_pitch_and_what_belongs_to_it():
    vocab = vocabulary.default()
    words = note_masks.Words(**note_words(vocab))
    text = "Bar TimeSig_4/4 Pos_0 Tempo_120 Velocity_9 Pitch_60 Duration_12 Pitch_64 Duration_6 Pos_24 Drum_36 Pos_30"
    tokens = np.append(vocab.encode(f"{text} Tempo_90 Bar TimeSig_4/4 Pos_1 Pitch_67 Duration_6 Pos_3"), 1)
    expected = [-1, -1, 5, -1, 5, 5, 5, 7, 7, 10, 10, -1, -1, -1, -1, 16, 16, 16, -1, -1]  # Pos_30: only a tempo's
    assert_array_equal(note_masks.heads(tokens[None], words)[0], expected)


def test_what_heads_say_is_spread_over_notes_and_summed_up_again():
    tokens = tiny_notes.row(0)[None]
    notes = note_masks.heads(tokens, WORDS)
    assert_array_equal(notes[0, :8], [-1, 2, 2, 2, 4, 4, -1, 8])
    values = np.arange(24, dtype=np.float32)[None]
    assert_array_equal(note_masks.of_notes(values, notes)[0, :8], [0, 2, 2, 2, 4, 4, 0, 8])
    assert_array_equal(note_masks.sums(values, notes, 24)[0, :9], [0, 0, 1 + 2 + 3, 0, 4 + 5, 0, 0, 0, 7 + 8 + 9])


def test_the_highest_of_the_allowed_places():
    scores = np.array([[0.1, 0.9, 0.5, 0.9, 0.0], [0.3, 0.2, 0.1, 0.0, 0.0]])
    allowed = np.array([[1, 0, 1, 1, 1], [1, 1, 0, 0, 0]], bool)
    assert_array_equal(note_masks.highest(scores, allowed, np.array([2, 4])), [[0, 0, 1, 1, 0], [1, 1, 0, 0, 0]])


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.integers(4, 60), st.booleans()), min_size=1, max_size=20))
def test_spans_are_those_of_the_span_corruption_objective(row):
    tokens, mask = (np.array(column) for column in zip(*row, strict=True))
    padded = np.pad(np.append(tokens, 1), (0, 23 - len(tokens))).astype(np.int32)[None]
    masked = np.pad(mask, (0, 24 - len(mask)), constant_values=True)[None]  # the end and the padding never are
    vocab = type("", (), {"size": SENTINEL + 1})()
    rows = note_masks.as_spans(padded, masked, WORDS, (32, 24))
    for row, dropped in ((rows.inputs, mask), (rows.targets, ~mask)):
        expected = np.append(noise.replace_spans(tokens, dropped, vocab), 1)
        assert_array_equal(row[0], np.pad(expected, (0, row.shape[1] - len(expected))))
    assert_array_equal(tokens[rows.sources[0][rows.sources[0] >= 0]], tokens[mask])


def test_what_does_not_fit_loses_its_end():
    rows = note_masks.as_spans(tiny_notes.row(0)[None], np.ones((1, 24), bool), WORDS, (24, 5))
    assert_array_equal(rows.inputs[0, :3], [SENTINEL, 1, 0])
    assert_array_equal(rows.targets[0], tiny_notes.row(0)[:5])


def test_in_place_eight_in_ten_are_masked_and_one_is_another():
    tokens = np.tile([BAR, POSITION, PITCH, DURATION] * 50, (20, 1)).astype(np.int32)
    notes = note_masks.heads(tokens, WORDS)
    masked = np.asarray(notes >= 0)
    rows = note_masks.in_place(tokens, masked, notes, WORDS, jax.random.key(0))
    inputs = np.asarray(rows.inputs)
    pitches = inputs[tokens == PITCH]
    assert abs(np.mean(pitches == SENTINEL) - 0.8) < 0.04
    changed = pitches[(pitches != SENTINEL) & (pitches != PITCH)]
    assert abs(len(changed) / len(pitches) - 0.1) < 0.03
    assert set(changed) <= set(range(PITCH, DURATION))  # a pitch becomes a pitch
    assert_array_equal(inputs[tokens == POSITION] == SENTINEL, pitches == SENTINEL)  # a note as a whole
    assert_array_equal(inputs[tokens == BAR], BAR)
    assert_array_equal(rows.targets, np.where(masked, tokens, 0))
