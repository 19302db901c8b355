"""Fields of ABC: keys with modes, accidentals and clefs, meters, titles; in the header and within a tune."""

from __future__ import annotations

import pytest
from small_abc import body, midis, sounding

from t5music.music.abc_notation import Key, Meter, Note, parse
from t5music.music.abc_notation.fields import decode_text, encode_text

SCALE = "C D E F G A B"
MAJOR = [60, 62, 64, 65, 67, 69, 71]


def signature(key: str) -> str:
    """The sharps and flats of a key, such as 'F# C#'."""
    differences = [midi - natural for midi, natural in zip(midis(SCALE, key=key), MAJOR, strict=True)]
    return " ".join(letter + {1: "#", -1: "b", 2: "##", -2: "bb"}[by]
                    for letter, by in zip("CDEFGAB", differences, strict=True) if by)  # fmt: skip


@pytest.mark.parametrize("mode", ["dor", "Dor", "DORIAN", "dorian", " Dorian", " dor", "doria"])
def test_modes_in_every_spelling(mode: str):
    assert parse(f"K:A{mode}\n").key == Key("A", "dor")


@pytest.mark.parametrize(
    ("key", "expected"),
    [("Amajor", "A"), ("A Maj", "A"), ("A ion", "A"), ("AIonian", "A"), ("Am", "Am"), ("A m", "Am"), ("AM", "Am"),
     ("Amin", "Am"), ("A minor", "Am"), ("A MINOR", "Am"), ("A aeo", "Am"), ("AAeolian", "Am"), ("Amix", "Amix"),
     ("A Mixolydian", "Amix"), ("Aphr", "Aphr"), ("A Lyd", "Alyd"), ("Aloc", "Aloc"), ("F#m", "F#m"),
     ("F# minor", "F#m"), ("Bb dor", "Bbdor"), ("E♭", "Eb"), ("F♯m", "F#m"), ("none", "C"), ("NONE", "C"), ("", "C")],
)  # fmt: skip
def test_keys(key: str, expected: str):
    assert str(parse(f"K:{key}\n").key) == expected


@pytest.mark.parametrize(
    "clef",
    ["clef=treble", "clef=bass", "treble", "bass", "alto", "alto1", "clef=alto2", "tenor", "clef=C3", "clef=F4",
     "clef=G2", "clef=perc", "perc", "clef=none", "middle=d", "m=d", "bass middle=d", "clef=bass,,", "stafflines=1",
     'name="A b"', "clef = bass", 'clef="bass"', "Bass", "bass3", "staffscale=0.7 cue=on", "treble^8", "treble_8"],
)  # fmt: skip
def test_a_clef_alone_changes_no_note(clef: str):
    for key in ("G", "Gmaj", "G major", "G =f ^f"):
        assert midis("FGAB", key=f"{key} {clef}") == [66, 67, 69, 71]
        assert parse(f"K:{key} {clef}\n").key == Key("G")
    assert midis(f"F[K:{clef}]F ^F[K:{clef}]F", key="G") == [66, 66, 66, 66], "nor the key, nor the bar"
    assert midis("FB", key=clef) == [65, 71]


@pytest.mark.parametrize(
    ("clef", "octaves"),
    [("treble-8", -1), ("treble+8", 1), ("clef=treble-8", -1), ("clef=bass+8", 1), ('clef="treble-8"', -1),
     ("clef=treble-15", -2), ("octave=-1", -1), ("octave=1", 1), ("octave=+1", 1), ("clef=bass octave=-2", -2),
     ("treble-8 octave=-1", -2), ("-8va", -1), ("octave=0", 0)],
)  # fmt: skip
def test_octaves(clef: str, octaves: int):
    expected = [66 + 12 * octaves, 71 + 12 * octaves]
    assert midis("F B", key=f"G {clef}") == expected
    assert midis(f"[K:{clef}]F B", key="G") == expected
    assert midis(f"[K:G {clef}]F B") == expected
    assert midis("F B", key=f"G\nV:1 {clef}") == expected
    assert sounding(f"[V:1 {clef}]F B", K="G") == [(0, 1, expected[0]), (1, 1, expected[1])]


def test_octaves_hold_until_they_are_stated_again():
    assert midis("C[K:D]C[K:D octave=0]C", key="C octave=-1") == [48, 49, 61]
    assert midis("C[K:D]C[K:clef=treble]C", key="C treble-8") == [48, 49, 61]


def test_transposition():
    assert midis(SCALE, key="C transpose=2") == [pitch + 2 for pitch in MAJOR]
    assert midis("C[K:D]C [K:transpose=0]C", key="C transpose=2") == [62, 63, 61]
    assert midis("F ^F _B", key="F clef=tenor octave=-1 transpose=-2") == [51, 52, 56]
    tune = parse("L:1/8\nK:Dphr ^f transpose=-12\nF _B ^^c")
    assert (tune.key, [pitch for (pitch,) in tune.pitches]) == (Key("D", "phr", ((3, 1),)), [54, 58, 62])
    tune = parse("L:1/8\nK:D transpose=-2\nF C ^G _B")
    assert tune.to_text().splitlines()[-2:] == ["K:C", "EB,^F_A"], "it is spelled as it was"
    for semitones in range(-14, 15):
        tune = parse(f"L:1/8\nK:B transpose={semitones}\n^^F __E ^^^C".replace("^^^C", "^^C"))
        assert [pitch - semitones for (pitch,) in tune.pitches] == [67, 62, 62]
        assert parse(tune.to_text()) == tune


@pytest.mark.parametrize(
    ("key", "expected"),
    [("Dphr ^f", "F# Eb Bb"), ("Dphr^f", "F# Eb Bb"), ("D phr ^F", "F# Eb Bb"), ("D _b _e ^f", "C# Eb F# Bb"),
     ("D =c", "F#"), ("D^F=c", "F#"), ("Dmix=c", "F#"), ("D exp _b", "Bb"), ("D exp ^f ^c", "C# F#"),
     ("Dexp_b_e^f", "Eb F# Bb"), ("D Exp =c", ""), ("Am ^g ^f", "F# G#"), ("A minor ^g", "G#"), ("D __a", "C# F# Abb"),
     ("none ^f", "F#"), ("exp ^f", "F#"), ("D ^c ^f", "C# F#"), ("G exp ^F ^F,", "F#"), ("D ^g clef=bass", "C# F# G#"),
     ("E exp ^g_b octave=0", "G# Bb"), ("Gm ^f", "Eb F# Bb")],
)  # fmt: skip
def test_accidentals_in_the_key(key: str, expected: str):
    assert sorted(signature(key).split()) == sorted(expected.split())
    assert midis("f f, F", key="Dphr ^f") == [78, 66, 66], "in every octave"
    tune = parse(f"L:1/8\nK:{key}\nFGAB")
    assert parse(tune.to_text()) == tune


def test_one_signature_has_one_name():
    assert [str(parse(f"K:{key}\n").key) for key in
            ("Dphr ^f", "D exp _b_e^f", "D phr ^F clef=bass", "D =c", "D exp ^f", "D ^f", "D exp ^c^f", "Am ^g")] == [
        "Dphr ^f", "Dphr ^f", "Dphr ^f", "Dmix", "Dmix", "D", "D", "Am ^g"]  # fmt: skip
    assert parse("K:Dphr ^f\nA").to_score().keys.tolist() == [(0, -2, False)], "MIDI has the mode's signature"


@pytest.mark.parametrize(
    ("meter", "expected"),
    [("6/8", "6/8"), ("C", "4/4"), ("c", "4/4"), ("C|", "2/2"), ("c|", "2/2"), ("none", "none"), ("None", "none"),
     ("", "none"), ("2+3/8", "5/8"), ("(2+3)/8", "5/8"), ("(2+3+2)/8", "7/8"), ("2+2+3/8", "7/8"),
     ("( 2 + 3 )/8", "5/8"), ("2/4+3/8", "7/8"), ("3/8+2/4", "7/8"), ("(3/8+2/8)", "5/8"), ("2+(3+2)/8", "7/8"),
     ("3/4+1/8+1/16", "15/16"), ("1/2+1/4", "3/4"), ("4 / 4", "4/4"), ("2/4 3/4", "2/4"), ("5/4 (2/4 3/4)", "5/4"),
     ("C 2/4", "4/4")],
)  # fmt: skip
def test_meters(meter: str, expected: str):
    tune = parse(f"M:{meter}\nL:1/8\nK:C\nA")
    assert str(tune.meter or "none") == expected
    assert f"\nM:{expected}\n" in tune.to_text()
    change = parse(f"M:7/16\nL:1/8\nK:C\nA[M:{meter}]B\nM:{meter}\nc")
    assert [str(item) for item in change.items if isinstance(item, Meter)] == [expected] * (expected != "none")


def test_changes():
    tune = parse("M:6/8\nL:1/8\nK:D\nM:9/8\nF3|[K:G]F3 C3|[L:1/4]\nM:6/8\nC|\nK:Dm\nC B")
    assert (str(tune.meter), tune.key) == ("9/8", Key("D"))
    assert [str(item) for item in tune.items if not isinstance(item, Note)] == ["|", "G", "|", "6/8", "|", "Dm"]
    assert [pitch for (pitch,) in tune.pitches] == [66, 66, 60, 60, 60, 70]


def test_a_field_goes_on_after_plus():
    assert midis("CDEF|\n+:more\nGABc|") == midis("CDEFGABc"), "after music there is nothing to go on with"
    tune = parse("X:1\nT:A title\n+:in two\n% a comment\n+:lines\nK:D\n+:exp ^f\nM:3/4\n+:\nw:la\n+:la la\nF C\n")
    assert (tune.title, [pitch for (pitch,) in tune.pitches]) == ("A title in two lines", [66, 60])
    assert body("C\nK:D\n+:mix\nF C") == body("C\nK:Dmix\nF C")


@pytest.mark.parametrize(
    ("text", "title"),
    [(r"Caf\'e", "Café"), ("Caf&eacute;", "Café"), (r"Caf\u00e9", "Café"), ("Café", "Café"), (r"\oe\AE\ss\/o", "œÆßø"),
     (r"50\% \\ Tom \& Ann", "50% \\ Tom & Ann"), (r"\`a\^e\~n\"o\cc\vs\;a", "àêñöçšą"),
     ("Tom & Ann; C", "Tom & Ann; C"), (r"\z \ud800 a\ b", r"\z \ud800 a\ b"), ("&nothing; &#233;", "&nothing; é")],
)  # fmt: skip
def test_escapes_in_text(text: str, title: str):
    assert decode_text(text) == title
    assert decode_text(encode_text(title)) == title
    tune = parse(f"X:1\nT: {text} % a comment\nT:another\nK:C\nA")
    assert tune.title == title
    assert parse(tune.to_text()) == tune
    assert tune.to_score().track_names == (title,)
