"""Model folders: a run, one of its steps or a Hugging Face folder, opened alike."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, TypeAlias

from t5music.data.vocabulary import Vocabulary
from t5music.errors import CheckpointError
from t5music.inference import pretrained
from t5music.inference.hf_folder import HuggingFaceFolder, is_folder
from t5music.training.checkpoints.selection import LATEST

if TYPE_CHECKING:
    from t5music.training.checkpoints.checkpoint import Checkpoint

ModelFolder: TypeAlias = "Checkpoint | HuggingFaceFolder"


def open_model(path: str | os.PathLike[str], vocabulary: Vocabulary, which: str | int = LATEST) -> ModelFolder:
    """Opens a model's folder once; `.metadata`, `.config`, `.step` and `.params()` are read from what is returned.

    Args:
        path: a run's folder, the folder of one step, a folder as Hugging Face keeps it, or a pretrained model's name.
        vocabulary: ours.
        which: of a run: "latest", "best" or a step's number.

    Raises:
        CheckpointError: nothing is there, it is damaged, or it was trained with another vocabulary.
        ConfigError: `which` is none of these.
    """
    path = pretrained.locate(path)
    if is_folder(path):
        if which != LATEST:
            raise CheckpointError(f"{path} holds a single model: there is no checkpoint {which!r} to choose")
        return HuggingFaceFolder(path, vocabulary)
    from t5music.training.checkpoints.checkpoint import Checkpoint  # Orbax, which other folders do not need

    checkpoint = Checkpoint.open(path, which)
    checkpoint.require_vocabulary(vocabulary.fingerprint)
    return checkpoint
