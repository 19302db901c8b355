"""Kinds of examples: what a task asks and expects, from one piece of music to (inputs, targets) in plain text.

Each kind of example is a small frozen dataclass. The same object makes the training examples of a task
(`examples`), the prompt for one's own music (`prompts`) and music out of the model's answer (`music`). It is written
into the token store's manifest and from there into checkpoints, so that a model knows what it can be asked.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeVar

from t5music import json_files
from t5music.data import own_kinds
from t5music.data.examples.abc_tunes import PlayAbc as PlayAbc
from t5music.data.examples.abc_tunes import TranscribeAbc as TranscribeAbc
from t5music.data.examples.accompaniment import Accompany as Accompany
from t5music.data.examples.base import Answer as Answer
from t5music.data.examples.base import Composes as Composes
from t5music.data.examples.base import Example as Example
from t5music.data.examples.base import Examples as Examples
from t5music.data.examples.captions import Caption as Caption
from t5music.data.examples.chord_symbols import NameChords as NameChords
from t5music.data.examples.classification import Classify as Classify
from t5music.data.examples.classification import ClassifyKey as ClassifyKey
from t5music.data.examples.classification import ClassifyMeter as ClassifyMeter
from t5music.data.examples.classification import ClassifyPrintedKey as ClassifyPrintedKey
from t5music.data.examples.classification import ClassifyStyle as ClassifyStyle
from t5music.data.examples.continuation import Continue as Continue
from t5music.data.examples.four_parts import FourParts as FourParts
from t5music.data.examples.four_parts import Harmonise as Harmonise
from t5music.data.examples.infilling import Infill as Infill
from t5music.data.examples.melodies import ContinueMelody as ContinueMelody
from t5music.data.examples.note_labels import LabelNotes as LabelNotes
from t5music.data.examples.openings import Compose as Compose
from t5music.data.examples.openings import Improvise as Improvise
from t5music.data.examples.performing import Perform as Perform
from t5music.data.examples.pieces import Ensembles as Ensembles
from t5music.data.examples.pieces import Pieces as Pieces
from t5music.data.examples.pieces import Songs as Songs
from t5music.data.examples.pieces import Texts as Texts
from t5music.data.examples.theme import Develop as Develop
from t5music.errors import DataError

# By the name in their configs: every kind of example that is imported above. A new one is one line there.
KINDS: dict[str, type] = {
    vars(kind)["kind"]: kind for kind in tuple(globals().values()) if isinstance(kind, type) and "kind" in vars(kind)
}
Kind = TypeVar("Kind", bound=type)


def register(kind: Kind) -> Kind:
    """Makes a kind of example of one's own known, as a class decorator. Raises ConfigError where its name is taken."""
    return own_kinds.register(KINDS, kind.kind, kind)  # type: ignore[attr-defined]


def to_config(examples: Examples) -> dict[str, Any]:
    """A JSON-able description that `from_config` turns back into an equal object."""
    config = dataclasses.asdict(examples)  # type: ignore[call-overload]
    fields = {name: list(value) if isinstance(value, tuple) else value for name, value in config.items()}
    return {"kind": examples.kind, **own_kinds.origin(type(examples)), **fields}


def from_config(config: Mapping[str, Any]) -> Examples:
    """The inverse of `to_config`. Raises DataError for a kind or a field that is not known, or of another type."""
    fields = dict(config)
    name, module = fields.pop("kind", None), fields.pop(own_kinds.MODULE, None)
    kind = own_kinds.look_up(KINDS, name, "kind of examples", module)
    try:
        return json_files.parse(kind, fields)
    except ValueError as error:
        raise DataError(f"examples of kind {name!r}: {error}") from error
