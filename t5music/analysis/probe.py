"""The study of frozen features: what a linear classifier finds in a trained encoder, layer by layer.

Every layer's pooled states, all of them in one, and hand-made features of the same segments each go to one and the same
classifier: standardised, then scikit-learn's logistic regression, whose regularisation the validation split chooses;
which layer is best, too. The test split answers once, at the end. Nearest neighbours need no classifier: how often is
the music nearest to a test piece, among the training pieces, of the piece's own label?

A segment is an example of the task, so accuracies stand beside those of `evaluate` (with `segments` None they are of
the same examples). Segments of a piece also answer together, by the mean of their log-probabilities: "piece_accuracy".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from flax import nnx
from numpy.typing import NDArray

from t5music import files
from t5music.analysis import handmade_features, segment_vectors
from t5music.analysis.segment_vectors import Segments
from t5music.data import answer_metrics, vocabulary
from t5music.data.store.token_store import TokenStore
from t5music.errors import ConfigError
from t5music.evaluation import metrics
from t5music.evaluation.results import Results, show
from t5music.inference import trained_model
from t5music.model import parameters
from t5music.model.network import T5
from t5music.runs.stores import open_stores
from t5music.training.checkpoints import selection
from t5music.training.train_state import initial_key

SPLITS = ("train", "validation", "test")
REGULARISATION = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)  # scikit-learn's C, the most regularised first
MOST_ITERATIONS = 2000
RANKS = (1, 5)  # of neighbours

Vectors = Mapping[str, NDArray]  # split -> [segments, features], or [layers + 1, segments, features]


def probe(
    model_dir: str,
    tasks: Sequence[str],
    output_dir: str | None = None,
    segments: int | None = 4,
    limit: int | None = None,
    batch_size: int = 8,
    prompted: bool = False,
    random_weights: bool = False,
    seed: int = 0,
    checkpoint: str | int = selection.LATEST,
) -> Results:
    """Measures how well tasks are solved by a linear classifier of a trained encoder's states.

    Args:
      model_dir: the run whose model is probed; it must have an encoder.
      tasks: tasks to classify, compiled or compilable.
      output_dir: where the vectors go, as <task>.npz; None keeps none. See `save`.
      segments: at most this many segments of a piece, evenly spaced; None for all.
      limit: at most this many of those of a split, evenly spread; None for all.
      batch_size: segments at a time.
      prompted: show the encoder the task's whole input, not the music alone (see `vectors`).
      random_weights: probe the same architecture as it was before training, drawn with `seed`.
      seed: that of the training whose beginning is meant.
      checkpoint: "latest", "best" or a step.

    Returns:
      task -> of the test split: "accuracy", "macro_f1" and "piece_accuracy" of the layer that is best on the validation
      split, "best_layer", "layer_<n>_accuracy" (0 the embeddings), "all_layers_accuracy", "handmade_accuracy",
      "handmade_piece_accuracy", "majority_accuracy", "validation_accuracy" (by which the layer was chosen),
      "neighbours_precision_at_1" and "_at_5" of all layers, the same with "handmade_" before, "chance_precision",
      and the counts "examples" and "pieces". All but the counts and the layer are shares.

    Raises:
      ConfigError: no scikit-learn, a model without an encoder, a task that classifies nothing, a split with one class.
      DataError, CheckpointError: what cannot be read.
    """
    if find_spec("sklearn") is None:
        raise ConfigError("probe needs scikit-learn, which is not installed: pip install 't5music[study]'")
    if not tasks:
        raise ConfigError("probe.tasks names no task to classify")
    stores = [store for task in tasks for store, _ in open_stores(task)]
    folder = model_dir if checkpoint == selection.LATEST else str(selection.step_folder(model_dir, checkpoint))
    model = trained_model.load(folder).model
    if random_weights:
        model = nnx.merge(*parameters.initialise(model.config, initial_key(seed)))
    results: Results = {}
    for store in stores:
        material = Material.of(model, store, segments=segments, limit=limit, batch_size=batch_size, prompted=prompted)
        if output_dir is not None:
            save(Path(output_dir) / f"{store.name}.npz", material)
        results[store.name] = measure(material)
    show(results, "test, frozen features")
    return results


@dataclass(frozen=True)
class Material:
    """Everything that is known of the segments of a task, by split.

    Attributes:
      labels: the label set.
      segments: the segments.
      layers: float32 [layers + 1, segments, 2 d_model], see `vectors.pool`.
      handmade: float64 [segments, features], see `features`.
    """

    labels: tuple[str, ...]
    segments: Mapping[str, Segments]
    layers: Vectors
    handmade: Vectors

    @classmethod
    def of(
        cls,
        model: T5,
        store: TokenStore,
        *,
        segments: int | None = None,
        limit: int | None = None,
        batch_size: int,
        prompted: bool = False,
    ) -> Material:
        """Reads a store and pools a model's states; arguments and errors are those of `probe`."""
        vocab = vocabulary.default()
        found = {split: segment_vectors.read(store, split, vocab, of_piece=segments, limit=limit) for split in SPLITS}
        layers = {
            split: segment_vectors.pool(model, segments, batch_size=batch_size, prompted=prompted)
            for split, segments in found.items()
        }
        handmade = {
            split: np.stack([handmade_features.features(score) for score in segments.scores(vocab)])
            for split, segments in found.items()
        }
        return cls(store.labels or (), found, layers, handmade)

    def all_layers(self) -> dict[str, NDArray]:
        """All layers' vectors, one after another: [segments, (layers + 1) * 2 d_model]."""
        return {split: np.concatenate(list(layers), axis=-1) for split, layers in self.layers.items()}


class Answers(NamedTuple):
    """What a classifier says: log-probabilities [segments, classes] of the test split, and its validation accuracy."""

    classes: NDArray[np.int64]
    test: NDArray[np.float64]
    validation_accuracy: float

    def labels(self) -> NDArray[np.int64]:
        """The likeliest label of each segment."""
        return self.classes[self.test.argmax(axis=1)]

    def of_pieces(self, pieces: NDArray[np.str_]) -> NDArray[np.int64]:
        """The likeliest label of each piece, by the mean over its segments, in the order of their names."""
        return self.classes[_means(self.test, pieces).argmax(axis=1)]


def classify(found: Vectors, truth: Mapping[str, NDArray]) -> Answers:
    """Fits a classifier to the training split with the C that is best on the validation split (the least of several).

    Raises ConfigError for a training split of one class only.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if len(np.unique(truth["train"])) < 2:
        raise ConfigError("probe.tasks: there is a single label in a training split, so there is nothing to classify")
    found = {split: values.astype(np.float64) for split, values in found.items()}
    best: tuple[float, Any] = (-1.0, None)
    for strength in REGULARISATION:
        model = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=MOST_ITERATIONS))
        model.fit(found["train"], truth["train"])
        accuracy = float(model.score(found["validation"], truth["validation"]))
        if accuracy > best[0]:
            best = accuracy, model
    return Answers(best[1].classes_, best[1].predict_log_proba(found["test"]), best[0])


def neighbours(found: Vectors, segments: Mapping[str, Segments]) -> dict[str, float]:
    """How many of the training pieces nearest to a test piece have its label: "precision_at_1", "precision_at_5".

    A piece is the mean of its segments' vectors, standardised by the training pieces; nearness is the cosine. Pieces
    are in one split only, so none is its own neighbour; whether another recording or clip of the same song may be is
    the corpus' own split's to say (EMOPIA has one either way). "chance" is the precision of neighbours drawn at random.
    """
    pieces, labels = {}, {}
    for split in ("train", "test"):
        own = segments[split]
        pieces[split] = _means(found[split], own.pieces)
        labels[split] = own.labels[np.unique(own.pieces, return_index=True)[1]]
    center, scale = pieces["train"].mean(axis=0), pieces["train"].std(axis=0)
    scale[scale == 0] = 1
    unit = {}
    for split, of_split in pieces.items():
        standard = (of_split - center) / scale
        unit[split] = standard / np.maximum(np.linalg.norm(standard, axis=1, keepdims=True), 1e-12)
    order = np.argsort(-unit["test"] @ unit["train"].T, axis=1, kind="stable")
    same = labels["train"][order] == labels["test"][:, None]  # [test pieces, training pieces], the nearest first
    return {f"precision_at_{rank}": float(same[:, :rank].mean()) for rank in RANKS} | {"chance": float(same.mean())}


def measure(material: Material) -> dict[str, float]:
    """The metrics of one task, as `probe` returns them."""
    truth = {split: segments.labels for split, segments in material.segments.items()}
    test = material.segments["test"]
    piece_truth = test.labels[np.unique(test.pieces, return_index=True)[1]]

    def accuracy(answers: Answers) -> float:
        return float(np.mean(answers.labels() == test.labels))

    def piece_accuracy(answers: Answers) -> float:
        return float(np.mean(answers.of_pieces(test.pieces) == piece_truth))

    together = material.all_layers()
    layers = [
        classify({split: found[number] for split, found in material.layers.items()}, truth)
        for number in range(len(material.layers["train"]))
    ]
    best = int(np.argmax([answers.validation_accuracy for answers in layers]))
    handmade = classify(material.handmade, truth)
    scores = answer_metrics.classification_metrics(test.labels, layers[best].labels(), material.labels)
    near, near_handmade = (neighbours(found, material.segments) for found in (together, material.handmade))
    return {
        "accuracy": accuracy(layers[best]),
        "macro_f1": scores["macro_f1"],
        "piece_accuracy": piece_accuracy(layers[best]),
        "validation_accuracy": layers[best].validation_accuracy,
        "best_layer": best,
        **{f"layer_{number}_accuracy": accuracy(answers) for number, answers in enumerate(layers)},
        "all_layers_accuracy": accuracy(classify(together, truth)),
        "handmade_accuracy": accuracy(handmade),
        "handmade_piece_accuracy": piece_accuracy(handmade),
        "majority_accuracy": metrics.majority_accuracy(truth["train"], test.labels),
        **{f"neighbours_precision_at_{rank}": near[f"precision_at_{rank}"] for rank in RANKS},
        **{f"handmade_neighbours_precision_at_{rank}": near_handmade[f"precision_at_{rank}"] for rank in RANKS},
        "chance_precision": near["chance"],
        "examples": len(test.labels),
        "pieces": len(piece_truth),
    }


def _means(values: NDArray, pieces: NDArray[np.str_]) -> NDArray:
    """The mean row of each piece, in the order of their names: [segments, n] -> [pieces, n]."""
    _, piece = np.unique(pieces, return_inverse=True)
    sums = np.zeros((piece.max() + 1, values.shape[1]))
    np.add.at(sums, piece, values)
    return sums / np.bincount(piece)[:, None]


def save(path: Path, material: Material) -> None:
    """Writes the vectors: <split>_layers float32 [layers + 1, segments, 2 d_model], _handmade, _labels, _pieces.

    "label_set" and "handmade_names" say what labels and hand-made features are called.
    """
    arrays: dict[str, Any] = {
        "label_set": np.array(material.labels),
        "handmade_names": np.array(handmade_features.NAMES),
    }
    for split, segments in material.segments.items():
        arrays[f"{split}_layers"], arrays[f"{split}_handmade"] = material.layers[split], material.handmade[split]
        arrays[f"{split}_labels"], arrays[f"{split}_pieces"] = segments.labels, segments.pieces
    with files.replacing(path) as temporary:
        np.savez(temporary, **arrays)
