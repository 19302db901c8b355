"""Where the weights of a run come from: a checkpoint of ours or a Hugging Face folder, all of them or some by name."""

from __future__ import annotations

import dataclasses
import re
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from flax import nnx
from optax import OptState

from t5music.data.vocabulary import Vocabulary
from t5music.errors import CheckpointError, ConfigError, nearest
from t5music.inference.hf_folder import HuggingFaceFolder
from t5music.inference.model_folder import ModelFolder, open_model
from t5music.model import parameters
from t5music.model.config import ENCODER, NOTES, SEQUENCE, T5Config
from t5music.training.train_state import Params

WITHOUT_ADAPTERS = r"(?!.*\.adapter\.)"  # what names begin with, of all parameters but those of adapters
ENCODER_NAMES = r"(embedding|encoder\..*)"

Flat = Mapping[str, Any]  # parameters by dotted name, layer by layer: "encoder.layers.0.mlp.wo"


def config_of(path: str, vocabulary: Vocabulary) -> T5Config:
    """Returns the config of the model at `path`, a run, a step of a run or a Hugging Face folder."""
    return open_model(path, vocabulary).config


def with_head(config: T5Config, head: str) -> T5Config:
    """Returns the config of a classifier on the encoder of such a model: two classes, until they have been counted.

    Raises ConfigError for a head that is no classifier, and for a model without an encoder.
    """
    heads = (NOTES, SEQUENCE)
    if head not in heads:
        raise ConfigError(f"InitialModel.head must be {NOTES!r} or {SEQUENCE!r}, not {head!r}{nearest(head, heads)}")
    if config.decoder_only:
        raise ConfigError(f"InitialModel.head: a classifier stands on an encoder, and a {config.architecture} has none")
    return dataclasses.replace(
        config, architecture=ENCODER, num_decoder_layers=0, shared_layers=False, head=head, num_labels=2
    )


def initial_params(
    path: str,
    config: T5Config,
    vocabulary: Vocabulary,
    *,
    patterns: Sequence[str] | None = None,
    new_head: bool = False,
    key: jax.Array,
) -> Params:
    """Returns the parameters that a run starts from; prints what was restored where it was not simply all.

    Args:
        path: a run, a step of a run or a Hugging Face folder.
        config: the model that will use them.
        vocabulary: ours.
        patterns: regular expressions; the parameters whose whole name one of them matches are restored, the others
            are as of a run from scratch. Names are layer by layer, scanned or not, as "encoder.layers.0.mlp.wo".
            None restores all; adapters that only the model here has are initialised, so that they change nothing yet.
        new_head: instead of all, restore the embedding and the encoder, which may be one that shares its layers.
        key: of the initial values of what is not restored.

    Raises:
        CheckpointError: nothing there, damaged, of another vocabulary, or a parameter that is asked for and missing
            or of another shape there (named).
        ConfigError: a pattern that matches nothing, a new head for a model without an encoder.
    """
    folder = open_model(path, vocabulary)
    if patterns is None:
        patterns = _default_patterns(folder, config, new_head=new_head)
    if patterns is None:
        if isinstance(folder, HuggingFaceFolder):
            rows = len(folder.shared_ids)
            print(f"{path}: all weights kept; of the vocabulary's {vocabulary.rows} rows {rows}", file=sys.stderr)
        return folder.params(config)
    source = dataclasses.replace(folder.config, scan_layers=False)
    saved = parameters.abstract(source)[1]
    nnx.replace_by_pure_dict(saved, folder.params(source))
    here, there = _flat(parameters.abstract(dataclasses.replace(config, scan_layers=False))[1]), _flat(saved)
    if source.shared_layers and not config.shared_layers:  # its encoder's parameters have the decoder's names
        encoder = nnx.merge(parameters.abstract(source)[0], saved).encoder
        there |= {f"encoder.{name}": param for name, param in _flat(nnx.state(encoder)).items()}
    chosen = choose(here, there, patterns)
    print(table(here, there, chosen), file=sys.stderr)
    fresh = nnx.to_flat_state(parameters.unstack_layers(parameters.initialise(config, key)[1]))
    state = nnx.from_flat_state(
        {path: param.replace(there[_name(path)][...]) if _name(path) in chosen else param for path, param in fresh}
    )
    return nnx.to_pure_dict(parameters.stack_layers(state) if config.scan_layers else state)


def initial_opt_state(path: str, vocabulary: Vocabulary, target: OptState) -> OptState:
    """Returns the optimizer's state of a run, in the host's memory.

    Args:
        path: a run or a step of a run.
        vocabulary: ours.
        target: the state with the shape of each array.

    Raises:
        CheckpointError: no run of ours, damaged, or the state of another optimizer or of other parameters.
    """
    folder = open_model(path, vocabulary)
    if isinstance(folder, HuggingFaceFolder):
        raise CheckpointError(f"{path} has no optimizer's state: leave InitialModel.optimizer_state False")
    return folder.opt_state(target)


def _default_patterns(folder: ModelFolder, config: T5Config, *, new_head: bool) -> list[str] | None:
    """Returns what is restored where nothing says what; None for all."""
    if not new_head and not config.adapter_dim:
        return None
    if new_head and folder.config.decoder_only:
        raise ConfigError(
            "InitialModel.head: a classifier stands on an encoder, and "
            f"{folder.folder} is a {folder.config.architecture}"
        )
    new_adapters = bool(config.adapter_dim and not folder.config.adapter_dim)
    if not new_head and not new_adapters:
        return None
    return [(WITHOUT_ADAPTERS if new_adapters else "") + (ENCODER_NAMES if new_head else ".*")]


def choose(here: Flat, there: Flat, patterns: Sequence[str]) -> set[str]:
    """Returns the names of a model's parameters that a pattern matches whole.

    Args:
        here: the model's parameters.
        there: the checkpoint's.
        patterns: regular expressions.

    Raises:
        CheckpointError: one that the checkpoint does not have, or has in another shape.
        ConfigError: a pattern that matches nothing.
    """
    chosen = parameters.matching(here, patterns, "InitialModel.restore")
    for name in sorted(chosen):
        if name not in there:
            raise CheckpointError(
                f"InitialModel.restore asks for {name}, which the checkpoint does not have{nearest(name, there)}"
            )
        if there[name].shape != here[name].shape:
            shapes = f"{list(there[name].shape)} there and {list(here[name].shape)} here"
            raise CheckpointError(f"InitialModel.restore asks for {name}, which is {shapes}")
    return chosen


def table(here: Flat, there: Flat, chosen: set[str]) -> str:
    """Returns what becomes of every parameter: restored, initialised, or, where only the checkpoint has it, ignored.

    The layers of a stack that share a fate are one line.
    """
    fates = Counter(
        (re.sub(r"\.\d+\.", ".*.", name), tuple(np.shape(side[name])), fate)
        for side, fate, names in (
            (here, "restored", [name for name in here if name in chosen]),
            (here, "initialised", [name for name in here if name not in chosen]),
            (there, "ignored", [name for name in there if name not in chosen]),
        )
        for name in names
    )
    width = max(len(name) for name, _, _ in fates)
    return "\n".join(
        f"{fate:<11}  {name:<{width}}  {' x '.join(map(str, shape))}{f'  ({count} layers)' if '*' in name else ''}"
        for (name, shape, fate), count in fates.items()
    )


def _name(path: Sequence[Any]) -> str:
    return ".".join(map(str, path))


def _flat(state: nnx.State) -> dict[str, Any]:
    return {_name(path): param for path, param in nnx.to_flat_state(state)}
