"""Schemas: what a model can be asked over HTTP, as JSON Schema, and whether a request is as its schema says.

The page makes its controls of these. What a control sets, and within which limits, stands here alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from t5music.data.examples import Classify, Composes, LabelNotes
from t5music.errors import ConfigError, nearest
from t5music.inference.model import COMPOSING, Model
from t5music.inference.promises import MEANINGFUL, PROMISES
from t5music.inference.sampling_settings import SETTINGS
from t5music.server.limits import Limits

WRITES = {
    "continue": "Goes on where the music ends.",
    "infill": "Writes a part of the music anew.",
    "accompany": "Adds the other parts to a melody.",
    "compose": "Begins a new piece.",
}
SAYS = {"classify": "Labels a piece, with probabilities.", "label": "Labels every note."}
ALL = (*WRITES, *SAYS)
MAX_SEED = 2**31 - 1
LONGEST_TEXT = 200  # characters
# Promises that not everything that is written can keep: what is locked is there already, and a gap has its own length.
_KINDS = {"lock": ("infill",), "length": ("continue", "compose")}
_TYPES: dict[str, tuple[type, ...]] = {"string": (str,), "integer": (int,), "number": (int, float), "array": (list,)}


def abilities(model: Model, limits: Limits) -> dict[str, dict[str, Any]]:
    """What a model can be asked: ability -> {"description", "writes", "needs_music", "schema"}."""
    return {
        kind: {
            "description": description,
            "writes": kind in WRITES,
            "needs_music": kind != "compose",
            "schema": _schema(model, kind, limits),
        }
        for kind, description in (WRITES | SAYS).items()
        if model.can(kind)
    }


def _schema(model: Model, kind: str, limits: Limits) -> dict[str, Any]:
    """The JSON Schema of a request."""
    properties: dict[str, dict[str, Any]] = {}
    if kind != "compose":
        properties["music"] = {
            "type": "string",
            "contentEncoding": "base64",
            "description": f"a MIDI file or a score in MusicXML, at most {limits.megabytes:g} MB",
        }
        properties["name"] = {"type": "string", "maxLength": LONGEST_TEXT, "description": "the file's name"}
    properties |= _writing(model, kind, limits) if kind in WRITES else _saying(model, kind)
    required = [] if kind == "compose" else ["music"]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def _saying(model: Model, kind: str) -> dict[str, dict[str, Any]]:
    tasks = [
        task
        for task in model.trained.tasks.values()
        if isinstance(task, Classify if kind == "classify" else LabelNotes)
    ]
    names = list(dict.fromkeys(task.label for task in tasks))
    return {
        "task": {"type": "string", "title": "label", "enum": names, "default": names[0], "description": "what to say"}
    }


def _writing(model: Model, kind: str, limits: Limits) -> dict[str, dict[str, Any]]:
    kinds = COMPOSING if kind == "compose" else (kind,)
    tasks = [task for task in model.trained.tasks.values() if isinstance(task, Composes) and task.kind in kinds]
    properties: dict[str, dict[str, Any]] = {}
    if kind == "infill":
        properties["region"] = {
            "type": "array",
            "items": {"type": "number", "minimum": 0},
            "minItems": 2,
            "maxItems": 2,
            "description": "begin and end of the part in seconds; the middle if left out",
        }
        properties["parts"] = {
            "type": "string",
            "maxLength": LONGEST_TEXT,
            "placeholder": "piano bars 5-8",
            "description": "bars and tracks to fill in, in place of a region: 'bars 5-8', 'piano bars 5-8, bass'",
        }
    if any(hasattr(task, "caption") for task in tasks):
        properties["caption"] = {
            "type": "string",
            "maxLength": LONGEST_TEXT,
            "description": "a description of the music",
        }
    styles = list(dict.fromkeys(task.style for task in tasks if hasattr(task, "style")))
    if len(styles) > 1:
        meaning = "of the new music" if kind == "compose" else "of the new music; that of the file if left out"
        properties["style"] = {"type": "string", "enum": styles, "description": meaning}
    meaningful = {name for task in tasks for name in MEANINGFUL.get(task.encoding, ("instruments",))}
    for promise in PROMISES:
        if promise.name in meaningful and kind in _KINDS.get(promise.name, WRITES):
            choice = {"enum": list(promise.choices)} if promise.choices else {"maxLength": LONGEST_TEXT}
            properties[promise.name] = {
                "type": "string",
                "title": promise.name.replace("_", " "),
                "promise": True,
                "placeholder": promise.metavar,
                "description": promise.help,
                **choice,
            }
    longest = model.trained.lengths["targets"]
    properties |= {
        "variants": _number("integer", 1, limits.variants, 1, "how many answers, side by side, the best one first"),
        "seed": _number("integer", 0, MAX_SEED, 0, "the same seed gives the same music"),
    }
    for setting in SETTINGS:
        if setting.name != "guidance" or styles:  # it is the style that guides
            most = next((value for value in (setting.most, setting.shown) if value is not None), longest)
            default = longest if setting.default is None else setting.default
            properties[setting.name] = _number(setting.kind, setting.least, most, default, setting.help)
    return properties


def _number(kind: str, least: float, most: float, default: float, description: str) -> dict[str, Any]:
    limits = {"minimum": least, "maximum": most, "default": default}
    return {"type": kind, "drawing": True, **limits, "description": description}


def checked(request: Any, schema: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a request that are set.

    Raises ConfigError for a field that is missing, unknown or not as the schema says; it names the field.
    """
    if not isinstance(request, dict):
        raise ConfigError("the request must be a JSON object")
    properties = schema["properties"]
    values = {name: value for name, value in request.items() if value is not None and value != ""}
    for name in values:
        if name not in properties:
            raise ConfigError(
                f"there is no field {name!r} (there are {', '.join(properties)}){nearest(name, properties)}"
            )
    for name in schema["required"]:
        if name not in values:
            raise ConfigError(f"{name}: is missing")
    for name, value in values.items():
        _check(name, value, properties[name])
    return values


def _check(name: str, value: Any, rule: Mapping[str, Any]) -> None:
    """Raises ConfigError for a value that is not as its rule says."""
    kind = rule["type"]
    if isinstance(value, bool) or not isinstance(value, _TYPES[kind]):
        raise ConfigError(f"{name}: must be {'an' if kind[0] in 'aei' else 'a'} {kind}")
    if "enum" in rule and value not in rule["enum"]:
        raise ConfigError(f"{name}: must be one of {', '.join(rule['enum'])}{nearest(str(value), rule['enum'])}")
    if isinstance(value, str) and len(value) > rule.get("maxLength", math.inf):
        raise ConfigError(f"{name}: must have at most {rule['maxLength']} characters")
    if isinstance(value, int | float):
        least, most = rule.get("minimum", -math.inf), rule.get("maximum", math.inf)
        if not (math.isfinite(value) and least <= value <= most):
            raise ConfigError(f"{name}: must be from {least:g} to {most:g}")
    if isinstance(value, list):
        if not rule["minItems"] <= len(value) <= rule["maxItems"]:
            raise ConfigError(f"{name}: must have {rule['minItems']} items")
        for item in value:
            _check(name, item, rule["items"])
