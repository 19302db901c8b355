"""The order in which measures are played."""

from __future__ import annotations

import pytest
from small_musicxml import bars, document, measure, note, start

from t5music.errors import MidiError
from t5music.music.musicxml import read_mended

FORWARD = '<barline location="left"><repeat direction="forward"/></barline>'
BACK = '<barline location="right"><repeat direction="backward"{}/></barline>'


def ending(numbers: str, kind: str) -> str:
    return f'<barline><ending number="{numbers}" type="{kind}"/></barline>'


def words(text: str) -> str:
    return f"<direction><direction-type><words>{text}</words></direction-type></direction>"


def sound(attributes: str) -> str:
    return f"<sound {attributes}/>"


def order(*signs: str) -> list[int]:
    """The measures (from 1) in the order in which they are heard."""
    score = read_mended(bars(*signs)).score
    assert score.notes["onset"].tolist() == [1920 * index for index in range(len(score.notes))]
    return (score.notes["pitch"] - 59).tolist()


FIRST_TIME = ending("1", "start") + "|" + ending("1", "stop") + BACK.format("")
SECOND_TIME = ending("2", "start") + "|" + ending("2", "stop")


@pytest.mark.parametrize(
    ("signs", "measures"),
    [
        (("|", "|"), [1, 2]),
        (("|" + BACK.format(""), "|"), [1, 1, 2]),
        (("|", FORWARD + "|", "|" + BACK.format(""), "|"), [1, 2, 3, 2, 3, 4]),
        (("|" + BACK.format(' times="3"'),), [1, 1, 1]),
        (("|", "|" + BACK.format(""), "|", "|" + BACK.format("")), [1, 2, 1, 2, 3, 4, 3, 4]),
        (("|", FIRST_TIME, SECOND_TIME, "|"), [1, 2, 1, 3, 4]),
        (("|", FIRST_TIME.replace('"1"', '"1, 2"'), SECOND_TIME.replace('"2"', '"3"')), [1, 2, 1, 2, 1, 3]),
        (  # three endings, the first two with repeats
            ("|", FIRST_TIME, SECOND_TIME + BACK.format(""), SECOND_TIME.replace('"2"', '"3"')),
            [1, 2, 1, 3, 1, 4],
        ),
        (  # an ending before another leads back without a sign
            ("|", FIRST_TIME.replace(BACK.format(""), ""), SECOND_TIME),
            [1, 2, 1, 3],
        ),
        (  # two repeats with endings
            ("|", FIRST_TIME, SECOND_TIME, FORWARD + "|", FIRST_TIME, SECOND_TIME, "|"),
            [1, 2, 1, 3, 4, 5, 4, 6, 7],
        ),
        (("|", "|" + sound('fine="yes"'), "|" + sound('dacapo="yes"')), [1, 2, 3, 1, 2]),
        (("|", sound('segno="s"') + "|", "|" + sound('dalsegno="s"')), [1, 2, 3, 2, 3]),
        (
            ("|", "|" + sound('tocoda="c"'), "|" + sound('dacapo="yes"'), sound('coda="c"') + "|"),
            [1, 2, 3, 1, 2, 4],
        ),
        (("|" + BACK.format(""), "|" + words("Fine"), "|" + words("D.C. al Fine")), [1, 1, 2, 3, 1, 2]),
        (("|", FIRST_TIME, SECOND_TIME, "|" + words("Da Capo")), [1, 2, 1, 3, 4, 1, 3, 4]),
        (("|", "|" + words("D.S.")), [1, 2]),  # nowhere to go
        (("|", words("d.c.") + sound('dacapo="no"') + "|"), [1, 2, 1, 2]),
    ],
)
def test_order(signs: tuple[str, ...], measures: list[int]):
    assert order(*signs) == measures


def test_signs_in_any_part_count_for_all():
    upper = [measure(start(), note("C5", 4)), measure(note("D5", 4))]
    lower = [measure(start(), note("C3", 4), BACK.format("")), measure(note("D3", 4))]
    assert read_mended(document(upper, lower)).score.notes["pitch"].tolist() == [72, 48, 72, 48, 74, 50]


def test_after_a_jump_tempo_meter_and_key_are_those_of_the_place():
    key = "<key><fifths>{}</fifths></key>"
    first = measure(start(1, 3, 4, key.format(1)), '<sound tempo="100"/>', note("C4", 3))
    second = measure(start(1, 2, 4, key.format(-1)), '<sound tempo="50"/>', note("D4", 2), BACK.format(""))
    score = read_mended(document([first, second])).score
    unit = score.ticks_per_quarter
    assert [(tick / unit, *meter) for tick, *meter in score.meters.tolist()] == [
        (0, 3, 4),
        (3, 2, 4),
        (5, 3, 4),
        (8, 2, 4),
    ]
    assert [(tick / unit, fifths) for tick, fifths, _ in score.keys.tolist()] == [(0, 1), (3, -1), (5, 1), (8, -1)]
    assert [(tick / unit, 60e6 / tempo) for tick, tempo in score.tempos.tolist()] == [
        (0, 100),
        (3, 50),
        (5, 100),
        (8, 50),
    ]


def test_too_many_repeats_are_refused():
    passage = "|" + BACK.format(' times="999"')
    with pytest.raises(MidiError, match="with its repeats it has more than 10000 measures"):
        order(*[passage] * 11)
