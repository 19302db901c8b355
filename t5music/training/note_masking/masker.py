"""Masker: pre-training on masked notes, which a small network learns to choose (Zhao 2024, Adversarial-MidiBERT).

A masker scores every note of a row. The notes with the highest scores are masked, and the model, called the recoverer,
recovers them. The masker is a head on the model's own encoder and learns which notes are hard: of the notes just
masked, the hardest are to score 1 and the easiest 0. So it masks what is not learnt yet, not what is frequent. Notes
that stay hardest, because nothing in the music determines them, teach a bias at best: every few epochs the notes with
the highest scores are frozen, that is, no longer masked, and a few others are thawed. The recoverer's loss weighs each
family of words (positions, pitches, durations ...) by the inverse of the accuracy with which it was recovered in the
last epoch, or in validation (`weighed_on`), as in the published code.

An encoder-decoder recovers notes as in span corruption, with the masked notes as spans; an encoder alone recovers them
in place, as BERT does (`note_masks`). With notes chosen by chance, both are objectives of their own: random masked
notes.

All that changes (the masker, which notes of which chunk are frozen, the epoch's accuracies) is part of the training
state, and all random numbers come from the step's key, so a resumed run repeats every choice. There are three
differences from the published code. It freezes and thaws the notes of all chunks after an epoch; here a chunk's notes
are frozen and thawed when it is visited in that epoch. It adds the loss of all words, masked or not, to that of the
masked ones; this does not. And its masker's labels are others on every second row, because it turns the sign of the
whole table of losses with every row: `labels = "published"` reproduces that (`choice.teaching_loss`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from numpy.typing import NDArray

from t5music.errors import ConfigError
from t5music.model.config import PAD_ID, T5Config
from t5music.model.network import T5
from t5music.training.cost.flops import train_flops
from t5music.training.freezing import EVERYTHING
from t5music.training.losses import Z_LOSS
from t5music.training.note_masking import note_masks
from t5music.training.note_masking.choice import Choice, choose, freeze, score, teaching_loss
from t5music.training.note_masking.held_out import HeldOut
from t5music.training.note_masking.note_masks import Words
from t5music.training.note_masking.recovery import Recovery, recover
from t5music.training.note_masking.settings import LEARNED, NONE, VALIDATION, Masking
from t5music.training.optimizers import Optimizer
from t5music.training.train_state import Params, TrainState, places
from t5music.training.train_step import Step, advance

HIDDEN = 256  # width of the masker's inner layer
LEAST_ACCURACY = 0.01  # bounds the weight of a family that is never recovered


class Task(NamedTuple):
    """The music that is masked.

    Attributes:
        words: what the vocabulary's ids are to a note.
        families: names of the families, in the order of their numbers in `words`.
        chunks: number of rows of music, each seen once an epoch.
        lengths: row lengths of inputs and targets.
    """

    words: Words
    families: tuple[str, ...]
    chunks: int
    lengths: tuple[int, int]


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class MaskerState:
    """What changes from step to step.

    Attributes:
        params: of the masker's head, {} where chance chooses.
        opt_state: of its optimizer.
        open: False at the heads of frozen notes, bool [chunks, inputs].
        epoch: of the last batch, int32 [].
        correct: words recovered in this epoch, float32 [families].
        total: words masked in this epoch, float32 [families].
        accuracy: of the last whole epoch, or of validation, float32 [families]; 1 before there is one, and for words
            that did not occur.
        loss: the masker's loss in the last step, float32 [].
        frozen: the share of the last batch's notes that were frozen, float32 [].
    """

    params: Params
    opt_state: optax.OptState
    open: jax.Array
    epoch: jax.Array
    correct: jax.Array
    total: jax.Array
    accuracy: jax.Array
    loss: jax.Array
    frozen: jax.Array


class Masker:
    """The masker of one run: its state and its training step."""

    def __init__(
        self,
        masking: Masking,
        task: Task,
        config: T5Config,
        optimizer: Optimizer,
        validation_rows: NDArray[np.int32] | None = None,
    ) -> None:
        """Sets up the masker.

        Args:
            masking: how notes are chosen.
            task: the music.
            config: the recoverer.
            optimizer: its settings are also the masker's.
            validation_rows: music to weigh the families by, int32 [rows, inputs], if `masking` says so.

        Raises:
            ConfigError: the model has no encoder; there is no music to weigh by.
        """
        if config.decoder_only:
            raise ConfigError(f"Update.masking needs a model with an encoder, not a {config.architecture}")
        self.masking, self.task, self._config = masking, task, config
        self._held_out = None
        if masking.weighting and masking.weighed_on == VALIDATION:
            if validation_rows is None or not len(validation_rows):
                raise ConfigError('Masking.weighed_on "validation": the mixture has no music for validation')
            self._held_out = HeldOut(validation_rows, task.words, len(task.families), masking.most, task.lengths)
        self._learned = masking.chooser == LEARNED
        axes = {"wi": ("embed", "mlp"), "bi": ("mlp",), "wo": ("mlp",), "bo": ()} if self._learned else {}
        self._transformation = optimizer.transformation(axes) if self._learned else optax.identity()

    @property
    def settings(self) -> dict[str, Any]:
        """The settings that a resumed run must have, as JSON values."""
        return {**self.masking.settings, "chunks": self.task.chunks}

    def create(self, seed: int) -> MaskerState:
        """Returns the state of step 0."""
        d_model, families = self._config.d_model, len(self.task.families)
        params: Params = {}
        if self._learned:
            # The model's parameters and its dropout have keys that are split from this one; this is a third key.
            wi, wo = jax.random.split(jax.random.fold_in(jax.random.key(seed), 2))
            params = {
                "wi": jax.random.normal(wi, (d_model, HIDDEN)) * d_model**-0.5,
                "bi": jnp.zeros(HIDDEN),
                "wo": jax.random.normal(wo, (HIDDEN,)) * HIDDEN**-0.5,
                "bo": jnp.zeros(()),
            }
        return MaskerState(
            params=params,
            opt_state=self._transformation.init(params),
            open=jnp.ones((self.task.chunks, self.task.lengths[0]), bool),
            epoch=jnp.zeros((), jnp.int32),
            correct=jnp.zeros(families),
            total=jnp.zeros(families),
            accuracy=jnp.ones(families),
            loss=jnp.zeros(()),
            frozen=jnp.zeros(()),
        )

    def abstract(self) -> MaskerState:
        """Returns shapes and types of the state; nothing is allocated."""
        return jax.eval_shape(lambda: self.create(0))

    def make_train_step(
        self,
        graphdef: nnx.GraphDef,
        transformation: optax.GradientTransformation,
        target: TrainState,
        *,
        z_loss: float = Z_LOSS,
    ) -> Step:
        """Returns the jitted step (state, batch) -> (state, loss sum), like `train_step.make_train_step`.

        A batch holds "encoder_input_tokens", int32 [batch, inputs], the unmasked music, each row with EOS; "chunk",
        int32 [batch], the numbers of these rows, all different; and "epoch", int32 [batch], all equal.

        Args:
            graphdef: of the model, from `parameters.abstract`.
            transformation: the recoverer's optimizer.
            target: shapes and places, from `train_state.abstract_state`.
            z_loss: see `losses`.
        """

        def loss(
            params: tuple[Params, Params], state: MaskerState, batch: Mapping[str, jax.Array], key: jax.Array
        ) -> tuple[jax.Array, tuple[Choice, Recovery, jax.Array]]:
            model = nnx.merge(graphdef, params[0])
            notes = note_masks.heads(batch["encoder_input_tokens"], self.task.words)  # [batch, inputs]
            keys = jax.random.split(key, 6)
            choice = self.choose(model, params[1], state.open[batch["chunk"]], batch, notes, keys)
            recovery = recover(
                model,
                batch["encoder_input_tokens"],
                notes,
                choice.masked,
                self.task.words,
                self._weights(state),
                self.task.lengths,
                keys[4:],
                z_loss=z_loss,
            )
            masker_loss = jnp.zeros(())
            if self._learned:
                masker_loss = teaching_loss(self.masking, choice, recovery.changed, recovery.hardness, keys[3])
            return recovery.sums.loss + self._positions(batch) * masker_loss, (choice, recovery, masker_loss)

        def step(state: TrainState, batch: Mapping[str, jax.Array]) -> tuple[TrainState, jax.Array]:
            key = jax.random.fold_in(jax.random.wrap_key_data(state.key), state.step)
            loss_key, freeze_key = jax.random.split(key)
            assert state.masker is not None  # this step's state has a masker's
            masker = self._begin_batch(state.masker, batch["epoch"])
            params = (state.params, masker.params)
            gradients, (choice, recovery, masker_loss) = jax.grad(loss, has_aux=True)(params, masker, batch, loss_key)
            model_gradient, gradient = jax.tree.map(lambda g: g / self._positions(batch), gradients)
            updates, opt_state = self._transformation.update(gradient, masker.opt_state, masker.params)
            masker = dataclasses.replace(
                masker,
                params=optax.apply_updates(masker.params, updates),
                opt_state=opt_state,
                open=self._freeze(masker, choice, batch, freeze_key),
                correct=masker.correct + recovery.correct,
                total=masker.total + recovery.total,
                loss=masker_loss,
                frozen=1.0 - jnp.sum(choice.allowed) / jnp.maximum(jnp.sum(choice.is_head), 1),
            )
            tokens_read = jnp.sum(batch["encoder_input_tokens"] != PAD_ID)
            return advance(state, model_gradient, recovery.sums, tokens_read, transformation, EVERYTHING, masker)

        return jax.jit(step, donate_argnums=0, out_shardings=(places(target), None))

    def choose(
        self,
        model: T5,
        params: Params,
        is_open: jax.Array,
        batch: Mapping[str, jax.Array],
        notes: jax.Array,
        keys: jax.Array,
    ) -> Choice:
        """Scores the notes of a batch and chooses those to mask.

        Args:
            model: the recoverer.
            params: of the masker's head.
            is_open: False at the heads of frozen notes, bool [batch, inputs].
            batch: see `make_train_step`.
            notes: from `note_masks.heads`, int32 [batch, inputs].
            keys: four random keys.
        """
        tokens = batch["encoder_input_tokens"]  # [batch, inputs]
        is_head = jnp.asarray(self.task.words.head)[tokens] & (notes >= 0)  # [batch, inputs]
        scores = jax.random.uniform(keys[0], tokens.shape)  # [batch, inputs]
        if self._learned:
            scores = score(model.encode(tokens, deterministic=False, rngs=keys[1]), params)
        # Sentinels tell runs of masked words apart; in place, nothing needs them.
        most_runs = self._config.vocab_size if self._config.encoder_only else self.task.words.sentinels - 1
        return choose(self.masking, scores, is_head, is_open, most_runs, keys[2])

    def _positions(self, batch: Mapping[str, jax.Array]) -> int:
        """The number of target positions of a batch, by which the gradient of a sum over it is divided."""
        return len(batch["encoder_input_tokens"]) * self.task.lengths[0 if self._config.encoder_only else 1]

    def _weights(self, state: MaskerState) -> jax.Array:
        """The weights of the families' words, 1 on average, float32 [families]."""
        if not self.masking.weighting:
            return jnp.ones_like(state.accuracy)
        inverse = 1 / jnp.maximum(state.accuracy, LEAST_ACCURACY)
        return inverse / jnp.mean(inverse)

    def _begin_batch(self, state: MaskerState, epoch: jax.Array) -> MaskerState:
        """The state at a batch of an epoch, int32 [batch]; in a new one, the accuracies are those of the last one."""
        epoch = jnp.max(epoch)
        new = epoch > state.epoch
        accuracy = jnp.where(state.total > 0, state.correct / jnp.maximum(state.total, 1), 1.0)
        return dataclasses.replace(
            state,
            epoch=epoch,
            accuracy=jnp.where(new & (self._held_out is None), accuracy, state.accuracy),
            correct=jnp.where(new, 0.0, state.correct),
            total=jnp.where(new, 0.0, state.total),
        )

    def weighed(self, state: MaskerState, model: T5) -> MaskerState:
        """Returns the state with the accuracies of validation, if families are weighed by those."""
        if self._held_out is None:
            return state
        accuracy = jax.device_put(self._held_out.accuracies(model), state.accuracy.sharding)
        return dataclasses.replace(state, accuracy=accuracy)

    def _freeze(self, state: MaskerState, choice: Choice, batch: Mapping[str, jax.Array], key: jax.Array) -> jax.Array:
        """Which notes are open after this batch, bool [chunks, inputs]; it changes every `masking.epochs` epochs."""
        if self.masking.freezing == NONE:
            return state.open
        is_open = state.open[batch["chunk"]]  # [batch, inputs]
        after = freeze(self.masking, is_open, choice, key)
        now = state.epoch % self.masking.epochs == self.masking.epochs - 1
        return state.open.at[batch["chunk"]].set(jnp.where(now, after, is_open))

    def flops(self, batch: Mapping[str, jax.Array]) -> float:
        """Returns the operations of a step on a batch, of all processes: the recoverer's and the masker's encoder's."""
        rows, (inputs, targets) = len(batch["encoder_input_tokens"]), self.task.lengths
        targets = 0 if self._config.encoder_only else targets
        recovering = train_flops(self._config, rows=rows, inputs=inputs, targets=targets)
        scoring = train_flops(self._config, rows=rows, inputs=inputs, targets=0) if self._learned else 0.0
        return recovering + scoring

    def summarise(self, state: MaskerState) -> dict[str, float]:
        """Returns the masker's metrics: its loss, the share of frozen notes, the accuracies of the last epoch."""
        accuracy = np.asarray(state.accuracy).tolist()
        return {
            "masker/loss": float(state.loss),
            "masker/frozen": float(state.frozen),
            **{
                f"masker/accuracy/{name}": float(share)
                for name, share in zip(self.task.families, accuracy, strict=True)
            },
        }
