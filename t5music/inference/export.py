"""Export: the model of a run as a Hugging Face folder, which `T5ForConditionalGeneration` and t5music read."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

from flax import nnx

from t5music import bucket_copies
from t5music.data.vocabulary import Vocabulary
from t5music.errors import ConfigError
from t5music.inference.hf_folder import CONFIG, METADATA, WEIGHTS, WORDS, safetensors_library
from t5music.model import huggingface, parameters
from t5music.storage import BucketPath, path_of
from t5music.training.checkpoints.checkpoint import Checkpoint
from t5music.training.checkpoints.layout import first_line


def export(checkpoint: Checkpoint, folder: str, vocabulary: Vocabulary) -> Path:
    """`t5music export`: writes the model of a checkpoint as `T5ForConditionalGeneration` reads it.

    The folder is written whole or not at all.

    Args:
        checkpoint: of a run.
        folder: to write.
        vocabulary: the one that the model was trained with.

    Returns:
        The folder's path.

    Raises:
        CheckpointError: a checkpoint that is damaged, or of another vocabulary.
        ConfigError: the folder is there already or cannot be written, or the architecture is not that of Hugging
            Face's T5.
    """
    target = path_of(folder)
    if target.exists():
        raise ConfigError(f"--to {folder} is there already: choose another name, or remove it")
    safetensors = safetensors_library()
    fields = huggingface.config_to(checkpoint.config)
    checkpoint.require_vocabulary(vocabulary.fingerprint)
    state = parameters.abstract(checkpoint.config)[1]
    nnx.replace_by_pure_dict(state, checkpoint.params())
    metadata = {**checkpoint.metadata.content, "step": checkpoint.step}
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        beside = None if isinstance(target, BucketPath) else target.parent
        with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=beside) as temporary:
            unfinished = Path(temporary) / target.name
            unfinished.mkdir()
            arrays = huggingface.to_huggingface(state, checkpoint.config)
            safetensors.numpy.save_file(arrays, unfinished / WEIGHTS, metadata={"format": "pt"})
            _write(unfinished / CONFIG, fields)
            _write(unfinished / METADATA, metadata)
            _write(unfinished / WORDS, list(vocabulary.words))
            (unfinished / "README.md").write_text(_card(target.name, checkpoint), encoding="utf-8")
            if isinstance(target, BucketPath):
                bucket_copies.upload_tree(unfinished, target, last=CONFIG)  # without which it is no model's folder
            else:
                shutil.move(unfinished, target)
    except (OSError, safetensors.SafetensorError) as error:  # safetensors wraps those of the file system
        raise ConfigError(f"--to {folder} cannot be written: {first_line(error)}") from error
    count = parameters.count(state)
    print(f"{target}: {count:,} parameters of step {checkpoint.step} of {checkpoint.folder}")
    return target


def _card(name: str, checkpoint: Checkpoint) -> str:
    """The README of an exported model."""
    metadata = checkpoint.metadata
    tasks = "\n".join(f"- `{task}`" for task in metadata.tasks) or "- none"
    return f"""---
library_name: t5music
tags: [music, midi, t5]
---
# {name}

A T5 {metadata.config.version} for symbolic music, trained by t5music {metadata.version} on
`{metadata.task}` for {checkpoint.step} steps. Its tasks:

{tasks}

    pip install "t5music[hf]"
    t5music generate song.mid --model_dir {name}

In Hugging Face transformers: `T5ForConditionalGeneration.from_pretrained("{name}")`. Ids are t5music's
(`vocabulary.json` has the word of every id; 0 is padding, 1 the end, bytes begin at 3).
"""


def _write(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
