"""Pre-training on masked notes, which a small network learns to choose (Zhao 2024, Adversarial-MidiBERT).

A masker scores every note of a row; the notes of the highest scores are masked, and the model, the recoverer, says
what they were. The masker, a head on the model's own encoder, learns which notes were hard: of those just masked the
hardest are to score 1 and the easiest 0. So it masks what is not learnt yet, and not what is frequent. Notes that stay
the hardest to infer, for which nothing in the music tells them, teach a bias at best: every few epochs the notes of
the highest scores are frozen, that is not masked any more, and a few are thawed again. The recoverer's loss weighs
families of words (positions, pitches, durations ...) by the inverse of how well each was recovered in the last epoch.

An encoder-decoder is asked by span corruption, in which the chosen notes are the spans; an encoder alone in place, as
BERT (`note_masks`). Chosen by chance, both are objectives of their own: random masked notes.

All that changes (the masker, which notes of which chunk are frozen, the epoch's accuracies) is part of the training
state, and all chance comes from the step's key, so a resumed run repeats every choice. What differs from the published
code: a chunk's notes are frozen and thawed when it is visited in the epoch in which the code goes through all of them
afterwards; the code adds the loss of all words, masked or not, to that of the masked, and this does not; and its
masker's labels are wrong on every second row, because a sign is turned for the whole batch: `labels = "inverted"` has
that, hard notes to score 0 and easy ones 1 on the odd rows of a batch.
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

from t5music.errors import ConfigError, nearest
from t5music.model.config import PAD_ID, T5Config
from t5music.model.network import T5
from t5music.training.cost.flops import train_flops
from t5music.training.freezing import EVERYTHING
from t5music.training.losses import Z_LOSS, LossSums, token_losses
from t5music.training.note_masking import note_masks
from t5music.training.note_masking.note_masks import Words
from t5music.training.optimizers import Optimizer
from t5music.training.train_state import Params, TrainState, places
from t5music.training.train_step import Step, advance

LEARNED, RANDOM = CHOOSERS = ("learned", "random")
HARDEST, NONE = "hardest", "none"
FREEZING = (HARDEST, RANDOM, NONE)
PAPER, INVERTED = LABELS = ("paper", "inverted")
HIDDEN = 256  # width of the masker's inner layer
LEAST_ACCURACY = 0.01  # a family that is never right would otherwise weigh without bound

_CHOICES = {"chooser": CHOOSERS, "freezing": FREEZING, "labels": LABELS}


@dataclasses.dataclass(frozen=True)
class Masking:
    """How notes are chosen to be masked; the numbers are Adversarial-MidiBERT's.

    Attributes:
        chooser: "learned" by the masker, or "random".
        share: of a row's notes that are not frozen, between which a share is drawn, to be masked.
        most: the largest share of all of a row's notes.
        labelled: share of the masked notes that are the hardest for the masker to learn from, and that are the easiest.
        freezing: what is frozen: the "hardest" notes, as many "random" ones, or "none".
        epochs: how many from one freezing to the next.
        frozen: of a chunk's notes that are not frozen, between which a share is drawn, to be frozen.
        thawed: the greatest chance for each note to be thawed again; it is drawn for each chunk.
        weighting: whether families of words weigh as they are still to be learnt.
        labels: "paper", or "inverted" as in the published code.
    """

    chooser: str = LEARNED
    share: tuple[float, float] = (0.1, 0.3)
    most: float = 0.15
    labelled: float = 0.3
    freezing: str = HARDEST
    epochs: int = 5
    frozen: tuple[float, float] = (0.1, 0.3)
    thawed: float = 0.1
    weighting: bool = True
    labels: str = PAPER

    def __post_init__(self) -> None:
        for name, known in _CHOICES.items():
            value = getattr(self, name)
            if value not in known:
                raise ConfigError(
                    f"Masking.{name} must be one of {', '.join(known)}, not {value!r}{nearest(value, known)}"
                )
        for name in ("share", "frozen"):
            low, high = getattr(self, name)
            if not 0 < low <= high < 1:
                raise ConfigError(f"Masking.{name} must be two shares, 0 < low <= high < 1, not {low} and {high}")
        for name, greatest in (("most", 1.0), ("labelled", 0.5), ("thawed", 1.0)):
            if not 0 <= getattr(self, name) <= greatest:
                raise ConfigError(f"Masking.{name} must be from 0 to {greatest}, not {getattr(self, name)}")
        if self.epochs < 1:
            raise ConfigError(f"Masking.epochs must be at least 1, not {self.epochs}")
        if self.chooser == RANDOM and self.freezing == HARDEST:
            raise ConfigError('Masking.freezing "hardest" needs a masker: set it to "random" or "none"')

    @property
    def settings(self) -> dict[str, Any]:
        """The fields as JSON values; a resumed run must have the same."""
        return dataclasses.asdict(self)


class Task(NamedTuple):
    """What there is to mask.

    Attributes:
        words: of the vocabulary.
        families: their names, in the order of the numbers in `words`.
        chunks: how many rows of music there are, each seen once an epoch.
        lengths: row lengths of inputs and targets.
    """

    words: Words
    families: tuple[str, ...]
    chunks: int
    lengths: tuple[int, int]


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class MaskerState:
    """What changes while notes are chosen.

    Attributes:
        params: of the masker's head, {} where chance chooses.
        opt_state: of its optimizer.
        open: bool [chunks, inputs], False at the heads of frozen notes.
        epoch: int32, of the last batch.
        correct, total: float32 [families], words recovered and masked in this epoch.
        accuracy: float32 [families], in the last whole epoch; 1 before there was one, and for what did not occur.
        loss: float32, the masker's in the last step.
        frozen: float32, share of the last batch's notes that were frozen.
    """

    params: Params
    opt_state: Any
    open: jax.Array
    epoch: jax.Array
    correct: jax.Array
    total: jax.Array
    accuracy: jax.Array
    loss: jax.Array
    frozen: jax.Array


class Masker:
    """The masker of one run: its state and its training step."""

    def __init__(self, masking: Masking, task: Task, config: T5Config, optimizer: Optimizer) -> None:
        """Raises ConfigError for a model without an encoder."""
        if config.decoder_only:
            raise ConfigError(f"Update.masking needs a model with an encoder, not a {config.architecture}")
        self.masking, self.task, self._config = masking, task, config
        self._learned = masking.chooser == LEARNED
        self._alone = config.num_decoder_layers == 0
        axes = {"wi": ("embed", "mlp"), "bi": ("mlp",), "wo": ("mlp",), "bo": ()} if self._learned else {}
        self._transformation = optimizer.transformation(axes) if self._learned else optax.identity()

    @property
    def settings(self) -> dict[str, Any]:
        """What must be the same when a run is resumed, as JSON values."""
        return {**self.masking.settings, "chunks": self.task.chunks}

    def create(self, seed: int) -> MaskerState:
        """The state of step 0."""
        d_model, families = self._config.d_model, len(self.task.families)
        params: Params = {}
        if self._learned:
            # Another key than those of the model's parameters and of its dropout, which are split from this one.
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
        """Shapes and types of the state; nothing is allocated."""
        return jax.eval_shape(lambda: self.create(0))

    def make_train_step(
        self,
        graphdef: nnx.GraphDef,
        transformation: optax.GradientTransformation,
        target: TrainState,
        *,
        z_loss: float = Z_LOSS,
    ) -> Step:
        """The jitted step (state, batch) -> (state, loss sum), as `state.make_train_step`'s.

        A batch holds "encoder_input_tokens", int32 [batch, inputs], the music unmasked, each row with EOS; "chunk",
        int32 [batch], all different, which rows these are; and "epoch", int32 [batch], all alike.
        """

        def loss(trained: tuple[Params, Params], state: MaskerState, batch: Mapping[str, jax.Array], key: Any) -> Any:
            model, notes = (
                nnx.merge(graphdef, trained[0]),
                note_masks.heads(batch["encoder_input_tokens"], self.task.words),
            )
            keys = jax.random.split(key, 6)
            chosen = self.choose(model, trained[1], state.open[batch["chunk"]], batch, notes, keys)
            recovered = self._recover(model, chosen.masked, batch, notes, self._weights(state), keys[4:], z_loss)
            teaching = self._teach(chosen, recovered) if self._learned else jnp.zeros(())
            return recovered.sums.loss + self._positions(batch) * teaching, (chosen, recovered, teaching)

        def step(state: TrainState, batch: Mapping[str, jax.Array]) -> tuple[TrainState, jax.Array]:
            key = jax.random.fold_in(jax.random.wrap_key_data(state.key), state.step)
            learn, freeze = jax.random.split(key)
            masker = self._turned(state.masker, batch["epoch"])
            trained = (state.params, masker.params)
            gradients, (chosen, recovered, teaching) = jax.grad(loss, has_aux=True)(trained, masker, batch, learn)
            gradient, own = jax.tree.map(lambda g: g / self._positions(batch), gradients)
            updates, opt_state = self._transformation.update(own, masker.opt_state, masker.params)
            masker = dataclasses.replace(
                masker,
                params=optax.apply_updates(masker.params, updates),
                opt_state=opt_state,
                open=self._freeze(masker, chosen, batch, freeze),
                correct=masker.correct + recovered.correct,
                total=masker.total + recovered.total,
                loss=teaching,
                frozen=1.0 - jnp.sum(chosen.allowed) / jnp.maximum(jnp.sum(chosen.is_head), 1),
            )
            read = jnp.sum(batch["encoder_input_tokens"] != PAD_ID)
            return advance(state, gradient, recovered.sums, read, transformation, EVERYTHING, masker)

        return jax.jit(step, donate_argnums=0, out_shardings=(places(target), None))

    def choose(
        self,
        model: T5,
        params: Params,
        is_open: jax.Array,
        batch: Mapping[str, jax.Array],
        notes: jax.Array,
        keys: jax.Array,
    ) -> Chosen:
        """Scores the notes of a batch and chooses some to be masked.

        Args:
            model: the recoverer.
            params: of the masker's head.
            is_open: bool [batch, inputs], False at the heads of frozen notes.
            batch: see `make_train_step`.
            notes: of `note_masks.heads`.
            keys: four random keys.
        """
        tokens = batch["encoder_input_tokens"]
        is_head = jnp.asarray(self.task.words.head)[tokens] & (notes >= 0)
        scores = jax.random.uniform(keys[0], tokens.shape)
        if self._learned:
            scores = score(model.encode(tokens, deterministic=False, rngs=keys[1]), params)
        allowed = is_head & is_open
        low, high = self.masking.share
        share = jax.random.uniform(keys[2], (len(tokens),), minval=low, maxval=high)
        count = jnp.minimum(
            share * jnp.sum(allowed, axis=1), jnp.minimum(self.masking.most * jnp.sum(is_head, axis=1), self._most())
        )
        count = jnp.maximum(jnp.floor(count).astype(jnp.int32), 1)  # one at least, so that every row has targets
        masked = note_masks.highest(jax.lax.stop_gradient(scores), allowed, count)
        return Chosen(scores, is_head, allowed, masked)

    def _positions(self, batch: Mapping[str, jax.Array]) -> int:
        """How many targets a batch has room for: what the gradient of a sum over it is divided by, as ever."""
        return len(batch["encoder_input_tokens"]) * self.task.lengths[0 if self._alone else 1]

    def _most(self) -> int:
        """As many runs of masked notes as there are sentinels."""
        return self._config.vocab_size if self._alone else self.task.words.sentinels - 1

    def _recover(
        self,
        model: T5,
        masked: jax.Array,
        batch: Mapping[str, jax.Array],
        notes: jax.Array,
        weights: jax.Array,
        keys: jax.Array,
        z_loss: float,
    ) -> Recovered:
        tokens, words = batch["encoder_input_tokens"], self.task.words
        in_masked = note_masks.of_notes(masked, notes)
        if self._alone:
            asked = note_masks.in_place(tokens, in_masked, notes, words, keys[0])
            logits = model(asked.inputs, None, deterministic=False, rngs=keys[1])
        else:
            asked = note_masks.as_spans(tokens, in_masked, words, self.task.lengths)
            read = note_masks.shifted(asked.targets)
            logits = model(asked.inputs, read, deterministic=False, rngs=keys[1])
        costs = token_losses(logits, asked.targets, z_loss=z_loss)
        said = (asked.targets != PAD_ID).astype(jnp.float32)
        family = jnp.asarray(words.family)[asked.targets]
        weighed = said * jnp.where(family >= 0, weights[family], 1.0)
        sums = LossSums(
            loss=jnp.sum(costs.loss * weighed),
            z_loss=jnp.sum(costs.z_loss * weighed),
            weight=jnp.sum(said),
            correct=jnp.sum(costs.correct * said),
        )
        of_family = jax.nn.one_hot(family, len(self.task.families)) * said[..., None]
        note = jnp.where(asked.sources >= 0, jnp.take_along_axis(notes, jnp.maximum(asked.sources, 0), axis=1), -1)
        # In place, a tenth of the chosen notes stay as they were: how hard they are to say, says nothing.
        changed = masked & (asked.inputs != tokens) if self._alone else masked
        hardness = note_masks.sums(costs.loss * weighed, note, tokens.shape[1])
        return Recovered(
            sums,
            changed,
            jax.lax.stop_gradient(hardness),
            jnp.sum(of_family * costs.correct[..., None], axis=(0, 1)),
            jnp.sum(of_family, axis=(0, 1)),
        )

    def _teach(self, chosen: Chosen, recovered: Recovered) -> jax.Array:
        """The masker's loss: the mean over rows of its squared errors, of the hardest and of the easiest notes."""
        masked = jnp.sum(recovered.changed, axis=1)
        count = jnp.floor(self.masking.labelled * masked).astype(jnp.int32)
        count = jnp.where(masked > 1, jnp.maximum(count, 1), 0)  # one note alone is neither
        hard = note_masks.highest(recovered.hardness, recovered.changed, count)
        easy = note_masks.highest(-recovered.hardness, recovered.changed, count)
        if self.masking.labels == INVERTED:
            odd = (jnp.arange(len(count)) % 2 == 1)[:, None]
            hard, easy = jnp.where(odd, easy, hard), jnp.where(odd, hard, easy)
        errors = hard * jnp.square(chosen.scores - 1) + easy * jnp.square(chosen.scores)
        return jnp.mean(jnp.sum(errors, axis=1) / jnp.maximum(count, 1))

    def _weights(self, state: MaskerState) -> jax.Array:
        """Of each family's words, 1 on average."""
        if not self.masking.weighting:
            return jnp.ones_like(state.accuracy)
        inverse = 1 / jnp.maximum(state.accuracy, LEAST_ACCURACY)
        return inverse / jnp.mean(inverse)

    def _turned(self, state: MaskerState, epoch: jax.Array) -> MaskerState:
        """The state at a batch of this epoch: where it is a new one, the last one's accuracies are known."""
        epoch = jnp.max(epoch)
        new = epoch > state.epoch
        accuracy = jnp.where(state.total > 0, state.correct / jnp.maximum(state.total, 1), 1.0)
        return dataclasses.replace(
            state,
            epoch=epoch,
            accuracy=jnp.where(new, accuracy, state.accuracy),
            correct=jnp.where(new, 0.0, state.correct),
            total=jnp.where(new, 0.0, state.total),
        )

    def _freeze(self, state: MaskerState, chosen: Chosen, batch: Mapping[str, jax.Array], key: jax.Array) -> jax.Array:
        """Which notes are open after this batch: in every so many epochs some are frozen, some thawed."""
        if self.masking.freezing == NONE:
            return state.open
        keys = jax.random.split(key, 4)
        rows = (len(chosen.masked),)
        low, high = self.masking.frozen
        share = jax.random.uniform(keys[0], rows, minval=low, maxval=high)
        count = jnp.floor(share * jnp.sum(chosen.allowed, axis=1)).astype(jnp.int32)
        scores = chosen.scores if self.masking.freezing == HARDEST else jax.random.uniform(keys[1], chosen.scores.shape)
        chance = jax.random.uniform(keys[2], rows, maxval=self.masking.thawed)[:, None]
        thawed = jax.random.uniform(keys[3], chosen.scores.shape) < chance
        before = state.open[batch["chunk"]]
        after = (before & ~note_masks.highest(scores, chosen.allowed, count)) | thawed
        now = state.epoch % self.masking.epochs == self.masking.epochs - 1
        return state.open.at[batch["chunk"]].set(jnp.where(now, after, before))

    def flops(self, batch: Mapping[str, jax.Array]) -> float:
        """The operations of a step on such a batch, of all processes: the recoverer's, and the masker's encoder's."""
        rows, (inputs, targets) = len(batch["encoder_input_tokens"]), self.task.lengths
        recovering = train_flops(self._config, rows=rows, inputs=inputs, targets=0 if self._alone else targets)
        scoring = train_flops(self._config, rows=rows, inputs=inputs, targets=0) if self._learned else 0.0
        return recovering + scoring

    def summarise(self, state: MaskerState) -> dict[str, float]:
        """What a line of metrics says: the masker's loss, the share of frozen notes, the last epoch's accuracies."""
        accuracy = np.asarray(state.accuracy).tolist()
        return {
            "masker/loss": float(state.loss),
            "masker/frozen": float(state.frozen),
            **{
                f"masker/accuracy/{name}": float(share)
                for name, share in zip(self.task.families, accuracy, strict=True)
            },
        }


def score(states: jax.Array, params: Params) -> jax.Array:
    """What a masker says of places by the encoder's states there: [..., d_model] -> float32 [...], 0 to 1."""
    hidden = jax.nn.relu(states.astype(jnp.float32) @ params["wi"] + params["bi"])
    return jax.nn.sigmoid(hidden @ params["wo"] + params["bo"])


class Chosen(NamedTuple):
    """The notes of a batch: float32 and bool [batch, inputs] at the places of heads.

    Attributes:
        scores: the masker's, 0 to 1.
        is_head: which places are heads.
        allowed: those that are not frozen.
        masked: those that are chosen.
    """

    scores: jax.Array
    is_head: jax.Array
    allowed: jax.Array
    masked: jax.Array


class Recovered(NamedTuple):
    """What the recoverer made of them.

    Attributes:
        sums: over the batch, by the families' weights.
        changed: bool [batch, inputs], True at the heads of notes that were not there to be read.
        hardness: float32 [batch, inputs], each masked note's loss, at its head.
        correct, total: float32 [families], words recovered, words masked.
    """

    sums: LossSums
    changed: jax.Array
    hardness: jax.Array
    correct: jax.Array
    total: jax.Array
