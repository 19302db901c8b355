"""Which notes a masker chooses: does it mask what is frequent, as chance does, or what is rare?

Over held-out music a pre-trained run's masker (training/note_masking/masker.py) chooses as many notes of each row as
it masks at most. Of every pitch, and of every duration, that gives how often it occurs and which share of its notes is
masked. Chance masks all alike; a masker that works against bias masks rare values more (agreement below 0).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

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
from t5music.runs.stores import open_stores
from t5music.training.checkpoints import selection
from t5music.training.checkpoints.checkpoint import Checkpoint
from t5music.training.note_masking import masker, note_masks

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FEWEST = 10  # values that occur less often say nothing of their share
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
      model_dir: the run, trained with `Update.masking`; where chance chose, so it does here.
      mixture_or_task_name: music alone.
      output_dir: where `masks.json` and `masks.png` go; None for nowhere.
      split: the split.
      limit: at most so many rows of music, evenly spread.
      batch_size: rows at a time.
      seed: of chance.
      checkpoint: "latest", "best" or a step.

    Returns:
      "pitch" and "duration" -> "agreement" (Spearman's correlation between how often a value occurs and which share of
      its notes is masked, over values that occur ten times or more), "divergence" (of the masked notes' values from
      all notes', Kullback and Leibler's, in bits), "notes" and "masked".

    Raises CheckpointError for a run that did not mask notes, ConfigError for other music than in remi's words.
    """
    vocab = vocabulary.default()
    run = Checkpoint.open(model_dir, checkpoint)
    run.require_vocabulary(vocab.fingerprint)
    head = run.masker_params()
    settings = run.metadata.masking or {}
    trained = trained_model.of_folder(run, vocab)
    stores = [store for store, _ in open_stores(mixture_or_task_name)]
    found = list(evenly(note_chunks.find_chunks(stores, split, trained.lengths["inputs"], vocab), limit))
    rows = note_chunks.rows_of(stores, split, found, trained.lengths["inputs"])
    words = note_masks.Words(**note_chunks.note_words(vocab))
    graphdef, params = nnx.split(trained.model)

    @jax.jit
    def choose(params: nnx.State, tokens: jax.Array, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        notes = note_masks.heads(tokens, words)
        is_head = jnp.asarray(words.head)[tokens] & (notes >= 0)
        if settings["chooser"] == masker.RANDOM:
            scores = jax.random.uniform(key, tokens.shape)
        else:
            scores = masker.score(nnx.merge(graphdef, params).encode(tokens), head)
        count = jnp.floor(settings["most"] * jnp.sum(is_head, axis=1)).astype(jnp.int32)
        masked = note_masks.highest(scores, is_head, count)
        return notes, note_masks.of_notes(masked, notes)

    chosen, notes = np.zeros(rows.shape, bool), np.zeros(rows.shape, np.int32)
    for start in range(0, len(rows), batch_size):
        batch = slice(start, start + batch_size)
        padded = np.pad(rows[batch], ((0, batch_size - len(rows[batch])), (0, 0)))
        made = choose(params, padded, jax.random.fold_in(jax.random.key(seed), start))
        notes[batch], chosen[batch] = (np.asarray(array)[: len(rows[batch])] for array in made)

    results: Results = {}
    shares: dict[str, tuple[NDArray, NDArray]] = {}
    for name, family in VALUES.items():
        number = note_chunks.FAMILIES.index(family)
        of_family = (words.family[rows] == number) & (notes >= 0)
        ids, size = rows - words.firsts[number], int(words.sizes[number])
        every = np.bincount(ids[of_family], minlength=size)
        masked = np.bincount(ids[of_family & chosen], minlength=size)
        shares[name] = every, masked
        results[name] = agreement(every, masked)
    if output_dir is not None:
        kept = {name: {"every": every.tolist(), "masked": masked.tolist()} for name, (every, masked) in shares.items()}
        files.write_text(Path(output_dir) / "masks.json", json.dumps({"results": results, "counts": kept}) + "\n")
        files.write_bytes(Path(output_dir) / "masks.png", picture(shares))
    show(results, split)
    return results


def agreement(every: NDArray[np.int64], masked: NDArray[np.int64]) -> dict[str, float]:
    """The metrics of `masks` from how often each value occurs, and how often it is masked, int [values]."""
    from scipy import stats  # half a second, which no training has to wait for

    often = every >= FEWEST
    rate = masked[often] / every[often]
    # A constant has no ranks: where all values are masked alike there is nothing to agree.
    ranks = float(stats.spearmanr(every[often], rate).statistic) if len(set(rate.tolist())) > 1 else 0.0
    ours, theirs = masked / max(masked.sum(), 1), every / max(every.sum(), 1)
    said = masked > 0
    divergence = float(np.sum(ours[said] * np.log2(ours[said] / theirs[said])))
    return {
        "agreement": ranks,
        "divergence": divergence,
        "notes": float(every.sum()),
        "masked": float(masked.sum()),
    }


def picture(shares: dict[str, tuple[NDArray, NDArray]]) -> bytes:
    """A panel for pitches and one for durations: how often a value occurs against which share of it is masked."""

    def onto(figure: Figure) -> None:
        panels = figure.subplots(1, len(shares), squeeze=False)[0]
        for axes, (name, (every, masked)) in zip(panels, shares.items(), strict=True):
            often = every >= FEWEST
            axes.scatter(every[often], 100 * masked[often] / every[often], s=14, alpha=0.7)
            axes.axhline(100 * masked.sum() / every.sum(), color="0.5", linewidth=1)
            axes.set_xscale("log")
            axes.set_xlabel(f"notes of a {name}")
            axes.set_ylabel("masked (%)")
            figures.tidy(axes)

    return figures.png(onto, 4.2 * len(shares), 3.2)
