from __future__ import annotations

import io
from collections import Counter, defaultdict, deque
from dataclasses import replace

import mido
import numpy as np
import pytest
from hypothesis import given, settings
from strategies import any_scores, scores

from t5music.errors import DataError, MidiError
from t5music.music import midi
from t5music.music.score import DRUMS, KEY, METER, NOTE, PEDAL, TEMPO, Score


@given(any_scores())
@settings(deadline=None, max_examples=250)
def test_what_is_written_is_what_is_read(score):
    held = midi.representable(score)
    assert midi.read(midi.to_bytes(score), require_notes=False) == held
    assert midi.representable(held) == held


@given(scores())
@settings(deadline=None, max_examples=150)
def test_scores_without_overlaps_of_one_pitch_survive_as_they_are(score):
    seen: set[tuple[int, int]] = set()
    kept = []
    for index, note in enumerate(score.notes):  # of one pitch and track, only the first note
        where = (int(note["track"]), int(note["pitch"]))
        kept += [] if where in seen else [index]
        seen.add(where)
    score = replace(score, notes=score.notes[kept])
    assert midi.representable(score) == score
    assert midi.read(midi.to_bytes(score), require_notes=False) == score


@given(any_scores())
@settings(deadline=None, max_examples=200)
def test_representable_keeps_what_it_says(score):
    held = midi.representable(score)

    def events(score: Score, times: np.ndarray) -> Counter:
        names = [score.track_names[track] for track in score.notes["track"]]
        names = [name.encode("utf-16", "surrogatepass").decode("utf-16", "replace") for name in names]
        columns = (names, score.notes["program"].tolist(), score.notes["pitch"].tolist(), times.tolist())
        return Counter(zip(*columns, strict=True))

    lengths = np.maximum(score.notes["duration"], 1)
    assert events(score, score.notes["onset"]) == events(held, held.notes["onset"])
    assert events(score, score.notes["onset"] + lengths) == events(held, held.notes["onset"] + held.notes["duration"])
    struck = ["onset", "pitch", "velocity", "program"]
    assert sorted(score.notes[struck].tolist()) == sorted(held.notes[struck].tolist())
    for track in range(len(held.track_names)):
        notes = held.notes[held.notes["track"] == track]
        assert len(set(notes["program"].tolist())) == 1
        for pitch in set(notes["pitch"].tolist()):
            own = notes[notes["pitch"] == pitch]
            assert (np.diff(own["onset"] + own["duration"]) >= 0).all()  # first begun, first ended

    def down(score: Score, track: int) -> list[bool]:
        """Whether the track's pedal is down, at each tick of the strategy's."""
        ticks, pedals = np.arange(101)[:, None], score.pedals[score.pedals["track"] == track]
        held = (pedals["onset"] <= ticks) & (ticks < pedals["onset"] + pedals["duration"])
        return held.any(axis=1).tolist()

    for new, (old, _) in enumerate(sorted(set(score.notes[["track", "program"]].tolist()))):
        assert down(held, new) == down(score, old)


def test_pedals_that_overlap_are_one_and_pedals_that_touch_are_two():
    pedals = np.array([(0, 10, 0), (10, 10, 0), (15, 10, 0), (16, 2, 0), (30, 0, 0), (5, 10, 1)], PEDAL)
    notes = np.array([(0, 1, 60, 64, 0, 0), (0, 1, 60, 64, 0, 1)], NOTE)
    held = midi.representable(Score(480, notes, pedals=pedals))
    assert held.pedals.tolist() == [(0, 10, 0), (5, 10, 1), (10, 15, 0)]
    assert midi.read(midi.to_bytes(held)) == held


def test_the_bytes_of_a_small_score():
    score = Score(
        96,
        np.array([(0, 96, 60, 100, 5, 0), (96, 200, 60, 1, 5, 0), (0, 1, 36, 127, DRUMS, 1)], NOTE),
        tempos=np.array([(0, 500_000)], TEMPO),
        meters=np.array([(0, 6, 8)], METER),
        keys=np.array([(96, -2, True)], KEY),
        pedals=np.array([(10, 86, 0)], PEDAL),
        track_names=("é", ""),
    )
    assert midi.to_bytes(score).hex(" ").split("4d 54 ") == [
        "",
        "68 64 00 00 00 06 00 01 00 03 00 60 ",
        "72 6b 00 00 00 19 00 ff 51 03 07 a1 20 00 ff 58 04 06 03 18 08 60 ff 59 02 fe 01 00 ff 2f 00 ",
        "72 6b 00 00 00 26 00 ff 03 02 c3 a9 00 c0 05 00 90 3c 64 0a b0 40 7f 56 b0 40 00 00 80 3c 00 00 90 3c 01"
        " 81 48 80 3c 00 00 ff 2f 00 ",
        "72 6b 00 00 00 0c 00 99 24 7f 01 89 24 00 00 ff 2f 00",
    ]


@given(any_scores())
@settings(deadline=None, max_examples=150)
def test_mido_reads_the_same_music(score):
    """An independent reader, and one that knows nothing of which note-off belongs to which note-on but their order."""
    held = midi.representable(score)
    file = mido.MidiFile(file=io.BytesIO(midi.to_bytes(score)), charset="utf-8")
    assert (file.type, file.ticks_per_beat) == (1, score.ticks_per_quarter)
    assert len(file.tracks) == 1 + len(held.track_names)
    found, tempos, meters = [], [], []
    for index, track in enumerate(file.tracks, -1):
        assert track[-1].type == "end_of_track"
        open_notes: dict[int, deque] = defaultdict(deque)
        tick, program, channels = 0, 0, set()
        for message in track:
            tick += message.time
            match message.type:
                case "track_name":
                    assert message.name == held.track_names[index]
                case "program_change":
                    program = message.program
                case "note_on":
                    open_notes[message.note].append((tick, message.velocity))
                    channels.add(message.channel)
                case "note_off":
                    onset, velocity = open_notes[message.note].popleft()
                    drums = message.channel == 9
                    found.append((onset, tick - onset, message.note, velocity, DRUMS if drums else program, index))
                case "set_tempo":
                    tempos.append((tick, message.tempo))
                case "time_signature":
                    meters.append((tick, message.numerator, message.denominator))
        assert len(channels) == (index >= 0)
        assert not any(open_notes.values())
    assert sorted(found) == sorted(held.notes.tolist())
    assert tempos == held.tempos.tolist()
    assert meters == held.meters.tolist()


@pytest.mark.parametrize("tracks", [15, 16, 40])
def test_instruments_do_not_share_channels_while_these_suffice(tracks):
    programs = [track % 14 for track in range(tracks)]
    notes = [(0, 10, 60, 64, program, track) for track, program in enumerate(programs)]
    notes.append((0, 10, 36, 64, DRUMS, tracks))
    file = mido.MidiFile(file=io.BytesIO(midi.to_bytes(Score(480, np.array(notes, NOTE)))))
    changes = [message for track in file.tracks for message in track if message.type == "program_change"]
    assert [change.program for change in changes] == programs
    assert 9 not in {change.channel for change in changes}
    assert len({(change.channel, change.program) for change in changes}) == len({change.channel for change in changes})
    if tracks == 15:
        assert len({change.channel for change in changes}) == 15


def test_more_than_fifteen_instruments_are_written_all_the_same():
    notes = np.array([(0, 10, 60, 64, program, program) for program in range(128)], NOTE)
    score = Score(480, notes)
    assert midi.read(midi.to_bytes(score)) == score


def one_note(**fields) -> Score:
    note = {"onset": 0, "duration": 1, "pitch": 60, "velocity": 64, "program": 0, "track": 0}
    return Score(480, np.array([tuple((note | fields).values())], NOTE))


@pytest.mark.parametrize(
    ("score", "reason"),
    [
        (one_note(pitch=128), r"a note has the pitch 128, outside MIDI's 0\.\.127"),
        (one_note(pitch=-1), r"a note has the pitch -1, outside MIDI's 0\.\.127"),
        (one_note(velocity=0), r"a note has the velocity 0, outside MIDI's 1\.\.127"),
        (one_note(program=129), r"a note has the program 129, outside MIDI's 0\.\.128"),
        (one_note(track=-1), r"a note has the track -1"),
        (one_note(onset=-1), r"times must be from 0 to 268435455 ticks"),
        (one_note(onset=2**28), r"times must be from 0 to 268435455 ticks"),
        (one_note(onset=2**28 - 1, duration=1), r"times must be from 0 to 268435455 ticks"),
        (one_note(duration=-1), r"times must be from 0 to 268435455 ticks"),
        (replace(one_note(), ticks_per_quarter=32768), "32768 ticks per quarter note are more than MIDI's 32767"),
        (replace(one_note(), tempos=np.array([(0, 2**24)], TEMPO)), r"MIDI cannot hold the tempo \(16777216,\)"),
        (replace(one_note(), tempos=np.array([(0, 0)], TEMPO)), r"MIDI cannot hold the tempo \(0,\)"),
        (replace(one_note(), meters=np.array([(0, 3, 3)], METER)), r"MIDI cannot hold the meter \(3, 3\)"),
        (replace(one_note(), meters=np.array([(0, 1, 256)], METER)), r"MIDI cannot hold the meter \(1, 256\)"),
        (replace(one_note(), meters=np.array([(0, 256, 4)], METER)), r"MIDI cannot hold the meter \(256, 4\)"),
        (replace(one_note(), keys=np.array([(0, 8, False)], KEY)), r"MIDI cannot hold the key \(8, False\)"),
    ],
)
def test_what_midi_has_no_place_for_is_refused(tmp_path, score, reason):
    with pytest.raises(MidiError, match=reason):
        midi.write(score, tmp_path / "tune.mid")
    assert list(tmp_path.iterdir()) == []


def test_writing_is_whole_or_not_at_all(tmp_path):
    path = tmp_path / "new folder" / "tune.mid"
    midi.write(one_note(), path)
    assert path.read_bytes() == midi.to_bytes(one_note())
    assert [entry.name for entry in path.parent.iterdir()] == ["tune.mid"]
    with pytest.raises(DataError, match="cannot write"):
        midi.write(one_note(), path / "tune.mid")
    assert path.read_bytes() == midi.to_bytes(one_note())
