"""The Lakh MIDI dataset, in the layout of its archives."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_music import entries_of, pieces_of, skipped, write_files

from t5music.corpora.sources.lakh import (
    GENRES,
    LAKH_CLEAN,
    LAKH_FULL,
    LAKH_FULL_BY_MD5,
    LAKH_MATCHED,
    STYLES,
    read_classes,
)
from t5music.errors import DataError

A, B, C, D = ("0" + letter * 31 for letter in "abcd")
TRACKS = ("TRAAAAA128F0000001", "TRAAAAB128F0000002", "TRBCDEF128F0000003")


def test_full_is_named_by_md5(tmp_path: Path):
    write_files(tmp_path / "lmd_full", f"0/{A}.mid", f"0/{B}.mid")
    (tmp_path / "lmd_full" / "1").mkdir()
    (tmp_path / "lmd_full" / "1" / f"1{A[1:]}.mid").write_bytes(b"no music")
    entries = entries_of(LAKH_FULL, tmp_path)
    assert list(entries) == [A, B, f"1{A[1:]}"]
    assert entries[A].labels == {"genre": "", "style": "", "tagtraum": ""}
    assert entries[A].split is None
    assert skipped(LAKH_FULL, entries[f"1{A[1:]}"])


def test_the_split_of_the_anticipatory_music_transformer_goes_by_the_first_digit(tmp_path: Path):
    names = [f"{digit}{'0' * 31}" for digit in "09adef"]
    write_files(tmp_path, *(f"{name[0]}/{name}.mid" for name in names))
    pieces = pieces_of(LAKH_FULL_BY_MD5, tmp_path)
    assert [pieces[name].split for name in names] == ["train"] * 4 + ["validation", "test"]
    assert LAKH_FULL_BY_MD5.downloads == LAKH_FULL.downloads


@pytest.fixture
def matched(tmp_path: Path) -> Path:
    """A is in two tracks, and so B, C and A are relatives; D is on its own."""
    first, second, third = ("/".join((*track[2:5], track)) for track in TRACKS)
    write_files(tmp_path / "lmd_matched", f"{first}/{A}.mid", f"{first}/{B}.mid", f"{second}/{A}.mid",
                f"{second}/{C}.mid", f"{third}/{D}.mid")  # fmt: skip
    return tmp_path


def test_matched_has_every_file_once_and_relatives_together(matched: Path):
    pieces = pieces_of(LAKH_MATCHED, matched)
    assert list(pieces) == [A, B, C, D]
    assert {md5: piece.labels["track_id"] for md5, piece in pieces.items()} == {
        A: TRACKS[0],
        B: TRACKS[0],
        C: TRACKS[1],
        D: TRACKS[2],
    }
    assert {md5: piece.group for md5, piece in pieces.items()} == dict.fromkeys((A, B, C), TRACKS[0]) | {D: TRACKS[2]}


def test_the_best_match_is_taken_where_scores_are_at_hand(matched: Path):
    (matched / "match_scores.json").write_text(f'{{"{TRACKS[0]}": {{"{A}": 0.6}}, "{TRACKS[1]}": {{"{A}": 0.8}}}}')
    assert entries_of(LAKH_MATCHED, matched)[A].labels["track_id"] == TRACKS[1]
    assert entries_of(LAKH_MATCHED, matched)[A].path.parent.name == TRACKS[1]


def test_genres_and_styles_beside_the_music(matched: Path):
    (matched / "topmagdTRAIN.csv").write_text(
        f",file_id,Pop_Rock,topmagd\n0,{A},1,\"['Jazz', 'Pop_Rock', 'Pop_Rock']\"\n1,{B},0,['New Age']\n"
    )
    (matched / "lmd_matched" / "msd-topMAGD-genreAssignment.cls").write_text(
        f"# comment\n{TRACKS[1]}\tNew_Age\n{TRACKS[0]}\tFolk\n"
    )
    (matched / "msd-MASD-styleAssignment.cls").write_text(f"{TRACKS[2]}\tBig_Band\n")
    (matched / "msd_tagtraum_cd2.cls").write_text(f"# comment\n{TRACKS[0]}\tRock\tPunk\n{TRACKS[2]}\tJazz\n")
    (matched / "msd_tagtraum_cd1.cls").write_text(f"{TRACKS[1]}\tPop_Rock\n")  # other labels, not read
    (matched / "other.csv").write_text("a,b\n1,2\n")
    labels = {
        md5: tuple(entry.labels[label] for label in ("genre", "style", "tagtraum"))
        for md5, entry in entries_of(LAKH_MATCHED, matched).items()
    }
    assert labels == {
        A: ("Pop_Rock", "", "Rock"),
        B: ("New Age", "", "Rock"),
        C: ("New Age", "", ""),
        D: ("", "Big_Band", "Jazz"),
    }


def test_a_value_that_is_no_genre(matched: Path):
    (matched / "topmagd.csv").write_text(f"file_id,topmagd\n{A},['Polka']\n")
    with pytest.raises(DataError, match=r"topmagd\.csv: 'Polka' is no genre of topmagd"):
        entries_of(LAKH_MATCHED, matched)


def test_clean_says_artist_and_title(tmp_path: Path):
    write_files(tmp_path / "clean_midi", "ABBA/Chiquitita.mid", "ABBA/Chiquitita.1.mid", "Sade/Mr. 5.mid")
    pieces = pieces_of(LAKH_CLEAN, tmp_path)
    assert {name: (piece.labels["artist"], piece.labels["title"]) for name, piece in pieces.items()} == {
        "ABBA/Chiquitita": ("ABBA", "Chiquitita"),
        "ABBA/Chiquitita.1": ("ABBA", "Chiquitita"),
        "Sade/Mr. 5": ("Sade", "Mr. 5"),
    }
    assert pieces["ABBA/Chiquitita"].group == pieces["ABBA/Chiquitita.1"].group != pieces["Sade/Mr. 5"].group


@pytest.mark.data
def test_real_tables_of_genres(real_music, tmp_path: Path):
    root = tmp_path / "lmd_full"
    root.mkdir()
    for path in (real_music("labels_only") / "lmd_genre_kinezodin").glob("*.csv"):
        (root / path.name).symlink_to(path)
    classes = read_classes(root)
    assert (len(classes["genre"]), len(classes["style"])) == (22_535, 17_785)
    assert set(classes["genre"].values()) == set(GENRES)
    assert set(classes["style"].values()) == set(STYLES)
    assert classes["genre"]["ab422481637f2ba5a233c58fb6411f6d"] == "Rap"
