"""NES songs by nsf2midi: channels as voices, the authors' split, and what the voices cannot play."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import mido
import pytest
from small_music import entries_of, pieces_of, skipped, splits_of

from t5music.corpora.sources.nes_nsf import NES_NSF
from t5music.errors import DataError
from t5music.music import encodings

P1, P2, TR, NO = 0, 1, 2, 9
Notes = dict[int, list[tuple[int, int, int]]]  # channel -> (onset, end, pitch) in 60ths of a second


def write_song(path: Path, notes: Notes) -> None:
    """A file as nsf2midi lays it out: one track for all channels, 60 ticks a second, much bending."""
    changes = [(0, mido.MetaMessage("set_tempo", tempo=1_000_000)), (0, mido.MetaMessage("track_name", name="A game"))]
    changes += [(0, mido.Message("program_change", channel=channel, program=80)) for channel in range(16)]
    for channel, played in notes.items():
        for onset, end, pitch in played:
            changes += [
                (onset, mido.Message("note_on", channel=channel, note=pitch, velocity=90)),
                (onset + 1, mido.Message("pitchwheel", channel=channel, pitch=100)),
                (end, mido.Message("note_off", channel=channel, note=pitch, velocity=0)),
            ]
    changes.sort(key=lambda change: (change[0], change[1].type != "note_off"))
    track, now = mido.MidiTrack(), 0
    for tick, message in changes:
        track.append(message.copy(time=tick - now))
        now = tick
    path.parent.mkdir(parents=True, exist_ok=True)
    mido.MidiFile(type=0, ticks_per_beat=60, tracks=[track]).save(path)


SONG: Notes = {P1: [(75, 90, 60), (90, 105, 62)], TR: [(75, 105, 40)], NO: [(75, 78, 59)]}


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    root = tmp_path / "nes-machine-learning-x"
    for number in range(40):
        shifted = {channel: [(a, b, 40 + number), (b, b + 9, 60)] for channel, [(a, b, _), *_] in SONG.items()}
        folder = "testing_songs" if number % 4 == 0 else "training_songs"
        write_song(root / f"data/{folder}/Game {number % 3}/{number + 1:02d}.mid", shifted)
    write_song(root / "data/raw/Game 0/01.mid", SONG)
    write_song(root / "survey/b01.mid", SONG)
    return tmp_path


def test_the_authors_split_with_validation_out_of_training(repository: Path):
    entries, pieces = entries_of(NES_NSF, repository), pieces_of(NES_NSF, repository)
    assert splits_of(entries) == {"test": 10, "train": 30}
    assert {pieces[name].split for name, entry in entries.items() if entry.split == "test"} == {"test"}
    dealt = Counter(pieces[name].split for name, entry in entries.items() if entry.split == "train")
    assert dealt["validation"] > 0
    assert dealt["train"] > 20
    assert {piece.labels["game"] for piece in pieces.values()} == {"Game 0", "Game 1", "Game 2"}
    assert "Game 0/01" in pieces


def test_channels_are_voices_on_the_wall_clock(tmp_path: Path):
    write_song(tmp_path / "data/training_songs/A/01.mid", SONG)
    [piece] = pieces_of(NES_NSF, tmp_path).values()
    assert piece.score.track_names == ("p1", "tr", "no")
    assert piece.mended == ()
    tx1 = encodings.get("tx1")
    # 75 and 15 frames of 735 samples, as the nearest waits; a percussion key of 59 is noise 1 + 59 % 16
    assert tx1.to_text(tx1.encode(piece.score)) == (
        "WT_55000 P1_NOTEON_60 TR_NOTEON_40 NO_NOTEON_12 WT_2200 NO_NOTEOFF WT_8800 P1_NOTEON_62 "
        "WT_11000 P1_NOTEOFF TR_NOTEOFF"
    )


def test_notes_out_of_range_are_left_out_and_counted(tmp_path: Path):
    write_song(tmp_path / "data/testing_songs/A/01.mid", SONG | {P2: [(80, 90, 20), (90, 99, 109), (99, 105, 33)]})
    [piece] = pieces_of(NES_NSF, tmp_path).values()
    assert piece.mended == ("notes out of their voice's range: 2",)
    assert sorted(piece.score.notes["pitch"]) == [12, 33, 40, 60, 62]


def test_what_cannot_be_read_or_says_nothing_is_skipped(tmp_path: Path):
    root = tmp_path / "data/testing_songs/A"
    write_song(root / "01.mid", SONG)
    write_song(root / "02.mid", {P1: [(0, 9, 20)]})
    write_song(root / "03.mid", {4: [(0, 9, 60)]})
    (root / "04.mid").write_bytes(b"MThd and no more")
    entries = entries_of(NES_NSF, tmp_path)
    assert skipped(NES_NSF, entries["A/02"]) == "no note that a voice could play"
    assert skipped(NES_NSF, entries["A/03"]) == "no notes in it"
    assert skipped(NES_NSF, entries["A/04"])


def test_a_copy_with_a_table(tmp_path: Path):
    for number in (1, 2, 3):
        write_song(tmp_path / f"midi/A/0{number}.mid", SONG)
    rows = ["midi/A/01.mid,A,1,train", "midi/A/02.mid,A,1,test", "midi/A/03.mid,A,0,"]
    (tmp_path / "manifest.csv").write_text("\n".join(["file,game,is_song,split", *rows]) + "\n")
    assert {name: entry.split for name, entry in entries_of(NES_NSF, tmp_path).items()} == {
        "A/01": "train",
        "A/02": "test",
    }
    (tmp_path / "manifest.csv").write_text("file,game,is_song,split\nmidi/A/01.mid,A,1,\n")
    with pytest.raises(DataError, match=r"01\.mid: split '' is none of"):
        entries_of(NES_NSF, tmp_path)


@pytest.mark.data
def test_real_files(real_music):
    entries = entries_of(NES_NSF, real_music("nes_nsf2midi"))
    assert len(entries) == NES_NSF.files
    assert splits_of(entries) == {"test": 179, "train": 349}
    assert len({entry.labels["game"] for entry in entries.values()}) == 39
    tx1 = encodings.get("tx1")
    for name in list(entries)[::40]:
        [piece] = NES_NSF.read(entries[name])
        assert len(tx1.encode(piece.score)) > 10
