"""Repeats of ABC: where they go back to, endings, parts in their order, keys and meters on the way."""

from __future__ import annotations

import pytest
from small_abc import names, played, sounding

from t5music.errors import MidiError
from t5music.music.abc_notation import parse


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("C D | E", "CDE"),
        ("C D :| E", "CDCDE"),
        ("A |: C :| E", "ACCE"),
        ("C :: D :| E", "CCDDE"),
        ("A |: C |[1 D :|[2 E || F", "ACDCEF"),
        ("A |: C |[1 D :|[2 E |: F :|", "ACDCEFF"),
        ("C |[1,3 D :|[2 E :|[4 F ||", "CDCECDCF"),
        ("A || C :| D", "ACCD"),
        ("A |: C |1 D :|2 E |]", "ACDCE"),
        # A double bar between |: and :| is no beginning; without |: the latest one is, or the end of a repeat.
        ("|: C D || E F :|", "CDEFCDEF"),
        ("|: C || D || E :|", "CDECDE"),
        ("|: C |] D [| E :| F", "CDECDEF"),
        ("|: C |\n|| D :|", "CDCD"),
        ("|: C || D |1 E :|2 F |]", "CDECDF"),
        ("|: C || D :: E || F :|", "CDCDEFEF"),
        ("|: C || D :| E || F :|", "CDCDEFF"),
        ("|: C :| D || E |1 F :|2 G |]", "CCDEFEG"),
        ("|: C | D [|] E :|", "CDECDE"),
        ("A [|] C :|", "ACAC"),
        ("|: C |1 D :|2 E || F || G :|", "CDCEFGG"),
        ("C |: D", "CD"),
        ("|: C :|: D :|: E :|", "CCDDEE"),
        ("|: C |: D :|", "CDD"),
        # Three times and more.
        ("|:: C D ::|", "CDCDCD"),
        ("|: C ::| D", "CCCD"),
        ("|:: C :| D", "CCCD"),
        ("C ::| D", "CCCD"),
        ("|::: C :::|", "CCCC"),
        ("|:: C ::|: D :| E", "CCCDDE"),
        ("|: C :|:: D ::|", "CCDDD"),
        ("|:: C || D ::|", "CDCDCD"),
        # Endings.
        ("|: C |1-3 D :|4 E |]", "CDCDCDCE"),
        ("|: C |1,2 D :|3 E |]", "CDCDCE"),
        ("|: C |1 D :|2 E :|3 F |] G", "CDCECFG"),
        ("|: C |1 D :| E |", "CDCE"),
        ("|: C |1 D :|2 E :| F :|", "CDCEFF"),
        ("|: C |1 D || E :|2 F |] G", "CDECFG"),
        ("|: C |1 D | E :|2 F | G || A", "CDECFGA"),
        ("|: C |1 D |2 E |] F", "CDCEF"),
        ("|: C [1 D :| [2 E |] F", "CDCEF"),
        ("|: C :|2 D |]", "CCD"),
        ("C |1 D :|2 E || F |1 G :|2 A |]", "CDCEFGFA"),
        ("|: C |1 D :|2 E :: F |1 G :|2 A :|", "CDCEFGFA"),
        ("|: C |1 D :|2 E |1 F :|2 G |]", "CDCEFG"),
        ("|: C |1 D :|3 E |]", "CDCE"),
        ('|: C |1 D :| "G" [2 E |]', "CDCE"),
    ],
)
def test_repeats_are_played(written: str, expected: str):
    for head in ("K:C\n", "M:4/4\nK:C\n"):
        tune = parse(f"{head}{written}")
        assert names(tune.unfolded()) == expected
        assert parse(tune.to_text()) == tune
        assert names(tune.unfolded().unfolded()) == expected


@pytest.mark.parametrize(
    "change", ["M:4/4", "K:D", "L:1/4", "M:4/4\nK:D\nL:1/8", "% a remark", "w: words", "P:B", "Q:1/4=90"]
)
def test_fields_may_stand_before_the_second_ending(change: str):
    inline = "".join(f"[{field}]" for field in change.split("\n")) if change[0] in "MKLPQ" else ""
    for text in (f"|:DEF|[1 GAB:|\n{change}\n[2 GABc|] A", f"|:DEF|[1 GAB:|\\\n{change}\n[2 GABc|] A",
                 f"|:DEF|1 GAB:|{inline}[2 GABc|] A", f"|:DEF|[1 GAB:|[2{inline} GABc|] A"):  # fmt: skip
        tune = parse(f"X:1\nM:3/4\nL:1/4\nK:G\n{text}")
        assert names(tune.unfolded()) == "DEFGABDEFGABcA"
        assert parse(tune.to_text()) == tune


def test_fields_may_stand_before_the_first_ending():
    tune = parse("M:2/4\nL:1/8\nK:C\n|:C4|\nM:3/4\n [1 D6:| [2 E6 |]")
    assert tune.to_text().splitlines()[-1] == "|:C4|[M:3/4][1D6:|[2E6||"
    score = tune.unfolded().to_score()
    assert (score.meters["numerator"].tolist(), (score.meters["tick"] / score.ticks_per_quarter).tolist()) == (
        [2, 3, 2, 3], [0, 2, 5, 7])  # fmt: skip


def test_each_pass_has_its_own_key_and_meter():
    score = parse("M:2/4\nL:1/4\nK:C\n|: F2 |[K:D][M:3/4] F3 :|").unfolded().to_score()
    assert score.notes["pitch"].tolist() == [65, 66, 65, 66]
    assert score.keys["fifths"].tolist() == [0, 2, 0, 2]
    assert score.meters["numerator"].tolist() == [2, 3, 2, 3]
    assert (score.meters["tick"] / score.ticks_per_quarter).tolist() == [0, 2, 5, 7]
    score = parse("M:3/4\nL:1/4\nK:G\n|:DEF|[1 GAB:|\nM:4/4\n[2 GABc|]").unfolded().to_score()
    assert [(tick // score.ticks_per_quarter, top) for tick, top, _ in score.meters.tolist()] == [(0, 3), (9, 4)]


def test_ties_go_into_every_ending():
    assert sounding("|: C-|1 C :|2 C D |]") == [(0, 2, 60), (2, 2, 60), (4, 1, 62)]
    assert sounding("|: C D- :| D") == [(0, 1, 60), (1, 1, 62), (2, 1, 60), (3, 2, 62)]


@pytest.mark.parametrize(
    ("order", "body", "expected"),
    [
        ("AABB", "P:A\nC D\nP:B\nE F", "CDCDEFEF"),
        ("ABA", "G |\nP:A\nC D |\nP:B\nE F |", "GCDEFCD"),
        ("(AB)3A2", "P:A\nC|\nP:B\n|: E F :|", "CEFEFCEFEFCEFEFCC"),
        ("((AB)2C)2", "[P:A]C|[P:B]D|[P:C]E|", "CDCDECDCDE"),
        ("A.B.A", "P:A\nC\nP:B\nD", "CDC"),
        ("A B, A", "P:A\nC\nP:B\nD", "CDC"),
        ("ABA", "P:A\nC |1 D :|2 E |]\nP:B\n|: F || G :|", "CDCEFGFGCDCE"),
        ("ABA", "P:A\n|: C :|\nP:B\n|: D || E :|\n", "CCDEDECC"),
        ("A", "P:A\nC\nP:B\nD", "C"),
        ("ABC", "P:A\nC\nP:B\nD", "CD"),
        ("AB", "C D", "CD"),
        ("play A twice, then B", "P:A\nC\nP:B\nD", "CD"),
        ("", "P:A\nC\nP:B\nD", "CD"),
    ],
)
def test_parts_are_played_in_their_order(order: str, body: str, expected: str):
    tune = parse(f"P:{order}\nM:4/4\nL:1/4\nK:C\n{body}")
    assert names(tune.unfolded()) == expected
    assert parse(tune.to_text()) == tune
    assert names(parse(tune.to_text()).unfolded()) == expected


def test_each_part_has_the_key_it_is_written_in():
    tune = parse("P:ABA\nM:4/4\nL:1/4\nK:C\nP:A\nF\nK:D\nF\nP:B\nF")
    assert played(tune) == [(float(n), 1, pitch) for n, pitch in enumerate([65, 66, 66, 65, 66])]
    assert tune.unfolded().to_score().keys["fifths"].tolist() == [0, 2, 0, 2]


def test_what_would_never_end_is_said():
    with pytest.raises(MidiError, match="would play more than 1000000"):
        parse("K:C\n" + "|:" + ":" * 999 + "CDEF" * 1000 + ":|").unfolded()
    with pytest.raises(MidiError, match=r"line 1: the parts .* more than 256"):
        parse("P:(((A9)9)9)9\nK:C\nP:A\nC")
    with pytest.raises(MidiError, match="passes from 1 to 99"):
        parse("K:C\n|: C |[0 D :|")
