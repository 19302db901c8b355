"""What a task asks and what it expects: from one piece of music to (inputs, targets) in plain text.

Each kind of example is a small frozen dataclass. The same object makes the training examples of a task
(`examples`), the prompt for one's own music (`prompts`) and music out of the model's answer (`music`). It is written
into the token store's manifest and from there into checkpoints, so that a model knows what it can be asked.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from t5music import json_files
from t5music.data.examples.abc_tunes import PlayAbc, TranscribeAbc
from t5music.data.examples.accompaniment import Accompany
from t5music.data.examples.base import Answer, Composes, Example, Examples
from t5music.data.examples.captions import Caption
from t5music.data.examples.classification import Classify, ClassifyKey, ClassifyMeter, ClassifyStyle
from t5music.data.examples.continuation import Continue
from t5music.data.examples.infilling import Infill
from t5music.data.examples.melodies import ContinueMelody
from t5music.data.examples.note_labels import LabelNotes
from t5music.data.examples.openings import Compose, Improvise
from t5music.data.examples.performing import Perform
from t5music.data.examples.pieces import Ensembles, Pieces, Songs, Texts
from t5music.data.examples.theme import Develop
from t5music.errors import DataError, nearest

__all__ = [
    "Accompany",
    "Answer",
    "Caption",
    "Classify",
    "ClassifyKey",
    "ClassifyMeter",
    "ClassifyStyle",
    "Compose",
    "Composes",
    "Continue",
    "ContinueMelody",
    "Develop",
    "Ensembles",
    "Example",
    "Examples",
    "Improvise",
    "Infill",
    "LabelNotes",
    "Perform",
    "Pieces",
    "PlayAbc",
    "Songs",
    "Texts",
    "TranscribeAbc",
    "from_config",
    "to_config",
]

KINDS: dict[str, type] = {
    kind.kind: kind
    for kind in (
        Pieces,
        Ensembles,
        Songs,
        Texts,
        Continue,
        ContinueMelody,
        Improvise,
        Compose,
        Infill,
        Accompany,
        Develop,
        Perform,
        Classify,
        ClassifyKey,
        ClassifyMeter,
        ClassifyStyle,
        LabelNotes,
        Caption,
        TranscribeAbc,
        PlayAbc,
    )
}


def to_config(examples: Examples) -> dict[str, Any]:
    """A JSON-able description that `from_config` turns back into an equal object."""
    config = dataclasses.asdict(examples)  # type: ignore[call-overload]
    return {"kind": examples.kind} | {k: list(v) if isinstance(v, tuple) else v for k, v in config.items()}


def from_config(config: Mapping[str, Any]) -> Examples:
    """The inverse of `to_config`. Raises DataError for a kind or a field that is not known, or of another type."""
    fields = dict(config)
    kind = fields.pop("kind", None)
    if not isinstance(kind, str) or kind not in KINDS:
        raise DataError(f"unknown kind of examples {kind!r}{nearest(str(kind), KINDS)}")
    try:
        return json_files.parse(KINDS[kind], fields)
    except ValueError as error:
        raise DataError(f"examples of kind {kind!r}: {error}") from error
