"""The entry points that gin configures: train and evaluate. They open stores, build loaders and call `training`."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import jax
from jax.sharding import Mesh

from t5music.data import mixing_rates, vocabulary
from t5music.data.loading import label_rows, loader, note_chunks
from t5music.data.objectives import Objective
from t5music.data.store.planting import Planting, plant
from t5music.data.store.token_store import TokenStore
from t5music.devices import platforms
from t5music.errors import ConfigError, T5MusicError
from t5music.evaluation import likelihood
from t5music.model import parameters, sharding
from t5music.model.config import T5Config
from t5music.model.network import T5
from t5music.runs import initial_weights, masked_pretraining, print_plan
from t5music.runs.stores import EVAL_BATCH, open_stores
from t5music.training import freezing, loop
from t5music.training.cost.plan import Plan, Training
from t5music.training.freezing import GradualUnfreezing
from t5music.training.note_masking.masker import Masking
from t5music.training.optimizers import Optimizer
from t5music.training.train_state import initial_key

CONFIG_FILE = "config.gin"
SHARDING_FILE = "sharding.txt"


def train(
    mixture_or_task_name: str,
    model_dir: str,
    task_feature_lengths: Mapping[str, int],
    train_steps: int,
    batch_size: int,
    optimizer: Optimizer,
    model: Callable[..., T5Config] | None = None,
    initial_checkpoint_path: str | None = None,
    restore: Sequence[str] | None = None,
    trainable: Sequence[str] | None = None,
    unfreezing: GradualUnfreezing | None = None,
    adapter_dim: int | None = None,
    head: str | None = None,
    dropout_rate: float | None = None,
    seed: int = 0,
    augmentations: Sequence[Objective] = (),
    objective: Objective | None = None,
    examples: int | None = None,
    planting: Planting | None = None,
    masking: Masking | None = None,
    rate: mixing_rates.Rate | None = None,
    pack: bool = True,
    lanes: int | None = None,
    log_period: int = 50,
    eval_period: int = 500,
    eval_examples: int = 256,
    save_period: int = 500,
    keep: int = 2,
    patience: int | None = None,
    best_metric: str | None = None,
    higher_is_better: bool = False,
    profile_steps: tuple[int, int] | None = None,
    microbatches: int = 1,
    z_loss: float = 1e-4,
    mesh: Callable[..., Mesh] = sharding.make_mesh,
    device: str | None = None,
    device_count: int | None = None,
    plan: print_plan.Request | None = None,
) -> loop.Result | Plan:
    """Trains on a mixture or task; called again with the same arguments it goes on where it stopped.

    Args:
      mixture_or_task_name: what to train on.
      model_dir: the run's folder.
      task_feature_lengths: row lengths, {"inputs": n, "targets": n}.
      train_steps: updates in all.
      batch_size: packed rows per update, over all processes.
      optimizer: from `training.optimizers`.
      model: makes the model's config, given `rows`; with None the architecture is the initial checkpoint's.
      initial_checkpoint_path: run, checkpoint or Hugging Face folder whose weights to start from.
      restore: regular expressions of the names of parameters to take from there, as "encoder.*"; None takes all.
      trainable: regular expressions of the names of the parameters that train, as ".*norm[.]scale"; None trains all.
      unfreezing: when layers begin to train, as `@gradual_unfreezing()`; None is at once.
      adapter_dim: width of the model's adapters; None leaves the config's. Those that the initial checkpoint has not
        change nothing to begin with.
      head: train a classifier on the model's encoder, of the initial checkpoint's embedding and encoder if there is
        one: "notes" for tasks that label notes, "sequence" for those that classify pieces; it needs `pack` False.
      dropout_rate: of the model; None leaves the config's.
      seed: of weights, order, noise and dropout.
      augmentations: applied to every training example before its objective, never in evaluation.
      objective: takes the place of that of every task of music alone, as `@SpanCorruption()`.
      examples: of every task of music alone, only so many training examples, evenly spread.
      planting: sequences of every task of music alone to repeat, and others to leave out, as `@Planting()`.
      masking: pre-train on masked notes of music alone, as `@Masking()`, whatever the tasks' own objectives are; these
        are still what validation asks. Rows are not packed, and all parameters train.
      rate: mixing rate of every task, instead of the mixture's own.
      pack: several examples in a row.
      lanes: streams that make up the order, a multiple of the number of processes; see `data.loading.loader`.
      log_period, eval_period, save_period: in steps.
      eval_examples: validation examples per task and evaluation, evenly spread.
      keep: checkpoints kept beside the best.
      patience: evaluations without a better one before the run stops early.
      best_metric, higher_is_better: which evaluation says what is best, as "validation/TASK/loss"; None for the loss
        over all tasks.
      profile_steps: (first, how many) steps to record a profile of, into `model_dir`/profile.
      microbatches: parts a batch is computed in, to save memory.
      z_loss: see `training.losses`.
      mesh: makes the mesh of all devices.
      device, device_count: the devices that the run is meant for, as "TPU v4" and 64; on others it does not begin.
      plan: print and return the plan for these devices instead of training.

    Raises:
      KeyboardInterrupt: stopped by a signal; everything is saved.
      T5MusicError: see `training.loop.train` and `open_stores`.
    """
    from t5music.configuration import gin_files

    vocab = vocabulary.default()
    config = _config(model, initial_checkpoint_path, vocab, dropout_rate=dropout_rate, adapter_dim=adapter_dim)
    if head is not None:
        config = initial_weights.with_head(config, head)

    def members(*, compile_missing: bool) -> list[tuple[TokenStore, mixing_rates.Rate]]:
        found = []
        for store, own in open_stores(mixture_or_task_name, compile_missing=compile_missing):
            changed = store.changed(objective=objective, examples=examples)
            found.append((changed if planting is None else plant(changed, planting), own if rate is None else rate))
        return found

    open_batches = partial(
        loader.train_batches,
        feature_lengths=task_feature_lengths,
        seed=seed,
        vocabulary=vocab,
        pack=pack,
        augmentations=augmentations,
        decoder_only=config.decoder_only,
        head=config.encoder_head,
    )

    if plan is not None:
        plan = plan._replace(device=plan.device or device, number=plan.number or device_count)
        chip, count = print_plan.devices(plan)
        planned_mesh = mesh(devices=count)
        gin_files.check_used()

        def sample(rows: int) -> loader.TrainBatches:
            return open_batches(members(compile_missing=False), batch_size=rows)

        training = Training(config, optimizer, batch_size, task_feature_lengths, train_steps, microbatches, trainable)
        return print_plan.show(training, plan, chip, planned_mesh, sample)

    platforms.require_kind(device, device_count)
    all_devices = mesh()
    gin_files.check_used()
    stores = members(compile_missing=True)
    batches: loader.TrainBatches | note_chunks.ChunkBatches
    masker = None
    if masking is not None:
        if trainable is not None or unfreezing is not None or microbatches > 1:
            raise ConfigError("train.masking goes without train.trainable, train.unfreezing and train.microbatches")
        batches, masker = masked_pretraining.open_masked(
            masking,
            stores,
            config,
            optimizer,
            task_feature_lengths,
            batch_size=batch_size,
            seed=seed,
            vocabulary=vocab,
            augmentations=augmentations,
        )
    else:
        batches = open_batches(
            stores,
            batch_size=batch_size,
            lanes=lanes,
            process_index=jax.process_index(),
            process_count=jax.process_count(),
        )
    config = _count_classes(config, [store for store, _ in stores], new=head is not None)
    validation = _validation([store for store, _ in stores], task_feature_lengths, vocab, eval_examples, config)
    initial = None
    if initial_checkpoint_path:
        initial = partial(
            initial_weights.initial_params,
            initial_checkpoint_path,
            config,
            vocab,
            patterns=restore,
            new_head=head is not None,
            key=initial_key(seed),
        )
    elif restore is not None:
        raise ConfigError("train.restore says what to take from a checkpoint: set INITIAL_CHECKPOINT_PATH (--init)")
    metadata = {
        "task": mixture_or_task_name,
        "vocabulary": {"fingerprint": vocab.fingerprint, "size": vocab.size},
        "feature_lengths": dict(task_feature_lengths),
        "tasks": {store.name: store.manifest.examples for store, _ in stores},
    }
    params = parameters.abstract(config)[1]
    table = sharding.describe(params, all_devices)
    print(f"{model_dir}: {mixture_or_task_name} on {platforms.describe(all_devices)}", file=sys.stderr)
    print(f"{' '.join(table.splitlines()[-1].split())} bytes a device ({SHARDING_FILE})", file=sys.stderr)
    if trainable is not None or unfreezing is not None:
        print(freezing.describe(params, freezing.choose(params, trainable, unfreezing), unfreezing), file=sys.stderr)
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
            documents={CONFIG_FILE: gin_files.operative_config(), SHARDING_FILE: f"{table}\n"},
            evaluations={"validation": validation} if validation else None,
            log_period=log_period,
            eval_period=eval_period,
            save_period=save_period,
            keep=keep,
            patience=patience,
            best_metric=best_metric,
            higher_is_better=higher_is_better,
            profile_steps=profile_steps,
            microbatches=microbatches,
            z_loss=z_loss,
            trainable=trainable,
            unfreezing=unfreezing,
            masker=masker,
            mesh=all_devices,
        )
    except loop.Interrupted as interrupted:
        raise KeyboardInterrupt(str(interrupted)) from None
    except jax.errors.JaxRuntimeError as error:
        if jax.process_count() == 1:
            raise
        raise T5MusicError(
            f"process {jax.process_index()} of {jax.process_count()} cannot go on ({str(error).splitlines()[0]}): if "
            "another one has ended, its output says why. The same commands go on from the last checkpoint"
        ) from error
    finally:
        batches.close()


def _config(
    model: Callable[..., T5Config] | None, initial: str | None, vocab: vocabulary.Vocabulary, **changes: Any
) -> T5Config:
    """The model's config, with those of the changes that are not None."""
    if model is not None:
        config = model(rows=vocab.rows)
    elif initial:
        config = initial_weights.config_of(initial, vocab)
    else:
        raise ConfigError("train.model: include a model's gin file, or set INITIAL_CHECKPOINT_PATH")
    return dataclasses.replace(config, **{name: value for name, value in changes.items() if value is not None})


def _count_classes(config: T5Config, stores: Sequence[TokenStore], *, new: bool) -> T5Config:
    """The config of a classifier with as many classes as the tasks have, which a trained one must have already."""
    if config.encoder_head is None:
        return config
    labels = label_rows.label_set(stores, config.encoder_head)
    if not new and len(labels) != config.classes:
        raise ConfigError(
            f"the checkpoint's classifier has {config.classes} classes and the tasks have {len(labels)} "
            f"({', '.join(labels)}): train.head = {config.head!r} begins a new one"
        )
    return dataclasses.replace(config, classes=len(labels))


def _validation(
    stores: Sequence[TokenStore],
    lengths: Mapping[str, int],
    vocab: vocabulary.Vocabulary,
    limit: int,
    config: T5Config,
) -> loop.Evaluation | None:
    """A function of the model: its loss on each task's validation examples, and "loss" over all of them."""
    batches = {
        store.name: loader.eval_batches(
            store,
            "validation",
            feature_lengths=lengths,
            batch_size=EVAL_BATCH,
            vocabulary=vocab,
            limit=limit,
            decoder_only=config.decoder_only,
            head=config.encoder_head,
        )
        for store in stores
        if "validation" in store.splits
    }

    def evaluate_all(model: T5) -> dict[str, float]:
        found = {task: likelihood.evaluate(model, examples, vocab.is_note) for task, examples in batches.items()}
        tokens = sum(result["tokens"] for result in found.values())
        nats = sum(result["loss"] * result["tokens"] for result in found.values())
        return {"loss": nats / tokens} | {f"{task}/loss": result["loss"] for task, result in found.items()}

    return evaluate_all if batches else None
