"""State belongs to the MIDI channel: programs, pedals, percussion, note-offs and ends of all notes of other tracks."""

from __future__ import annotations

import mido
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from midi_files import control, merged, mido_file, music, off, on, port, program, sounding_seconds, sysex

from t5music.music import midi
from t5music.music.score import DRUMS

GM_ON, GM2_ON, GM_OFF = "7e 7f 09 01", "7e 7f 09 03", "7e 7f 09 02"
GS_RESET, GS_MODE = "41 10 42 12 40 00 7f 00 41", "41 10 42 12 00 00 7f 00 01"
XG_ON, XG_RESET = "43 10 4c 00 00 7e 00", "43 10 4c 00 00 7f 00"
RHYTHM_ON_11, RHYTHM_OFF_10 = "41 10 42 12 40 1a 15 02 0f", "41 10 42 12 40 10 15 00 1b"


def notes_of(data: bytes) -> list[tuple]:
    """Onset, duration, pitch and program of each note."""
    return midi.read(data).notes[["onset", "duration", "pitch", "program"]].tolist()


def programs(*tracks: list) -> list[int]:
    """The programs of the notes of a file with these tracks."""
    return midi.read(mido_file(*tracks)).notes["program"].tolist()


def note(pitch: int = 60, channel: int = 0, start: int = 10, end: int = 20) -> list:
    return [on(start, pitch, channel=channel), off(end, pitch, channel=channel)]


# --------------------------------------------------------------------------------------- of other tracks of the channel


def test_a_pedal_in_another_track():
    data = mido_file(
        [control(0, 127), control(1920, 0)], [program(0, 0), on(0, 60), off(480, 60), on(480, 64), off(960, 64)]
    )
    assert midi.read_mended(data) == (midi.read(merged(data)), ())
    assert midi.read(data).pedals.tolist() == [(0, 1920, 0)]
    assert midi.read(data).sustained().notes["duration"].tolist() == [1920, 1440]


def test_a_pedal_holds_all_tracks_of_its_channel_and_no_other():
    data = mido_file(
        [on(0, 60), off(10, 60)],
        [on(0, 72), off(10, 72), program(15, 4), on(20, 74), off(25, 74)],
        [on(0, 48, channel=1), off(10, 48, channel=1)],
        [control(5, 64), control(100, 63)],
    )
    score = midi.read(data)
    assert score.notes["program"].tolist() == [0, 0, 0, 4]
    assert score.pedals.tolist() == [(5, 95, 0), (5, 95, 1), (5, 95, 2)]
    assert score.sustained().notes["duration"].tolist() == [100, 100, 10, 80]


def test_two_hands_on_one_channel_cut_each_other_under_the_pedal():
    """As in one track: a key that is struck again ends the note that the pedal still holds."""
    hands = [[control(0, 127), on(0, 60), off(10, 60), control(100, 0)], [on(50, 60), off(60, 60)]]
    data = mido_file(*hands)
    assert midi.read(data).sustained().notes["duration"].tolist() == [50, 50]
    assert sounding_seconds(midi.read(data)) == sounding_seconds(midi.read(merged(data)))
    other_channel = mido_file(hands[0], [control(3, 127, 1), on(50, 60, channel=1), off(60, 60, 1), control(100, 0, 1)])
    assert midi.read(other_channel).sustained().notes["duration"].tolist() == [100, 50]


def test_programs_in_a_setup_track():
    data = mido_file([program(0, 40), program(0, 73, 1)], note(), note(67, 1))
    assert notes_of(data) == [(10, 10, 60, 40), (10, 10, 67, 73)]


def test_a_program_that_changes_in_another_track():
    changes = [program(0, 5), program(15, 6), program(30, 7)]
    assert programs(changes, note(), note(62, start=15, end=40), note(64, start=40, end=50)) == [5, 6, 7]
    # at the tick of a note the order of the tracks decides
    assert programs(note(start=15), changes) == [5]
    assert programs(changes, note(start=15)) == [6]
    assert programs([program(10, 9)], note(), [program(10, 3)]) == [9]


def test_a_note_off_in_another_track():
    ends = [(20, mido.Message("note_on", note=60, velocity=0)), off(30, 62)]
    data = mido_file([on(0, 60), on(0, 62)], ends)
    assert midi.read_mended(data).mended == ()
    assert notes_of(data) == [(0, 20, 60, 0), (0, 30, 62, 0)]


@pytest.mark.parametrize("number", [120, 123, 124, 125, 126, 127])
def test_all_notes_of_a_channel_are_ended_from_another_track(number):
    data = mido_file(
        [on(0, 60), on(4, 62), on(4, 60, channel=1), off(30, 60, channel=1)], [control(20, 0, number=number)]
    )
    assert midi.read_mended(data).mended == ()
    assert notes_of(data) == [(0, 20, 60, 0), (4, 16, 62, 0), (4, 26, 60, 0)]


def test_note_offs_after_the_end_of_all_notes_end_nothing():
    track = [on(0, 60), control(20, 0, number=123), off(25, 60), on(30, 60), off(35, 60)]
    assert notes_of(mido_file(track)) == [(0, 20, 60, 0), (30, 5, 60, 0)]
    assert midi.read_mended(mido_file(track)).mended == ("note-offs without a note: 1",)


def test_controllers_reset_lift_the_pedal():
    score = midi.read(
        mido_file([control(0, 127), on(0, 60), off(10, 60), on(90, 60), off(99, 60)], [control(40, 0, number=121)])
    )
    assert score.pedals.tolist() == [(0, 40, 0)]


def test_unison_voices_on_one_channel_keep_their_lengths():
    soprano, alto = [on(0, 60), off(100, 60)], [on(0, 60), off(50, 60)]
    for first, second in ((soprano, alto), (alto, soprano)):
        score = midi.read(mido_file(first, second))
        assert score.notes["duration"].tolist() == [events[1][0] for events in (first, second)]
        assert music(score) == music(midi.read(merged(mido_file(first, second))))


def test_ports_have_channels_of_their_own():
    data = mido_file(
        [port(0), program(0, 5), *note()],
        [port(1), program(0, 7), control(10, 127), *note(), control(90, 0)],
        [port(0), off(15, 60), *note(62)],
    )
    score = midi.read(data)
    assert sorted(score.notes[["duration", "program", "track"]].tolist()) == [(5, 5, 0), (10, 5, 2), (10, 7, 1)]
    assert score.pedals.tolist() == [(10, 80, 1)]


def test_patterns_have_channels_of_their_own():
    data = mido_file([program(0, 5), control(0, 127), on(10, 60), off(20, 60)], note(62), kind=2)
    score = midi.read(data)
    assert score.notes[["onset", "program"]].tolist() == [(10, 5), (30, 0)]
    assert [track for *_, track in score.pedals.tolist()] == [0]


# ----------------------------------------------------------------------------------------------------------- percussion


def test_drum_channels_by_gs():
    track = [
        sysex(0, RHYTHM_ON_11),
        *note(36, 10, 0, 480),
        sysex(480, RHYTHM_OFF_10),
        program(480, 33, 9),
        *note(40, 9, 480, 960),
    ]
    assert notes_of(mido_file(track)) == [(0, 480, 36, DRUMS), (480, 480, 40, 33)]
    assert midi.read_mended(mido_file(track)).mended == ()
    assert programs([sysex(0, RHYTHM_ON_11)], note(36, 10), [program(0, 8, 10)]) == [DRUMS]


@pytest.mark.parametrize("device", ["00", "10", "1f", "7f"])
@pytest.mark.parametrize(("block", "channel"), [("10", 9), ("11", 0), ("19", 8), ("1a", 10), ("1f", 15)])
def test_gs_blocks_and_devices(device, block, channel):
    address = bytes.fromhex(f"40 {block} 15")
    for value in (0, 1, 2):
        checksum = -(sum(address) + value) % 128
        message = f"41 {device} 42 12 {address.hex()} {value:02x} {checksum:02x}"
        assert programs([sysex(0, message)], note(36, channel)) == [DRUMS if value else 0]


def test_gs_messages_with_a_wrong_checksum_are_not_obeyed_and_told():
    reading = midi.read_mended(mido_file([sysex(0, "41 10 42 12 40 1a 15 02 10"), *note(36, 10)]))
    assert reading.score.notes["program"].tolist() == [0]
    assert reading.mended == ("SysEx with a wrong checksum: 1",)


@pytest.mark.parametrize(
    ("data", "channel", "expected"),
    [
        ("43 10 4c 08 02 07 01", 2, DRUMS),
        ("43 1f 4c 08 02 07 03", 2, DRUMS),
        ("43 10 4c 08 09 07 00", 9, 0),
        ("43 10 4c 08 02 06 00 01", 2, DRUMS),  # two parameters in a row
        ("43 10 4c 08 02 08 01", 2, 0),  # another parameter
        ("43 20 4c 08 02 07 01", 2, 0),  # a request, not a change
        ("43 10 4c 08 40 07 01", 0, 0),  # a part that there is none of
        ("43 10", 2, 0),
        ("41 10 42 12", 2, 0),
        ("7d 01 02", 2, 0),
    ],
)
def test_drum_channels_by_xg(data, channel, expected):
    assert programs([sysex(0, XG_ON), sysex(0, data)], note(36, channel)) == [expected]


@pytest.mark.parametrize(
    ("mode", "bank", "number", "expected"),
    [
        (XG_ON, 127, 0, DRUMS),
        (XG_ON, 127, 61, DRUMS),
        (XG_ON, 126, 1, DRUMS),
        (XG_ON, 64, 1, 1),
        (XG_ON, 0, 1, 1),
        (GM2_ON, 120, 5, DRUMS),
        (GM2_ON, 121, 5, 5),
        (GS_RESET, 127, 0, 0),  # there, the sounds of the MT-32
        (GS_RESET, 126, 0, 0),
        (None, 127, 0, DRUMS),  # the number of a kit
        (None, 126, 1, DRUMS),
        (None, 120, 0, DRUMS),
        (None, 127, 61, 61),  # the MT-32's again: XG has no such kit
        (None, 1, 0, 0),
        (GM_ON, 127, 25, DRUMS),
    ],
)
def test_drum_channels_by_bank(mode, bank, number, expected):
    setup = [sysex(0, mode)] if mode else []
    bank_select, change = control(1, bank, 3, number=0), program(2, number, 3)
    assert programs([*setup, bank_select, change, *note(36, 3)]) == [expected]
    assert programs([*setup], [bank_select], note(36, 3), [change]) == [expected]
    late = control(5, bank, 3, number=0)  # a bank waits for a program change
    assert programs([*setup, change, late, *note(36, 3)]) == [number]


def test_a_melodic_bank_ends_percussion():
    track = [
        sysex(0, XG_ON),
        control(0, 127, 3, 0),
        program(0, 0, 3),
        *note(36, 3),
        control(30, 0, 3, 0),
        program(30, 4, 3),
    ]
    assert programs([*track, *note(36, 3, 40, 50)]) == [DRUMS, 4]
    part = [sysex(0, XG_ON), sysex(0, "43 10 4c 08 03 07 01"), *note(36, 3), control(30, 0, 3, 0), program(30, 4, 3)]
    assert programs([*part, *note(36, 3, 40, 50)]) == [DRUMS, 4]


def test_bank_0_leaves_channel_10_percussion():
    for mode in (XG_ON, GS_RESET, GM_ON, GM2_ON):
        assert programs([sysex(0, mode), control(0, 0, 9, 0), program(0, 8, 9), *note(36, 9)]) == [DRUMS]
    assert programs([sysex(0, GM2_ON), control(0, 121, 9, 0), program(0, 8, 9), *note(36, 9)]) == [8]


@pytest.mark.parametrize("reset", [GM_ON, GM2_ON, GM_OFF, GS_RESET, GS_MODE, XG_ON, XG_RESET])
def test_resets_make_channels_melodic_again_end_notes_and_lift_pedals(reset):
    track = [
        sysex(0, RHYTHM_ON_11), sysex(0, RHYTHM_OFF_10), program(0, 5, 10), control(0, 127, 2),
        *note(36, 10), on(10, 60, channel=2), sysex(50, reset), *note(36, 10, 60, 70), *note(38, 9, 60, 70),
        *note(64, 2, 60, 100),
    ]  # fmt: skip
    score = midi.read(mido_file(track))
    notes = score.notes[["onset", "duration", "pitch", "program"]].tolist()
    assert sorted(notes) == [
        (10, 10, 36, DRUMS),
        (10, 40, 60, 0),
        (60, 10, 36, 5),
        (60, 10, 38, DRUMS),
        (60, 40, 64, 0),
    ]
    assert score.pedals[["onset", "duration"]].tolist() == [(0, 50)]


# ------------------------------------------------------------------------------------------------ type 1 and type 0


@st.composite
def messages(draw: st.DrawFn) -> tuple[int, mido.Message]:
    """A message of few channels, keys and ticks, so that they meet."""
    tick, channel = draw(st.integers(0, 12)), draw(st.sampled_from([0, 1, 9]))
    pitch = draw(st.integers(60, 61))
    match draw(st.integers(0, 9)):
        case 0 | 1 | 2:
            return on(tick, pitch, draw(st.sampled_from([64, 64, 80])), channel)
        case 3 | 4:
            return off(tick, pitch, channel)
        case 5:
            return tick, mido.Message("note_on", note=pitch, velocity=0, channel=channel)
        case 6:
            return control(tick, draw(st.sampled_from([0, 63, 64, 127])), channel)
        case 7:
            return program(tick, draw(st.sampled_from([0, 1, 8])), channel)
        case 8:
            return control(
                tick, draw(st.sampled_from([0, 120, 127])), channel, draw(st.sampled_from([0, 120, 121, 123, 127]))
            )
        case _:
            return sysex(tick, draw(st.sampled_from([GM_ON, GS_RESET, XG_ON, RHYTHM_ON_11, RHYTHM_OFF_10])))


@given(st.lists(st.lists(messages(), max_size=14), min_size=1, max_size=4))
@settings(deadline=None, max_examples=300)
def test_type_1_is_read_as_the_same_events_in_type_0(tracks):
    data = mido_file(*tracks)
    many, one = (midi.read_mended(source, require_notes=False) for source in (data, merged(data)))
    assert music(many.score) == music(one.score)
    assert many.mended == one.mended
