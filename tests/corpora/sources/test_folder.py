"""Folder: anyone's MIDI files as a corpus, labelled by a table or, where that is wanted, by sub-folders."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
import pytest

from t5music.corpora.base import Corpus, Piece, Skipped
from t5music.corpora.sources import folder
from t5music.errors import DataError
from t5music.music import fingerprint, midi, musicxml
from t5music.music.score import NOTE, Score


def write(path: Path, first: int, tempo: int = 480) -> None:
    notes = np.array([(i * tempo, tempo, first + (i * 5) % 12, 80, 0, 0) for i in range(16)], NOTE)
    midi.write(Score(480, notes), path)


@pytest.fixture
def music(tmp_path: Path) -> Path:
    write(tmp_path / "slow jazz" / "a.mid", 60)
    write(tmp_path / "slow jazz" / "deep" / "b.MID", 61, tempo=240)  # the same tune, a semitone up and twice as fast
    write(tmp_path / "pop" / "c.midi", 50)
    write(tmp_path / "d.mid", 40)
    (tmp_path / "pop" / "notes.txt").write_text("no music")
    (tmp_path / "pop" / "bad.mid").write_bytes(b"RIFF....")
    return tmp_path


def pieces(corpus: Corpus, root: Path) -> dict[str, Piece | Skipped]:
    return {item.id: item for entry in corpus.entries(root) for item in corpus.read(entry)}


def test_every_midi_file_is_a_piece_and_ids_are_paths(music: Path):
    corpus = folder.corpus(music, "mine")
    assert corpus.labels == {}
    assert corpus.remarks == (
        "labels: none",
        "2 sub-folders: not taken as labels (--labels folders takes them)",
    )
    read = pieces(corpus, music)
    assert [name for name, item in read.items() if isinstance(item, Piece)] == [
        "d.mid", "pop/c.midi", "slow jazz/a.mid", "slow jazz/deep/b.MID"
    ]  # fmt: skip
    assert isinstance(read["pop/bad.mid"], Skipped)
    assert read["pop/bad.mid"].reason.startswith("not a standard MIDI file")
    copies = [fingerprint.opening(read[name].score) for name in ("slow jazz/a.mid", "slow jazz/deep/b.MID")]
    assert copies[0] == copies[1]


def test_the_first_folders_are_labels_where_that_is_wanted(music: Path):
    corpus = folder.corpus(music, "mine", folders_are_labels=True)
    assert corpus.labels == {"folder": ("pop", "slow_jazz")}
    assert corpus.remarks == ("labels: folder (2 values)", "2 sub-folders: taken as labels")
    assert {entry.id: entry.labels["folder"] for entry in corpus.entries(music)} == {
        "slow jazz/a.mid": "slow_jazz",
        "slow jazz/deep/b.MID": "slow_jazz",
        "pop/c.midi": "pop",
        "pop/bad.mid": "pop",
        "d.mid": "",
    }


def test_hidden_folders_and_those_of_systems_are_no_labels(music: Path):
    for name in (".ipynb_checkpoints/a.mid", "__MACOSX/pop/._c.mid", "Thumbs.db/x.mid", "pop/.c.mid"):
        (music / name).parent.mkdir(parents=True, exist_ok=True)
        (music / name).write_bytes((music / "d.mid").read_bytes())
    assert folder.sub_folders(music) == ["pop", "slow_jazz"]
    assert len(folder.corpus(music, "mine").entries(music)) == 5


def test_one_label_is_no_label(tmp_path: Path):
    write(tmp_path / "only" / "a.mid", 60)
    corpus = folder.corpus(tmp_path, "mine", folders_are_labels=True)
    assert corpus.labels == {}
    assert corpus.remarks[-1] == "fewer than two sub-folders: no labels"


@pytest.mark.parametrize("name", ["Mine", "1st", "my-music", "", "a b"])
def test_names_that_seqio_could_not_take(music: Path, name: str):
    with pytest.raises(DataError, match=r"--name"):
        folder.corpus(music, name)


def test_names_that_are_not_utf_8(tmp_path: Path):
    for name in (b"Caf\xe9/tango \xe9.mid", b"jazz/a.mid"):
        write(tmp_path / os.fsdecode(name), 60)
    corpus = folder.corpus(tmp_path, "mine", folders_are_labels=True)
    assert corpus.labels == {"folder": (r"Caf\xe9", "jazz")}
    assert all(isinstance(item, Piece) for item in pieces(corpus, tmp_path).values())
    assert list(pieces(corpus, tmp_path)) == [r"Caf\xe9/tango \xe9.mid", "jazz/a.mid"]


def test_what_only_looks_like_music_is_left_out_by_name(tmp_path: Path):
    write(tmp_path / "a.mid", 60)
    os.mkfifo(tmp_path / "pipe.mid")
    (tmp_path / "folder.mid").mkdir()
    (tmp_path / "gone.mid").symlink_to("nowhere")
    (tmp_path / "zero.mid").symlink_to("/dev/zero")
    read = pieces(folder.corpus(tmp_path, "mine"), tmp_path)
    assert {name: item.reason for name, item in read.items() if isinstance(item, Skipped)} == {
        "pipe.mid": "cannot be read: it is a pipe, not a file",
        "folder.mid": "is a folder, not a MIDI file",
        "gone.mid": "no such file",
        "zero.mid": "cannot be read: it is a device, not a file",
    }


def test_a_folder_without_music(tmp_path: Path):
    with pytest.raises(DataError, match="no MIDI files and no scores in it"):
        folder.corpus(tmp_path, "mine")
    with pytest.raises(DataError, match="none: no such folder"):
        folder.corpus(tmp_path / "none", "mine")


# ------------------------------------------------------------------------------------------------- labels of a table


def table(root: Path, text: str, name: str = "labels.csv") -> Path:
    (root / name).write_text(text, encoding="utf-8-sig")
    return root


def test_a_table_gives_labels_splits_and_groups(music: Path):
    table(
        music,
        "file,split,Genre,year,group\npop/c.midi,valid,pop,1999,\n"
        "d.mid,,jazz,2001,suite\nslow jazz/a.mid,test,,2002,suite\n",
    )
    corpus = folder.corpus(music, "mine")
    assert corpus.labels == {"genre": ("jazz", "pop")}, "a column of numbers is no label unless it is asked for"
    assert corpus.remarks == (
        "labels.csv: 3 files, read as UTF-8, commas",
        "labels.csv: 2 other files of music are not in it and are left out (for example pop/bad.mid)",
        "labels: genre (2 values)",
    )
    entries = {entry.id: entry for entry in corpus.entries(music)}
    assert {name: (entry.split, entry.group, entry.labels) for name, entry in entries.items()} == {
        "pop/c.midi": ("validation", "", {"genre": "pop"}),
        "d.mid": (None, "suite", {"genre": "jazz"}),
        "slow jazz/a.mid": ("test", "suite", {"genre": ""}),
    }
    assert folder.corpus(music, "mine", ["year"]).labels == {"year": ("1999", "2001", "2002")}
    both = folder.corpus(music, "mine", folders_are_labels=True)
    assert both.labels == {"folder": ("pop", "slow_jazz")} | corpus.labels


def test_another_table_must_be_there(music: Path):
    other = table(music, "file,style\nd.mid,a\npop/c.midi,b\n", "manifest.csv") / "manifest.csv"
    assert folder.corpus(music, "mine").labels == {}
    assert folder.corpus(music, "mine", table=other).labels == {"style": ("a", "b")}
    with pytest.raises(DataError, match=r"none\.csv: no such file"):
        folder.corpus(music, "mine", table=music / "none.csv")


def test_a_table_that_is_a_folder(music: Path):
    (music / "labels.csv").mkdir()
    with pytest.raises(DataError, match=r"labels\.csv cannot be read: it is a folder"):
        folder.corpus(music, "mine")


def test_a_label_that_is_not_there_suggests_the_nearest(music: Path):
    table(music, "file,genre\nd.mid,jazz\n")
    with pytest.raises(DataError, match="did you mean 'genre'"):
        folder.corpus(music, "mine", ["genres"])


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ("sub-genre", r"column 'sub-genre' cannot be a label: .* call it 'sub_genre'"),
        ("genre/style", "call it 'genre_style'"),
        ("genre!", "call it 'genre'"),
        ("Mood (1)", "column 'Mood .1.' cannot be a label: .* call it 'mood__1'"),
        ("id", "column 'id' cannot be a label: its name is a field that every piece has: call it 'id_label'"),
        ("MIDI", "column 'MIDI' cannot be a label"),
        ("opening", "call it 'opening_label'"),
        ("text", "call it 'text_label'"),
        ("corpus", "call it 'corpus_label'"),
        ("score_midi", "call it 'score_midi_label'"),
    ],
)
def test_columns_whose_names_no_label_can_have(music: Path, column: str, message: str):
    table(music, f"file,{column},composer\nd.mid,a,Bach\npop/c.midi,b,Abba\n")
    with pytest.raises(DataError, match=message):
        folder.corpus(music, "mine")
    with pytest.raises(DataError, match=message):
        folder.corpus(music, "mine", [column])
    assert folder.corpus(music, "mine", ["composer"]).labels == {"composer": ("Abba", "Bach")}


def test_columns_and_rows_at_fault_are_told_at_once(music: Path):
    table(music, "file,sub-genre,split,id,mood,Mood\nd.mid,a,train,x,m,\npop/c.midi,b,half,y,n,\nzzz,c,,z,o,\n")
    with pytest.raises(DataError) as refused:
        folder.corpus(music, "mine", folders_are_labels=True)
    told = str(refused.value).split("; ")
    assert [re.sub(r" (cannot|is|below) .*|, or name.*", "", fault) for fault in told] == [
        f"{music}/labels.csv: column 'sub-genre'",
        "column 'id'",
        "two columns are called 'mood': rename or remove one",
        "line 3: split 'half'",
        "line 4: no file 'zzz'",
    ]


@pytest.mark.parametrize("column", ["Genre", "key.mode", "a:b", "a#b", "stimmung_ä", "label 1"])
def test_columns_whose_names_a_label_can_have(music: Path, column: str):
    table(music, f"file,{column}\nd.mid,a\npop/c.midi,b\n")
    assert list(folder.corpus(music, "mine").labels) == [column.lower().replace(" ", "_")]


def test_values_that_differ_in_space_are_one_and_in_case_are_told(music: Path):
    table(music, 'file,mode\nd.mid," a  minor "\npop/c.midi,a minor\nslow jazz/a.mid,A minor\n')
    corpus = folder.corpus(music, "mine")
    assert corpus.labels == {"mode": ("A minor", "a minor")}
    assert corpus.remarks[-1] == "mode: A minor, a minor differ in case alone and are 2 labels"


def test_ten_thousand_columns(music: Path):
    names = [f"c{n}" for n in range(10_000)]
    table(music, "\n".join(",".join([file, *(f"{name}{file}" for name in names)]) for file in ("file", "d.mid")))
    table(music, f"file,{','.join(names)}\nd.mid,{','.join('a' * 10_000)}\npop/c.midi,{','.join('b' * 10_000)}\n")
    with pytest.raises(DataError, match="10000 columns may be labels: name some with --label"):
        folder.corpus(music, "mine")
    assert folder.corpus(music, "mine", ["c7"]).labels == {"c7": ("a", "b")}


def test_the_table_is_known_in_any_case_and_not_passed_over_where_it_cannot_be_read(music: Path):
    table(music, "file,style\nd.mid,a\npop/c.midi,b\n", "Labels.CSV")
    assert folder.corpus(music, "mine").labels == {"style": ("a", "b")}
    table(music, "file,genre\nd.mid,a\npop/c.midi,b\n", "labels.csv")
    assert folder.corpus(music, "mine").labels == {"genre": ("a", "b")}
    (music / "labels.csv").unlink()
    (music / "labels.csv").symlink_to("gone.csv")
    with pytest.raises(DataError, match=r"labels\.csv: no such file"):
        folder.corpus(music, "mine")


def test_scores_and_midi_files_may_be_mixed_and_a_bad_one_stops_none(music: Path):
    score = midi.read(music / "d.mid")
    musicxml.write(score, music / "pop" / "e.musicxml")
    musicxml.write(score, music / "pop" / "f.MXL")
    (music / "pop" / "page.xml").write_text("<html></html>")
    (music / "pop" / "bomb.mxl").write_bytes(b"PK\3\4")
    corpus = folder.corpus(music, "mine")
    read = pieces(corpus, music)
    skipped = {name: item.reason for name, item in read.items() if isinstance(item, Skipped)}
    assert set(skipped) == {"pop/bad.mid", "pop/page.xml", "pop/bomb.mxl"}
    assert skipped["pop/page.xml"] == "is not a MusicXML score (its root is not a score)"
    assert skipped["pop/bomb.mxl"].startswith("cannot be unpacked as a compressed score: ")
    for name in ("pop/e.musicxml", "pop/f.MXL"):
        assert read[name].score.notes.tolist() == score.notes.tolist()
    assert len(read) == 9
