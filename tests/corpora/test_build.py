"""Building a corpus: what is read, dealt, written and reported; interrupted and by several processes."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numbered_files
import numpy as np
import pytest
from lock_holders import other_process
from numbered_files import PIECES, read, score_of

from t5music import files, locks
from t5music.corpora import build, datasets, piece_files
from t5music.corpora.base import Corpus, Entry, Piece, Skipped, read_report
from t5music.errors import ConfigError, DataError, MidiError
from t5music.music import midi
from t5music.music.score import Score


def corpus(read=read) -> Corpus:
    labels = {"style": ()}
    return Corpus("small", "t", "free", "here", "", numbered_files.entries, read, labels=labels, others=("score",))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "files"
    folder.mkdir()
    for number in range(PIECES):
        (folder / f"{number:03d}.number").write_text(str(number))
    (folder / "copy.number").write_text("7")
    (folder / "bad.number").write_text("-1")
    return folder


def everything(data_dir: Path) -> dict[str, tuple[str, dict[str, bytes]]]:
    return {
        record["id"].decode(): (split, dict(record))
        for split in datasets.splits("small", data_dir)
        for record in datasets.records("small", split, data_dir)
    }


def test_pieces_labels_groups_and_report(root: Path, tmp_path: Path):
    report = build.build(corpus(), root, tmp_path, progress=False)
    assert report == read_report("small", tmp_path)
    assert report["skipped"] == {"bad": "it is bad"}
    assert report["skipped_kinds"] == {"it is bad": 1}
    assert report["mended"] == {"005": ["a"]}
    assert report["mended_kinds"] == {"a": {"files": 1, "times": 1}}
    assert report["remarks"] == []
    assert report["duplicates"] == 1
    assert report["groups"] == PIECES - 2
    assert report["labels"] == {"style": {"even": 20, "odd": 21}}
    assert report["notes"] == 60 * (PIECES + 1)
    assert report["seconds"] == pytest.approx(30.0 * (PIECES + 1))
    assert sum(report["pieces"].values()) == PIECES + 1
    found = everything(tmp_path)
    assert {split for split, _ in found.values()} == {"train", "validation", "test"}
    assert found["007"][0] == found["copy"][0], "copies stay on one side"
    assert len({found[name][0] for name in ("000", "001", "002")}) == 1, "so does a suite"
    piece = datasets.to_piece(found["003"][1])
    assert piece.labels == {"style": "odd"}
    assert piece.score == midi.representable(score_of(3))
    assert piece.others["score"].notes["program"].max() == 7
    assert datasets.to_piece(found["004"][1]).others == {}


def test_a_corpus_is_an_ordinary_tfds_dataset(root: Path, tmp_path: Path):
    tfds = pytest.importorskip("tensorflow_datasets")
    pytest.importorskip("tensorflow")
    build.build(corpus(), root, tmp_path, progress=False, as_tfds=True)
    source = tfds.data_source("small", data_dir=str(tmp_path / "corpora"), split="train")
    for index in range(3):
        number = int((root / f"{source[index]['id'].decode()}.number").read_text())
        assert np.array_equal(midi.read(source[index]["midi"]).notes, score_of(number).notes)


def test_official_splits_hold(root: Path, tmp_path: Path):
    def official(entry: Entry) -> Iterator[Piece | Skipped]:
        for item in read(entry):
            yield (
                item
                if isinstance(item, Skipped)
                else Piece(item.id, item.score, split="test" if entry.id < "030" else "train")
            )

    build.build(corpus(official), root, tmp_path, progress=False)
    assert datasets.splits("small", tmp_path) == {"train": 11, "test": 30}


def test_an_interrupted_build_goes_on_and_workers_change_nothing(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(build, "ENTRIES_PER_PART", 8)
    build.build(corpus(), root, tmp_path / "whole", workers=2, progress=False)
    log = tmp_path / "log"
    stopping = partial(read, log=log)

    def interrupted(entry: Entry) -> Iterator[Piece | Skipped]:
        if entry.id == "020":
            raise KeyboardInterrupt
        yield from stopping(entry)

    with pytest.raises(KeyboardInterrupt):
        build.build(corpus(interrupted), root, tmp_path / "again", workers=1, progress=False)
    assert read_report("small", tmp_path / "again") is None
    build.build(corpus(stopping), root, tmp_path / "again", workers=1, progress=False)
    lines = log.read_text().split()
    assert max(lines.count(line) for line in lines[:16]) == 1, "whole parts are not read again"
    assert everything(tmp_path / "whole") == everything(tmp_path / "again")
    assert not list((tmp_path / "again" / "corpora").glob(".small*")), "nothing is left of the parts"


def test_force_reads_again(root: Path, tmp_path: Path):
    build.build(corpus(), root, tmp_path, progress=False)
    (root / "000.number").unlink()
    assert sum(build.build(corpus(), root, tmp_path, progress=False)["pieces"].values()) == PIECES + 1
    assert sum(build.build(corpus(), root, tmp_path, progress=False, force=True)["pieces"].values()) == PIECES


def test_export_writes_midi_files(root: Path, tmp_path: Path):
    build.build(corpus(), root, tmp_path, progress=False)
    paths = build.export("small", tmp_path, "test", tmp_path / "out")
    assert len(paths) == datasets.splits("small", tmp_path)["test"]
    assert all(len(midi.read(path).notes) == 60 for path in paths)
    with pytest.raises(DataError, match="no split 'tset'"):
        build.export("small", tmp_path, "tset", tmp_path)
    contents = {path: path.read_bytes() for path in paths}
    paths[0].unlink()
    paths[-1].write_bytes(b"mine")
    with pytest.raises(ConfigError, match="exists: choose another name by --to, or replace it by --force"):
        build.export("small", tmp_path, "test", tmp_path / "out")
    assert paths[-1].read_bytes() == b"mine"
    assert not paths[0].exists(), "none is written where one is refused"
    build.export("small", tmp_path, "test", tmp_path / "out", force=True)
    assert {path: path.read_bytes() for path in paths} == contents


def test_an_export_that_breaks_off_leaves_nothing(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    build.build(corpus(), root, tmp_path, progress=False)
    write_bytes, written = files.write_bytes, []

    def full(path: Path, content: bytes) -> None:
        if len(written) == 3:
            raise DataError(f"cannot write {path}: No space left on device")
        written.append(path)
        write_bytes(path, content)

    monkeypatch.setattr(files, "write_bytes", full)
    with pytest.raises(DataError, match="No space left"):
        build.export("small", tmp_path, "test", tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_the_older_corpus_stays_until_the_new_one_is_whole(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    build.build(corpus(), root, tmp_path, progress=False)
    before = everything(tmp_path)
    (root / "000.number").unlink()
    write = piece_files.write

    def full(folder: Path, *arguments: Any) -> None:
        write(folder, *arguments)
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as context:
        context.setattr(piece_files, "write", full)
        with pytest.raises(DataError, match=r"cannot write .*small: No space left on device"):
            build.build(corpus(), root, tmp_path, progress=False, force=True)
    assert everything(tmp_path) == before
    assert [path.name for path in (tmp_path / "corpora").glob(".small.*/*")] == ["part-00000"], "what was read stays"
    build.build(corpus(), root, tmp_path, progress=False, force=True)
    assert len(everything(tmp_path)) == len(before) - 1
    assert not list((tmp_path / "corpora").glob(".small*"))


def test_errors_name_the_corpus(root: Path, tmp_path: Path):
    with pytest.raises(DataError, match="'absent' is not built"):
        datasets.splits("absent", tmp_path)

    def twice(entry: Entry) -> Iterator[Piece]:
        yield Piece("same", score_of(1))

    with pytest.raises(DataError, match="two pieces called 'same'"):
        build.build(corpus(twice), root, tmp_path, progress=False)

    def none(entry: Entry) -> Iterator[Skipped]:
        yield Skipped(entry.id, "it is odd")

    with pytest.raises(DataError, match=r"none of its 42 files could be used.*42 x it is odd"):
        build.build(corpus(none), root, tmp_path, progress=False)


def test_training_pieces_that_are_held_out_elsewhere_are_left_out(root: Path, tmp_path: Path):
    build.build(corpus(), root, tmp_path, progress=False)
    held = datasets.held_out("small", tmp_path)
    target = next(name for name, (split, _) in everything(tmp_path).items() if split == "test" and name != "copy")

    def training(entry: Entry) -> Iterator[Piece | Skipped]:
        for item in read(entry):
            yield item if isinstance(item, Skipped) else Piece(item.id, item.score, split="train")

    other = Corpus("other", "t", "free", "here", "", numbered_files.entries, training)
    build.build(other, root, tmp_path, progress=False)
    alone = datasets.Pieces(["other"], "train", tmp_path)
    apart = datasets.Pieces(["other"], "train", tmp_path, apart_from=["small"])
    assert (len(alone), alone.left_out) == (PIECES + 1, 0)
    assert len(apart) + apart.left_out == PIECES + 1
    assert apart.left_out >= len(held) > 0
    assert target.encode() not in {apart[index]["id"] for index in range(len(apart))}
    mixed = datasets.Pieces(["other", "small"], "train", tmp_path)
    assert not {mixed[index]["opening"] for index in range(len(mixed))} & held
    assert mixed.fields == {"id", "midi", "group", "opening", "corpus"}
    assert {mixed[index]["corpus"] for index in range(len(mixed))} == {b"other", b"small"}


def test_what_was_mended_and_left_out_is_counted_by_kind(root: Path, tmp_path: Path):
    def kinds(entry: Entry) -> Iterator[Piece | Skipped]:
        if entry.id >= "030":
            yield Skipped(entry.id, f"it has {entry.id} tracks")
        else:
            mended = ("stray bytes: 7", "stray bytes: 9", "a RIFF wrapper") if entry.id < "010" else ("stray bytes: 1",)
            yield dataclasses.replace(next(read(entry)), mended=mended)

    listed = dataclasses.replace(corpus(kinds), remarks=("labels: none",))
    report = build.build(listed, root, tmp_path, progress=False)
    assert report["mended_kinds"] == {
        "stray bytes": {"files": 30, "times": 10 * (7 + 9) + 20},
        "a RIFF wrapper": {"files": 10, "times": 10},
    }
    assert report["skipped_kinds"] == {"it has # tracks": 10, "it has bad tracks": 1, "it has copy tracks": 1}
    assert report["remarks"] == ["labels: none"]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (MidiError("007: a bar that never ends"), "a bar that never ends"),
        (DataError("a table without an end"), "a table without an end"),
        (PermissionError(13, "Permission denied"), "[Errno 13] Permission denied"),
        (UnicodeDecodeError("utf-8", b"x", 0, 1, "what"), "'utf-8' codec can't decode byte 0x78 in position 0: what"),
    ],
)
def test_one_bad_file_stops_no_others(root: Path, tmp_path: Path, error: Exception, reason: str):
    def failing(entry: Entry) -> Iterator[Piece | Skipped]:
        if entry.id == "007":
            raise error
        yield from read(entry)

    report = build.build(corpus(failing), root, tmp_path, progress=False)
    assert report["skipped"] == {"007": reason, "bad": "it is bad"}
    assert sum(report["pieces"].values()) == PIECES


def test_music_that_midi_cannot_hold_is_left_out_alone(root: Path, tmp_path: Path):
    def late(entry: Entry) -> Iterator[Piece | Skipped]:
        for item in read(entry):
            if entry.id in ("007", "009"):
                notes = score_of(7).notes.copy()
                notes["onset"][-1] = 2**28
                score = Score(480, notes)
                others = {"score": score} if entry.id == "009" else {}
                yield Piece(entry.id, score_of(9) if others else score, others=others)
            else:
                yield item

    report = build.build(corpus(late), root, tmp_path, progress=False)
    assert set(report["skipped"]) == {"007", "009", "bad"}
    assert report["skipped"]["007"] == report["skipped"]["009"]
    assert "times must be" in report["skipped"]["007"]


def test_an_error_of_ours_names_the_file(root: Path, tmp_path: Path):
    def failing(entry: Entry) -> Iterator[Piece | Skipped]:
        raise KeyError("x")
        yield

    with pytest.raises(KeyError) as raised:
        build.build(corpus(failing), root, tmp_path, progress=False)
    assert raised.value.__notes__ == ["while reading '000'"]


def test_texts_of_names_that_are_not_utf_8_are_stored(root: Path, tmp_path: Path):
    def named(entry: Entry) -> Iterator[Piece | Skipped]:
        name = os.fsdecode(b"Caf\xe9 ") + entry.id
        for item in read(entry):
            if isinstance(item, Skipped):
                yield Skipped(name, item.reason)
            else:
                yield dataclasses.replace(item, id=name, labels={"style": name})

    report = build.build(corpus(named), root, tmp_path, progress=False)
    assert report["skipped"] == {r"Caf\xe9 bad": "it is bad"}
    assert r"Caf\xe9 003" in report["labels"]["style"]
    assert datasets.to_piece(everything(tmp_path)[r"Caf\xe9 003"][1]).labels == {"style": r"Caf\xe9 003"}


def test_other_rules_of_reading_build_anew(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    build.build(corpus(), root, tmp_path, progress=False)
    entries = numbered_files.entries(root)
    key = build.key(corpus(), entries)
    (root / "000.number").unlink()
    assert sum(build.build(corpus(), root, tmp_path, progress=False)["pieces"].values()) == PIECES + 1
    monkeypatch.setattr(build.music_files, "READING_RULES", "midi 0, musicxml 0")
    assert build.current_report("small", tmp_path) is None
    assert build.key(corpus(), entries) != key
    assert sum(build.build(corpus(), root, tmp_path, progress=False)["pieces"].values()) == PIECES
    assert build.current_report("small", tmp_path) == read_report("small", tmp_path)


def test_pieces_that_are_called_alike_are_all_exported(root: Path, tmp_path: Path):
    names = {"000": "rock/a.mid", "001": "rock/A.MID", "002": "jazz/a.mid", "003": "jazz/b.mid"}

    def named(entry: Entry) -> Iterator[Piece | Skipped]:
        if entry.id in names:
            yield Piece(names[entry.id], score_of(int(entry.id)), split="test")

    build.build(corpus(named), root, tmp_path, progress=False)
    paths = build.export("small", tmp_path, "test", tmp_path / "out")
    assert [path.name for path in paths] == ["b.mid", "jazz__a.mid", "rock__A.MID.mid", "rock__a.mid.mid"]


def test_what_another_process_builds_is_waited_for_and_read(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    report = {"reading_rules": build.music_files.READING_RULES, "pieces": {"train": 1}}
    with other_process(tmp_path / "corpora" / ".small.lock") as other:

        def sleep(seconds: float) -> None:  # the other process is done
            if seconds == locks.POLL_SECONDS:
                path = tmp_path / "corpora" / "small" / "1.0.0" / "metadata.json"
                path.parent.mkdir(parents=True)
                path.write_text(json.dumps(report))
                other.communicate()

        monkeypatch.setattr(locks.time, "sleep", sleep)
        assert build.build(corpus(), root, tmp_path, progress=False) == report
    assert f"corpus small: waiting for process {other.pid}" in capsys.readouterr().err
