"""Models as Hugging Face keeps them: a folder with config.json and model.safetensors, read and written.

What t5music writes also holds `t5music.json` (tasks, lengths, vocabulary of the run) and `vocabulary.json` (the word of
every id), so that such a folder serves wherever a run does: train --init, eval, generate, classify. A folder from
elsewhere (T5, T5 v1.1, ByT5, mT5) serves as a start: every weight is kept but the rows of the embedding, of which those
stay whose meaning our vocabulary shares:

    T5, mT5    <pad>, </s>, <unk>; T5's sentinels; and, by its tokenizer.json, characters of one byte
    ByT5       <pad>, </s>, <unk>, the 256 bytes, and its sentinels (258, 257, ..., the last bytes' ids)

All other rows, the event words among them, are drawn.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from flax import nnx
from numpy.typing import NDArray

from t5music.data.vocabulary import FIRST_BYTE, FIRST_EVENT, Vocabulary
from t5music.errors import CheckpointError, ConfigError
from t5music.model import huggingface, parameters
from t5music.model.config import T5Config
from t5music.training.checkpoints import checkpoint

CONFIG, WEIGHTS, INDEX = "config.json", "model.safetensors", "model.safetensors.index.json"
METADATA, WORDS, TOKENIZER = "t5music.json", "vocabulary.json", "tokenizer.json"
T5_PIECES = (32100, 32128)  # ids of T5's SentencePiece vocabulary with its sentinels, and the rows of its table
T5_SENTINELS = 32100  # they count down from here
BYT5_SENTINELS = FIRST_EVENT  # likewise: Hugging Face's documentation of ByT5


def is_folder(path: str | os.PathLike[str]) -> bool:
    """Whether a path is a model's folder as Hugging Face keeps it."""
    return (Path(path) / CONFIG).is_file()


def read_metadata(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """Returns the metadata of a folder that `export` wrote, as `checkpoints.read_metadata` does of a run.

    Raises CheckpointError where there are none: that model has learnt none of our tasks.
    """
    path = Path(folder) / METADATA
    if not path.is_file():
        raise CheckpointError(f"{folder} has no {METADATA}: train it first (t5music train TASK --init {folder})")
    return _read(path)


def config_of(folder: str | os.PathLike[str], vocabulary: Vocabulary) -> T5Config:
    """Returns the config of a folder's model with our vocabulary's rows; CheckpointError for one that is no T5."""
    config = huggingface.config_from(_read(Path(folder) / CONFIG))
    tied = huggingface.ties_head(_read_weights(Path(folder), huggingface.is_table))
    return dataclasses.replace(config, tie_word_embeddings=tied, vocab_size=vocabulary.rows)


def load_params(
    folder: str | os.PathLike[str], config: T5Config, vocabulary: Vocabulary, *, seed: int = 0
) -> nnx.State:
    """Returns the parameters of a folder's model, in the form of `config`, with rows for our vocabulary.

    Args:
        folder: with config.json and model.safetensors, or its parts and their index.
        config: the model that will use them: `config_of`, in any dtype, dropout, scanning or rematerialisation.
        vocabulary: ours.
        seed: of the rows that the folder's model has not.

    Raises:
        CheckpointError: a file that is missing or damaged, or a weight that does not fit `config` (named).
    """
    folder = Path(folder)
    kept = kept_ids(folder, vocabulary)
    weights = huggingface.with_rows(_read_weights(folder), kept, vocabulary.rows, seed)
    try:
        return huggingface.from_huggingface(weights, config)
    except CheckpointError as error:
        raise CheckpointError(f"{folder}: {error}") from error


def kept_ids(folder: Path, vocabulary: Vocabulary) -> NDArray[np.int64]:
    """Returns the pairs (id of the folder's model, our id) that mean the same, int64 [n, 2]."""
    fields = _read(folder / CONFIG)
    if (folder / METADATA).is_file():
        theirs = read_metadata(folder)["vocabulary"]["fingerprint"]
        if theirs != vocabulary.fingerprint:
            raise CheckpointError(
                f"{folder} has another vocabulary: its fingerprint is {theirs}, this one's {vocabulary.fingerprint}"
            )
        return np.tile(np.arange(vocabulary.rows)[:, None], 2)
    tokenizer = _read(folder / "tokenizer_config.json") if (folder / "tokenizer_config.json").is_file() else {}
    if "ByT5" in str({**fields, **tokenizer}.get("tokenizer_class")):
        same = [(i, i) for i in range(FIRST_EVENT)]
        return np.array(same + _sentinels(BYT5_SENTINELS, vocabulary))
    pairs = [(i, i) for i in range(FIRST_BYTE)]
    if fields.get("vocab_size") in T5_PIECES:
        pairs += _sentinels(T5_SENTINELS, vocabulary)
    if (folder / TOKENIZER).is_file():
        pieces = {piece: i for i, (piece, _) in enumerate(_read(folder / TOKENIZER)["model"]["vocab"])}
        pieces[" "] = pieces.get("\u2581", -1)  # SentencePiece writes the space so
        pairs += [(pieces[chr(b)], FIRST_BYTE + b) for b in range(128) if pieces.get(chr(b), -1) >= 0]
    return np.array(pairs)


def _sentinels(above_first: int, vocabulary: Vocabulary) -> list[tuple[int, int]]:
    return [(above_first - 1 - i, vocabulary.sentinel(i)) for i in range(vocabulary.sentinels)]


def export(model_dir: str | os.PathLike[str], folder: str, vocabulary: Vocabulary) -> Path:
    """`t5music export`: writes the model of a run, or of a step of it, as `T5ForConditionalGeneration` reads it.

    The folder is made whole or not at all. Raises ConfigError where it is there already, or the architecture is not
    that of Hugging Face's T5.
    """
    target = Path(folder)
    if target.exists():
        raise ConfigError(f"--to {folder} is there already: choose another name, or remove it")
    metadata = checkpoint.read_metadata(model_dir)
    config = T5Config.from_dict(metadata["config"])
    fields = huggingface.config_to(config)
    params = checkpoint.load_params(model_dir, config, fingerprint=vocabulary.fingerprint)
    state = parameters.abstract(config)[1]
    nnx.replace_by_pure_dict(state, params)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as temporary:
            made = Path(temporary) / target.name
            made.mkdir()
            _safetensors().numpy.save_file(
                huggingface.to_huggingface(state, config), made / WEIGHTS, metadata={"format": "pt"}
            )
            _write(made / CONFIG, fields)
            _write(made / METADATA, metadata)
            _write(made / WORDS, list(vocabulary.words))
            (made / "README.md").write_text(_card(target.name, metadata), encoding="utf-8")
            shutil.move(made, target)
    except OSError as error:
        raise ConfigError(f"--to {folder}: cannot be written: {error.strerror or error}") from error
    count = parameters.count(state)
    print(f"{target}: {count:,} parameters of step {metadata['step']} of {model_dir}")
    return target


def _card(name: str, metadata: Mapping[str, Any]) -> str:
    """The README of an exported model."""
    tasks = "\n".join(f"- `{task}`" for task in metadata.get("tasks", {})) or "- none"
    return f"""---
library_name: t5music
tags: [music, midi, t5]
---
# {name}

A T5 {metadata["config"]["version"]} for symbolic music, trained by t5music {metadata["version"]} on
`{metadata.get("task")}` for {metadata["step"]} steps. Its tasks:

{tasks}

    pip install "t5music[hf]"
    t5music generate song.mid --model_dir {name}

In Hugging Face transformers: `T5ForConditionalGeneration.from_pretrained("{name}")`. Ids are t5music's
(`vocabulary.json` has the word of every id; 0 is padding, 1 the end, bytes begin at 3).
"""


def _read_weights(folder: Path, wanted: Callable[[str], bool] = lambda name: True) -> dict[str, NDArray]:
    """Arrays of a folder's safetensors files: all, or those whose name is `wanted`."""
    if (folder / INDEX).is_file():
        names = sorted(set(_read(folder / INDEX)["weight_map"].values()))
    elif (folder / WEIGHTS).is_file():
        names = [WEIGHTS]
    else:
        raise CheckpointError(
            f"{folder} has no {WEIGHTS}; where it has pytorch_model.bin, load it in transformers and save_pretrained it"
        )
    open_file = _safetensors().safe_open
    weights: dict[str, NDArray] = {}
    for name in names:
        try:
            with open_file(folder / name, framework="np") as file:
                weights |= {array: file.get_tensor(array) for array in filter(wanted, file.keys())}
        except Exception as error:  # safetensors raises its own types, and those of the file system
            raise CheckpointError(f"{folder / name} cannot be read: {checkpoint.first_line(error)}") from error
    return weights


def _safetensors() -> Any:
    try:
        import safetensors
        import safetensors.numpy
    except ImportError:
        raise ConfigError('Hugging Face folders need safetensors: pip install "t5music[hf]"') from None
    return safetensors


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be read: {checkpoint.first_line(error)}") from error


def _write(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
