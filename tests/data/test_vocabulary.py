"""The vocabulary: exact both ways on any text, and T5's layout of ids."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from t5music.data.vocabulary import EOS_ID, FIRST_BYTE, FIRST_EVENT, PAD_ID, Vocabulary, default
from t5music.errors import ConfigError, DataError
from t5music.music.encodings import ENCODINGS

SMALL = Vocabulary({"tx1": ["WT_1", "P1_NOTEON_60"], "remi": ["Bar"]}, {"tx1": [False, True]}, sentinels=4)

# Known words, things that look like them, spaces and any other text, in any spacing.
PIECES = st.sampled_from(["WT_1", "P1_NOTEON_60", "Bar", "<extra_id_0>", "<extra_id_3>", "</s>", "Bär", "bar", "", " "])
TEXTS = st.lists(PIECES | st.text(st.characters(exclude_categories=["Cs"]), max_size=4)).flatmap(
    lambda pieces: st.sampled_from([" ", "  ", ""]).map(lambda gap: gap.join(pieces))
)


@given(TEXTS)
def test_text_to_ids_to_text_is_exact(text):
    ids = SMALL.encode(text)
    assert ids.dtype == np.int32
    assert ids.min(initial=FIRST_BYTE) >= FIRST_BYTE
    assert SMALL.decode(ids) == text


@given(st.lists(st.sampled_from(SMALL.words[FIRST_EVENT:]), max_size=20))
def test_an_event_is_one_id(words):
    assert SMALL.encode(" ".join(words)).tolist() == [SMALL.words.index(word) for word in words]


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("", []),
        ("Bar", [261]),
        ("WT_1 P1_NOTEON_60 Bar", [259, 260, 261]),
        ("<extra_id_0> <extra_id_3>", [265, 262]),
        ("a: WT_1", [100, 61, 259]),
        ("a b Bar c", [100, 35, 101, 261, 102]),
        ("WT_1x", [90, 87, 98, 52, 123]),
        ("Bar ", [69, 100, 117, 35]),  # an empty piece beside it: not a word
        (" Bar Bar", [35, 69, 100, 117, 261]),
        ("é", [198, 172]),
    ],
)
def test_literal_ids(text, ids):
    assert SMALL.encode(text).tolist() == ids


def test_decode_stops_at_eos_and_passes_over_padding():
    assert SMALL.decode([PAD_ID, 259, PAD_ID, 261, EOS_ID, 260, PAD_ID]) == "WT_1 Bar"
    assert SMALL.decode([EOS_ID]) == ""
    assert SMALL.decode(np.zeros(5, np.int32)) == ""


def test_broken_utf8_becomes_replacement_characters():
    assert SMALL.decode([FIRST_BYTE + 0xC3, 259, FIRST_BYTE + 0x61, FIRST_BYTE + 0xFF]) == "� WT_1 a�"


@pytest.mark.parametrize("ids", [[-1], [SMALL.size], [3, 4, 10**6]])
def test_ids_out_of_range_are_an_error(ids):
    with pytest.raises(DataError, match=f"within 0..{SMALL.size - 1}"):
        SMALL.decode(ids)


@pytest.mark.parametrize("ids", [[[3, 4]], [3.5]])
def test_ids_that_are_no_row_of_integers_are_an_error(ids):
    with pytest.raises(DataError, match="one row of integers"):
        SMALL.decode(ids)


def test_surrogates_are_an_error():
    with pytest.raises(DataError, match="no character"):
        SMALL.encode("Bar \ud800")


def test_sentinels_count_down_from_the_size_not_from_the_rows():
    # T5's own numbers: 32,000 pieces and 100 sentinels, 32,128 embedding rows, <extra_id_0> = 32099.
    t5 = Vocabulary({"pieces": [f"w{i}" for i in range(32_000 - FIRST_EVENT)]})
    assert (t5.size, t5.rows) == (32_100, 32_128)
    assert (t5.sentinel(0), t5.sentinel(99)) == (32_099, 32_000)
    assert t5.encode("<extra_id_0> <extra_id_99>").tolist() == [32_099, 32_000]
    with pytest.raises(ConfigError, match="sentinel 100"):
        t5.sentinel(100)


def test_events_and_masks():
    assert SMALL.encode_events("remi", [0, 0]).tolist() == [261, 261]
    assert SMALL.decode_events("tx1", [260, 261, 70, 259, PAD_ID, EOS_ID, 259]).tolist() == [1, 0]
    assert np.flatnonzero(SMALL.event_mask("tx1")).tolist() == [259, 260]
    assert np.flatnonzero(SMALL.is_note).tolist() == [260]
    with pytest.raises(DataError, match=r"event ids of tx1 are 0\.\.1"):
        SMALL.encode_events("tx1", [2])
    with pytest.raises(ConfigError, match="did you mean 'remi'"):
        SMALL.event_mask("remy")


def test_words_must_be_different_and_without_spaces():
    with pytest.raises(ConfigError, match="different"):
        Vocabulary({"a": ["x"], "b": ["x"]})
    with pytest.raises(ConfigError, match="no space"):
        Vocabulary({"a": ["x y"]})


def test_an_encoding_may_share_words_of_earlier_ones():
    vocabulary = Vocabulary({"a": ["x", "y"], "b": ["z", "y", "w"]}, {"b": [False, True, True]}, shared=("b",))
    assert vocabulary.words[259:263] == ("x", "y", "z", "w")
    assert vocabulary.encodings == {"a": range(259, 261), "b": range(261, 263)}
    assert vocabulary.encode_events("b", [0, 1, 2]).tolist() == vocabulary.encode("z y w").tolist() == [261, 260, 262]
    assert vocabulary.decode_events("b", [259, 260, 262, 261]).tolist() == [1, 2, 0]
    assert np.flatnonzero(vocabulary.event_mask("b")).tolist() == [260, 261, 262]
    assert np.flatnonzero(vocabulary.is_note).tolist() == [260, 262]
    with pytest.raises(ConfigError, match="different"):
        Vocabulary({"a": ["x"], "b": ["y", "y"]}, shared=("a",))


def test_the_fingerprint_depends_on_words_and_order():
    one, same, other = Vocabulary({"a": ["x", "y"]}), Vocabulary({"a": ["x", "y"]}), Vocabulary({"a": ["y", "x"]})
    assert one == same
    assert hash(one) == hash(same)
    assert one != other
    assert one.fingerprint != other.fingerprint


def test_the_default_vocabulary_never_changes():
    # Stores and checkpoints remember this fingerprint: with another one they are all useless.
    vocabulary = default()
    assert (vocabulary.size, vocabulary.rows) == (2291, 2304)
    assert vocabulary.fingerprint == "6b3236cf26c8ad990be319c3c201882b4870f666cff3a449257fd55befcbe5bb"


def test_the_default_vocabulary():
    vocabulary = default()
    assert list(vocabulary.encodings) == ["tx1", "performance", "remi", "tx2", "satb", "note_labels"]
    assert [len(ids) for ids in vocabulary.encodings.values()] == [630, 388, 803, 55, 47, 9]
    for name, encoding in ENCODINGS.items():
        assert (
            vocabulary.encode(" ".join(encoding.words)).tolist()
            == vocabulary.encode_events(name, np.arange(len(encoding.words))).tolist()
        )
    assert vocabulary.decode(vocabulary.encode("continue nes: WT_12 P1_NOTEON_60 <extra_id_0>")).startswith("continue")
    assert len(vocabulary.encode("continue nes: WT_12 P1_NOTEON_60")) == len("continue nes:") + 2
    for name in vocabulary.encodings:
        events = np.arange(vocabulary.event_mask(name).sum())
        encoded = vocabulary.encode_events(name, events)
        assert vocabulary.decode_events(name, encoded).tolist() == events.tolist()
        assert np.array_equal(np.flatnonzero(vocabulary.event_mask(name)), np.sort(encoded))
    assert vocabulary.words[vocabulary.encode("NOTE_ON_60")[0]] == "NOTE_ON_60"
    assert vocabulary.is_note[vocabulary.encode("P1_NOTEON_60 NOTE_ON_60 Pitch_60")].all()
    assert not vocabulary.is_note[vocabulary.encode("WT_1 NOTE_OFF_60 Bar x <extra_id_0>")].any()


def test_five_thousand_events_take_milliseconds():
    vocabulary = default()
    rng = np.random.default_rng(0)
    words = np.array(vocabulary.words[FIRST_EVENT : vocabulary.size - 100])
    text = "continue: " + " ".join(rng.choice(words, 5_000))
    took = []
    for _ in range(5):
        start = time.perf_counter()
        ids = vocabulary.encode(text)
        vocabulary.decode(ids)
        took.append(time.perf_counter() - start)
    assert len(ids) == 5_000 + len("continue:")
    assert min(took) < 0.02  # about 1 ms on an idle core
