"""What holds for every encoding: words and text, round trips, decoding of anything, cutting."""

from __future__ import annotations

import itertools
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import any_scores, playable, scores

from t5music.errors import ConfigError, MidiError
from t5music.music import encodings, midi
from t5music.music.encodings import ENCODINGS
from t5music.music.encodings.clock import MAX_SECONDS
from t5music.music.midi import reader
from t5music.music.score import DRUMS, Score

every_encoding = pytest.mark.parametrize("encoding", ENCODINGS.values(), ids=ENCODINGS)
FEWER = settings(max_examples=settings.default.max_examples // 2)  # they are dear
SHORT = scores(last_onset=1_000, longest=400)  # at most 70 minutes, at one tick a quarter and 20 quarters a minute
MUSIC = scores(last_onset=1_000, longest=400, min_notes=1)


@st.composite
def event_arrays(draw: st.DrawFn, encoding: encodings.Encoding, max_size: int = 80) -> np.ndarray:
    """Events of any kind in any order, where every kind of word is as likely as any other."""
    families: dict[str, list[int]] = {}
    for word, index in encoding.ids.items():
        families.setdefault(word.rstrip("0123456789/"), []).append(index)
    one = st.one_of([st.sampled_from(members) for members in families.values()])
    return np.array(draw(st.lists(one, max_size=max_size)), np.int32)


# --------------------------------------------------------------------------------------------------------- words, text


def test_registry():
    assert list(ENCODINGS) == ["tx1", "performance", "remi", "tx2", "satb"]
    assert encodings.get("remi") is ENCODINGS["remi"]
    with pytest.raises(ConfigError, match=r"no encoding 'perfomance'.*did you mean 'performance'"):
        encodings.get("perfomance")


def test_words_are_distinct_and_without_spaces():
    words = [word for name, encoding in ENCODINGS.items() if name != "tx2" for word in encoding.words]
    words += [word for word in ENCODINGS["tx2"].words if word not in ENCODINGS["tx1"].ids]  # the others are tx1's own
    assert len(set(words)) == len(words)
    assert not any(character.isspace() for word in words for character in word)


@every_encoding
def test_what_the_words_say(encoding):
    """The numbers in the words are those of the arrays that augmentations read."""
    for index, word in enumerate(encoding.words):
        family, _, number = word.rpartition("_")
        pitched = family in {"P1_NOTEON", "P2_NOTEON", "TR_NOTEON", "NOTE_ON", "NOTE_OFF", "Pitch", "Cell"}
        pitched &= number.isdigit()  # Cell_rest is none
        assert encoding.pitches[index] == (int(number) if pitched else -1)
        assert encoding.waits[index] == (int(number) if family in {"WT", "TIME_SHIFT"} else 0)
        assert encoding.tempi[index] == (int(number) if family == "Tempo" else 0)
        for step in (-int(encoding.semitones_down[index]), int(encoding.semitones_up[index])):
            assert encoding.words[index + step] == (f"{family}_{int(number) + step}" if pitched else word)
            assert (
                not pitched
                or f"{family}_{int(number) + step + (1 if step > 0 else -1)}" not in encoding.ids
                or not step
            )
    assert not encoding.adds_to or set(encodings.get(encoding.adds_to).words) < set(encoding.words)


@every_encoding
@FEWER
@given(score=MUSIC, interval=st.integers(-12, 12))
def test_moved_words_are_the_transposed_score(encoding, score, interval):
    try:
        events = encoding.encode(playable(encoding, score))
    except MidiError:
        return
    pitched = encoding.pitches[events] >= 0
    low = -encoding.semitones_down[events][pitched].min(initial=12)
    high = encoding.semitones_up[events][pitched].min(initial=12)
    interval = int(np.clip(interval, low, high))
    decoded = encoding.decode(events + interval * pitched)
    notes = encoding.decode(events).score.notes.copy()
    notes["pitch"] += interval * (notes["program"] != DRUMS)
    assert decoded.repairs == 0
    assert decoded.score == encoding.decode(events).score.with_notes(notes)


@every_encoding
def test_text_and_back(encoding):
    events = np.arange(len(encoding.words), dtype=np.int32)[::-1]
    text = encoding.to_text(events)
    assert text.split(" ") == list(reversed(encoding.words))
    back = encoding.from_text(text)
    assert back.dtype == np.int32
    assert np.array_equal(back, events)
    assert encoding.to_text([]) == ""
    assert encoding.from_text("").shape == (0,)


@every_encoding
def test_unknown_word(encoding):
    word = encoding.words[-1]
    with pytest.raises(MidiError, match=rf"word 2, '{word}x', is not an event word of {encoding.name}; did you mean"):
        encoding.from_text(f"{word} {word}x {word}")


@every_encoding
@pytest.mark.parametrize("use", ["decode", "to_text", "times"])
def test_event_ids_out_of_range(encoding, use):
    beyond = len(encoding.words)
    for wrong in (beyond, -1):
        with pytest.raises(MidiError, match=f"event 1 is {wrong}, but the event ids of {encoding.name} are"):
            getattr(encoding, use)([0, wrong])
    with pytest.raises(MidiError, match="flat array of integers"):
        getattr(encoding, use)(np.zeros((2, 2), int))
    with pytest.raises(MidiError, match="flat array of integers"):
        getattr(encoding, use)([0.5])


@every_encoding
def test_nothing_from_nothing(encoding):
    silence = Score(480, np.empty(0, reader.NOTE))
    assert len(encoding.encode(silence)) == 0
    decoded = encoding.decode([])
    assert len(decoded.score.notes) == 0
    assert decoded.repairs == 0
    assert encoding.times([]).tolist() == [0.0]
    assert encoding.segments([], 64) == encoding.chunks([], 64) == []
    assert [len(part) for part in encoding.split_seconds([], 5)] == [0, 0]


# --------------------------------------------------------------------------------------------------------- round trips


def check_round_trip(encoding: encodings.Encoding, score: Score) -> None:
    events = encoding.encode(score)
    assert events.dtype == np.int32
    decoded = encoding.decode(events)
    assert decoded.repairs == 0
    assert np.array_equal(encoding.encode(decoded.score), events)
    assert np.array_equal(encoding.from_text(encoding.to_text(events)), events)
    assert (decoded.score.notes["duration"] > 0).all()


@every_encoding
@FEWER
@given(data=st.data())
def test_round_trip(encoding, data):
    check_round_trip(encoding, playable(encoding, data.draw(SHORT)))


@every_encoding
@FEWER
@given(data=st.data())
def test_round_trip_of_odd_scores(encoding, data):
    check_round_trip(encoding, playable(encoding, data.draw(any_scores())))


@every_encoding
@FEWER
@given(data=st.data())
def test_round_trip_through_midi(encoding, data):
    score = playable(encoding, data.draw(MUSIC))
    events = encoding.encode(score)
    if encoding.is_note[events].any():
        decoded = encoding.decode(events).score
        assert np.array_equal(encoding.encode(midi.read(midi.to_bytes(decoded))), events)


@pytest.mark.data
@pytest.mark.parametrize(
    ("archive", "pattern", "files"),
    [
        ("web_midi_multitrack", "midi/**/*.mid", 20),
        ("multitrack_extra", "midi/**/*.mid", 12),
        ("pop909", "POP909/**/*.mid", 12),
        ("nes_nsf2midi", "midi/**/*.mid", 20),
        ("jsb_chorales", "bach370_midi/**/*.mid", 10),
    ],
)
def test_round_trip_of_real_music(real_music, archive, pattern, files):
    paths = sorted(real_music(archive).glob(pattern))
    done = dict.fromkeys(ENCODINGS, 0)
    for path in paths[:: len(paths) // files][:files]:
        try:
            score = midi.read(path)
        except MidiError:
            continue
        for name, encoding in ENCODINGS.items():
            try:
                encoding.encode(score)
            except MidiError:
                assert name in ("tx1", "tx2", "satb")  # the others take any of these files
                continue
            check_round_trip(encoding, score)
            done[name] += 1
    assert done["performance"] == done["remi"] > 0.8 * files
    assert archive != "nes_nsf2midi" or done["tx1"] > 0.8 * files
    assert archive != "jsb_chorales" or done["satb"] > 0.8 * files


# ------------------------------------------------------------------------------------------------------------ decoding


@every_encoding
@FEWER
@given(data=st.data())
def test_anything_decodes(encoding, data):
    events = data.draw(event_arrays(encoding))
    score, repairs = encoding.decode(events)
    assert repairs >= 0
    notes = score.notes
    assert (notes["onset"] >= 0).all()
    assert (notes["duration"] > 0).all()
    assert ((notes["pitch"] >= 0) & (notes["pitch"] <= 127)).all()
    assert ((notes["velocity"] >= 1) & (notes["velocity"] <= 127)).all()
    assert ((notes["program"] >= 0) & (notes["program"] <= DRUMS)).all()
    assert len(notes) <= encoding.is_note[events].sum()
    check_round_trip(encoding, score)

    times = encoding.times(events)
    assert times.shape == (len(events) + 1,)
    assert (np.diff(times) >= 0).all()
    length = data.draw(st.integers(16, 40))
    for piece in encoding.segments(events, length):
        assert 0 < len(piece) <= length
        encoding.decode(piece)


def _seconds(encoding: encodings.Encoding, events: np.ndarray) -> tuple[float, encodings.Decoded]:
    """The least processor time that decoding took in three times, and what came of it."""
    times = []
    for _ in range(3):
        began = time.process_time()
        decoded = encoding.decode(events)
        times.append(time.process_time() - began)
    return min(times), decoded


@every_encoding
@pytest.mark.parametrize("favoured", ["waits", "notes", "all"])
def test_a_hundred_thousand_random_events_take_time_in_proportion(encoding, favoured):
    rng = np.random.default_rng(7)
    events = rng.integers(len(encoding.words), size=100_001)
    if favoured != "all":
        starts = ("WT", "TIME_SHIFT", "Bar", "Cell_rest")
        chosen = encoding.is_note if favoured == "notes" else [word.startswith(starts) for word in encoding.words]
        events = np.where(rng.random(len(events)) < 0.9, rng.choice(np.flatnonzero(chosen), len(events)), events)
    few, _ = _seconds(encoding, events[:10_000])
    many, (score, repairs) = _seconds(encoding, events)
    assert many < 40 * few  # about 10 times as long; as long again as there are events would be 100 times
    assert repairs > 0
    assert score.end_tick < 2**28  # a MIDI file can hold it
    if encoding.name != "remi":
        assert score.duration_seconds <= MAX_SECONDS


@every_encoding
def test_pieces_beyond_the_limit_are_refused(encoding):
    notes = np.array([(0, 480, 60, 80, 80, 0), (2**36, 480, 60, 80, 80, 0)], reader.NOTE)
    with pytest.raises(MidiError, match=r"takes at most .*: crop it"):
        encoding.encode(Score(480, notes))


# ------------------------------------------------------------------------------------------------------------- cutting


@every_encoding
@FEWER
@given(data=st.data())
def test_segments_and_chunks(encoding, data):
    score = playable(encoding, data.draw(MUSIC))
    events = encoding.encode(score)
    length = data.draw(st.integers(16, 60))
    segments = encoding.segments(events, length)
    assert all(0 < len(piece) <= length for piece in segments)
    assert np.array_equal(np.concatenate([events[:0], *encoding.segments(events, len(events) + 16)]), events)

    kept = sum(int(encoding.is_note[piece].sum()) for piece in segments)
    assert kept == encoding.is_note[events].sum()
    for piece in segments:
        unended = np.count_nonzero(encoding.is_note[piece]) if encoding.name != "remi" else 0
        assert encoding.decode(piece).repairs <= unended  # only notes that sound on beyond the segment
        if encoding.name == "remi":
            assert encoding.words[piece[0]] == "Bar"
    total = sum(encoding.times(piece)[-1] for piece in segments)
    bars = np.diff(np.append(np.flatnonzero(events == 0), len(events)))
    if encoding.name != "remi" or bars.max(initial=0) <= length - 2:  # no bar was cut inside
        assert total == pytest.approx(encoding.times(events)[-1])

    chunks = encoding.chunks(events, length)
    assert all(0 < len(piece) <= length for piece in chunks)
    assert np.array_equal(np.concatenate([events[:0], *chunks]), events)


@every_encoding
def test_too_short_segments(encoding):
    for cut in (encoding.segments, encoding.chunks):
        with pytest.raises(ConfigError, match="a segment of 15 events is too short"):
            cut([0], 15)


@every_encoding
@FEWER
@given(data=st.data())
def test_split_seconds(encoding, data):
    score = playable(encoding, data.draw(MUSIC))
    events = encoding.encode(score)
    seconds = data.draw(st.floats(0, 60))
    prompt, rest = encoding.split_seconds(events, seconds)
    assert np.array_equal(np.concatenate([prompt, rest]), events)
    times = encoding.times(events)
    if encoding.name == "remi":
        lines = times[np.append(np.flatnonzero(events == 0), len(events))][1:]
        assert np.abs(lines - seconds).min(initial=np.inf) == abs(times[len(prompt)] - seconds) or not len(events)
        assert not len(rest) or encoding.words[rest[0]] == "Bar"
    elif encoding.name == "satb":
        assert np.abs(times - seconds).min() == abs(times[len(prompt)] - seconds)
        assert len(prompt) % 4 == 0
    else:
        assert times[len(prompt)] <= seconds + 0.01
        assert not len(rest) or times[len(prompt) + 1] >= seconds - 0.01
        assert (
            not len(rest)
            or encoding.words[rest[0]].startswith(("WT", "TIME_SHIFT"))
            or times[len(prompt)] > seconds - 0.01
        )


@every_encoding
def test_times_follow_the_score(encoding):
    rows = [(0, 480, 60, 80, 80, 0), (480, 240, 62, 80, 80, 0), (960, 480, 64, 80, 80, 0)]
    events = encoding.encode(Score(480, np.array(rows, reader.NOTE)))
    onsets = encoding.times(events)[:-1][encoding.is_note[events]]
    if encoding.name == "satb":  # whose cells say a held note again
        voice = encoding.grid(events)[:, 0]
        onsets = encoding.times(events)[::4][:-1][(np.diff(voice, prepend=-1) != 0) & (voice >= 0)]
    assert onsets == pytest.approx([0, 0.5, 1.0], abs=0.012)
    lasts = [len(list(group)) for _, group in itertools.groupby(encoding.times(events)[:-1])]
    assert sum(lasts) == len(events)
