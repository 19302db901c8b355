"""Masks: the stage that measures whether a masker chooses frequent or rare pitches and durations.

In held-out music, the masker of a pre-trained run (training/note_masking/masker.py) chooses as many notes of each row
as it masks at most. For every pitch and every duration, the stage counts the notes and the masked notes. Chance masks
the same share of each; a masker that works against bias masks rare values more often (agreement below 0).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from numpy.typing import NDArray

from t5music import figures, files
from t5music.data import vocabulary
from t5music.data.examples.classification import evenly
from t5music.data.loading import note_chunks
from t5music.evaluation.results import Results, show
from t5music.inference import trained_model
from t5music.model.network import T5
from t5music.runs.stores import open_stores
from t5music.storage import path_of
from t5music.training.checkpoints import selection
from t5music.training.checkpoints.checkpoint import Checkpoint
from t5music.training.note_masking import note_masks
from t5music.training.note_masking.choice import score
from t5music.training.note_masking.settings import RANDOM
from t5music.training.train_state import Params

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FEWEST = 10  # notes of a value, without which its share says little
VALUES = {"pitch": "Pitch", "duration": "Duration"}


def masks(
    model_dir: str,
    mixture_or_task_name: str,
    output_dir: str | None = None,
    split: str = "validation",
    limit: int = 400,
    batch_size: int = 16,
    seed: int = 0,
    checkpoint: str | int = selection.LATEST,
) -> Results:
    """Measures which notes a run's masker chooses.

    Args:
        model_dir: the run, trained with `Update.masking`. If its notes were chosen by chance, so they are here.
        mixture_or_task_name: music alone.
        output_dir: where `masks.json` and `masks.png` go; None for nowhere.
        split: the split.
        limit: at most this many rows of music, evenly spread.
        batch_size: rows at a time.
        seed: of notes chosen by chance.
        checkpoint: "latest", "best" or a step.

    Returns:
        "pitch" and "duration" -> "agreement" (Spearman's correlation between the frequency of a value and the share of
        its notes that is masked, over values with ten notes or more), "divergence" (the Kullback-Leibler divergence of
        the masked notes' values from all notes' values, in bits), "notes" and "masked" (numbers of notes).

    Raises:
        CheckpointError: the run did not mask notes.
        ConfigError: the music is not in remi's words.
    """
    vocab = vocabulary.default()
    run = Checkpoint.open(model_dir, checkpoint)
    run.require_vocabulary(vocab.fingerprint)
    head = run.masker_params()
    settings = run.metadata.masking or {}
    trained = trained_model.of_folder(run, vocab)
    stores = [store for store, _ in open_stores(mixture_or_task_name)]
    chunks = list(evenly(note_chunks.find_chunks(stores, split, trained.lengths["inputs"], vocab), limit))
    rows = note_chunks.rows_of(stores, split, chunks, trained.lengths["inputs"])  # [rows, inputs]
    words = note_masks.Words(**note_chunks.note_words(vocab))
    notes, masked = choose_notes(trained.model, head, settings, rows, words, batch_size=batch_size, seed=seed)
    counts = {name: _counts(rows, notes, masked, words, family) for name, family in VALUES.items()}
    results: Results = {name: agreement(*pair) for name, pair in counts.items()}
    if output_dir is not None:
        folder = path_of(output_dir)
        document = {
            name: {"every": every.tolist(), "masked": masked.tolist()} for name, (every, masked) in counts.items()
        }
        files.write_text(folder / "masks.json", json.dumps({"results": results, "counts": document}) + "\n")
        if not figures.left_out("masks.png"):
            files.write_bytes(folder / "masks.png", picture(counts))
    show(results, split)
    return results


def choose_notes(
    model: T5,
    head: Params,
    settings: Mapping[str, Any],
    rows: NDArray[np.int32],
    words: note_masks.Words,
    *,
    batch_size: int,
    seed: int,
) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
    """Masks as many notes of each row as the masker masks at most.

    Args:
        model: the recoverer, whose encoder's states the masker reads.
        head: the masker's parameters; unused where notes are chosen by chance.
        settings: the fields of `Masking`, as a checkpoint's metadata have them.
        rows: [rows, inputs], each row with EOS.
        words: see `note_masks.Words`.
        batch_size: rows at a time.
        seed: of notes chosen by chance.

    Returns:
        (the place of each word's note, -1 for words of none; whether it is masked), [rows, inputs] each.
    """
    graphdef, params = nnx.split(model)

    @jax.jit
    def choose(params: nnx.State, tokens: jax.Array, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        notes = note_masks.heads(tokens, words)  # [batch, inputs]
        is_head = jnp.asarray(words.head)[tokens] & (notes >= 0)  # [batch, inputs]
        if settings["chooser"] == RANDOM:
            scores = jax.random.uniform(key, tokens.shape)  # [batch, inputs]
        else:
            scores = score(nnx.merge(graphdef, params).encode(tokens), head)  # [batch, inputs]
        count = jnp.floor(settings["most"] * jnp.sum(is_head, axis=1)).astype(jnp.int32)  # [batch]
        masked = note_masks.highest(scores, is_head, count)  # [batch, inputs]
        return notes, note_masks.of_notes(masked, notes)

    notes, masked = np.zeros(rows.shape, np.int32), np.zeros(rows.shape, bool)
    for start in range(0, len(rows), batch_size):
        tokens = rows[start : start + batch_size]
        padded = np.pad(tokens, ((0, batch_size - len(tokens)), (0, 0)))
        arrays = choose(params, padded, jax.random.fold_in(jax.random.key(seed), start))
        for whole, batch in zip((notes, masked), arrays, strict=True):
            whole[start : start + batch_size] = np.asarray(batch)[: len(tokens)]
    return notes, masked


def _counts(
    rows: NDArray[np.int32], notes: NDArray[np.int32], masked: NDArray[np.bool_], words: note_masks.Words, family: str
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(number of notes, number of masked notes) with each value of a family of words, [values] each."""
    number = note_chunks.FAMILIES.index(family)
    of_family = (words.family[rows] == number) & (notes >= 0)  # [rows, inputs]
    values, size = rows - words.firsts[number], int(words.sizes[number])
    return (
        np.bincount(values[of_family], minlength=size),
        np.bincount(values[of_family & masked], minlength=size),
    )


def agreement(every: NDArray[np.int64], masked: NDArray[np.int64]) -> dict[str, float]:
    """The metrics of `masks`.

    Args:
        every: how many notes have each value, int [values].
        masked: how many of these are masked, int [values].
    """
    from scipy import stats  # takes half a second to import, which training would have to wait for

    frequent = every >= FEWEST
    shares = masked[frequent] / every[frequent]
    # A constant has no ranks: if all values are masked equally, there is no agreement.
    ranks = float(stats.spearmanr(every[frequent], shares).statistic) if len(set(shares.tolist())) > 1 else 0.0
    p, q = masked / max(masked.sum(), 1), every / max(every.sum(), 1)
    divergence = float(np.sum(p[p > 0] * np.log2(p[p > 0] / q[p > 0])))
    return {
        "agreement": ranks,
        "divergence": divergence,
        "notes": float(every.sum()),
        "masked": float(masked.sum()),
    }


def picture(counts: Mapping[str, tuple[NDArray[np.int64], NDArray[np.int64]]]) -> bytes:
    """Draws the masked share of each value against its frequency, as PNG.

    Args:
        counts: title of a panel -> (number of notes, number of masked notes) with each value.
    """

    def onto(figure: Figure) -> None:
        panels = figure.subplots(1, len(counts), squeeze=False)[0]
        for axes, (name, (every, masked)) in zip(panels, counts.items(), strict=True):
            frequent = every >= FEWEST
            axes.scatter(every[frequent], 100 * masked[frequent] / every[frequent], s=14, alpha=0.7)
            axes.axhline(100 * masked.sum() / every.sum(), color="0.5", linewidth=1)
            axes.set_xscale("log")
            axes.set_xlabel(f"notes of a {name}")
            axes.set_ylabel("masked (%)")
            figures.tidy(axes)

    return figures.png(onto, 4.2 * len(counts), 3.2)
