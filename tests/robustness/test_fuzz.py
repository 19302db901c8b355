"""A second's worth of what fuzz.py runs by the hundred thousand, and that it finds and replays what is wrong."""

from __future__ import annotations

from pathlib import Path

import cases
import fuzz
import numpy as np
import pytest

from t5music.music import midi


@pytest.mark.parametrize(("what", "count"), [("midi", 60), ("musicxml", 20), ("tokens", 40)])
def test_nothing_breaks(what, count):
    report = fuzz.run(what, range(count), seed=1)
    assert report.failures == {}
    assert sum(report.outcomes.values()) == count
    assert len(report.outcomes) >= (
        2 if what == "musicxml" else 3
    )  # read, read and mended, refused; decoded by several encodings


@pytest.mark.data
@pytest.mark.parametrize(("what", "count"), [("midi", 60), ("tokens", 20)])
def test_nothing_breaks_on_real_music(real_music, what, count):
    assert fuzz.run(what, range(count), seed=1, folder=real_music("jsb_chorales")).failures == {}


def test_a_case_depends_on_its_seed_and_index_alone():
    sources = cases.Sources()
    seeds = [[0, 5], [0, 5], [0, 6]]
    first, again, other = (cases.damaged_file(sources, np.random.default_rng(seed)) for seed in seeds)
    assert first == again != other


def test_failures_are_told_and_can_be_replayed(monkeypatch, capsys):
    read = midi.read_mended

    def broken(source: bytes | Path, **options):
        if isinstance(source, bytes) and len(source) % 7 == 0:
            raise KeyError(len(source))
        return read(source, **options)

    monkeypatch.setattr(midi, "read_mended", broken)
    failures = fuzz.run("midi", range(30), seed=0).failures
    assert 0 < len(failures) < 30
    index, what = next(iter(failures.items()))
    assert what.startswith("KeyError: ")
    assert fuzz.main(["midi", "--start", str(index), "--count", "1"]) == 1
    assert f"case {index}: {what}" in capsys.readouterr().out
    monkeypatch.setattr(midi, "read_mended", read)
    assert fuzz.main(["midi", "--start", str(index), "--count", "1"]) == 0


def test_a_folder_without_midi_files_is_an_error(tmp_path):
    with pytest.raises(SystemExit, match="no MIDI files in it"):
        fuzz.main(["tokens", "--count", "1", "--from", str(tmp_path)])
