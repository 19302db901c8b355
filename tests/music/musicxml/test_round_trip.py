"""What is written as MusicXML is read back alike."""

from __future__ import annotations

import io
import zipfile
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from score_content import content

from t5music.errors import MidiError
from t5music.music import midi, music_files
from t5music.music.musicxml import read_mended, to_bytes
from t5music.music.musicxml.notation import MOST_UNITS, values
from t5music.music.score import DRUMS, KEY, METER, NOTE, PEDAL, TEMPO, Score

METERS = ((4, 4), (3, 4), (2, 2), (6, 8), (5, 8), (12, 8), (7, 16), (1, 4), (3, 32))


@st.composite
def written_scores(draw: st.DrawFn) -> Score:
    """Scores on a grid of up to 96 to a quarter, in which no track strikes a pitch that sounds."""
    units = draw(st.sampled_from([1, 2, 3, 4, 5, 6, 7, 8, 12, 15, 16, 20, 24, 32, 48, 96]))
    scale = draw(st.sampled_from([1, 2, 5]))
    rows = []
    tracks = draw(st.integers(1, 4))
    for track in range(tracks):
        program = draw(st.sampled_from([0, 6, 19, 40, 73, 127, DRUMS]))
        for pitch in draw(st.lists(st.integers(0, 127), min_size=1, max_size=6, unique=True)):
            at = 0
            for _ in range(draw(st.integers(1, 4))):
                at += draw(st.integers(0, 5 * units))
                length = draw(st.integers(1, 6 * units))
                rows.append((at, length, pitch, draw(st.integers(1, 127)), program, track))
                at += length
    end = max(onset + length for onset, length, *_ in rows)
    ticks = st.lists(st.integers(0, end - 1), max_size=3, unique=True)
    meters, at = [], 0
    for _ in range(draw(st.integers(1, 3))):
        meters.append((at, *draw(st.sampled_from([meter for meter in METERS if meter[0] * 4 * units % meter[1] == 0]))))
        at += draw(st.integers(1, 9 * units))  # also where it cuts a bar short
        if at >= end:
            break
    keys = [(tick, draw(st.integers(-7, 7)), draw(st.booleans())) for tick in sorted(draw(ticks))]
    tempi = [(tick, draw(st.integers(100_000, 2_000_000))) for tick in sorted(draw(ticks))]
    score = Score(
        units * scale,
        np.array(rows, NOTE),
        np.array(tempi, TEMPO),
        np.array(meters, METER),
        np.array(keys, KEY),
        track_names=tuple(f"part {track}" for track in range(tracks)),
    )
    arrays = {}
    for name in ("notes", "tempos", "meters", "keys"):
        array = getattr(score, name).copy()
        for field in ("onset", "duration", "tick"):
            if field in (array.dtype.names or ()):
                array[field] *= scale
        arrays[name] = array
    return midi.representable(Score(units * scale, **arrays, track_names=score.track_names))


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(written_scores())
def test_written_music_is_read_back_exactly(score: Score):
    reading = read_mended(to_bytes(score))
    assert content(reading.score) == content(score)
    assert reading.mended == ()


@pytest.mark.parametrize("fifths", range(-7, 8))
def test_every_pitch_of_midi_is_read_back_in_every_key(fifths: int):
    notes = np.array([(480 * pitch, 480, pitch, 64, 0, 0) for pitch in range(128)], NOTE)
    score = Score(480, notes, meters=np.array([(0, 4, 4)], METER), keys=np.array([(0, fifths, False)], KEY))
    assert read_mended(to_bytes(score)).score.notes["pitch"].tolist() == list(range(128))


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(
        st.tuples(st.integers(0, 40_000), st.integers(1, 5000), st.integers(0, 127), st.integers(1, 127)),
        min_size=2, max_size=60,
    ),
    st.integers(300_000, 1_500_000),
)  # fmt: skip
def test_played_music_comes_to_lie_on_a_grid(rows: list[tuple[int, int, int, int]], tempo: int):
    notes = np.array([(*row, 0, 0) for row in [*rows, (479, 1, 0, 1), (1000, 7, 1, 1)]], NOTE)
    score = midi.representable(Score(479, notes, tempos=np.array([(0, tempo)], TEMPO)))
    read = read_mended(to_bytes(score)).score
    written = {(round(onset * 12 / 479), pitch) for onset, _, pitch, *_ in score.notes.tolist()}
    played = {(onset * 12 / read.ticks_per_quarter, pitch) for onset, _, pitch, *_ in read.notes.tolist()}
    assert played == written
    assert read.tempos.tolist() == score.tempos.tolist()


@pytest.mark.parametrize("units", [1, 2, 3, 4, 5, 6, 7, 12, 15, 24, 48, 96])
def test_note_values_add_up(units: int):
    """Every span of two bars of 4/4 has values whose type, dots and tuplet say how long they are."""
    types = {"whole": 4.0, "half": 2.0, "quarter": 1.0, "eighth": 0.5}
    types |= {name: 1 / size for name, size in (("16th", 4), ("32nd", 8), ("64th", 16), ("128th", 32), ("256th", 64))}
    rng = np.random.default_rng(units)
    for _ in range(100):
        start, end = sorted(rng.choice(4 * units + 1, 2, replace=False).tolist())
        inner = sorted({0, start, end, 4 * units, *rng.integers(0, 4 * units, 2).tolist()} - set(range(start + 1, end)))
        spans = list(values(start, end, inner, units))
        assert sum(value.units for value in spans) == end - start
        for value in spans:
            actual, normal = value.tuplet or (1, 1)
            assert types[value.type] * (1.5 if value.dots else 1) * normal / actual == pytest.approx(
                value.units / units
            )


def test_a_piano_has_two_staves_and_rests_where_it_is_silent():
    notes = [(0, 480, 72, 80, 0, 0), (1920, 480, 40, 80, 0, 0), (0, 3840, 60, 80, 56, 1)]
    root = ElementTree.fromstring(to_bytes(Score(480, np.array(notes, NOTE), track_names=("Keys & <strings>", ""))))
    assert [item.text for item in root.findall("part-list/score-part/part-name")] == ["Keys & <strings>", "Trumpet"]
    piano = root.find("part")
    assert piano.findtext("measure/attributes/staves") == "2"
    assert {item.findtext("staff") for item in piano.iter("note")} == {"1", "2"}
    for bar in piano.findall("measure"):
        lengths = [int(item.findtext("duration")) for item in bar.findall("note") if item.findtext("voice") == "1"]
        assert sum(lengths) == 4 * int(piano.findtext("measure/attributes/divisions"))
    ties = [tie.get("type") for tie in root.findall("part")[1].iter("tie")]
    assert ties == ["start", "stop"]


def test_pedals_are_written():
    notes = np.array([(0, 480, 60, 80, 0, 0), (480, 960, 64, 80, 0, 0)], NOTE)
    pedals = np.array([(0, 480, 0), (480, 960, 0)], PEDAL)
    score = midi.representable(Score(480, notes, pedals=pedals))
    assert read_mended(to_bytes(score)).score.pedals.tolist() == score.pedals.tolist()


def test_a_long_tempo_curve_is_exact():
    tempi = np.array([(40 * step, 500_000 + 12_347 * step) for step in range(48)], TEMPO)
    score = Score(480, np.array([(0, 1920, 60, 80, 0, 0)], NOTE), tempos=tempi)
    assert read_mended(to_bytes(score)).score.tempos.tolist() == tempi.tolist()


def test_names_that_xml_cannot_hold():
    score = Score(480, np.array([(0, 480, 60, 80, 0, 0)], NOTE), track_names=("a\x00b\x1f\ud800 \n c",))
    assert read_mended(to_bytes(score)).score.track_names == ("a�b�� c",)


def test_what_cannot_be_written(tmp_path):
    with pytest.raises(MidiError, match="a score without notes cannot be written"):
        to_bytes(Score(480, np.empty(0, NOTE)))
    tune = Score(480, np.array([(0, 480, 60, 80, 0, 0)], NOTE))
    with pytest.raises(MidiError, match=r"tune\.krn: name a file that ends in \.mid"):
        music_files.to_bytes(tune, tmp_path / "tune.krn")


def test_compressed_scores_are_archives_and_always_the_same():
    tune = Score(480, np.array([(0, 480, 60, 80, 0, 0)], NOTE))
    data = to_bytes(tune, is_compressed=True)
    assert data == to_bytes(tune, is_compressed=True)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.namelist()[0] == "META-INF/container.xml"
    assert read_mended(data).score == read_mended(to_bytes(tune)).score
    assert MOST_UNITS == 96
