"""ABC read as abc2midi, music21 and Jukedeck's converter read it: real tunes, and tunes in the ways of many editors."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from abc_peers import Notes, verdict

from t5music.music import midi
from t5music.music.abc_notation import TuneText, decode, parse, split
from t5music.music.score import Score

# Headers and bodies as editors and people write them; the music goes with every header.
HEADERS = [
    "X:1\nT:standard\nM:4/4\nL:1/8\nK:G\n",
    "X: 2\nT: with spaces\nC: Trad.\nR: reel\nM: C|\nL: 1/8\nQ: 1/2=90\nK: Ador\n",
    "X:3\nT:no unit\nM:2/4\nK:D minor\n",
    "%abc-2.1\nX:4\nT:clef\nM:4/4\nL:1/8\nK:Bb clef=treble-8\n",
    'X:5\nT:one voice\nM:4/4\nL:1/8\nV:1 name="Violin" clef=treble\nK:E\nV:1\n',
    "X:6\nT:modified\nM:6/8\nL:1/8\nK:Dphr ^f\n",
    "X:7\nT:directives\n%%scale 0.8\n%%begintext\nABC | DEF\n%%endtext\nM:none\nL:1/16\nK:none\n",
    "X:8\nT:transposed\nM:3/4\nL:1/4\nK:C transpose=-2 octave=1\n",
    "X:9\r\nT:another system\r\nM:C\r\nL:1/8\r\nN:\r\n+:more\r\nK:F#m\r\n",
    "X:10\nT:added meter\nM:2+3/8\nL:1/8\nH:history\nthat goes on\nK:Glyd octave=-1\n",
]
BODIES = [
    "|:GABc d2ef|gfed c2BA:|\n|:G2g2 f2e2|dcBA G4:|\n",
    "GA | B2 d>g e<d B2 | c2>A2 B>>G A<<F |] GABc:|\n",
    "|:GABc|[1 d2e2 dcBA:|[2 d2e2 d4||\n|:efga|1 b4:|2 b2g2|]\n",
    "|: C E G c || e4 c4 | z4 Z :|\n",
    "|:G2B2 d4|1-3 c4 B4:|4 A4 G4|]\n",
    "(3GAB (3c2B2A2 (3:2:2 G2A (5GABcd (6GABcde (2GA (4GABc\n",
    '[GBd]2 [G2B2]> [Ac] [c-e]2|[ce-]2 [Ae]2 [GB]-|[GB] [!f!C"^up"E]\n',
    "^G A G g|G ^c4-|c c =c2|_B-|B B __A ^^F|=G-|G\n",
    "G-G A - A|B-|B2-B c-c'|d-\\\n|d2 e.-e\n",
    '{g}G .A !trill!B (cd) "Am7"e "^slow"f {/e}g ~a y b2 x z2 H\n',
    "GABc [K:D] cdef [K:Gm] BAGF [L:1/4] GA [M:3/4] G3|\nK:C\nL:1/8\nFGAB\n",
    "w:la la\nGABc|\nw: la - la _ *\nN:a remark\ndefg|\nW:more words GABc\n% GABc\nGABc|]\n",
    "GABc & E4|d2e2 & G2 & B2|f4 g4|\n",
    "G/A//B/4c3/2 d/e/ f2g4 a/2b3 [r:remark] c,d'e,,F'\n",
    "|:GABc:|:defg:|:agfe:||:dcBA:|\nGABc|]\n\nThis is text, GABc | d.\n\nX:99\nK:C\nGABc\n",
]


def test_the_ways_of_many_editors():
    """Ten ways to write a header times fifteen kinds of music.

    What differs: a double bar that begins a repeat; a bar of rest without a meter; tuplets of 5 in 3/4.
    """
    verdicts = {}
    for (number, header), (kind, body) in itertools.product(enumerate(HEADERS), enumerate(BODIES)):
        verdicts[number, kind] = verdict(header + body)
    assert len(verdicts) == 150
    different = {(number, 1): "order of repeats" for number in range(10)} | {(6, 3): "refused", (7, 5): "tuplets"}
    assert {key: reason for key, reason in verdicts.items() if reason != "alike"} == different


def tunes(path: Path) -> list[TuneText]:
    """The tunes of an ABC file."""
    return split(decode(path.read_bytes()))


def verdicts_of(paths: list[Path], every: int = 1) -> Counter[str]:
    """How many tunes are read as abc2midi reads them, and why others are not."""
    texts = [tune.text for path in paths for tune in tunes(path)]
    return Counter(map(verdict, texts[::every]))


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.parametrize("edition", ["ABC_cleaned", "ABC_original"])
def test_real_tunes_are_read_as_abc2midi_reads_them(real_music, edition: str):
    """What differs is the order of repeats: abc2midi takes no double bar for a beginning."""
    verdicts = verdicts_of(sorted((real_music("nottingham") / edition).glob("*.abc")))
    assert verdicts.total() >= 1034
    assert verdicts["alike"] + verdicts["order of repeats"] >= 0.99 * verdicts.total()
    assert verdicts["alike"] > 0.9 * verdicts.total()


@pytest.mark.slow
@pytest.mark.parametrize(
    "collection", ["airdsAirs", "essenFolksong", "josquin", "miscFolk", "oneills1850", "ryansMammoth"]
)
def test_tunes_of_music21_are_read_as_abc2midi_reads_them(collection: str):
    corpus = Path(pytest.importorskip("music21").__file__).parent / "corpus" / collection
    verdicts = verdicts_of(sorted(corpus.glob("*.abc")), every=10)
    assert verdicts.total() > 2
    assert verdicts["refused"] + verdicts["other"] <= 1 + 0.02 * verdicts.total()


def through_music21(text: str) -> Notes:
    """(onset, duration in quarters, pitch) of a tune as written, tied notes joined."""
    from music21 import converter

    notes: list[list] = []
    tied: dict[int, list] = {}
    # Of files that state no version music21 thinks that accidentals hold for one note.
    for element in converter.parse(f"%abc-2.1\n{text}", format="abc").flatten().notes:
        if "ChordSymbol" in element.classes or not element.quarterLength:
            continue
        for single in getattr(element, "notes", (element,)):
            note = tied.pop(single.pitch.midi, None)
            if note is None:
                notes.append(note := [float(element.offset), 0.0, single.pitch.midi])
            note[1] = float(element.offset + element.quarterLength) - note[0]
            if single.tie is not None and single.tie.type in ("start", "continue"):
                tied[single.pitch.midi] = note
    return sorted((round(onset, 3), round(length, 3), pitch) for onset, length, pitch in notes)


@pytest.mark.data
@pytest.mark.parametrize("tune_set", ["xmas", "slip"])
def test_real_tunes_are_read_as_music21_reads_them(real_music, tune_set: str):
    pytest.importorskip("music21")
    compared = 0
    for tune in tunes(real_music("nottingham") / "ABC_cleaned" / f"{tune_set}.abc"):
        if re.search(
            r"::|\s-|-\]", tune.text
        ):  # music21 loses the note before '::', and ties of chords or after a space
            continue
        assert as_written_here(tune.text) == through_music21(tune.text), tune.number
        compared += 1
    assert compared >= 5


def as_written_here(text: str) -> Notes:
    """(onset, duration in quarters, pitch) of a tune as written."""
    tune = parse(text)
    score, upbeat = tune.to_score(), float(4 * tune.upbeat)
    quarter = score.ticks_per_quarter
    notes = [(n["onset"] / quarter - upbeat, n["duration"] / quarter, int(n["pitch"])) for n in score.notes]
    return sorted((round(float(onset), 3), round(float(length), 3), pitch) for onset, length, pitch in notes)


@pytest.mark.data
def test_tunes_are_played_as_in_their_midi_files(real_music):
    """Against Jukedeck's MIDI files of the same tunes, sampled at every 1/24 quarter.

    Their converter lets an accidental hold for one note only, and has an order of its own where parts (P:) are given:
    tunes with either are left out.
    """
    root = real_music("nottingham")
    same = compared = 0
    for tune_set in ("waltzes", "xmas", "morris", "playford"):
        for tune in tunes(root / "ABC_cleaned" / f"{tune_set}.abc"):
            if re.search(r"(?m)[\^_=][A-Ga-g]|^[PY]:", tune.text.split("K:", 1)[1]):
                continue
            expected = sampled(midi.read(root / "MIDI" / "melody" / f"{tune_set}{tune.number}.mid"))
            same += np.array_equal(sampled(parse(tune.text).unfolded().to_score()), expected)
            compared += 1
    assert compared > 40
    assert same / compared > 0.9


def sampled(score: Score) -> np.ndarray:
    """The pitch at every 1/24 quarter from the first onset on, -1 for none."""
    onsets = score.notes["onset"] - score.notes["onset"][0]
    edges = [
        np.rint(ticks * 24 / score.ticks_per_quarter).astype(int)
        for ticks in (onsets, onsets + score.notes["duration"])
    ]
    roll = np.full(max(edges[1]), -1)
    for start, end, pitch in zip(*edges, score.notes["pitch"], strict=True):
        roll[start:end] = pitch
    return roll
