"""What holds for every kind of example."""

from __future__ import annotations

import dataclasses
from importlib import import_module
from pkgutil import iter_modules

import numpy as np
import pytest
from small_scores import NOTHING, chorale, piece

from t5music.data import examples
from t5music.data.examples import KINDS, Composes
from t5music.errors import DataError, MidiError
from t5music.music.score import NOTE, Score

MADE = [
    examples.Pieces("remi"),
    examples.Ensembles(),
    examples.Continue("chorale", "remi", words=64),
    examples.ContinueMelody("jazz melody", "remi", limit=3),
    examples.Improvise("chorale", "performance"),
    examples.Compose("remi", caption="slow"),
    examples.Infill("chorale", "performance", region=(1.0, 2.5)),
    examples.Accompany("chorale", "remi", part=("soprano",), bars=2, answer=("bass",)),
    examples.Develop("remi"),
    examples.Perform(),
    examples.Classify("composer", ("bach", "landini"), "remi", words=64, segments=2),
    examples.FourParts(),
    examples.Harmonise("chorale", words=128),
    examples.NameChords("chorale", "remi", part=("soprano",)),
    examples.ClassifyPrintedKey(),
]
BEYOND_WORDS = Score(480, np.array([(0, 480, 120, 80, 0, 0)], NOTE))  # too high for tx1


@pytest.mark.parametrize("kind", MADE, ids=lambda kind: kind.kind)
def test_config_round_trip(kind: examples.Examples):
    config = examples.to_config(kind)
    assert config["kind"] == kind.kind
    assert examples.from_config(config) == kind
    assert KINDS[kind.kind] is type(kind)


@pytest.mark.parametrize("kind", MADE, ids=lambda kind: kind.kind)
def test_no_setting_of_a_kind_is_taken_for_its_way_back_to_what_is_stored(kind: examples.Examples):
    assert callable(getattr(kind, "restored", str))


def test_unknown_kind_suggests_the_nearest():
    with pytest.raises(DataError, match="did you mean 'continue'"):
        examples.from_config({"kind": "continu"})
    with pytest.raises(DataError, match="pieces"):
        examples.from_config({"kind": "pieces", "encoding": "remi", "colour": 1})


@pytest.mark.parametrize("kind", MADE, ids=lambda kind: kind.kind)
def test_a_piece_without_notes_makes_no_example(kind: examples.Examples):
    silent = piece(NOTHING, composer="bach", caption="slow")
    if isinstance(kind, examples.Ensembles):
        with pytest.raises(MidiError, match=r"lasts 0\.0 s"):
            list(kind.examples(silent))
    else:
        assert list(kind.examples(silent)) == []


@pytest.mark.parametrize(
    "kind", [examples.Pieces("tx1"), examples.Continue("nes", "tx1"), examples.Infill("nes", "tx1")]
)
def test_a_piece_that_the_encoding_cannot_say_is_refused_with_the_reason(kind: examples.Examples):
    with pytest.raises(MidiError, match=r"P1 plays 33\.\.108"):
        list(kind.examples(piece(BEYOND_WORDS)))


@pytest.mark.parametrize("kind", MADE, ids=lambda kind: kind.kind)
def test_the_same_piece_makes_the_same_examples(kind: examples.Examples):
    labels = {"composer": "bach", "caption": "slow"}
    assert list(kind.examples(piece(chorale(), **labels))) == list(kind.examples(piece(chorale(), **labels)))


@pytest.mark.parametrize("kind", [kind for kind in MADE if isinstance(kind, Composes)], ids=lambda kind: kind.kind)
def test_asked_of_no_music_it_says_so(kind: Composes):
    if kind.kind in ("improvise", "compose"):
        assert len(kind.prompts(NOTHING)) == 1  # they need none
    else:
        with pytest.raises(MidiError, match=r"no (music|notes|phrase)"):
            kind.prompts(NOTHING)


def test_every_kind_of_the_folder_is_registered():
    modules = [import_module(f"{examples.__name__}.{module.name}") for module in iter_modules(examples.__path__)]
    kinds = {
        kind
        for module in modules
        for kind in vars(module).values()
        if isinstance(kind, type) and kind.__module__ == module.__name__ and "kind" in vars(kind)
    }
    assert kinds == set(KINDS.values())


def test_every_kind_is_tried_here():
    tried = {kind.kind for kind in MADE}
    composing = {name for name, kind in KINDS.items() if hasattr(kind, "music")}
    assert composing <= tried
    assert all(dataclasses.is_dataclass(kind) for kind in KINDS.values())
