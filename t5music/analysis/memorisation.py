"""The study of memorisation: can one tell from a model what it was trained on, and does it write it down?

A model is trained with sequences planted so many times (data/store/planting.py), and a reference like it without them.
If planted sequences are told from controls that no model saw by how much less they surprise the trained model than the
reference (the ratio of losses), the model remembers them: the area under the ROC curve is the probability that a
planted one looks more familiar than a control, 0.5 where nothing is remembered (membership inference with a reference
model: Carlini et al. 2021; copyright traps: Meeus et al. 2024).

What the model writes by itself is searched for the longest run of notes that is in its training set, up to
transposition (`verbatim`), beside that of held-out music of the same length, which shares what all music of the kind
shares.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from numpy.typing import NDArray

from t5music import files
from t5music.analysis.longest_run import RunIndex
from t5music.data import answer_formats, vocabulary
from t5music.data.examples.classification import evenly
from t5music.data.loading import loader
from t5music.data.objectives.language_model import LanguageModel
from t5music.data.store.planting import CONTROLS, PLANTED, TRAIN, Planting, plant
from t5music.data.store.token_store import TokenStore
from t5music.errors import ConfigError
from t5music.evaluation import likelihood
from t5music.evaluation.results import Results, show
from t5music.inference import trained_model
from t5music.inference.trained_model import TrainedModel
from t5music.model import decoding
from t5music.model.network import T5
from t5music.music import encodings
from t5music.music.score import Score
from t5music.runs.stores import open_stores
from t5music.training import losses
from t5music.training.checkpoints import selection
from t5music.training.metric_writers import METRICS_FILE, read_metrics

HELD_OUT = "validation"


def memorisation(
    model_dir: Sequence[str],
    task: str,
    planting: Planting,
    output_dir: str | None = None,
    samples: int = 16,
    temperature: float = 1.0,
    batch_size: int = 8,
    seed: int = 0,
    checkpoint: str | int = selection.LATEST,
) -> Results:
    """Measures what a model remembers of the sequences planted in its training set.

    Args:
      model_dir: the run that was trained with `planting`, and a reference that was trained without.
      task: the task of music alone that both were trained on.
      planting: what was planted, as in the training.
      output_dir: where `memorisation.json` goes, with the losses of every sequence and the runs of every sample; None
        for nowhere.
      samples: how many sequences to write and to search for runs, as long as the model was trained for; 0 for none.
      temperature: of their sampling.
      batch_size: sequences at a time.
      seed: of the samples.
      checkpoint: of both runs: "latest", "best" or a step.

    Returns:
      "planted" -> for each number of repeats n "auc_<n>" and "loss_ratio_<n>" (the mean ratio), "auc" over all of them,
      "loss_ratio_controls", and "epochs" of the trained run where it wrote metrics: a sequence planted n times was seen
      so many times n. With samples also "written" and, for as many held-out pieces, "held_out" -> "longest_run" and
      "mean_run" in notes, "notes" (how many the samples have, on average).

    Raises:
      ConfigError: no scikit-learn, not two models, a mixture or a task with labels, samples of no language model.
      DataError, CheckpointError: what cannot be read, too little music.
    """
    if find_spec("sklearn") is None:
        raise ConfigError("memorisation needs scikit-learn, which is not installed: pip install 't5music[study]'")
    if isinstance(model_dir, str) or len(model_dir) != 2:
        raise ConfigError(f"memorisation.model_dir must be the trained run and its reference, not {model_dir!r}")
    members = open_stores(task)
    if len(members) != 1 or not members[0][0].objectives:
        raise ConfigError(f"memorisation.task: {task} must be one task of music alone, as NAME_language_model")
    store = plant(members[0][0], planting)
    if samples and LanguageModel() not in store.objectives:
        raise ConfigError(f"memorisation.samples must be 0 for {task}, which is not trained to write from nothing")

    folders = [str(selection.step_folder(run, checkpoint)) for run in model_dir]
    trained = trained_model.load(folders[0])
    if planting.words >= trained.lengths["targets"]:
        raise ConfigError(f"Planting.words must be below the targets' length of {folders[0]}, {trained.lengths}")
    spent: dict[str, list[NDArray]] = {split: [] for split in (PLANTED, CONTROLS)}
    for model in (trained.model, trained_model.load(folders[1]).model):
        for split, nats in spent.items():
            nats.append(sequence_losses(model, store, split, lengths=trained.lengths, batch_size=batch_size))
    ratios = {split: nats[0] / nats[1] for split, nats in spent.items()}
    results = {PLANTED: membership(ratios[PLANTED], ratios[CONTROLS], planting) | _epochs(model_dir[0], store)}
    details: dict[str, Any] = {f"{split}_losses": np.array(nats).tolist() for split, nats in spent.items()}
    if samples:
        index = RunIndex(dict(scores(store, TRAIN)))
        held_out = [score for _, score in scores(store, HELD_OUT, words=trained.lengths["targets"] - 1)]
        music = {
            "written": write(trained, store, samples, temperature=temperature, batch_size=batch_size, seed=seed),
            "held_out": list(evenly(held_out, samples)),
        }
        for name, of in music.items():
            longest = [index.longest(score) for score in of]
            details[f"{name}_runs"] = [run._asdict() for run in longest]
            lengths, notes = [run.notes for run in longest], [len(score.notes) for score in of]
            results[name] = {
                "longest_run": max(lengths),
                "mean_run": float(np.mean(lengths)),
                "notes": float(np.mean(notes)),
            }
    if output_dir is not None:
        files.write_text(Path(output_dir) / "memorisation.json", json.dumps(details) + "\n")
    show(results, "memorisation")
    return results


@jax.jit
def _nats(graphdef: nnx.GraphDef, params: nnx.State, batch: Mapping[str, jax.Array]) -> jax.Array:
    """What each row's targets cost, float32 [batch]."""
    log_shares = jax.nn.log_softmax(losses.logits_of(nnx.merge(graphdef, params), batch))  # [batch, target, rows]
    chosen = jnp.take_along_axis(log_shares, batch["decoder_target_tokens"][..., None], axis=-1)[..., 0]
    return -jnp.sum(chosen * batch["decoder_loss_weights"], axis=1)


def sequence_losses(
    model: T5, store: TokenStore, split: str, *, lengths: Mapping[str, int], batch_size: int
) -> NDArray[np.float64]:
    """The loss of every example of a split in nats, EOS included: [examples]. Noise is the same for every model."""
    batches = loader.eval_batches(
        store,
        split,
        feature_lengths=lengths,
        batch_size=batch_size,
        vocabulary=vocabulary.default(),
        decoder_only=model.config.decoder_only,
    )
    graphdef, params = nnx.split(model)
    found = []
    with likelihood.mesh_of(model) as mesh:
        for batch in batches:
            nats = np.asarray(_nats(graphdef, params, likelihood.put(batch, mesh)), np.float64)
            found.append(nats[batch["example_index"] >= 0])
    return np.concatenate(found)


def membership(planted: NDArray, controls: NDArray, planting: Planting) -> dict[str, float]:
    """How well a low loss ratio tells planted sequences (in the order of their repeats) from controls."""
    from sklearn.metrics import roc_auc_score

    def auc(ratios: NDArray) -> float:
        is_planted = np.repeat([1, 0], [len(ratios), len(controls)])
        return float(roc_auc_score(is_planted, -np.concatenate([ratios, controls])))

    found = {"auc": auc(planted), "loss_ratio_controls": float(controls.mean())}
    for repeats, ratios in zip(planting.repeats, np.split(planted, len(planting.repeats)), strict=True):
        found |= {f"auc_{repeats}": auc(ratios), f"loss_ratio_{repeats}": float(ratios.mean())}
    return found


def scores(store: TokenStore, split: str, *, words: int | None = None) -> Iterator[tuple[str, Score]]:
    """Each sequence of a split once, as music of at most so many words; named after its piece."""
    vocab, encoding = vocabulary.default(), encodings.get(store.encoding)
    examples = store.split(split)
    seen: dict[str, set[bytes]] = {}
    for index in range(len(examples)):
        example = examples[index]
        tokens, of_piece = example["targets"][:words], seen.setdefault(example["piece"], set())
        if tokens.tobytes() not in of_piece:
            of_piece.add(tokens.tobytes())
            name = example["piece"] if len(of_piece) == 1 else f"{example['piece']}, part {len(of_piece)}"
            yield name, encoding.decode(vocab.decode_events(encoding.name, tokens)).score


def write(
    trained: TrainedModel, store: TokenStore, count: int, *, temperature: float, batch_size: int, seed: int
) -> list[Score]:
    """Music that a language model writes from nothing, as long as it was trained for, within the encoding's grammar."""
    encoding, vocab = encodings.get(store.encoding), trained.vocabulary
    form = answer_formats.Music(vocab, encoding.name, complete=False, inside=True, fill=True)
    nothing = np.full((batch_size, 1), vocabulary.EOS_ID, np.int32)
    written: list[Score] = []
    while len(written) < count:
        rows = decoding.generate(
            trained.model,
            nothing,
            max_length=trained.lengths["targets"],
            temperature=temperature,
            key=jax.random.fold_in(jax.random.key(seed), len(written)),
            grammar=(form, form.start(nothing, trained.lengths["targets"])),
        )
        written += [encoding.decode(vocab.decode_events(encoding.name, row)).score for row in np.asarray(rows)]
    return written[:count]


def _epochs(model_dir: str, store: TokenStore) -> dict[str, float]:
    """How often a run has gone through its training split; {} where its metrics are not there."""
    path, name = Path(model_dir) / METRICS_FILE, f"examples/{store.name}"
    counts = [line[name] for line in read_metrics(path) if name in line] if path.is_file() else []
    return {"epochs": counts[-1] / store.examples(TRAIN)} if counts else {}
