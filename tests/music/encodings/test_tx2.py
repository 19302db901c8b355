"""LakhNES's expressive words: the list, volumes and timbres, and what an expression adds to a score."""

from __future__ import annotations

import mido
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from t5music.errors import MidiError
from t5music.music import encodings, midi
from t5music.music.encodings.tx2.encoding import EXPRESSION, TIMBRE, TIMBRES, TX2, VOLUME, VOLUMES
from t5music.music.nes import expression as nes_expression
from t5music.music.score import DRUMS, METER, NOTE, Score

TX1 = encodings.get("tx1")
EXPRESSIVE = TX2()
NAMES = ("p1", "p2", "tr", "no")
PROGRAMS = (80, 81, 38, DRUMS)


def nes(rows, **rest) -> Score:
    """Rows of (voice, onset, duration, pitch, velocity), in samples."""
    notes = [(*row[1:], PROGRAMS[NAMES.index(row[0])], NAMES.index(row[0])) for row in rows]
    return Score(22_050, np.array(notes, NOTE), track_names=NAMES, **rest)


@st.composite
def pieces(draw: st.DrawFn) -> tuple[Score, np.ndarray]:
    """Scores and expressions in which every time is exact in tx2's words: waits of at most 100 samples."""
    rows = []
    for voice, low in zip(NAMES, (40, 40, 40, 1), strict=True):
        now = 0
        for rest, last, pitch, volume in draw(
            st.lists(
                st.tuples(st.integers(0, 20), st.integers(1, 30), st.integers(0, 15), st.integers(1, 15)), max_size=5
            )
        ):
            rows.append((voice, now + rest, last, low + pitch, volume))
            now += rest + last
    changes = draw(
        st.lists(
            st.tuples(
                st.integers(0, 90),
                st.sampled_from([0, 1, 3]),
                st.sampled_from([VOLUME, TIMBRE]),
                st.integers(1, 15),
            ),
            max_size=12,
            unique_by=lambda row: row[:3],
        )
    )
    changes = [
        (tick, voice, kind, value % TIMBRES[voice] if kind == TIMBRE else value) for tick, voice, kind, value in changes
    ]
    return nes(rows, meters=np.array([(100, 1, 1)], METER)), np.array(sorted(changes), EXPRESSION)


def test_the_words_are_tx1s_and_55_more():
    words = EXPRESSIVE.words
    assert len(words) == 685
    more = [word for word in words if word not in TX1.ids]
    assert [word for word in words if word in TX1.ids] == list(TX1.words)  # in the same order
    assert more == [
        *(
            f"{v}_{word}"
            for v in ("P1", "P2")
            for word in (*(f"VELOCITY_{i}" for i in range(1, 16)), "TIMBRE_0", "TIMBRE_1", "TIMBRE_2", "TIMBRE_3")
        ),
        *(f"NO_VELOCITY_{i}" for i in range(1, 16)),
        "NO_TIMBRE_0",
        "NO_TIMBRE_1",
    ]
    assert words[words.index("P1_NOTEON_108") + 1] == "P1_VELOCITY_1"  # each voice's own follow its notes
    assert words[words.index("P1_TIMBRE_3") + 1] == "P2_NOTEOFF"
    assert [word for word, note in zip(words, EXPRESSIVE.is_note, strict=True) if note] == [
        word for word in words if "NOTEON" in word
    ]


def test_golden():
    text = (
        "P1_NOTEON_60 P1_VELOCITY_12 P1_TIMBRE_2 TR_NOTEON_36 NO_NOTEON_3 NO_VELOCITY_15 WT_100 P1_VELOCITY_10 "
        "NO_TIMBRE_1 WT_20 P1_NOTEON_62 P1_VELOCITY_1 NO_NOTEOFF WT_50 P1_NOTEOFF P2_TIMBRE_3 TR_NOTEOFF WT_7"
    )
    events = EXPRESSIVE.from_text(text)
    score, repairs = EXPRESSIVE.decode(events)
    assert repairs == 0
    assert score.notes[["onset", "duration", "pitch", "velocity", "track"]].tolist() == [
        (0, 120, 60, 29 + 11 * 7, 0),
        (0, 170, 36, 100, 2),
        (0, 120, 3, 127, 3),
        (120, 50, 62, 29, 0),
    ]
    expression = EXPRESSIVE.expression(events)
    assert expression.tolist() == [
        (0, 0, VOLUME, 12),
        (0, 0, TIMBRE, 2),
        (0, 3, VOLUME, 15),
        (100, 0, VOLUME, 10),
        (100, 3, TIMBRE, 1),
        (120, 0, VOLUME, 1),
        (170, 1, TIMBRE, 3),
    ]
    assert EXPRESSIVE.to_text(EXPRESSIVE.encode(score, expression)) == text
    assert EXPRESSIVE.to_text(EXPRESSIVE.encode(score)) == (
        "P1_NOTEON_60 P1_VELOCITY_12 TR_NOTEON_36 NO_NOTEON_3 NO_VELOCITY_15 WT_120 P1_NOTEON_62 P1_VELOCITY_1 "
        "NO_NOTEOFF WT_50 P1_NOTEOFF TR_NOTEOFF WT_7"
    )


def test_volumes_of_velocities():
    def volumes(*velocities: int) -> list[str]:
        score = nes([("p1", 50 * i, 50, 60, velocity) for i, velocity in enumerate(velocities)])
        return [word[12:] for word in EXPRESSIVE.to_text(EXPRESSIVE.encode(score)).split() if "VELOCITY" in word]

    assert volumes(1, 8, 15) == ["1", "8", "15"]  # NES-MDB's
    assert volumes(1, 32, 33, 64, 127) == ["1", "1", "2", "6", "15"]  # MIDI's
    triangle = nes([("p1", 0, 50, 60, 9), ("tr", 0, 50, 60, 100)])
    assert "P1_VELOCITY_9" in EXPRESSIVE.to_text(EXPRESSIVE.encode(triangle))  # the triangle has no say in it


@settings(deadline=None)
@given(pieces())
def test_round_trip_with_expression(piece):
    score, expression = piece
    events = EXPRESSIVE.encode(score, expression)
    if not len(score.notes):
        assert len(events) == 0
        return
    decoded = EXPRESSIVE.decode(events)
    assert decoded.repairs == 0
    said = EXPRESSIVE.expression(events)
    assert set(expression.tolist()) <= set(said.tolist())
    own = {(int(n["onset"]), int(n["track"])) for n in score.notes if n["track"] != 2}
    for tick, voice, kind, _ in set(said.tolist()) - set(expression.tolist()):
        assert kind == VOLUME
        assert (tick, voice) in own
    assert np.array_equal(EXPRESSIVE.encode(decoded.score, said), events)
    columns = ["onset", "duration", "pitch", "track"]
    assert decoded.score.notes[columns].tolist() == score.notes[columns].tolist()
    plain = EXPRESSIVE.encode(score)
    assert np.array_equal(EXPRESSIVE.encode(EXPRESSIVE.decode(plain).score), plain)
    shared = [word for word in EXPRESSIVE.to_text(plain).split() if word in TX1.ids]
    assert shared == TX1.to_text(TX1.encode(score)).split()


@settings(deadline=None)
@given(st.lists(st.integers(0, 684), max_size=60), st.integers(16, 40))
def test_anything_decodes_and_is_cut(events, length):
    score, repairs = EXPRESSIVE.decode(events)
    assert repairs >= TX1.decode([TX1.ids[w] for w in EXPRESSIVE.to_text(events).split() if w in TX1.ids]).repairs
    assert ((score.notes["velocity"] >= 1) & (score.notes["velocity"] <= 127)).all()
    again = EXPRESSIVE.encode(score, EXPRESSIVE.expression(events))
    assert EXPRESSIVE.decode(again).repairs == 0
    for piece in EXPRESSIVE.segments(events, length):
        assert 0 < len(piece) <= length
    assert np.concatenate([[], *EXPRESSIVE.chunks(events, length)]).tolist() == events
    assert len(EXPRESSIVE.times(events)) == len(events) + 1
    prompt, rest = EXPRESSIVE.split_seconds(events, 1.0)
    assert [*prompt, *rest] == events


@pytest.mark.parametrize(
    ("text", "repairs", "velocities"),
    [
        ("P1_NOTEON_60 WT_5 P1_NOTEOFF", 1, [29 + 9 * 7]),
        ("P1_VELOCITY_3 WT_5 P1_NOTEON_60 WT_5 P1_NOTEOFF", 1, [29 + 2 * 7]),
        ("P2_VELOCITY_3 P1_NOTEON_60 WT_5 P1_NOTEOFF", 1, [29 + 9 * 7]),
        ("P1_VELOCITY_3 P2_NOTEON_60 WT_5 P2_NOTEOFF", 1, [29 + 9 * 7]),
        ("TR_NOTEON_60 WT_5 TR_NOTEOFF", 0, [100]),
        ("P1_VELOCITY_3 P1_NOTEON_60 P1_VELOCITY_4 WT_5 P1_NOTEOFF P1_VELOCITY_5", 0, [29 + 3 * 7]),
        ("P1_NOTEOFF P1_TIMBRE_1", 1, []),
    ],
)
def test_repairs(text, repairs, velocities):
    decoded = EXPRESSIVE.decode(EXPRESSIVE.from_text(text))
    assert decoded.repairs == repairs
    assert decoded.score.notes["velocity"].tolist() == velocities


@pytest.mark.parametrize(
    "wrong",
    [
        (0, 2, VOLUME, 3),
        (0, 0, TIMBRE, 4),
        (0, 3, TIMBRE, 2),
        (0, 0, VOLUME, 0),
        (0, 4, 0, 1),
        (0, 0, 0, 16),
        (0, 0, 2, 1),
    ],
)
def test_expressions_without_a_word_are_refused(wrong):
    score = nes([("p1", 0, 50, 60, 9)])
    with pytest.raises(MidiError, match="tx2 has no word for the expression"):
        EXPRESSIVE.encode(score, np.array([wrong], EXPRESSION))


def nes_mdb_file(tmp_path, tracks) -> bytes:
    """A MIDI file laid out as NES-MDB's: {name: [(tick, message, number, value)]} at 22,050 ticks a quarter."""
    file = mido.MidiFile(type=1, ticks_per_beat=22_050)
    for channel, (name, events) in enumerate(tracks.items()):
        track = file.add_track(name)
        track.append(mido.Message("program_change", channel=channel, program=80 + channel))
        now = 0
        for tick, kind, number, value in events:
            fields = (
                {"control": number, "value": value} if kind == "control_change" else {"note": number, "velocity": value}
            )
            track.append(mido.Message(kind, channel=channel, time=tick - now, **fields))
            now = tick
    file.save(tmp_path / "song.mid")
    return (tmp_path / "song.mid").read_bytes()


def test_controllers_of_midi_files(tmp_path):
    data = nes_mdb_file(
        tmp_path,
        {
            "p1": [
                (0, "control_change", 12, 2),
                (0, "note_on", 60, 12),
                (70, "control_change", 11, 10),
                (70, "control_change", 7, 99),  # another controller
                (90, "control_change", 12, 4),  # no timbre of a pulse
                (99, "note_off", 60, 0),
            ],
            "tr": [(0, "note_on", 40, 1), (50, "control_change", 11, 3), (99, "note_off", 40, 0)],
            "lead": [(50, "control_change", 11, 3)],
        },
    )
    expression = nes_expression.read(data)
    assert expression.tolist() == [(0, 0, TIMBRE, 2), (70, 0, VOLUME, 10)]
    assert np.array_equal(nes_expression.read(tmp_path / "song.mid"), expression)
    text = EXPRESSIVE.to_text(EXPRESSIVE.encode(midi.read(data), expression))
    assert text == (
        "P1_NOTEON_60 P1_VELOCITY_12 P1_TIMBRE_2 TR_NOTEON_40 WT_70 P1_VELOCITY_10 WT_29 P1_NOTEOFF TR_NOTEOFF"
    )
    assert len(nes_expression.read(midi.to_bytes(nes([("p1", 0, 50, 60, 9)])))) == 0
    with pytest.raises(MidiError, match="damaged MIDI file"):
        nes_expression.read(data[:40])
    assert VOLUMES == 15
