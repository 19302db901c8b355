"""Pretrained models by name: those that come with t5music, `pretrained:commons`, and those of the Hugging Face Hub.

A model that comes with t5music is a folder of `t5music/pretrained/`, as `t5music export` writes it: weights in
bfloat16, config, vocabulary, what the run says of itself, and its card. `hf://OWNER/NAME`, or
`hf://OWNER/NAME@REVISION`, is fetched once into the Hub's own cache and read from there; without a network it is read
from the cache alone.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from t5music.errors import CheckpointError, ConfigError, nearest

if TYPE_CHECKING:
    from t5music.training.checkpoints.metadata import Metadata

PREFIX, HUB = "pretrained:", "hf://"
DEFAULT = f"{PREFIX}commons"
FOLDER = Path(__file__).parent.parent / "pretrained"
_HUB_NAME = re.compile(r"hf://(?P<repository>[\w.-]+/[\w.-]+)(@(?P<revision>[\w./-]+))?")
# What a model's folder is read from: see `inference.hf_folder`. No code, and no weights that need Python to be read.
_HUB_FILES = ["*.json", "*.safetensors", "README.md"]


def names() -> list[str]:
    """The names of the models that come with t5music, in the order of the alphabet."""
    return sorted(path.parent.name for path in FOLDER.glob("*/config.json"))


def is_name(model: str | os.PathLike[str]) -> bool:
    """Whether this is a model's name, and not a path."""
    return str(model).startswith((PREFIX, HUB))


def locate(model: str | os.PathLike[str]) -> str | os.PathLike[str]:
    """The folder of a model on this machine; a path is its own.

    Args:
        model: `pretrained:NAME`, `hf://OWNER/NAME`, or a path.

    Raises:
        CheckpointError: no such model comes with t5music, or the Hub cannot give it.
        ConfigError: the package for the Hub is missing, or the address is not one.
    """
    name = str(model)
    if name.startswith(PREFIX):
        stem = name.removeprefix(PREFIX)
        if stem not in names():
            raise CheckpointError(
                f"no model {stem!r} comes with t5music (there {'is' if len(names()) == 1 else 'are'}: "
                f"{', '.join(names()) or 'none'}){nearest(stem, names())}"
            )
        return FOLDER / stem
    return _from_hub(name) if name.startswith(HUB) else model


def hub_address(address: str) -> re.Match[str]:
    """The parts of an address of the Hub, `repository` and `revision`. Raises ConfigError for one that is none."""
    parts = _HUB_NAME.fullmatch(address)
    if parts is None:
        raise ConfigError(f"{address} is no address of the Hugging Face Hub: write hf://OWNER/NAME")
    return parts


def _from_hub(address: str) -> str:
    """The folder in the Hub's cache, fetched where it is not there yet."""
    parts = hub_address(address)
    try:
        import huggingface_hub
        from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
    except ImportError:
        raise ConfigError(f'{address} needs huggingface_hub: pip install "t5music[hub]"') from None
    try:
        return huggingface_hub.snapshot_download(
            parts["repository"], revision=parts["revision"], allow_patterns=_HUB_FILES
        )
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError) as error:
        raise CheckpointError(f"{address} cannot be fetched: {str(error).strip().splitlines()[0]}") from error


def about(model: str) -> str:
    """One line on a model that comes with t5music: its name, its size, and what it was trained on."""
    metadata, megabytes = _described(model)
    corpora = dict.fromkeys(terms.corpus for run in metadata.trained_on for terms in run.data)
    return f"{model} ({megabytes:.0f} MB), trained on {', '.join(corpora) or metadata.task}"


def table() -> str:
    """The models that come with t5music, with their tasks and the terms of what they were trained on, in lines."""
    lines = []
    for name in names():
        metadata, _ = _described(f"{PREFIX}{name}")
        lines += [about(f"{PREFIX}{name}"), f"  card: {FOLDER / name / 'README.md'}", "  trained on:"]
        data = dict.fromkeys(terms for run in metadata.trained_on for terms in run.data)
        lines += [f"    {terms.corpus}: {terms.licence}" for terms in data]
        lines += ["  tasks:", *(f"    {task}" for task in metadata.tasks)]
    return "\n".join(lines)


def _described(model: str) -> tuple[Metadata, float]:
    """What a model that comes with t5music says of itself, and the size of its weights in megabytes."""
    from t5music import json_files
    from t5music.inference.hf_folder import METADATA, WEIGHTS  # only here: they bring JAX, and names do not need it
    from t5music.training.checkpoints.metadata import Metadata

    folder = Path(locate(model))
    path = folder / METADATA
    return Metadata.from_json(json_files.read_json(path), path), (folder / WEIGHTS).stat().st_size / 1e6
