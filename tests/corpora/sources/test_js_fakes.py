"""The JS Fake Chorales."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from small_music import entries_of, pieces_of, skipped, write_midi

from t5music.corpora.sources.js_fakes import JS_FAKES
from t5music.music.encodings.satb.grid import STEPS_PER_QUARTER, VOICES


def test_the_tracks_are_named_as_voices(tmp_path: Path):
    for folder in ("midi", "jsf-extended"):
        (tmp_path / folder).mkdir()
    scores = {
        "midi/0": write_midi(tmp_path / "midi/0.mid", 0, tracks=("a", "b", "c", "d")),
        "jsf-extended/0": write_midi(tmp_path / "jsf-extended/0.mid", 1, tracks=("", "", "", "")),
    }
    write_midi(tmp_path / "midi/1.mid", 2, tracks=("a", "b", "c"))
    entries = entries_of(JS_FAKES, tmp_path)
    assert set(entries) == {*scores, "midi/1"}
    assert skipped(JS_FAKES, entries["midi/1"]) == "it has 3 voices"
    for name, score in scores.items():
        [piece] = JS_FAKES.read(entries[name])
        assert piece.score.track_names == VOICES
        assert sorted(piece.score.notes["pitch"]) == sorted(score.notes["pitch"])


def test_a_damaged_file_is_skipped(tmp_path: Path):
    (tmp_path / "jsf-extended").mkdir()
    (tmp_path / "jsf-extended/0.mid").write_bytes(b"MThd")
    [entry] = entries_of(JS_FAKES, tmp_path).values()
    assert skipped(JS_FAKES, entry)


@pytest.mark.data
def test_real_files(real_music):
    pieces = pieces_of(JS_FAKES, real_music("jsb_chorales") / "js_fakes")
    assert len(pieces) == JS_FAKES.files
    scores = [piece.score for piece in pieces.values()]
    assert all((score.notes["onset"] * STEPS_PER_QUARTER % score.ticks_per_quarter == 0).all() for score in scores)
    pitches = np.concatenate([score.notes["pitch"] for score in scores])
    tracks = np.concatenate([score.notes["track"] for score in scores])
    means = [pitches[tracks == track].mean() for track in range(len(VOICES))]
    assert means == sorted(means, reverse=True), "the soprano comes first"
