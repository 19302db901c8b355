"""Export: the model of a run as a Hugging Face folder, which `T5ForConditionalGeneration` and t5music read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
from flax import nnx
from safetensors import SafetensorError
from safetensors.numpy import save_file

from t5music import files
from t5music.data.vocabulary import Vocabulary
from t5music.errors import DataError
from t5music.inference import model_card
from t5music.inference.hf_folder import CONFIG, METADATA, WEIGHTS, WORDS
from t5music.model import huggingface, parameters
from t5music.storage import path_of
from t5music.training.checkpoints.checkpoint import Checkpoint
from t5music.training.checkpoints.layout import first_line

FLOAT32, BFLOAT16 = DTYPES = ("float32", "bfloat16")
_NUMPY = {FLOAT32: np.float32, BFLOAT16: ml_dtypes.bfloat16}


def export(
    checkpoint: Checkpoint,
    folder: str,
    vocabulary: Vocabulary,
    dtype: str = FLOAT32,
    *,
    leakage: model_card.Leakage = model_card.WITHOUT_CORPORA,
    programs: tuple[int, ...] | None = None,
    force: bool = False,
) -> Path:
    """`t5music export`: writes the model of a checkpoint as `T5ForConditionalGeneration` reads it.

    The folder is written whole or not at all.

    Args:
        checkpoint: of a run.
        folder: to write.
        vocabulary: the one that the model was trained with.
        dtype: of the weights in the file: "float32", or "bfloat16", which rounds them to 8 bits and halves the file.
        leakage: what its test sets share with its training music, for the card.
        programs: of the instruments that its training music has; None where that was not measured.
        force: whether an exported model that is there may be replaced.

    Returns:
        The folder's path.

    Raises:
        CheckpointError: a checkpoint that is damaged, or of another vocabulary.
        ConfigError: there is something at `folder`, or the architecture is not that of Hugging Face's T5.
        DataError: the folder cannot be written.
    """
    target = path_of(folder)
    files.require_free_folder(target, "--to", force=force, mark=METADATA, kind="exported model")
    fields = huggingface.config_to(checkpoint.config)
    checkpoint.require_vocabulary(vocabulary.fingerprint)
    state = parameters.abstract(checkpoint.config)[1]
    nnx.replace_by_pure_dict(state, checkpoint.params())
    metadata = {**checkpoint.metadata.content, "step": checkpoint.step}
    metadata |= {} if programs is None else {"programs": list(programs)}
    arrays = {
        name: array.astype(_NUMPY[dtype])
        for name, array in huggingface.to_huggingface(state, checkpoint.config).items()
    }
    figures = model_card.read_figures(checkpoint.folder)
    with files.replacing_folder(target, last=CONFIG) as unfinished:  # without which it is no model's folder
        try:
            save_file(arrays, unfinished / WEIGHTS, metadata={"format": "pt"})
        except SafetensorError as error:  # in which those of the file system are wrapped
            raise DataError(f"cannot write {target / WEIGHTS}: {first_line(error)}") from error
        _write(unfinished / CONFIG, fields)
        (unfinished / WEIGHTS).chmod((unfinished / CONFIG).stat().st_mode)  # safetensors keeps others from reading
        _write(unfinished / METADATA, metadata)
        _write(unfinished / WORDS, list(vocabulary.words))
        card = model_card.write(
            target.name, checkpoint.metadata, checkpoint.step, checkpoint.trained_on, figures, leakage
        )
        (unfinished / model_card.CARD).write_text(card, encoding="utf-8")
    count = parameters.count(state)
    print(f"{target}: {count:,} parameters of step {checkpoint.step} of {checkpoint.folder}")
    return target


def _write(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
