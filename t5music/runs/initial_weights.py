"""Where the weights of a run come from: a checkpoint of ours or a Hugging Face folder, all of them or some by name."""

from __future__ import annotations

import dataclasses
import re
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import nnx

from t5music.data.vocabulary import Vocabulary
from t5music.errors import CheckpointError, ConfigError, nearest
from t5music.inference import hf_folder
from t5music.model import parameters
from t5music.model.config import ENCODER, NOTES, SEQUENCE, T5Config
from t5music.training.checkpoints import checkpoint
from t5music.training.train_state import Params

WITHOUT_ADAPTERS = r"(?!.*\.adapter\.)"  # what names begin with, of all parameters but those of adapters
ENCODER_NAMES = r"(embedding|encoder\..*)"

Flat = Mapping[str, Any]  # parameters by dotted name, layer by layer: "encoder.layers.0.mlp.wo"


def config_of(path: str, vocabulary: Vocabulary) -> T5Config:
    """Returns the config of the model at `path`, a run, a step of a run or a Hugging Face folder."""
    if hf_folder.is_folder(path):
        return hf_folder.config_of(path, vocabulary)
    return T5Config.from_dict(checkpoint.read_metadata(path)["config"])


def with_head(config: T5Config, head: str) -> T5Config:
    """Returns the config of a classifier on the encoder of such a model: two classes, until they have been counted.

    Raises ConfigError for a head that is no classifier, and for a model without an encoder.
    """
    known = (NOTES, SEQUENCE)
    if head not in known:
        raise ConfigError(f"InitialModel.head must be {NOTES!r} or {SEQUENCE!r}, not {head!r}{nearest(head, known)}")
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
    foreign = hf_folder.is_folder(path)
    if patterns is None:
        patterns = _default_patterns(path, config, vocabulary, new_head=new_head)
    if patterns is None and not foreign:
        return checkpoint.load_params(path, config, fingerprint=vocabulary.fingerprint)
    if foreign:
        theirs = config_of(path, vocabulary) if patterns is not None else config
        found = hf_folder.load_params(path, theirs, vocabulary, seed=0)
        if patterns is None:
            kept = len(hf_folder.kept_ids(Path(path), vocabulary))
            print(f"{path}: all weights kept; of the vocabulary's {vocabulary.rows} rows {kept}", file=sys.stderr)
            return nnx.to_pure_dict(found)
    else:
        theirs = dataclasses.replace(config_of(path, vocabulary), scan_layers=False)
        found = parameters.abstract(theirs)[1]
        nnx.replace_by_pure_dict(found, checkpoint.load_params(path, theirs, fingerprint=vocabulary.fingerprint))
    here = _flat(parameters.abstract(dataclasses.replace(config, scan_layers=False))[1])
    there = _flat(parameters.unstack_layers(found))
    if theirs.shared_layers and not config.shared_layers:  # its encoder's parameters have the decoder's names
        encoder = nnx.merge(parameters.abstract(theirs)[0], found).encoder
        there |= {f"encoder.{name}": param for name, param in _flat(nnx.state(encoder)).items()}
    chosen = choose(here, there, patterns or ())
    print(table(here, there, chosen), file=sys.stderr)
    fresh = nnx.to_flat_state(parameters.unstack_layers(parameters.initialise(config, key)[1]))
    state = nnx.from_flat_state(
        {path: param.replace(there[_name(path)][...]) if _name(path) in chosen else param for path, param in fresh}
    )
    return nnx.to_pure_dict(parameters.stack_layers(state) if config.scan_layers else state)


def _default_patterns(path: str, config: T5Config, vocabulary: Vocabulary, *, new_head: bool) -> list[str] | None:
    """What is restored where nothing says what; None for all."""
    if not new_head and not config.adapter_dim:
        return None
    theirs = config_of(path, vocabulary)
    if new_head and theirs.decoder_only:
        raise ConfigError(
            f"InitialModel.head: a classifier stands on an encoder, and {path} is a {theirs.architecture}"
        )
    new_adapters = bool(config.adapter_dim and not theirs.adapter_dim)
    if not new_head and not new_adapters:
        return None
    return [(WITHOUT_ADAPTERS if new_adapters else "") + (ENCODER_NAMES if new_head else ".*")]


def choose(ours: Flat, theirs: Flat, patterns: Sequence[str]) -> set[str]:
    """Returns our names that a pattern matches whole; raises as `initial_params`."""
    chosen = parameters.matching(ours, patterns, "InitialModel.restore")
    for name in sorted(chosen):
        if name not in theirs:
            raise CheckpointError(
                f"InitialModel.restore asks for {name}, which the checkpoint has not{nearest(name, theirs)}"
            )
        if theirs[name].shape != ours[name].shape:
            there, here = list(theirs[name].shape), list(ours[name].shape)
            raise CheckpointError(f"InitialModel.restore asks for {name}, which is {there} there and {here} here")
    return chosen


def table(ours: Flat, theirs: Flat, chosen: set[str]) -> str:
    """Returns what becomes of every parameter: restored, initialised, or, where only the checkpoint has it, ignored.

    The layers of a stack that share a fate are one line.
    """
    fates = Counter(
        (re.sub(r"\.\d+\.", ".*.", name), tuple(np.shape(side[name])), fate)
        for side, fate, names in (
            (ours, "restored", [name for name in ours if name in chosen]),
            (ours, "initialised", [name for name in ours if name not in chosen]),
            (theirs, "ignored", [name for name in theirs if name not in chosen]),
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
