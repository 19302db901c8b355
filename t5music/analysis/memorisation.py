"""Memorisation: the stage that measures what a model remembers of planted sequences, and what of its data it writes.

A model is trained with sequences planted a given number of times (data/store/planting.py), and a reference model
without them. For each planted sequence, and for controls that no model saw, the stage divides the model's loss by the
reference's. If this ratio separates planted sequences from controls, the model remembers them. The area under the ROC
curve is the probability that a planted sequence has a lower ratio than a control: 0.5 if nothing is remembered
(membership inference with a reference model: Carlini et al. 2021; copyright traps: Meeus et al. 2024).

In music that the model writes from nothing, the stage searches for the longest run of notes that is also in the
training set, up to transposition (`longest_run`); and likewise in held-out music of the same length, to see how much
any music of this kind shares with the training set.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from numpy.typing import NDArray

from t5music import files
from t5music.analysis.longest_run import Run, RunIndex
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
from t5music.storage import path_of
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
        samples: number of samples to write and to search, each as long as the model was trained for; 0 for none.
        temperature: of the sampling.
        batch_size: sequences at a time.
        seed: of the samples.
        checkpoint: of both runs: "latest", "best" or a step.

    Returns:
        "planted" -> for each number of repeats n, "auc_<n>" and "loss_ratio_<n>" (the mean ratio); "auc" over all of
        them; "loss_ratio_controls"; and "epochs", the epochs of the trained run, if it wrote metrics: a sequence
        planted n times was seen "epochs" times n. With samples also "written" and, for as many held-out pieces,
        "held_out" -> "longest_run", "mean_run" (both in notes) and "notes" (the mean number of notes).

    Raises:
        ConfigError: scikit-learn is missing; `model_dir` is not two runs; `task` is a mixture or has labels; samples of
            a model that is not a language model.
        DataError: a store cannot be read, or has too little music.
        CheckpointError: a run cannot be read.
    """
    store = plant(_store(model_dir, task, samples), planting)
    folders = [str(selection.step_folder(run, checkpoint)) for run in model_dir]
    trained = trained_model.load(folders[0])
    if planting.words >= trained.lengths["targets"]:
        raise ConfigError(f"Planting.words must be below the targets' length of {folders[0]}, {trained.lengths}")
    nats: dict[str, list[NDArray]] = {split: [] for split in (PLANTED, CONTROLS)}  # of the model, and of the reference
    for model in (trained.model, trained_model.load(folders[1]).model):
        for split in nats:
            nats[split].append(sequence_losses(model, store, split, lengths=trained.lengths, batch_size=batch_size))
    ratios = {split: model_nats / reference_nats for split, (model_nats, reference_nats) in nats.items()}
    results = {PLANTED: membership(ratios[PLANTED], ratios[CONTROLS], planting) | _epochs(model_dir[0], store)}
    details: dict[str, Any] = {f"{split}_losses": np.array(pair).tolist() for split, pair in nats.items()}
    if samples:
        index = RunIndex(dict(scores(store, TRAIN)))
        held_out = [score for _, score in scores(store, HELD_OUT, words=trained.lengths["targets"] - 1)]
        music = {
            "written": write(trained, store, samples, temperature=temperature, batch_size=batch_size, seed=seed),
            "held_out": list(evenly(held_out, samples)),
        }
        for name, group in music.items():
            runs = [index.longest(score) for score in group]
            details[f"{name}_runs"] = [run._asdict() for run in runs]
            results[name] = _run_metrics(group, runs)
    if output_dir is not None:
        files.write_text(path_of(output_dir) / "memorisation.json", json.dumps(details) + "\n")
    show(results, "memorisation")
    return results


def _store(model_dir: Sequence[str], task: str, samples: int) -> TokenStore:
    """Returns the store of a task of music alone; refuses arguments that do not fit together."""
    if find_spec("sklearn") is None:
        raise ConfigError("memorisation needs scikit-learn, which is not installed: pip install 't5music[study]'")
    if isinstance(model_dir, str) or len(model_dir) != 2:
        raise ConfigError(f"memorisation.model_dir must be the trained run and its reference, not {model_dir!r}")
    members = open_stores(task)
    if len(members) != 1 or not members[0][0].objectives:
        raise ConfigError(f"memorisation.task: {task} must be one task of music alone, such as NAME_language_model")
    store = members[0][0]
    if samples and LanguageModel() not in store.objectives:
        raise ConfigError(f"memorisation.samples must be 0 for {task}: its models do not learn to write from nothing")
    return store


def _run_metrics(group: Sequence[Score], runs: Sequence[Run]) -> dict[str, float]:
    """The metrics of some scores and of the longest run in each."""
    return {
        "longest_run": max(run.notes for run in runs),
        "mean_run": float(np.mean([run.notes for run in runs])),
        "notes": float(np.mean([len(score.notes) for score in group])),
    }


@jax.jit
def _nats(graphdef: nnx.GraphDef, params: nnx.State, batch: Mapping[str, jax.Array]) -> jax.Array:
    """The loss of each row's targets in nats, float32 [batch]."""
    log_probs = jax.nn.log_softmax(losses.logits_of(nnx.merge(graphdef, params), batch))  # [batch, targets, rows]
    targets = batch["decoder_target_tokens"]  # [batch, targets]
    target_log_probs = jnp.take_along_axis(log_probs, targets[..., None], axis=-1)[..., 0]  # [batch, targets]
    return -jnp.sum(target_log_probs * batch["decoder_loss_weights"], axis=1)


def sequence_losses(
    model: T5, store: TokenStore, split: str, *, lengths: Mapping[str, int], batch_size: int
) -> NDArray[np.float64]:
    """The loss of every example of a split.

    The examples' noise is the same for every model.

    Args:
        model: the model.
        store: the task's store.
        split: the split.
        lengths: row lengths, {"inputs": n, "targets": n}.
        batch_size: examples at a time.

    Returns:
        Nats, with those of EOS, [examples].
    """
    batches = loader.eval_batches(
        store,
        split,
        feature_lengths=lengths,
        batch_size=batch_size,
        vocabulary=vocabulary.default(),
        decoder_only=model.config.decoder_only,
    )
    graphdef, params = nnx.split(model)
    nats = []
    with likelihood.mesh_of(model) as mesh:
        for batch in batches:
            batch_nats = np.asarray(_nats(graphdef, params, likelihood.put(batch, mesh)), np.float64)  # [batch]
            nats.append(batch_nats[batch["example_index"] >= 0])
    return np.concatenate(nats)


def membership(planted: NDArray, controls: NDArray, planting: Planting) -> dict[str, float]:
    """Measures how well a low loss ratio separates planted sequences from controls.

    Args:
        planted: loss ratios of the planted sequences, ordered by their number of repeats.
        controls: loss ratios of the controls.
        planting: the numbers of repeats.

    Returns:
        The metrics of "planted" that `memorisation` returns, without "epochs".
    """
    from sklearn.metrics import roc_auc_score

    def auc(ratios: NDArray) -> float:
        is_planted = np.repeat([1, 0], [len(ratios), len(controls)])
        return float(roc_auc_score(is_planted, -np.concatenate([ratios, controls])))

    metrics = {"auc": auc(planted), "loss_ratio_controls": float(controls.mean())}
    for repeats, ratios in zip(planting.repeats, np.split(planted, len(planting.repeats)), strict=True):
        metrics |= {f"auc_{repeats}": auc(ratios), f"loss_ratio_{repeats}": float(ratios.mean())}
    return metrics


def scores(store: TokenStore, split: str, *, words: int | None = None) -> Iterator[tuple[str, Score]]:
    """Yields each sequence of a split once, as its piece's name and at most `words` words of music."""
    vocab, encoding = vocabulary.default(), encodings.get(store.encoding)
    examples = store.split(split)
    parts: dict[str, set[bytes]] = {}  # piece -> its sequences so far
    for index in range(len(examples)):
        example = examples[index]
        tokens, sequences = example["targets"][:words], parts.setdefault(example["piece"], set())
        if tokens.tobytes() not in sequences:
            sequences.add(tokens.tobytes())
            name = example["piece"] if len(sequences) == 1 else f"{example['piece']}, part {len(sequences)}"
            yield name, encoding.decode(vocab.decode_events(encoding.name, tokens)).score


def write(
    trained: TrainedModel, store: TokenStore, count: int, *, temperature: float, batch_size: int, seed: int
) -> list[Score]:
    """Samples music from a language model, from nothing and within the encoding's grammar.

    Args:
        trained: the model; each sample is as long as its training rows.
        store: a store with the encoding to write in.
        count: number of samples.
        temperature: of the sampling.
        batch_size: samples at a time.
        seed: of the sampling.
    """
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
    """{"epochs": how often a run went through its training split}; {} if its metrics do not say."""
    path, name = path_of(model_dir) / METRICS_FILE, f"examples/{store.name}"
    counts = [line[name] for line in read_metrics(path) if name in line] if path.is_file() else []
    return {"epochs": counts[-1] / store.examples(TRAIN)} if counts else {}
