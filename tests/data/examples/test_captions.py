"""Captions: the sentence that a corpus has for a piece."""

from __future__ import annotations

import pytest
from small_scores import NOTHING, piece, tune

from t5music.data import examples
from t5music.data.examples import Caption
from t5music.errors import MidiError

CAPTION = Caption("remi", words=64, segments=2)
MUSIC = tune(range(48, 80), program=52)
SAYS = "A slow chorale in F# minor,\n for four  voices."


def test_caption():
    first, last = CAPTION.examples(piece(MUSIC, caption=SAYS))
    assert first.targets == last.targets == "A slow chorale in F# minor, for four voices."
    assert first.inputs.startswith("caption: Bar TimeSig_4/4 Pos_0 Tempo_120 Program_52 ")
    assert first.inputs != last.inputs
    assert [first.inputs, last.inputs] == CAPTION.prompts(MUSIC)
    assert len(first.inputs.split()) <= 65


def test_without_caption_or_notes_nothing_is_asked():
    assert not list(CAPTION.examples(piece(MUSIC, caption=" ")))
    assert not list(CAPTION.examples(piece(MUSIC)))
    assert not list(CAPTION.examples(piece(NOTHING, caption=SAYS)))
    with pytest.raises(MidiError, match="no notes"):
        CAPTION.prompts(NOTHING)
    assert examples.from_config(examples.to_config(CAPTION)) == CAPTION
