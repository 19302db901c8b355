"""Hugging Face folders: models as config.json and model.safetensors, opened as a checkpoint of a run is.

What `export` writes also holds `t5music.json` (the metadata of the run) and `vocabulary.json` (the word of every id),
so that such a folder serves wherever a run does: train --init, eval, generate, classify. A folder from elsewhere (T5,
T5 v1.1, ByT5, mT5) serves as a start: every weight is kept but the rows of the embedding, of which those stay whose
meaning our vocabulary shares:

    T5, mT5    <pad>, </s>, <unk>; T5's sentinels; and, by its tokenizer.json, characters of one byte
    ByT5       <pad>, </s>, <unk>, the 256 bytes, and its sentinels (258, 257, ..., the last bytes' ids)

All other rows, the event words among them, are drawn.
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from flax import nnx
from numpy.typing import NDArray
from safetensors import safe_open

from t5music import json_files, terms
from t5music.data.vocabulary import FIRST_BYTE, FIRST_EVENT, Vocabulary
from t5music.errors import CheckpointError, ConfigError
from t5music.inference import model_card
from t5music.model import huggingface
from t5music.model.config import T5Config
from t5music.storage import bucket_copies, path_of
from t5music.terms import Terms, TrainingRun
from t5music.training.checkpoints.finite import require_finite
from t5music.training.checkpoints.layout import first_line
from t5music.training.checkpoints.metadata import Metadata

if TYPE_CHECKING:
    from t5music.training.train_state import Params

CONFIG, WEIGHTS, INDEX = "config.json", "model.safetensors", "model.safetensors.index.json"
METADATA, WORDS, TOKENIZER = "t5music.json", "vocabulary.json", "tokenizer.json"
TOKENIZER_CONFIG = "tokenizer_config.json"
T5_PIECES = (32100, 32128)  # ids of T5's SentencePiece vocabulary with its sentinels, and the rows of its table
T5_SENTINELS = 32100  # they count down from here
BYT5_SENTINELS = FIRST_EVENT  # likewise: Hugging Face's documentation of ByT5


def is_folder(path: str | os.PathLike[str]) -> bool:
    """Whether a path is a model's folder as Hugging Face keeps it."""
    return (path_of(path) / CONFIG).is_file()


class HuggingFaceFolder:
    """A Hugging Face folder, with the attributes of `training.checkpoints.checkpoint.Checkpoint`.

    Attributes:
        folder: its path.
        vocabulary: the one that its parameters are read for.
    """

    def __init__(self, path: str | os.PathLike[str], vocabulary: Vocabulary) -> None:
        """Opens a folder. Raises CheckpointError where its config.json or t5music.json is damaged or no T5's."""
        self.folder, self.vocabulary = bucket_copies.copy_of_folder(path_of(path)), vocabulary
        self._fields = _read_object(self.folder / CONFIG)
        path = self.folder / METADATA
        self._metadata = Metadata.from_json(_read_object(path), path) if path.exists() else None
        if self._metadata is not None:
            self.require_vocabulary(vocabulary.fingerprint)

    @property
    def metadata(self) -> Metadata:
        """What the model says of itself. Raises CheckpointError for a foreign one, which has learnt no task of ours."""
        if self._metadata is None:
            raise CheckpointError(
                f"{self.folder} has no {METADATA}: train it first (t5music train TASK --init {self.folder})"
            )
        return self._metadata

    @property
    def step(self) -> int | None:
        """Updates done in the run it was exported from."""
        return self.metadata.step

    @property
    def trained_on(self) -> tuple[TrainingRun, ...]:
        """The runs that the weights went through; of a foreign model what its README.md says of its licence."""
        if self._metadata is not None:
            return terms.ended(self._metadata.trained_on, self.step)
        name = self.folder.resolve().name
        licence = model_card.licence_of(self.folder / model_card.CARD)
        stated = f"{terms.NOT_STATED} for the data; {licence} for the model" if licence else terms.NOT_STATED
        return (TrainingRun(name, (Terms(f"the data of {name}", stated),)),)

    @cached_property
    def config(self) -> T5Config:
        """The model's config with our vocabulary's rows. Raises CheckpointError for a model that is no T5."""
        if self._metadata is not None:
            return self._metadata.config
        try:
            config = huggingface.config_from(self._fields)
        except (CheckpointError, ConfigError) as error:
            raise CheckpointError(f"{self.folder}: {error}") from error
        except (TypeError, ValueError, OverflowError) as error:
            raise CheckpointError(f"{self.folder}: {CONFIG} does not describe a T5: {first_line(error)}") from error
        tied = huggingface.ties_head(self._weights(huggingface.is_table))
        return dataclasses.replace(config, tie_word_embeddings=tied, vocab_size=self.vocabulary.rows)

    def require_vocabulary(self, fingerprint: str) -> None:
        """Raises CheckpointError, which names both fingerprints, where the model has another vocabulary."""
        if self.metadata.vocabulary.fingerprint != fingerprint:
            raise CheckpointError(
                f"{self.folder} has another vocabulary: its fingerprint is {self.metadata.vocabulary.fingerprint}, "
                f"this one's {fingerprint}"
            )

    def params(self, config: T5Config | None = None, *, seed: int = 0) -> Params:
        """Reads the parameters, with rows for our vocabulary.

        Args:
            config: the model that will use them, in any dtype, dropout, scanning or rematerialisation; None for
                `self.config`.
            seed: of the rows that the folder's model does not have.

        Raises:
            CheckpointError: a file that is missing or damaged, or a weight that does not fit `config` or is not finite
                (named).
            ConfigError: an architecture that Hugging Face's T5 does not have.
        """
        config = self.config if config is None else config
        weights = self._weights()
        self._require_depth(weights, config)
        require_finite(weights, self.folder)
        self._require_tables(weights)
        weights = huggingface.with_rows(weights, self.shared_ids, self.vocabulary.rows, seed)
        try:
            return nnx.to_pure_dict(huggingface.from_huggingface(weights, config))
        except CheckpointError as error:
            raise CheckpointError(f"{self.folder}: {error}") from error

    @cached_property
    def shared_ids(self) -> NDArray[np.int64]:
        """The pairs (id of the folder's model, our id) that mean the same, int64 [n, 2]."""
        if self._metadata is not None:
            return np.tile(np.arange(self.vocabulary.rows)[:, None], 2)
        path = self.folder / TOKENIZER_CONFIG
        tokenizer = _read_object(path) if path.exists() else {}
        if "ByT5" in str({**self._fields, **tokenizer}.get("tokenizer_class")):
            same = [(i, i) for i in range(FIRST_EVENT)]
            return np.array(same + _sentinels(BYT5_SENTINELS, self.vocabulary))
        pairs = [(i, i) for i in range(FIRST_BYTE)]
        if self._fields.get("vocab_size") in T5_PIECES:
            pairs += _sentinels(T5_SENTINELS, self.vocabulary)
        pieces = {piece: i for i, piece in enumerate(self._pieces())}
        pieces[" "] = pieces.get("\u2581", -1)  # SentencePiece writes the space so
        pairs += [(pieces[chr(b)], FIRST_BYTE + b) for b in range(128) if pieces.get(chr(b), -1) >= 0]
        return np.array(pairs)

    def _pieces(self) -> Sequence[str]:
        """The pieces of a foreign tokenizer, by id; none without a tokenizer.json."""
        path = self.folder / TOKENIZER
        if not path.exists():
            return ()
        try:
            return [str(piece) for piece, _ in _read_object(path)["model"]["vocab"]]
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"{path} has no list of pieces as model.vocab: {first_line(error)}") from error

    def _weights(self, wanted: Callable[[str], bool] = lambda name: True) -> dict[str, NDArray]:
        """The arrays of the folder's safetensors files: all, or those whose name is `wanted`."""
        weights: dict[str, NDArray] = {}
        for path in self._weight_files():
            try:
                if not path.is_file():
                    raise OSError(0, "it is missing, or is not a regular file")
                with safe_open(path, framework="np") as file:
                    weights |= {array: file.get_tensor(array) for array in filter(wanted, file.keys())}
            except Exception as error:  # safetensors raises its own types, and those of the file system
                raise CheckpointError(f"{path} cannot be read: {first_line(error)}") from error
        return weights

    def _weight_files(self) -> list[Path]:
        """The paths of the safetensors files, in the order of their names."""
        index = self.folder / INDEX
        if not index.exists():
            if not os.path.lexists(self.folder / WEIGHTS):
                raise CheckpointError(
                    f"{self.folder} has no {WEIGHTS}; where it has pytorch_model.bin, load it in transformers and "
                    "save_pretrained it"
                )
            return [self.folder / WEIGHTS]
        try:
            files = json_files.parse_value(Mapping[str, str], _read_object(index).get("weight_map"), "weight_map")
            for name in files.values():
                if Path(name).name != name or not name.endswith(".safetensors"):
                    raise ValueError(f"weight_map names {name!r}, which is no safetensors file in the folder")
        except ValueError as error:
            raise CheckpointError(f"{index} cannot be used: {error}") from error
        return [self.folder / name for name in sorted(set(files.values()))]

    def _require_depth(self, weights: Mapping[str, NDArray], config: T5Config) -> None:
        """Raises CheckpointError where a config has more layers than the files, before anything is built by it."""
        blocks = [int(match[1]) for name in weights if (match := re.search(r"(?:^|\.)\w+\.block\.(\d{1,9})\.", name))]
        depth = max(blocks, default=-1) + 1
        for name, value in config.to_dict().items():
            if name.endswith("_layers") and type(value) is int and value > depth:
                raise CheckpointError(f"{self.folder}: the config has {value:,} {name}, and the files have {depth}")

    def _require_tables(self, weights: Mapping[str, NDArray]) -> None:
        """Raises CheckpointError for a table of embeddings that does not have the rows whose meaning we share."""
        highest = int(self.shared_ids[:, 0].max())
        for name in filter(huggingface.is_table, weights):
            if weights[name].ndim != 2 or len(weights[name]) <= highest:
                raise CheckpointError(
                    f"{self.folder}: {name} has shape {weights[name].shape}; it must have a row for each id up to "
                    f"{highest}"
                )


def _sentinels(above_first: int, vocabulary: Vocabulary) -> list[tuple[int, int]]:
    return [(above_first - 1 - i, vocabulary.sentinel(i)) for i in range(vocabulary.sentinels)]


def _read_object(path: Path) -> dict[str, Any]:
    try:
        content = json_files.read_json(path)
        if not isinstance(content, dict):
            raise ValueError("it is not a JSON object")
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be read: {first_line(error)}") from error
    return content
