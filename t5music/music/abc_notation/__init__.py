"""ABC notation, the text in which folk tunes are kept: read, brought into one form, turned into a Score and back.

    tune = abc_notation.parse(open("tune.abc").read())
    tune.to_text()                              # the canonical form
    tune.unfolded().to_score()                  # with its repeats played
    abc_notation.from_score(score).to_text()    # of a melody

Tunes of one voice are read as the ABC standard 2.1 has them (abcnotation.com/wiki/abc:standard:v2.1): notes, chords,
rests, accidentals, broken rhythm, tuplets, ties, bar lines, repeats and endings, chord symbols, changes of meter, key
and unit length. Grace notes, slurs, decorations, annotations, lyrics, parts (P:) and the tempo are passed over.
"""

from t5music.music.abc_notation.items import Bar, Key, Meter, Note, Part, Pitch, Symbol
from t5music.music.abc_notation.reader import parse, parse_tunes, read
from t5music.music.abc_notation.tune import Tune
from t5music.music.abc_notation.tune_book import TuneText, decode, split
from t5music.music.abc_notation.writer import from_score

__all__ = [
    "Bar", "Key", "Meter", "Note", "Part", "Pitch", "Symbol", "Tune", "TuneText",
    "decode", "from_score", "parse", "parse_tunes", "read", "split",
]  # fmt: skip
