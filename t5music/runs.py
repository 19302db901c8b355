"""The entry points that gin configures: train and evaluate. They open stores, build loaders and call `training`."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import jax
import numpy as np

from t5music import files, inference, metrics
from t5music.data import loader, mixing, vocabulary
from t5music.data.objectives import Objective
from t5music.data.store import TokenStore, find
from t5music.errors import ConfigError, DataError
from t5music.model.config import T5Config
from t5music.model.network import T5
from t5music.training import checkpoints, evaluation, generation, loop
from t5music.training.optimizers import Optimizer

STORES = "stores"
EVAL_BATCH = 32
CONFIG_FILE = "config.gin"


def open_stores(name: str) -> list[tuple[TokenStore, mixing.Rate]]:
    """The token stores of a task or mixture with their rates; compiles what is missing where `[data]` is installed.

    Raises:
      DataError: not compiled and not compilable here (says which command to run where), or unknown.
    """
    folder = files.data_dir() / STORES
    vocab = vocabulary.default()
    try:
        found = find(folder, name, vocab)
    except DataError as error:  # not there, or of another version
        if find_spec("seqio") is None:
            raise DataError(f"{error}; do so where t5music[data] is installed and copy {folder} here") from error
        _compile(name)
        found = find(folder, name, vocab)
    return [(found, mixing.EQUAL)] if isinstance(found, TokenStore) else list(found)


def _compile(name: str) -> None:
    """Runs `t5music compile` in a process of its own: TensorFlow stays out of this one."""
    done = subprocess.run([sys.executable, "-m", "t5music.cli", "compile", name], check=False)
    if done.returncode:
        raise SystemExit(done.returncode)  # it has said why


def train(
    mixture_or_task_name: str,
    model_dir: str,
    task_feature_lengths: Mapping[str, int],
    train_steps: int,
    batch_size: int,
    optimizer: Optimizer,
    model: Callable[..., T5Config] | None = None,
    initial_checkpoint_path: str | None = None,
    dropout_rate: float | None = None,
    seed: int = 0,
    augmentations: Sequence[Objective] = (),
    rate: mixing.Rate | None = None,
    pack: bool = True,
    lanes: int | None = None,
    log_period: int = 50,
    eval_period: int = 500,
    eval_examples: int = 256,
    save_period: int = 500,
    keep: int = 2,
    patience: int | None = None,
    microbatches: int = 1,
    z_loss: float = 1e-4,
) -> loop.Result:
    """Trains on a mixture or task; called again with the same arguments it goes on where it stopped.

    Args:
      mixture_or_task_name: what to train on.
      model_dir: the run's folder.
      task_feature_lengths: row lengths, {"inputs": n, "targets": n}.
      train_steps: updates in all.
      batch_size: packed rows per update, over all processes.
      optimizer: from `training.optimizers`.
      model: makes the model's config, given `rows`; with None the architecture is the initial checkpoint's.
      initial_checkpoint_path: run or checkpoint whose weights to start from.
      dropout_rate: of the model; None leaves the config's.
      seed: of weights, order, noise and dropout.
      augmentations: applied to every training example before its objective, never in evaluation.
      rate: mixing rate of every task, instead of the mixture's own.
      pack: several examples in a row.
      lanes: streams that make up the order, a multiple of the number of processes; see `data.loader`.
      log_period, eval_period, save_period: in steps.
      eval_examples: validation examples per task and evaluation.
      keep: checkpoints kept beside the best.
      patience: evaluations without a better one before the run stops early.
      microbatches: parts a batch is computed in, to save memory.
      z_loss: see `training.losses`.

    Raises:
      KeyboardInterrupt: stopped by a signal; everything is saved.
      T5MusicError: see `training.loop.train` and `open_stores`.
    """
    from t5music import configuration

    vocab = vocabulary.default()
    config = _config(model, initial_checkpoint_path, vocab, dropout_rate)
    configuration.check_used()
    stores = open_stores(mixture_or_task_name)
    if rate is not None:
        stores = [(store, rate) for store, _ in stores]
    batches = loader.train_batches(
        stores,
        feature_lengths=task_feature_lengths,
        batch_size=batch_size,
        seed=seed,
        vocabulary=vocab,
        pack=pack,
        lanes=lanes,
        augmentations=augmentations,
        process_index=jax.process_index(),
        process_count=jax.process_count(),
    )
    validation = _validation([store for store, _ in stores], task_feature_lengths, vocab, eval_examples)
    initial = None
    if initial_checkpoint_path:
        initial = partial(checkpoints.load_params, initial_checkpoint_path, config, fingerprint=vocab.fingerprint)
    metadata = {
        "task": mixture_or_task_name,
        "vocabulary": {"fingerprint": vocab.fingerprint, "size": vocab.size},
        "feature_lengths": dict(task_feature_lengths),
        "tasks": {store.name: store.manifest["examples"] for store, _ in stores},
    }
    devices = jax.devices()
    print(f"{model_dir}: {mixture_or_task_name} on {len(devices)} x {devices[0].device_kind}", file=sys.stderr)
    try:
        return loop.train(
            config,
            optimizer,
            batches,
            steps=train_steps,
            model_dir=model_dir,
            metadata=metadata,
            seed=seed,
            initial_params=initial,
            documents={CONFIG_FILE: configuration.operative_config()},
            evaluations={"validation": validation} if validation else None,
            log_period=log_period,
            eval_period=eval_period,
            save_period=save_period,
            keep=keep,
            patience=patience,
            microbatches=microbatches,
            z_loss=z_loss,
        )
    except loop.Interrupted as interrupted:
        raise KeyboardInterrupt(str(interrupted)) from None
    finally:
        batches.close()


def _config(
    model: Callable[..., T5Config] | None, initial: str | None, vocab: vocabulary.Vocabulary, dropout: float | None
) -> T5Config:
    if model is not None:
        config = model(rows=vocab.rows)
    elif initial:
        config = T5Config.from_dict(checkpoints.read_metadata(initial)["config"])
    else:
        raise ConfigError("train.model: include a model's gin file, or set INITIAL_CHECKPOINT_PATH")
    return config if dropout is None else dataclasses.replace(config, dropout_rate=dropout)


def _validation(
    stores: Sequence[TokenStore], lengths: Mapping[str, int], vocab: vocabulary.Vocabulary, limit: int
) -> loop.Evaluation | None:
    """A function of the model: its loss on each task's validation examples, and "loss" over all of them."""
    batches = {
        store.name: loader.eval_batches(
            store, "validation", feature_lengths=lengths, batch_size=EVAL_BATCH, vocabulary=vocab, limit=limit
        )
        for store in stores
        if "validation" in store.manifest["splits"]
    }

    def evaluate_all(model: T5) -> dict[str, float]:
        found = {task: evaluation.evaluate(model, examples, vocab.is_note) for task, examples in batches.items()}
        tokens = sum(result["tokens"] for result in found.values())
        nats = sum(result["loss"] * result["tokens"] for result in found.values())
        return {"loss": nats / tokens} | {f"{task}/loss": result["loss"] for task, result in found.items()}

    return evaluate_all if batches else None


def evaluate(
    mixture_or_task_name: str,
    model_dir: str,
    split: str = "validation",
    task_feature_lengths: Mapping[str, int] | None = None,
    batch_size: int = EVAL_BATCH,
    limit: int | None = None,
    samples: int = 0,
) -> dict[str, dict[str, float]]:
    """Evaluates a run's latest checkpoint on every task of a mixture, beside baselines that know no music.

    Tasks with a label set are answered with the label of highest likelihood ("accuracy", "macro_f1"); of all others
    the targets' likelihood is measured ("bits_per_note", "perplexity", token "accuracy"). Prints a table, and writes
    `eval_<split>.json`, and decoded answers as `samples_<split>.txt`, into `model_dir`.

    Args:
      mixture_or_task_name: what to evaluate on.
      model_dir: the run.
      split: the split.
      task_feature_lengths: as in training; None takes the run's.
      batch_size: examples at a time.
      limit: at most this many examples per task.
      samples: answers per task to decode and write down, greedily.

    Returns:
      task -> metrics, those of the baselines as "uniform_bits_per_note", "unigram_bits_per_note",
      "majority_accuracy".
    """
    from t5music import configuration

    configuration.check_used()
    trained = inference.load(model_dir)
    lengths = dict(task_feature_lengths or trained.lengths)
    results: dict[str, dict[str, float]] = {}
    written: list[str] = []
    for store, _ in open_stores(mixture_or_task_name):
        open_batches = partial(
            loader.eval_batches, store, split, feature_lengths=lengths, vocabulary=trained.vocabulary
        )
        batches = open_batches(batch_size=batch_size, limit=limit)
        if store.manifest["labels"]:
            results[store.name] = _classification(trained, store, split, batches)
        else:
            results[store.name] = evaluation.evaluate(trained.model, batches, trained.vocabulary.is_note)
            results[store.name] |= _note_baselines(store, split, results[store.name], trained.vocabulary)
        if samples:
            few = open_batches(batch_size=samples, limit=samples)
            written += _samples(trained, store.name, few, lengths["targets"])
    path = Path(model_dir) / f"eval_{split}.json"
    files.write_text(path, json.dumps(results, indent=2) + "\n")
    if written:
        files.write_text(Path(model_dir) / f"samples_{split}.txt", "\n".join(written) + "\n")
    for task, found in results.items():
        shown = ", ".join(f"{name} {value:.4g}" for name, value in found.items())
        print(f"{task} ({split}): {shown}")
    return results


def _classification(
    trained: inference.TrainedModel, store: TokenStore, split: str, batches: loader.EvalBatches
) -> dict[str, float]:
    vocab, labels = trained.vocabulary, store.manifest["labels"]
    ids = inference.label_ids(vocab, labels)
    predicted = evaluation.rank_labels(trained.model, batches, list(ids))

    def true_labels(of: str) -> np.ndarray:
        examples_ = store.split(of)
        return np.array([labels.index(vocab.decode(examples_[i]["targets"])) for i in range(len(examples_))])

    true = true_labels(split)[: len(predicted)]
    found = metrics.classification_metrics(true, predicted, labels)
    majority = metrics.majority_accuracy(true_labels("train"), true)
    scores = {name: found[name] for name in ("accuracy", "macro_f1", "examples")}
    recall = {f"recall/{label}": share for label, share in found["recall"].items()}
    return scores | {"majority_accuracy": majority} | recall


def _note_baselines(
    store: TokenStore, split: str, found: Mapping[str, float], vocab: vocabulary.Vocabulary
) -> dict[str, float]:
    """Bits per note of a uniform and of a unigram model over the encoding's words and EOS; {} for noised targets."""
    if store.objectives:
        return {}
    possible = vocab.event_mask(store.manifest["encoding"]).copy()
    possible[vocabulary.EOS_ID] = True

    def counts(of: str) -> np.ndarray:
        examples_ = store.split(of)
        total = np.zeros(vocab.size, np.int64)
        for index in range(len(examples_)):
            total += np.bincount(examples_[index]["targets"], minlength=vocab.size)
        total[vocabulary.EOS_ID] += len(examples_)
        return total[possible]

    symbols = int(possible.sum())
    notes = store.manifest["splits"][split]["notes"]
    return {
        "uniform_bits_per_note": metrics.uniform_bits_per_note(symbols, found["tokens"], found["notes"]),
        "unigram_bits_per_note": metrics.unigram_bits_per_note(counts("train"), counts(split), notes),
    }


def _samples(trained: inference.TrainedModel, task: str, batches: loader.EvalBatches, max_length: int) -> list[str]:
    """Inputs, targets and the model's greedy answers of one batch, as text."""
    vocab = trained.vocabulary
    known = np.ones(vocab.size, bool)  # the embedding has more rows than the vocabulary has words
    answers = generation.generate_targets(trained.model, batches, max_length=max_length, allowed=known)
    lines = []
    for batch in batches:
        for row, answer in enumerate(answers):
            inputs, targets = (
                vocab.decode(batch[f"{side}_tokens"][row]) for side in ("encoder_input", "decoder_target")
            )
            lines += [f"# {task} {batch['example_index'][row]}", f"inputs:  {inputs}", f"targets: {targets}"]
            lines += [f"answer:  {vocab.decode(answer)}", ""]
    return lines
