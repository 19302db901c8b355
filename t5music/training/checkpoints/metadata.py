"""Metadata: what a checkpoint says of its model, so that it can be used without the command that trained it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from t5music import json_files
from t5music.errors import CheckpointError, ConfigError
from t5music.model.config import T5Config
from t5music.terms import TrainingRun

MAX_LENGTH = 1 << 20  # tokens of a row


@dataclasses.dataclass(frozen=True)
class VocabularyId:
    """Which vocabulary something was made with: its fingerprint and its number of ids."""

    fingerprint: str
    size: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Metadata:
    """What a checkpoint says of its model.

    Attributes:
        config: the model's.
        vocabulary: which one it was trained with.
        tasks: task name -> what the task asks, as `data.examples.from_config` reads it; None for tokens alone.
        feature_lengths: row lengths, {"inputs": n, "targets": n}; {} for a run without tasks.
        task: name of the task or mixture.
        version: of the t5music that trained it.
        masking: the settings of `Update.masking`, None for a run without it.
        trained_on: the runs that the weights went through, the first one first, this one last.
        programs: of the instruments that it has learned, in the metadata of an exported model; None where that was not
            measured.
        step: updates done, in the metadata of an exported model.
        content: all of the JSON.
    """

    config: T5Config
    vocabulary: VocabularyId
    tasks: Mapping[str, Mapping[str, Any] | None] = dataclasses.field(default_factory=dict)
    feature_lengths: Mapping[str, int] = dataclasses.field(default_factory=dict)
    task: str | None = None
    version: str | None = None
    masking: Mapping[str, Any] | None = None
    trained_on: tuple[TrainingRun, ...] = ()
    programs: tuple[int, ...] | None = None
    step: int | None = None
    content: Mapping[str, Any]

    @classmethod
    def from_json(cls, content: Mapping[str, Any], path: Path) -> Metadata:
        """Returns the metadata that the file `path` holds as JSON.

        Raises CheckpointError, which names the file and the field, for what is missing, of another type, or larger
        than any model's.
        """
        names = {field.name for field in dataclasses.fields(cls)}
        try:
            values = {name: value for name, value in content.items() if name in names}
            metadata = json_files.parse(cls, {**values, "content": dict(content)})
            for feature, length in metadata.feature_lengths.items():
                if not 1 <= length <= MAX_LENGTH:
                    raise ValueError(f"feature_lengths.{feature} must be from 1 to {MAX_LENGTH:,}, not {length:,}")
        except (ValueError, ConfigError) as error:
            raise CheckpointError(f"{path} does not describe a model: {error}") from error
        return metadata
