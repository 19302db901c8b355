"""Voices of ABC: V: as a field and within a line, overlays with '&', their text and their score."""

from __future__ import annotations

import pytest
from small_abc import names, played, sounding

from t5music.errors import MidiError
from t5music.music.abc_notation import Bar, Key, Meter, Note, Tune, parse

HEAD = "M:4/4\nL:1/4\nK:C\n"


def voices(text: str) -> list[str]:
    """The letters of each voice; z for a rest, with its length in quarters where that is not 1."""
    tune = parse(HEAD + text)
    texts = []
    for items in (tune.items, *tune.other_voices):
        notes = (item for item in items if isinstance(item, Note | Bar))
        texts.append("".join(str(note) if isinstance(note, Bar) else letter(note) for note in notes))
    return texts


def letter(note: Note) -> str:
    quarters = 4 * note.length
    return (str(note.pitches[0]) if note.pitches else "z") + (str(quarters) if quarters != 1 else "")


@pytest.mark.parametrize(
    "text",
    ["V:1\nCDEF|\nGABc|\nV:2\nEFGA|\ncded|", "V:1\nCDEF|\nV:2\nEFGA|\nV:1\nGABc|\nV:2\ncded|",
     "[V:1]CDEF|\n[V:2]EFGA|\n[V:1]GABc|\n[V:2]cded|", "[V:1]CDEF|[V:2]EFGA|[V:1]GABc|[V:2]cded|",
     "CDEF|GABc|\nV:2\nEFGA|cded|", "CDEF|\nV:2\nEFGA|cded|\nV:1\nGABc|",
     'V:1 name="Violin I" clef=treble\nCDEF|GABc|\nV:2 clef=bass bass nm="B"\nEFGA|cded|',
     "V:1\nV:2\nV:3\nV:1\nCDEF|GABc|\nV:2\nEFGA|cded|"],
)  # fmt: skip
def test_voices_are_parallel(text: str):
    assert voices(text) == ["CDEF|GABc|", "EFGA|cded|"]


def test_voices_of_the_header():
    tune = parse("X:1\nM:2/4\nL:1/4\nV:T clef=treble-8\nV:B octave=-1 transpose=2\n%%score (T B)\nK:C\n"
                 "V:B\nCD|\n[V:T]EF|\nV:T octave=1\nG2|")  # fmt: skip
    assert played(tune) == [(0, 1, 50), (0, 1, 52), (1, 1, 52), (1, 1, 53), (2, 2, 67)]
    assert names(tune) == "E,F,G", "the first one is the header's first"
    one = parse("V:1 name=solo\nK:C\nCD")
    assert (one, one.other_voices) == (parse("K:C\nCD"), ()), "one voice is a tune of one voice"


def test_each_voice_has_its_own_key_meter_unit_and_bar():
    assert sounding("V:1\nK:D\nL:1/8\n^Cc F2|\nV:2\nC F") == [
        (0, 0.5, 61), (0, 1, 60), (0.5, 0.5, 73), (1, 1, 65), (1, 1, 66)]  # fmt: skip
    tune = parse("M:4/4\nK:C\nM:3/4\nK:G\nV:1\nK:D\nF\nV:2\nM:2/4\nF\n")
    assert (tune.key, tune.meter) == (Key("D"), Meter(3, 4))
    assert tune.other_voices == ((Key("G"), Meter(2, 4), *parse("M:2/4\nL:1/8\nK:G\nF").items),)
    assert [pitch for (pitch,) in parse("K:C\n[V:1]^F [V:2]F [V:1]F").pitches] == [66, 66]


def test_overlays():
    assert voices("CDEF & E4|G4|") == ["CDEF|G4|", "E4|z4|"]
    assert voices("C4|CD & E|F4|") == ["C4|CD|F4|", "z4|Ez|z4|"]
    assert voices("C & EF|G") == ["Cz|G", "EF|z"], "the bar is as long as the longest"
    assert voices("C & E & G|A") == ["C|A", "E|z", "G|z"]
    assert voices("C|D & F|E|C & G|") == ["C|D|E|C|", "z|F|z|G|"]
    assert sounding("^C & C c|C") == [(0, 1, 60), (0, 1, 61), (1, 1, 72), (2, 1, 60)], "with its own accidentals"
    assert sounding("C2 & E-F|G & E-|A & E") == [
        (0, 1, 64), (0, 2, 60), (1, 1, 65), (2, 1, 67), (2, 2, 64), (3, 1, 69)]  # fmt: skip
    assert sounding("|: C & E :| D") == [(0, 1, 60), (0, 1, 64), (1, 1, 60), (1, 1, 64), (2, 1, 62)]
    assert sounding("(3CDE C & G2 G|") == [
        (0, 0.667, 60), (0, 2, 67), (0.667, 0.667, 62), (1.333, 0.667, 64), (2, 1, 60), (2, 1, 67)]  # fmt: skip


def test_overlays_of_several_bars():
    assert voices("A (& B|C & D|E & F|G &) |A") == ["AB|C|A", "zD|E|z", "zF|G|z"]
    assert voices("(& CD|EF & G2|A2 &)|B") == ["CD|EF|B", "G2|A2|z"]
    assert voices("C|(& D|E & F|\nG|\n") == ["C|D|E", "z|F|G|"], "to the end"


def test_voices_are_tracks():
    score = parse(f"T:t\n{HEAD}V:1\nC|[M:3/4]D|\nV:2\nz|E|").to_score(program=40)
    assert score.track_names == ("t", "voice 2")
    assert [(int(note["pitch"]), int(note["track"])) for note in score.notes] == [(60, 0), (62, 0), (64, 1)]
    assert score.meters["numerator"].tolist() == [4, 3]
    upbeat = parse("M:3/4\nL:1/4\nK:C\nV:1\nC|D3\nV:2\nE|F3").to_score()
    assert (upbeat.notes["onset"] / upbeat.ticks_per_quarter).tolist() == [2, 2, 3, 3]


@pytest.mark.parametrize(
    "text", ["V:1\nCDEF|\nV:2\nz2 [EG]2|", "CDEF & E4|G4|", "V:1\nK:D\nF-|F\nV:2\nM:2/4\n^F|", "C & E & G|"]
)
def test_text_of_voices(text: str):
    tune = parse(f"X:1\nT:t\n{HEAD}{text}")
    assert parse(tune.to_text()) == tune
    assert parse(tune.unfolded().to_text()) == tune.unfolded()
    assert "\nV:1\n" in tune.to_text()
    assert isinstance(tune, Tune)


def test_parts_of_voices():
    tune = parse(f"P:ABA\n{HEAD}P:A\n[V:1]C|\n[V:2]E|\nP:B\n[V:1]D|\n[V:2]F|")
    assert played(tune) == [(0, 1, 60), (0, 1, 64), (1, 1, 62), (1, 1, 65), (2, 1, 60), (2, 1, 64)]
    with pytest.raises(MidiError, match="a tune: its voices do not have the same parts"):
        parse(f"P:AB\n{HEAD}P:A\nC|\nP:B\nV:1\nD|\nV:2\nF|", "a tune")
