"""Train: trains a model on a mixture or task, from the run's settings to its folder."""

from __future__ import annotations

import contextlib
import dataclasses
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
from jax.sharding import Mesh

from t5music import figures
from t5music.data import mixing_rates, vocabulary
from t5music.data.loading import label_rows, loader, note_chunks
from t5music.data.store.token_store import TokenStore
from t5music.data.vocabulary import Vocabulary
from t5music.devices import platforms, processes
from t5music.errors import ConfigError, T5MusicError
from t5music.evaluation import answer_scores, likelihood
from t5music.inference.training_samples import Sampler
from t5music.model import parameters, sharding
from t5music.model.config import T5Config
from t5music.model.network import T5
from t5music.runs import masked_pretraining, print_plan
from t5music.runs.settings import InitialModel, TrainingData
from t5music.runs.stores import EVAL_BATCH
from t5music.storage import path_of
from t5music.terms import TrainingRun
from t5music.training import freezing, learning_curves, loop
from t5music.training.coordination import only_run
from t5music.training.cost.plan import Plan, Training
from t5music.training.note_masking.masker import Masker
from t5music.training.settings import Records, Update, Validation
from t5music.training.trackers.base import Sample

CONFIG_FILE = "config.gin"
SHARDING_FILE = "sharding.txt"


def train(
    initial_model: InitialModel,
    data: TrainingData,
    update: Update,
    model_dir: str,
    train_steps: int,
    validation: Validation = Validation(),
    records: Records = Records(),
    seed: int = 0,
    mesh: Callable[..., Mesh] = sharding.make_mesh,
    device: str | None = None,
    device_count: int | None = None,
    plan: print_plan.Request | None = None,
    read_settings: Callable[[], str] = str,
    samples: bool = True,
    stops: Callable[[int], bool] | None = None,
) -> loop.Result | Plan:
    """Trains on a mixture or task; called again with the same arguments, it goes on where it stopped.

    Args:
        initial_model: what to start from.
        data: what to read.
        update: how to update the model.
        model_dir: the run's folder.
        train_steps: number of updates in all.
        validation: when to evaluate, and which evaluation is the best.
        records: what to write and keep.
        seed: of weights, order, noise and dropout.
        mesh: returns the mesh of all devices, or the abstract mesh of a number of `devices`.
        device: the kind of devices that the run is meant for, as "TPU v4"; on others it does not start.
        device_count: the number of devices that the run is meant for.
        plan: print and return the plan for these devices instead of training.
        read_settings: called once all objects exist; returns the settings that were used, as the text of `config.gin`,
            and may raise ConfigError for settings that were not.
        samples: write samples of the model's music, as `records` says; a study leaves them to a stage of its own.
        stops: called with the step after every step but the last; returns whether the run stops there, to go on later.

    Returns:
        The trained model, or the plan.

    Raises:
        KeyboardInterrupt: stopped by a signal or by `stops`; everything is saved.
        T5MusicError: see `training.loop.train` and `stores.open_stores`.
    """
    # ------------------------------------------------------------------------------------- the model and the devices
    vocab = vocabulary.default()
    config = initial_model.config(vocab)
    if plan is not None:
        request = plan._replace(device=plan.device or device, number=plan.number or device_count)
        return _plan(request, config, data, update, train_steps, vocab, seed, mesh, read_settings)
    platforms.require_kind(device, device_count)
    all_devices = mesh()
    settings = read_settings()

    if not samples:
        records = dataclasses.replace(records, samples=0)
    with _ends(), only_run(model_dir):
        # ---------------------------------------------------------------------------------------------- the data
        members = data.stores()
        stores = [store for store, _ in members]
        members = data.with_replay(members)
        batches, masker = _open_batches(data, update, members, config, vocab, seed)
        config = _with_classes(config, stores, new=initial_model.head is not None)
        evaluate = _validation_losses(stores, data, validation, vocab, config)

        # ----------------------------------------------------------------------------------- the run, and its folder
        table = sharding.describe(parameters.abstract(config)[1], all_devices)
        devices = f"{platforms.describe(all_devices)}, products in {config.products}"
        print(f"{model_dir}: {data.mixture_or_task_name} on {devices}", file=sys.stderr)
        print(f"{' '.join(table.splitlines()[-1].split())} bytes a device ({SHARDING_FILE})", file=sys.stderr)
        _print_frozen(config, update)
        with contextlib.closing(batches):
            result = loop.train(
                config,
                batches,
                update,
                steps=train_steps,
                model_dir=model_dir,
                metadata={
                    "task": data.mixture_or_task_name,
                    "vocabulary": {"fingerprint": vocab.fingerprint, "size": vocab.size},
                    "feature_lengths": dict(data.task_feature_lengths),
                    "batch_size": data.batch_size,
                    "tasks": {store.name: store.manifest.examples for store, _ in members},
                    "trained_on": _trained_on(initial_model, data, stores, vocab),
                },
                seed=seed,
                validation=validation,
                records=records,
                evaluations={"validation": evaluate} if evaluate else None,
                illustration=_illustration(stores, data, records, model_dir, vocab, config),
                initial_params=initial_model.params(config, vocab, seed),
                initial_opt_state=initial_model.opt_state(vocab),
                documents={CONFIG_FILE: settings, SHARDING_FILE: f"{table}\n"},
                masker=masker,
                mesh=all_devices,
                stops=stops,
            )
        if evaluate is None:
            _draw_losses(model_dir)
        return result


def _trained_on(
    initial_model: InitialModel, data: TrainingData, stores: Sequence[TokenStore], vocab: Vocabulary
) -> list[dict[str, Any]]:
    """Returns the runs that the weights go through, as JSON values: those of the initial model, then this one."""
    corpora = {corpus: None for store in stores for corpus in store.manifest.terms}
    run = TrainingRun(data.mixture_or_task_name, tuple(corpora))
    return [dataclasses.asdict(each) for each in (*initial_model.trained_on(vocab), run)]


@contextlib.contextmanager
def _ends() -> Iterator[None]:
    """Raises what interrupts a run, or ends it because of other processes, as the command line expects it."""
    try:
        yield
    except loop.Interrupted as interrupted:
        raise KeyboardInterrupt(str(interrupted)) from None
    except jax.errors.JaxRuntimeError as error:
        if jax.process_count() == 1:
            raise
        processes.await_end()
        raise T5MusicError(
            f"process {jax.process_index()} of {jax.process_count()} cannot go on ({str(error).splitlines()[0]}): if "
            "another one has ended, its output says why. The same commands go on from the last checkpoint"
        ) from error


def _illustration(
    stores: Sequence[TokenStore],
    data: TrainingData,
    records: Records,
    model_dir: str,
    vocab: Vocabulary,
    config: T5Config,
) -> loop.Illustration:
    """Returns a function of the model and its step that draws the losses so far and writes samples of its music."""
    writes = jax.process_count() == 1 and config.encoder_head is None and not config.encoder_only
    sampler = Sampler(stores, vocab, data.task_feature_lengths, model_dir, records.samples if writes else 0)

    def illustrate(model: T5, step: int) -> list[Sample]:
        _draw_losses(model_dir)
        return sampler.write(model, step)

    return illustrate


def _draw_losses(model_dir: str) -> None:
    """Draws the losses that a run has written; a picture that cannot be written is said, and stops nothing."""
    if jax.process_index() == 0 and not figures.left_out(learning_curves.PICTURE):
        try:
            learning_curves.write_picture(path_of(model_dir))
        except T5MusicError as error:
            print(f"t5music: warning: no learning curve: {error}", file=sys.stderr)


def _plan(
    request: print_plan.Request,
    config: T5Config,
    data: TrainingData,
    update: Update,
    steps: int,
    vocab: Vocabulary,
    seed: int,
    mesh: Callable[..., Mesh],
    read_settings: Callable[[], str],
) -> Plan:
    """Prints and returns the plan of a training; for arguments see `train`."""
    chip, count = print_plan.devices(request)
    abstract_mesh = mesh(devices=count)
    read_settings()
    training = Training(
        config,
        update.optimizer,
        data.batch_size,
        data.task_feature_lengths,
        steps,
        update.microbatches,
        update.trainable,
    )

    def open_batches(rows: int) -> loader.TrainBatches:
        return data.batches(data.stores(compile_missing=False), config, vocab, seed, rows)

    return print_plan.show(training, request, chip, abstract_mesh, open_batches)


def _print_frozen(config: T5Config, update: Update) -> None:
    """Prints how many parameters train, unless all do."""
    if update.trainable is not None or update.unfreezing is not None:
        params = parameters.abstract(config)[1]
        trainable = freezing.choose(params, update.trainable, update.unfreezing)
        print(freezing.describe(params, trainable, update.unfreezing), file=sys.stderr)


def _open_batches(
    data: TrainingData,
    update: Update,
    members: Sequence[tuple[TokenStore, mixing_rates.Rate]],
    config: T5Config,
    vocab: Vocabulary,
    seed: int,
) -> tuple[loader.TrainBatches | note_chunks.ChunkBatches, Masker | None]:
    """Returns the training batches, and the masker if notes are masked."""
    if update.masking is None:
        return data.batches(members, config, vocab, seed), None
    return masked_pretraining.open_masked(
        update.masking,
        members,
        config,
        update.optimizer,
        data.task_feature_lengths,
        batch_size=data.batch_size,
        seed=seed,
        vocabulary=vocab,
        augmentations=data.augmentations,
    )


def _with_classes(config: T5Config, stores: Sequence[TokenStore], *, new: bool) -> T5Config:
    """Returns the config with as many classes as the tasks have labels; that of a model that writes as it is.

    Raises:
        ConfigError: a trained classifier (not a new one) has another number of classes.
    """
    if config.encoder_head is None:
        return config
    labels = label_rows.label_set(stores, config.encoder_head)
    if not new and len(labels) != config.num_labels:
        raise ConfigError(
            f"the checkpoint's classifier has {config.num_labels} classes and the tasks have {len(labels)} "
            f"({', '.join(labels)}): InitialModel.head = {config.head!r} begins a new one"
        )
    return dataclasses.replace(config, num_labels=len(labels))


def _validation_losses(
    stores: Sequence[TokenStore], data: TrainingData, validation: Validation, vocab: Vocabulary, config: T5Config
) -> loop.Evaluation | None:
    """Returns a function of the model: "<task>/loss" and "<task>/accuracy" on validation examples, both over all tasks.

    With `validation.answers` it also returns "<task>/<metric>". None where no task has a validation split.
    """
    answer = _answer_scores(stores, data, validation, vocab, config)
    batches = {
        store.name: loader.eval_batches(
            store,
            "validation",
            feature_lengths=data.task_feature_lengths,
            batch_size=EVAL_BATCH,
            vocabulary=vocab,
            limit=validation.examples,
            decoder_only=config.decoder_only,
            head=config.encoder_head,
        )
        for store in stores
        if "validation" in store.splits
    }

    def evaluate_all(model: T5) -> dict[str, float]:
        scores = {task: likelihood.evaluate(model, examples, vocab.is_note) for task, examples in batches.items()}
        tokens = sum(score["tokens"] for score in scores.values())
        nats = sum(score["loss"] * score["tokens"] for score in scores.values())
        correct = sum(score["accuracy"] * score["tokens"] for score in scores.values())
        pooled = {"loss": nats / tokens, "accuracy": correct / tokens}
        each = {f"{task}/{name}": score[name] for task, score in scores.items() for name in pooled}
        return pooled | each | answer(model)

    return evaluate_all if batches else None


def _answer_scores(
    stores: Sequence[TokenStore], data: TrainingData, validation: Validation, vocab: Vocabulary, config: T5Config
) -> Callable[[T5], dict[str, float]]:
    """Returns a function of the model: "<task>/<metric>" of the answers that `validation` says to write.

    Raises:
        ConfigError: answers are to be written and none can be.
    """
    if not validation.answers:
        return lambda model: {}
    judged = [store for store in stores if store.manifest.metrics and "validation" in store.splits]
    if config.encoder_only or jax.process_count() > 1 or not judged:
        why = "a classifier writes no" if config.encoder_only else "several processes write no"
        why = why if judged else "no task with a validation split declares metrics of"
        raise ConfigError(f"Validation.answers is {validation.answers}, and {why} answers: leave it out")

    def score(model: T5) -> dict[str, float]:
        figures: dict[str, float] = {}
        for store in judged:
            answers = answer_scores.write(
                model,
                store,
                "validation",
                lengths=data.task_feature_lengths,
                batch_size=EVAL_BATCH,
                vocabulary=vocab,
                limit=validation.answers,
            )
            scores = answer_scores.score(store, store.manifest.metrics, answers, taken=["loss", "accuracy"])
            figures |= {f"{store.name}/{figure}": value for figure, value in scores.items()}
        return figures

    return score
