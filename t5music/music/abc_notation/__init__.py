"""ABC notation, the text in which folk tunes are kept: read, brought into one form, turned into a Score and back.

    tune = abc_notation.parse(open("tune.abc").read())
    tune.to_text()                              # the canonical form
    tune.unfolded().to_score()                  # with its repeats played
    abc_notation.from_score(score).to_text()    # of a melody
    abc_notation.read("tunes.abc")              # every tune of a file

Tunes are read as the ABC standard 2.1 has them (abcnotation.com/wiki/abc:standard:v2.1): notes, chords, rests,
accidentals, broken rhythm, tuplets, ties, bar lines, repeats and endings, parts in their order (P:), voices (V:) and
overlays (&), chord symbols, changes of meter, key, clef and unit length. An accidental holds for its letter in every
octave to the end of the bar, as in abc2midi, unless I:propagate-accidentals says otherwise.

Passed over: grace notes, slurs, decorations, annotations, lyrics, the tempo, macros (m:), da capo and dal segno, the
instructions of one program (%%MIDI ...). Parts of a semitone go to the nearest semitone, and half of one to the
natural. A chord is as long as its first note. Of meters that take turns (M:2/4 3/4) the first one is stated.

Where abc2midi 4.84 plays something else, and why this does not:

- A repeat without |: goes back to the latest double bar, end of a repeat or last ending, as the standard's section 4.8
  has it. abc2midi knows no double bar there, and takes |: within a repeat for the end of that repeat too.
- |:: and ::| play three times. A pass without an ending skips that of others, and no ending is lost whose number comes
  again.
- Ties go into the note that is played next, in every ending; abc2midi takes the next one in the text.
- (5, (7 and (9 are in the time of two but for 6/8, 9/8, 12/8 ...; abc2midi takes 3/4 and 3/8 for compound.
- Broken rhythm changes notes of unequal lengths too. [C2E2]/2 is half as long as [C2E2].
- A clef takes the place of the one before, with its octave: after treble-8, K:C clef=bass is an octave higher again.
- Accidentals directly after a tonic or exp (K:D^g), added meters of two fractions (M:2/4+3/8), octaves of voices in the
  header (V:1 clef=treble-8) and of clefs without a key (K:clef=treble-8), fields M: and L: before the first tune, +CE+
  as a chord, and [|] as an invisible line are read.
- Hornpipes do not swing, and staccato, trills and rolls are not played.

Refused with an error that names tune, line and column: keys of more than seven sharps or flats, scales that are no mode
(K:E harmonic minor), meters that are no fraction, bars of rest without a meter, an order of parts for voices whose
parts differ, and what is no ABC.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from t5music.music.abc_notation.items import Bar, Key, Meter, Note, Part, Pitch, Symbol
    from t5music.music.abc_notation.reader import parse, parse_tunes, read
    from t5music.music.abc_notation.tune import Tune
    from t5music.music.abc_notation.tune_book import TuneText, decode, split
    from t5music.music.abc_notation.writer import from_score

__all__ = [
    "Bar", "Key", "Meter", "Note", "Part", "Pitch", "Symbol", "Tune", "TuneText",
    "decode", "from_score", "parse", "parse_tunes", "read", "split",
]  # fmt: skip

_NAMES = {
    "items": ("Bar", "Key", "Meter", "Note", "Part", "Pitch", "Symbol"),
    "reader": ("parse", "parse_tunes", "read"),
    "tune": ("Tune",),
    "tune_book": ("TuneText", "decode", "split"),
    "writer": ("from_score",),
}


def __getattr__(name: str) -> Any:
    """What the package gives, imported when it is first asked for: few commands meet a tune."""
    for module, names in _NAMES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
