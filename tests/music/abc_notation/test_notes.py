"""Notes of ABC: pitches, accidentals, rhythm, tuplets, chords, ties, and what is passed over."""

from __future__ import annotations

from fractions import Fraction

import pytest
from small_abc import EIGHTH, body, lengths, midis, sounding

from t5music.music.abc_notation import Bar, Note, Symbol, parse


def fractions(*texts: str | int) -> list[Fraction]:
    return [Fraction(text) for text in texts]


def test_notes():
    assert midis("C, C c c' B,, =C") == [48, 60, 72, 84, 47, 60]
    assert midis("C ^C ^^C _E __E =^F") == [60, 61, 62, 63, 62, 66]
    assert lengths("A A2 A/ A// A/4 A3/2 z Z", meter="3/4") == fractions(1, 2, "1/2", "1/4", "1/4", "3/2", 1, 6)
    assert lengths("A", unit="1/4") == [2]
    assert midis("c,c' C,'") == [60, 84, 60]


@pytest.mark.parametrize(
    ("key", "expected"),
    [("C", [60, 65, 71]), ("G", [60, 66, 71]), ("Bb", [60, 65, 70]), ("Am", [60, 65, 71]), ("Ador", [60, 66, 71]),
     ("D mixolydian", [60, 66, 71]), ("Cmin", [60, 65, 70]), ("C#", [61, 66, 72]), ("none", [60, 65, 71]),
     ("HP", [61, 66, 71])],
)  # fmt: skip
def test_signatures(key: str, expected: list[int]):
    assert midis("C F B", key=key) == expected


def test_accidentals_hold_to_the_end_of_the_bar_for_every_octave():
    assert midis("^F F f | F", key="C") == [66, 66, 78, 65]
    assert midis("F =F F | F", key="G") == [66, 65, 65, 66]
    assert midis("^F F [K:D] C F", key="C") == [66, 66, 61, 66], "a key begins anew"
    assert midis("{^f}F F", key="C") == [65, 65], "those of grace notes do not hold"


@pytest.mark.parametrize(
    ("choice", "expected"), [("not", [66, 65, 77]), ("octave", [66, 66, 77]), ("pitch", [66, 66, 78])]
)
def test_how_far_accidentals_hold_may_be_stated(choice: str, expected: list[int]):
    for instruction in (f"I:propagate-accidentals {choice}", f"%%propagate-accidentals {choice}"):
        for text in (f"{instruction}\nK:C\n^F F f", f"K:C\n{instruction}\n^F F f"):
            assert [pitch for (pitch,) in parse(text).pitches] == expected


def test_parts_of_a_semitone_go_to_the_nearest_semitone():
    """Half of one goes to the natural: a Score has no pitch between two keys."""
    assert midis("^/C _/E ^3/4F ^3/2F _3/2G _22/100B ^1/2c") == [60, 64, 66, 66, 66, 71, 72]


def test_rhythm():
    assert lengths("a>b a<b a>>b a>>>b") == fractions("3/2", "1/2", "1/2", "3/2", "7/4", "1/4", "15/8", "1/8")
    assert lengths("A", meter="2/4", unit="1/16") == [Fraction(1, 2)]
    assert lengths("a {gag}>b a{g}>b") == fractions("3/2", "1/2") * 2
    assert lengths("a > b a> >b a>-a") == fractions("3/2", "1/2") * 3, "a second sign says nothing new"


def test_broken_rhythm_goes_over_bar_lines_and_through_chords_and_rests():
    assert lengths("a>|b [ac]>[bd] [ac]2>b2 z>a") == fractions("3/2", "1/2", "3/2", "1/2", 3, 1, "3/2", "1/2")
    assert lengths("a>\nb") == fractions("3/2", "1/2")


@pytest.mark.parametrize(
    ("header", "unit"),
    [("M:2/4", "1/16"), ("M:3/4", "1/8"), ("M:5/8", "1/16"), ("M:2+3/8", "1/16"), ("M:C", "1/8"), ("M:none", "1/8"),
     ("", "1/8"), ("L:1/4\nM:2/4", "1/4"), ("M:2/4\nL:1/4", "1/4"), ("L:1/4\nL:1/16", "1/16"), ("L:1", "1"),
     ("L:/4", "1/4")],
)  # fmt: skip
def test_the_unit_without_l_is_that_of_the_headers_meter(header: str, unit: str):
    for change in ("", "M:4/4\n", "M:2/4\n"):
        tune = parse(f"X:1\n{header}\nK:C\n{change}A")
        assert [item.length for item in tune.items if isinstance(item, Note)] == [Fraction(unit)]


@pytest.mark.parametrize("tuplet", ["(3abc d", "(3 abc d", "(3:abc d", "(3::abc d", "(3:2abc d", "(3:2:abc d",
                                    "(3:2:3abc d", "(3: 2: 3 a b c d", "((3abc)d", "(3(abc)d", "(3a|bc d",
                                    '(3a"G"b!p!c d', "(3a{g}bc d", "(3aybc d", "(3.ab~c d"])  # fmt: skip
def test_triplets(tuplet: str):
    assert lengths(tuplet) == fractions("2/3", "2/3", "2/3", 1)


def test_tuplets():
    assert lengths("(3:2:2 ab c") == fractions("2/3", "2/3", 1)
    assert lengths("(3::2 ab c") == fractions("2/3", "2/3", 1)
    assert lengths("(3:2:4 a2b2cd e") == fractions("4/3", "4/3", "2/3", "2/3", 1)
    assert lengths("(3zab (3[ac]zb c") == [*fractions("2/3") * 6, 1]
    assert lengths("(3a>bc d") == fractions(1, "1/3", "2/3", 1)
    assert lengths("(3abc(3def") == fractions("2/3") * 6
    assert lengths("(12:8abcdefgabcde f") == [*fractions("2/3") * 12, 1]
    assert [lengths(f"({n}a", meter="4/4")[0] for n in "23456789"] == fractions(
        "3/2", "2/3", "3/4", "2/5", "1/3", "2/7", "3/8", "2/9"
    )
    assert [lengths(f"({n}a", meter="6/8")[0] for n in "579"] == fractions("3/5", "3/7", "1/3")
    assert [lengths(f"({n}a", meter="3/4")[0] for n in "579"] == fractions("2/5", "2/7", "2/9"), "3/4 is simple"


def test_chords():
    [chord] = body("[CE^G]3")
    assert (chord.length, [pitch.midi for pitch in chord.pitches]) == (3 * EIGHTH, [60, 64, 68])
    assert lengths("[C2E4] [C2E2]2 [C/E/] [C2E2]/ [CE]") == fractions(2, 4, "1/2", 1, 1), "as long as the first note"
    assert midis('[.C!trill!E"^up"~G] [(CE)] [C z E] [^c +E] []G') == [60, 64, 67, 60, 64, 60, 64, 73, 64, 67]
    assert [item for item in body('["Am"CE]') if isinstance(item, Symbol)] == [Symbol("Am")]
    assert lengths("[zz]2 A") == [2, 1]
    assert midis("[C\nE]G") == [60, 64, 67], "a line may end within a chord"


def test_old_chords_between_plus_signs():
    assert body("+CEG+ D +E3A3+") == body("[CEG] D [E3A3]")
    assert body("+C2 E2 ++C E+D") == body("[C2E2][CE]D")
    assert body("+trill+C +f+D +ff+E +5+F") == body("CDEF"), "decorations in the old way"


def test_ties():
    assert sounding("C-C D") == [(0, 2, 60), (2, 1, 62)]
    assert sounding("C -C C- C C.-C C-|C") == [(0, 2, 60), (2, 2, 60), (4, 2, 60), (6, 2, 60)]
    assert sounding("C-E C-zC") == [(0, 1, 60), (1, 1, 64), (2, 1, 60), (4, 1, 60)], "only to the next note"
    assert sounding("[CE]-[CE] [C-E-][CE]") == [(0, 2, 60), (0, 2, 64), (2, 2, 60), (2, 2, 64)]
    assert sounding("[CC]-[CC]C") == [(0, 2, 60), (0, 2, 60), (2, 1, 60)], "a unison"


def test_ties_of_some_notes_of_a_chord():
    assert sounding("[C-E] [CE]") == [(0, 1, 64), (0, 2, 60), (1, 1, 64)]
    assert sounding("[CE-] E C") == [(0, 1, 60), (0, 2, 64), (2, 1, 60)]
    assert sounding("[C-E]2 C") == [(0, 2, 64), (0, 3, 60)]
    assert sounding("[CE]-C E") == [(0, 1, 64), (0, 2, 60), (2, 1, 64)]
    assert sounding("C-[CE]") == [(0, 2, 60), (1, 1, 64)]
    assert sounding("[C-E-G]|[CEG-]G") == [(0, 1, 67), (0, 2, 60), (0, 2, 64), (1, 2, 67)]


def test_a_tie_carries_an_accidental_over_the_bar_line():
    assert sounding("^c4-|c2 d2|") == [(0, 6, 73), (6, 2, 74)]
    assert sounding("^c4-|c c c2|") == [(0, 5, 73), (5, 1, 72), (6, 2, 72)], "but not to other notes"
    assert sounding("^c-|c ^c-|c c") == [(0, 2, 73), (2, 2, 73), (4, 1, 72)]
    assert sounding("[^c-e]4|c c e2") == [(0, 4, 76), (0, 5, 73), (5, 1, 72), (6, 2, 76)]
    assert sounding("_B4-|B4-|B2 B2", K="F =b") == [(0, 10, 70), (10, 2, 71)]
    assert sounding("=f4-|f f2", K="D") == [(0, 5, 77), (5, 2, 78)]
    assert sounding("^c-|{d}c c") == [(0, 2, 73), (2, 1, 72)]
    assert sounding("^c-|=c ^c-|^c c") == [(0, 1, 73), (1, 1, 72), (2, 2, 73), (4, 1, 73)], "what is written counts"
    assert sounding("^c-|C c") == [(0, 1, 73), (1, 1, 60), (2, 1, 72)], "in its own octave"
    assert sounding("^c -|c") == [(0, 2, 73)]


def test_rests():
    assert lengths("z x z2 x/ Z X Z2 A") == fractions(1, 1, 2, "1/2", 8, 8, 8, 8, 1)
    assert body("Z3|") == body("Z|Z|Z|"), "bar lines part whole bars of rest"
    assert lengths("Z", meter="2/4+3/8") == [7]


def test_what_is_not_played_is_passed_over():
    decorated = '!trill!A .B ~c {ag}d "^slowly" e (fg) u"4"v a % comment\nw: words\nP:A\n"G7"b'
    assert [str(item.pitches[0]) for item in body(decorated) if isinstance(item, Note)] == list("ABcdefgab")
    assert [item for item in body(decorated) if isinstance(item, Symbol)] == [Symbol("G7")]
    marks = "!D.C.!C y y2 {/g}D !8va(!E('F) (,G) A-,A H L`M [r:remark]B[N:note]c [I:x y]d $ * # ; ? @ e \\\nf"
    assert midis(marks) == midis("C D E F G A A B c d e f")
    assert midis("C ! D E ! F !D.S. al coda! G !") == midis("CDEFG"), "a sign alone breaks the line"
    assert midis("CD=20\nE=\nF2G=\n2A") == midis("CDEFGA"), "long lines as mail ends them"
    assert midis("T:title\nC\nQ:1/4=100\nN:note\nD[Q:120]E\nW:A B\ns:!p! *\nG") == midis("CDEG")


@pytest.mark.parametrize("name", ["G7", "Am", "Bb", "F#m7b5", "D/F#", "Cmaj7", "Gsus4", "E°", "A(add9)", "C6/9"])
def test_chord_symbols(name: str):
    assert body(f'"{name}"A')[0] == Symbol(name)


@pytest.mark.parametrize("text", ["D.C.", "Fine", "Coda", "^A", "A tempo", "Chorus", "1", "Segno", "a"])
def test_annotations(text: str):
    assert body(f'"{text}"A') == body("A")


def test_bars_and_endings():
    assert body("|: C :| C :: C |[1 C :|[2 C ||") == [
        Bar(begins=1), *body("C"), Bar(ends=1), *body("C"), Bar(ends=1, begins=1), *body("C"),
        Bar(ending="1"), *body("C"), Bar(ends=1, ending="2"), *body("C"), Bar(double=True)]  # fmt: skip
    assert body("C |1 C :|\n [2 C |]") == body("C |[1 C :|[2 C ||")
    assert body("C || |: C") == body("C |: C")
    assert body("C :| |: C") == body("C :: C") == body("C :|: C") == body("C :||: C") == body("C :|]\n[|: C")
    assert body("| C | | C |") == body("C | C |")
    assert body("C .| C [|] C | C") == body("C | C | C | C"), "dotted and invisible lines"
    assert body("C [| C |] C |[| C") == body("C || C || C || C")
    assert body("|:: C ::| C ::|:: C") == [
        Bar(begins=2), *body("C"), Bar(ends=2), *body("C"), Bar(ends=2, begins=2), *body("C")]  # fmt: skip
    assert [body(f"C |[{ending} C")[1].ending for ending in ("1,3", "1-3", "1.3", "1,3-5", "10")] == [
        "1,3", "1,2,3", "1,3", "1,3,4,5", "10"]  # fmt: skip
    assert body("C |\\\n1 C :|\\\n2 C") == body("C |1 C :|2 C")
    assert body("C |1 C :| 2 C") == body("C |1 C :|\n2 C") == body("C [1 C :| [2 C")
