"""What a score in MusicXML sounds like."""

from __future__ import annotations

import numpy as np
import pytest
from small_musicxml import document, measure, note, start

from t5music.errors import MidiError
from t5music.music import midi, music_files
from t5music.music.musicxml import read_mended
from t5music.music.score import DRUMS, Score

QUARTER = 480


def read(*parts: list[str], listing: str | None = None) -> Score:
    return read_mended(document(*parts, listing=listing)).score


def heard(score: Score) -> list[tuple[float, float, int]]:
    """(onset, duration, pitch) of the notes, in quarters."""
    unit = score.ticks_per_quarter
    return [(onset / unit, duration / unit, pitch) for onset, duration, pitch, *_ in score.notes.tolist()]


def changes(array: np.ndarray, score: Score) -> list[tuple]:
    return [(tick / score.ticks_per_quarter, *values) for tick, *values in array.tolist()]


def direction(content: str, more: str = "") -> str:
    return f"<direction><direction-type>{content}</direction-type>{more}</direction>"


def test_voices_chords_and_rests():
    backup = "<backup><duration>8</duration></backup>"
    score = read(
        [
            measure(
                start(2), note("C5", 4), note("E5", 4, before="<chord/>"), note("R", 2), note("D5", 2), backup,
                "<forward><duration>2</duration></forward>", note("G3", 6, "<voice>2</voice>"),
            )
        ]
    )  # fmt: skip
    assert heard(score) == [(0, 2, 72), (0, 2, 76), (1, 3, 55), (3, 1, 74)]


def test_ties_over_bar_lines_and_without_their_ends():
    tie_start, tie_stop = '<tie type="start"/>', '<tie type="stop"/>'
    score = read([measure(start(), note("C4", 4, tie_start)), measure(note("C4", 1, tie_stop), note("C4", 3))])
    assert heard(score) == [(0, 5, 60), (5, 3, 60)]
    assert heard(read([measure(start(), note("C4", 4, tie_start)), measure(note("C4", 4))])) == [(0, 8, 60)]
    assert heard(read([measure(start(), note("C4", 4)), measure(note("C4", 4, tie_stop))])) == [(0, 4, 60), (4, 4, 60)]


def test_a_chord_that_is_built_up_by_ties_sounds_on():
    tied = '<tie type="start"/>'
    content = [start(), note("C4", 1, tied), note("E4", 1, tied), note("G4", 1), note("R", 1)]
    ends = [note("C4", 4, '<tie type="stop"/>'), note("E4", 4, '<tie type="stop"/>', before="<chord/>")]
    assert heard(read([measure(*content), measure(*ends)])) == [(0, 8, 60), (1, 7, 64), (2, 1, 67)]


def test_two_voices_in_unison_are_one_note_and_a_note_ends_where_its_pitch_is_struck_again():
    backup, second = "<backup><duration>4</duration></backup>", "<voice>2</voice>"
    assert heard(read([measure(start(), note("C4", 4), backup, note("C4", 2, second))])) == [(0, 4, 60)]
    score = read([measure(start(), note("C4", 4), backup, note("R", 1), note("C4", 1, second))])
    assert heard(score) == [(0, 1, 60), (1, 3, 60)]


def test_a_pickup_and_a_measure_in_two_halves_keep_their_bar_lines():
    content = [
        measure(start(2, 3, 4), note("G4", 1), attributes='number="0" implicit="yes"'),
        measure(note("C4", 6)),
        measure(note("D4", 2)),
        measure(note("E4", 4)),
        measure(note("F4", 6)),
    ]
    score = read(content)
    starts, meters = score.bars()
    assert (starts / score.ticks_per_quarter).tolist() == [0, 0.5, 3.5, 4.5, 6.5]
    assert (meters == [3, 4]).all()


def test_a_measure_longer_than_its_meter_gets_one_of_its_length():
    score = read([measure(start(2, 2, 4), note("C4", 5)), measure(note("D4", 4))])
    assert changes(score.meters, score) == [(0, 5, 8), (2.5, 2, 4)]
    assert heard(score) == [(0, 2.5, 60), (2.5, 2, 62)]


@pytest.mark.parametrize(
    ("time", "meter"),
    [
        ("<beats>3+2</beats><beat-type>8</beat-type>", (5, 8)),
        ("<beats>2</beats><beat-type>4</beat-type><beats>3</beats><beat-type>8</beat-type>", (7, 8)),
        ("<senza-misura/>", (4, 4)),
        ("<beats>3</beats><beat-type>7</beat-type>", (4, 4)),
        ("<beats>x</beats><beat-type>4</beat-type>", (4, 4)),
    ],
)
def test_meters(time: str, meter: tuple[int, int]):
    attributes = f"<attributes><divisions>2</divisions><time>{time}</time></attributes>"
    score = read([measure(attributes, note("R", 8 * meter[0] // meter[1])), measure(note("C4", 1))])
    assert score.meters.tolist()[0] == (0, *meter)


def test_uneven_divisions_are_exact():
    fifths = [note("C4", 4 * 3 * 7) for _ in range(5)]
    second = [note("E3", 3), *(note("G3", 3) for _ in range(2)), note("R", 3)]
    score = read([measure(start(105), *fifths)], [measure(start(3), *second)])
    assert [time for time, _, pitch in heard(score) if pitch == 60] == [0, 0.8, 1.6, 2.4, 3.2]
    assert [time for time, _, pitch in heard(score) if pitch != 60] == [0, 1, 2]
    halves = read([measure(start(1), note("C4", 1).replace(">1<", ">0.5<"), note("D4", 1).replace(">1<", ">1.5<"))])
    assert heard(halves) == [(0, 0.5, 60), (0.5, 1.5, 62)]


def test_divisions_may_change_within_a_measure():
    again = "<attributes><divisions>6</divisions></attributes>"
    score = read([measure(start(2), note("C4", 2), again, note("D4", 2), note("E4", 4), note("F4", 12))])
    assert [time for time, *_ in heard(score)] == pytest.approx([0, 1, 4 / 3, 2])


TRANSPOSE = "<transpose><diatonic>-1</diatonic><chromatic>-2</chromatic></transpose>"


def test_transposing_instruments_sound_and_their_keys_too():
    key = "<key><fifths>2</fifths></key>"
    clarinet = measure(start(1, more=key).replace("</attributes>", TRANSPOSE + "</attributes>"), note("D5", 4))
    score = read([clarinet])
    assert heard(score) == [(0, 4, 72)]
    flute = measure(start(1, more="<key><fifths>-3</fifths><mode>minor</mode></key>"), note("C5", 4))
    assert changes(score.keys, score) == [(0, 0, False)]
    both = read([clarinet], [flute])
    assert changes(both.keys, both) == [(0, -3, True)]  # of the part that is written as it sounds
    octave = start().replace("</attributes>", "<transpose><octave-change>-1</octave-change></transpose></attributes>")
    assert heard(read([measure(octave, note("C4", 4))])) == [(0, 4, 48)]


@pytest.mark.parametrize(("written", "chromatic", "sounding"), [(2, -2, 0), (-1, -2, -3), (1, -7, 0), (4, -9, 1)])
def test_keys_of_transposing_instruments(written: int, chromatic: int, sounding: int):
    transpose = f"<transpose><chromatic>{chromatic}</chromatic></transpose></attributes>"
    attributes = start(1, more=f"<key><fifths>{written}</fifths></key>").replace("</attributes>", transpose)
    assert read([measure(attributes, note("C5", 4))]).keys.tolist() == [(0, sounding, False)]


LISTING = """<score-part id="P1"><part-name>{name}</part-name>
<score-instrument id="I1"><instrument-name>{first}</instrument-name></score-instrument>
<score-instrument id="I2"><instrument-name>{second}</instrument-name></score-instrument>{midi}</score-part>"""


def instrument(key: str, program: str = "", channel: int = 1, sound: str = "") -> str:
    content = f"<midi-channel>{channel}</midi-channel>"
    content += f"<midi-program>{program}</midi-program>" if program else ""
    content += f"<midi-unpitched>{sound}</midi-unpitched>" if sound else ""
    return f'<midi-instrument id="{key}">{content}</midi-instrument>'


def test_percussion_is_its_sounds():
    listing = LISTING.format(name="Drums", first="Snare", second="Closed Hi-hat", midi=instrument("I1", "1", 10, "39"))
    drum = "<note><unpitched><display-step>{}</display-step><display-octave>5</display-octave></unpitched>"
    drum += '<duration>1</duration><instrument id="{}"/></note>'
    hat_map = LISTING.format(
        name="Drums", first="Snare", second="Closed Hi-hat",
        midi=instrument("I1", "1", 10, "39") + instrument("I2", "1", 10),
    )  # fmt: skip
    score = read([measure(start(), drum.format("C", "I1"), drum.format("G", "I2"))], listing=hat_map)
    assert heard(score) == [(0, 1, 38), (1, 1, 42)]
    assert set(score.notes["program"]) == {DRUMS}
    unnamed = read([measure(start(), drum.format("A", "I9").replace("I9", "I1"))], listing=listing)
    assert heard(unnamed) == [(0, 1, 38)]
    by_place = read([measure(start(), drum.format("G", ""), drum.format("F", ""))])
    assert heard(by_place) == [(0, 1, 42), (1, 1, 51)]


def test_instruments_by_program_by_name_and_by_note():
    midi_instruments = instrument("I1", "74") + instrument("I2", "69")
    listing = LISTING.format(name="Winds", first="Flute", second="Oboe", midi=midi_instruments)
    notes = [note("C5", 1, '<instrument id="I1"/>'), note("D5", 1, '<instrument id="I2"/>')]
    assert sorted(read([measure(start(), *notes)], listing=listing).notes["program"].tolist()) == [68, 73]
    for name, program in (("Violoncello", 42), ("Clarinet in B♭", 71), ("Gesang", 52), ("Klavier", 0), ("Viola", 41)):
        named = f'<score-part id="P1"><part-name>{name}</part-name></score-part>'
        score = read([measure(start(), note("C4", 4))], listing=named)
        assert score.notes["program"].tolist() == [program], name
        assert score.track_names == (name,)


def test_an_instrument_may_change():
    listing = LISTING.format(name="Reeds", first="Flute", second="Flute", midi=instrument("I1", "74"))
    change = f"<sound>{instrument('I1', '72')}</sound>"
    score = read([measure(start(), note("C5", 1), change, note("D5", 3))], listing=listing)
    assert sorted(score.notes[["pitch", "program"]].tolist()) == [(72, 73), (74, 71)]


def test_tempo_marks_and_words():
    mark = direction("<metronome><beat-unit>half</beat-unit><beat-unit-dot/><per-minute>c. 40</per-minute></metronome>")
    sound = direction("<words>Presto</words>", '<sound tempo="99"/>')
    content = [
        measure(start(), direction("<words>Andante con moto</words>"), note("C4", 4)),
        measure(mark, note("C4", 4)),
        measure(sound, note("C4", 4)),
        measure(direction("<words>rit.</words>"), direction("<words>Tempo I</words>"), note("C4", 4)),
    ]
    score = read(content)
    tempi = [(bar / 4, round(60e6 / tempo, 3)) for bar, tempo in changes(score.tempos, score)]
    assert tempi == [(0, 80), (1, 120), (2, 99), (3, 80)]


def test_a_metric_modulation():
    same = "<metronome><beat-unit>quarter</beat-unit><beat-unit>eighth</beat-unit></metronome>"
    score = read([measure(start(), '<sound tempo="80"/>', note("C4", 4)), measure(direction(same), note("C4", 4))])
    assert [round(60e6 / tempo, 3) for _, tempo in score.tempos.tolist()] == [80, 40]


def test_loudness():
    def mark(name: str) -> str:
        return direction(f"<dynamics><{name}/></dynamics>")

    def wedge(kind: str) -> str:
        return direction(f'<wedge type="{kind}"/>')

    accent = "<notations><articulations><accent/></articulations></notations>"
    score = read(
        [
            measure(start(), note("C4", 2), mark("p"), note("D4", 1), note("E4", 1, accent)),
            measure(mark("sf"), note("F4", 1), wedge("crescendo"), *(note("G4", 1) for _ in range(3))),
            measure(wedge("stop"), mark("f"), note("A4", 1), mark("fp"), note("B4", 1), note("C5", 2)),
            measure(
                direction("", '<sound dynamics="50"/>'), note("D5", 1), note("E5", 3, attributes=' dynamics="100"')
            ),
        ]
    )
    velocities = score.notes["velocity"].tolist()
    assert velocities == [80, 49, 59, 112, 49, 64, 80, 96, 96, 49, 45, 90]


def test_a_hairpin_without_a_mark_is_a_step():
    pins = [direction('<wedge type="diminuendo"/>'), direction('<wedge type="stop"/>')]
    content = [start(), pins[0], *(note("C4", 1) for _ in range(4))]
    score = read([measure(*content), measure(pins[1], note("D4", 4))])
    assert score.notes["velocity"].tolist() == [80, 76, 72, 68, 64]


def test_hairpins_without_marks_do_not_fade_into_silence():
    pins = [direction('<wedge type="diminuendo"/>'), direction('<wedge type="stop"/>')]
    content = [start(), *[part for _ in range(9) for part in (pins[0], note("C4", 1), pins[1])], note("D4", 1)]
    velocities = read([measure(*content)]).notes["velocity"].tolist()
    assert velocities[-1] == min(velocities) == 16


def grace(pitch: str, slash: str = ' slash="yes"', before: str = "") -> str:
    return note(pitch, 0, before=f"<grace{slash}/>{before}")


def test_grace_notes():
    slashed = read([measure(start(), note("C4", 2), grace("B4"), grace("D5"), note("C5", 2))])
    assert heard(slashed) == [(0, 1.75, 60), (1.75, 0.125, 71), (1.875, 0.125, 74), (2, 2, 72)]
    long_ones = read([measure(start(), note("C4", 2), grace("D5", ""), note("C5", 2))])
    assert heard(long_ones) == [(0, 2, 60), (2, 1, 74), (3, 1, 72)]
    at_the_start = read([measure(start(), grace("B4"), grace("E5", before="<chord/>"), note("C5", 4))])
    assert heard(at_the_start) == [(0, 2, 71), (0, 2, 76), (2, 2, 72)]
    after_a_rest = read([measure(start(), note("R", 2), grace("B4"), note("C5", 2))])
    assert heard(after_a_rest) == [(1.875, 0.125, 71), (2, 2, 72)]


def test_pedals_and_cues():
    pedal = '<pedal type="{}"/>'
    cue = note("G4", 1, before="<cue/>")
    content = [start(), direction(pedal.format("start")), note("C4", 1), cue]
    content += [direction(pedal.format("change")), note("D4", 1), direction(pedal.format("stop")), note("E4", 1)]
    score = read([measure(*content)])
    assert heard(score) == [(0, 1, 60), (2, 1, 62), (3, 1, 64)]
    assert (score.pedals["onset"] / QUARTER).tolist() == [0, 2]
    assert (score.pedals["duration"] / QUARTER).tolist() == [2, 1]
    never_lifted = read([measure(start(), direction(pedal.format("start")), note("C4", 4))])
    assert not len(never_lifted.pedals)


def test_scores_by_time_are_the_same_as_by_part():
    parts = [[measure(start(), note("C4", 4)), measure(note("D4", 4))], [measure(start(), note("C3", 4)), measure()]]
    entry = '<score-part id="{}"><part-name>{}</part-name></score-part>'
    listing = entry.format("P1", "A") + entry.format("P2", "B")
    by_part = read(*parts, listing=listing)
    measures = [
        "".join(f'<part id="P{number}">{part[bar][len("<measure number=.1.>") : -len("</measure>")]}</part>'
                for number, part in enumerate(parts, 1))
        for bar in range(2)
    ]  # fmt: skip
    body = "".join(f'<measure number="1">{content}</measure>' for content in measures)
    data = f"<score-timewise><part-list>{listing}</part-list>{body}</score-timewise>".encode()
    assert read_mended(data).score == by_part
    assert by_part.track_names == ("A", "B")


def test_what_is_read_is_its_own_representation_in_midi():
    score = read([measure(start(), note("C4", 2), note("E4", 2, before="<chord/>"), note("C4", 2))])
    assert midi.representable(score) == score
    assert midi.read(midi.to_bytes(score)) == score


def test_encodings_of_text():
    data = document(
        [measure(start(), note("C4", 4))], listing='<score-part id="P1"><part-name>Flöte</part-name></score-part>'
    )
    text = data.decode().replace('version="1.0"', 'version="1.0" encoding="{}"')
    for name in ("UTF-16", "ISO-8859-1", "UTF-8"):
        assert read_mended(text.format(name).encode(name)).score.track_names == ("Flöte",)


def test_humdrum_and_mei(tmp_path):
    pytest.importorskip("music21")
    path = tmp_path / "tune.krn"
    path.write_text("**kern\n*M4/4\n=1\n4c\n4d\n4e\n4f\n=2\n1g\n==\n*-\n")
    assert heard(music_files.read(path)) == [(0, 1, 60), (1, 1, 62), (2, 1, 64), (3, 1, 65), (4, 4, 67)]
    (tmp_path / "bad.mei").write_text("<mei></mei>")
    with pytest.raises(MidiError, match=r"bad\.mei: music21 cannot read it"):
        music_files.read(tmp_path / "bad.mei")


def test_humdrum_without_music21_names_the_extra(tmp_path, monkeypatch):
    (tmp_path / "tune.krn").write_text("**kern\n4c\n*-\n")
    monkeypatch.setattr("t5music.music.musicxml.converted.find_spec", lambda name: None)
    with pytest.raises(MidiError, match=r"tune\.krn: \.krn files need music21: pip install 't5music\[scores\]'"):
        music_files.read(tmp_path / "tune.krn")
