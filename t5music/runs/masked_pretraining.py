"""Masked pre-training: opens the music, cut into rows, and the masker for pre-training on masked notes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import jax

from t5music.data import mixing_rates
from t5music.data.loading import note_chunks
from t5music.data.objectives import IidDenoising, Objective
from t5music.data.store.token_store import TokenStore
from t5music.data.vocabulary import Ids, Vocabulary
from t5music.errors import ConfigError
from t5music.model.config import T5Config
from t5music.training.note_masking import note_masks
from t5music.training.note_masking.masker import Masker, Task
from t5music.training.note_masking.settings import VALIDATION, Masking
from t5music.training.optimizers import Optimizer

MOST_VALIDATION_ROWS = 256  # about; evenly spread

IN_PLACE = ("bert", "mask_in_place")  # styles of IidDenoising in which every word keeps its place


def open_masked(
    settings: Masking,
    stores: Sequence[tuple[TokenStore, mixing_rates.Rate]],
    config: T5Config,
    optimizer: Optimizer,
    lengths: Mapping[str, int],
    *,
    batch_size: int,
    seed: int,
    vocabulary: Vocabulary,
    augmentations: Sequence[Objective] = (),
) -> tuple[note_chunks.ChunkBatches, Masker]:
    """Returns the batches of this process, and the masker.

    Args:
        settings: how notes are chosen.
        stores: music alone, with rates in proportion to size: every row is seen once an epoch.
        config: the model.
        optimizer: its settings are also the masker's.
        lengths: row lengths, {"inputs": n, "targets": n}.
        batch_size: rows at a time, over all processes.
        seed: of the order and the augmentations.
        vocabulary: the vocabulary.
        augmentations: applied to every row of music.

    Raises:
        ConfigError: other rates; an encoder alone with an objective by which validation cannot evaluate it; or as
            `note_chunks.chunk_batches` and `masker.Masker` raise it.
    """
    for store, rate in stores:
        in_place = any(isinstance(step, IidDenoising) and step.style in IN_PLACE for step in store.objectives)
        if config.encoder_only and not (in_place and lengths["inputs"] == lengths["targets"]):
            raise ConfigError(
                "Update.masking of an encoder alone: validation predicts a word at each place, so "
                "TrainingData.objective must be IidDenoising of style 'bert' and the two TASK_FEATURE_LENGTHS must be "
                "equal; models/encoder.gin says so"
            )
        if len(stores) > 1 and rate != mixing_rates.Proportional():
            raise ConfigError(
                f"Update.masking goes through all music once an epoch, and {store.name} has the rate {rate}: name a "
                "mixture that is proportional without a limit, and leave TrainingData.rate out"
            )
    batches = note_chunks.chunk_batches(
        [store for store, _ in stores],
        length=lengths["inputs"],
        batch_size=batch_size,
        seed=seed,
        vocabulary=vocabulary,
        augmentations=augmentations,
        process_index=jax.process_index(),
        process_count=jax.process_count(),
    )
    words = note_masks.Words(**note_chunks.note_words(vocabulary))
    task = Task(words, note_chunks.FAMILIES, len(batches.chunks), (lengths["inputs"], lengths["targets"]))
    return batches, Masker(settings, task, config, optimizer, _validation_rows(settings, stores, lengths, vocabulary))


def _validation_rows(
    settings: Masking,
    stores: Sequence[tuple[TokenStore, mixing_rates.Rate]],
    lengths: Mapping[str, int],
    vocabulary: Vocabulary,
) -> Ids | None:
    """The rows of validation music, int32 [rows, inputs], by which families are weighed; None where they are not."""
    held_out = [store for store, _ in stores if VALIDATION in store.splits]
    if settings.weighed_on != VALIDATION or not held_out:
        return None
    chunks = note_chunks.find_chunks(held_out, VALIDATION, lengths["inputs"], vocabulary)
    chunks = chunks[:: max(1, len(chunks) // MOST_VALIDATION_ROWS)]
    return note_chunks.rows_of(held_out, VALIDATION, chunks, lengths["inputs"])
