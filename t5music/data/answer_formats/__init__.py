"""Answer formats: which ids may come next in an answer, up to its end.

Each format is a grammar over the ids of the vocabulary (see `t5music.music.encodings`): written once for NumPy and JAX,
its state a NamedTuple of arrays with the batch first. `start` reads what it needs from the batch's inputs; then

    legal = answer_formats.Music(vocabulary, "remi")
    tokens = decoding.generate(model, inputs, max_length=512, grammar=(legal, legal.start(inputs, 512)))

writes answers that cannot be wrong in form, and `legal.check(inputs, targets)` says where a given one is.

| format | an answer is | of its inputs it reads |
|---|---|---|
| Music | the words of one encoding | its words, where the answer continues them |
| Label | one text of a label set | nothing |
| PerNote | each note's word and then one word of a few | the notes |
| Spans | sentinels in order, each with the words of its span | how many sentinels there are |
"""

from t5music.data.answer_formats.base import UNBOUNDED as UNBOUNDED
from t5music.data.answer_formats.base import Format as Format
from t5music.data.answer_formats.label import Label as Label
from t5music.data.answer_formats.music import Music as Music
from t5music.data.answer_formats.per_note import PerNote as PerNote
from t5music.data.answer_formats.per_note import PerNoteState as PerNoteState
from t5music.data.answer_formats.spans import Spans as Spans
