"""Settings of a run: the model to start from and the data to read; gin configures them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
from optax import OptState

from t5music.data import mixing_rates
from t5music.data.loading import loader
from t5music.data.loading.mixing_order import resolve
from t5music.data.objectives import Objective
from t5music.data.store.planting import Planting, plant
from t5music.data.store.token_store import TRAIN, TokenStore
from t5music.data.vocabulary import Vocabulary
from t5music.errors import ConfigError
from t5music.inference.model_folder import open_model
from t5music.model.config import T5Config
from t5music.runs import initial_weights
from t5music.runs.stores import open_stores
from t5music.terms import TrainingRun
from t5music.training.train_state import Params, initial_key

Member = tuple[TokenStore, mixing_rates.Rate]


@dataclasses.dataclass(frozen=True)
class InitialModel:
    """What to start from: an architecture, weights, or both.

    Attributes:
        model: returns the model's config, given `vocab_size`; None takes the initial checkpoint's architecture.
        initial_checkpoint_path: run, checkpoint or Hugging Face folder with the weights to start from.
        restore: regular expressions of the names of parameters to take from there, as "encoder.*"; None takes all.
        optimizer_state: go on with the optimizer's state of the initial checkpoint, as T5's fine-tuning does: its
            moments and how fast they decay, but not its learning rate, which begins anew. All parameters must be
            restored, and the optimizer be the same.
        head: train a new classifier on the model's encoder, with the initial checkpoint's embedding and encoder if
            there is one: "notes" for tasks that label notes, "sequence" for those that classify pieces. It needs
            `TrainingData.pack` False.
        adapter_dim: width of the model's adapters; None leaves the config's. New adapters change no output at first.
        dropout_rate: of the model; None leaves the config's.
    """

    model: Callable[..., T5Config] | None = None
    initial_checkpoint_path: str | None = None
    restore: Sequence[str] | None = None
    optimizer_state: bool = False
    head: str | None = None
    adapter_dim: int | None = None
    dropout_rate: float | None = None

    def __post_init__(self) -> None:
        if self.restore is not None and not self.initial_checkpoint_path:
            raise ConfigError(
                "InitialModel.restore says what to take from a checkpoint: set INITIAL_CHECKPOINT_PATH (--init)"
            )
        changed = [name for name in ("restore", "head", "adapter_dim") if getattr(self, name) is not None]
        if self.optimizer_state and (changed or not self.initial_checkpoint_path):
            missing = f"go without InitialModel.{changed[0]}" if changed else "set INITIAL_CHECKPOINT_PATH (--init)"
            raise ConfigError(f"InitialModel.optimizer_state goes on with all of a checkpoint: {missing}")

    def config(self, vocabulary: Vocabulary) -> T5Config:
        """Returns the model's config; a new classifier has two classes until the labels of the tasks are counted.

        Raises:
            ConfigError: there is neither a model nor an initial checkpoint, or the model does not fit the vocabulary.
            CheckpointError: the initial checkpoint cannot be read.
        """
        if self.model is not None:
            config = self.model(vocab_size=vocabulary.rows)
        elif self.initial_checkpoint_path:
            config = initial_weights.config_of(self.initial_checkpoint_path, vocabulary)
        else:
            raise ConfigError("InitialModel.model: include a model's gin file, or set INITIAL_CHECKPOINT_PATH")
        changes: dict[str, Any] = {"dropout_rate": self.dropout_rate, "adapter_dim": self.adapter_dim}
        config = dataclasses.replace(config, **{name: value for name, value in changes.items() if value is not None})
        return config if self.head is None else initial_weights.with_head(config, self.head)

    def trained_on(self, vocabulary: Vocabulary) -> tuple[TrainingRun, ...]:
        """Returns the runs that the initial weights went through; () where there are none."""
        path = self.initial_checkpoint_path
        return open_model(path, vocabulary).trained_on if path else ()

    def params(self, config: T5Config, vocabulary: Vocabulary, seed: int) -> Callable[[], Params] | None:
        """Returns a function that reads the initial parameters; None if all are random."""
        path = self.initial_checkpoint_path
        if not path:
            return None
        return lambda: initial_weights.initial_params(
            path,
            config,
            vocabulary,
            patterns=self.restore,
            new_head=self.head is not None,
            key=initial_key(seed),
        )

    def opt_state(self, vocabulary: Vocabulary) -> Callable[[OptState], OptState] | None:
        """Returns a function that reads the initial optimizer state, given its shapes; None for an empty one."""
        path = self.initial_checkpoint_path
        if not self.optimizer_state or not path:
            return None
        return lambda target: initial_weights.initial_opt_state(path, vocabulary, target)


@dataclasses.dataclass(frozen=True)
class TrainingData:
    """What to read.

    Attributes:
        mixture_or_task_name: what to train on.
        task_feature_lengths: row lengths, {"inputs": n, "targets": n}.
        batch_size: rows of an update, over all processes.
        pack: whether a row may hold several examples.
        lanes: number of streams that make up the order, a multiple of the number of processes; see
            `data.loading.loader`.
        rate: mixing rate of every member of the mixture, instead of its own. Tasks that are one member together
            remain one.
        augmentations: applied to every training example before its objective, never in evaluation.
        objective: replaces the objective of every task of music alone, as `@SpanCorruption()`.
        examples: at most this many training examples of every task of music alone, evenly spread.
        planting: sequences to repeat and to leave out in every task of music alone, as `@Planting()`.
        replay: of the examples drawn, so many per cent are those of `replayed`, lest what the initial weights learned
            of them is forgotten. Nothing is validated on them.
        replayed: the task or mixture to replay.
    """

    mixture_or_task_name: str
    task_feature_lengths: Mapping[str, int]
    batch_size: int
    pack: bool = True
    lanes: int | None = None
    rate: mixing_rates.Rate | None = None
    augmentations: Sequence[Objective] = ()
    objective: Objective | None = None
    examples: int | None = None
    planting: Planting | None = None
    replay: float = 0.0
    replayed: str = "commons"

    def __post_init__(self) -> None:
        if not 0 <= self.replay <= 99:
            raise ConfigError(f"TrainingData.replay (--replay) is from 0 to 99 per cent, not {self.replay}")

    def stores(self, *, compile_missing: bool = True) -> list[Member]:
        """Returns the token stores with their rates, as the settings change them.

        Args:
            compile_missing: compile the stores that are missing.

        Raises:
            DataError: see `stores.open_stores`.
        """
        members = []
        for store, mixture_rate in open_stores(self.mixture_or_task_name, compile_missing=compile_missing):
            store = store.changed(objective=self.objective, examples=self.examples)
            store = store if self.planting is None else plant(store, self.planting)
            members.append((store, mixture_rate if self.rate is None else mixture_rate.replaced_by(self.rate)))
        return members

    def with_replay(self, members: Sequence[Member]) -> list[Member]:
        """Returns token stores and rates with those that are replayed, where any are.

        Raises:
            DataError: see `stores.open_stores`.
            ConfigError: a task that is trained on is to be replayed, too.
        """
        if not self.replay:
            return list(members)
        others = open_stores(self.replayed)
        both = {store.name for store, _ in members} & {store.name for store, _ in others}
        if both:
            raise ConfigError(f"TrainingData.replayed = {self.replayed!r}: it holds {min(both)}, which is trained on")
        return [*_with_shares(members, 100 - self.replay), *_with_shares(others, self.replay)]

    def batches(
        self,
        members: Sequence[Member],
        config: T5Config,
        vocabulary: Vocabulary,
        seed: int,
        batch_size: int | None = None,
    ) -> loader.TrainBatches:
        """Returns this process's training batches.

        Args:
            members: token stores and their rates.
            config: the model.
            vocabulary: the vocabulary.
            seed: of order, noise and augmentations.
            batch_size: rows of an update, instead of the setting.
        """
        return loader.train_batches(
            members,
            batch_size=batch_size or self.batch_size,
            feature_lengths=self.task_feature_lengths,
            seed=seed,
            vocabulary=vocabulary,
            pack=self.pack,
            augmentations=self.augmentations,
            decoder_only=config.decoder_only,
            head=config.encoder_head,
            lanes=self.lanes,
            process_index=jax.process_index(),
            process_count=jax.process_count(),
        )


def _with_shares(members: Sequence[Member], total: float) -> list[Member]:
    """The members with constant rates in the proportions of their own, adding up to `total`."""
    counts = {store.name: store.examples(TRAIN) for store, _ in members}
    shares = resolve({store.name: rate for store, rate in members}, counts)
    return [(store, mixing_rates.Constant(total * shares[store.name])) for store, _ in members]
