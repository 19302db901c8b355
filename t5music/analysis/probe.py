"""Probe: a linear classifier on the frozen features of every encoder layer, beside one on hand-made features.

The same classifier is fitted to each layer's pooled states, to those of all layers together, and to hand-made features
of the same segments: standardisation, then scikit-learn's logistic regression. The validation split chooses its
regularisation and the best layer; the test split is used once, at the end. Nearest neighbours need no classifier: they
measure how often the training pieces nearest to a test piece have its label.

A segment is an example of the task, so accuracies can be compared with those of `evaluate` (with `segments` None they
are of the same examples). "piece_accuracy" takes the mean log-probabilities over the segments of a piece.
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
from t5music.storage import path_of
from t5music.training.checkpoints import selection
from t5music.training.train_state import initial_key

SPLITS = ("train", "validation", "test")
REGULARISATION = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)  # values of scikit-learn's C, the most regularised first
MAX_ITERATIONS = 2000
RANKS = (1, 5)  # numbers of neighbours

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
    """Measures how well a linear classifier of a trained encoder's states solves tasks.

    Args:
        model_dir: the run whose model is probed; it must have an encoder.
        tasks: classification tasks; what is not compiled yet is compiled.
        output_dir: where the vectors go, as <task>.npz (see `save`); None writes none.
        segments: at most this many segments of a piece, evenly spaced; None for all.
        limit: at most this many of these segments of a split, evenly spread; None for all.
        batch_size: segments at a time.
        prompted: the encoder reads the task's whole input, not the music alone (see `segment_vectors`).
        random_weights: probe the architecture with its initial weights, drawn with `seed`.
        seed: the seed of the training whose initial weights are meant.
        checkpoint: "latest", "best" or a step.

    Returns:
        task -> metrics of the test split: "accuracy", "macro_f1" and "piece_accuracy" of the layer that is best on the
        validation split; "best_layer"; "layer_<n>_accuracy" (0 is the embeddings), "all_layers_accuracy",
        "handmade_accuracy", "handmade_piece_accuracy", "majority_accuracy"; "validation_accuracy", by which the layer
        was chosen; "neighbours_precision_at_1" and "_at_5" of all layers, the same with "handmade_" before,
        "chance_precision"; and the counts "examples" and "pieces". All but the counts and the layer are shares.

    Raises:
        ConfigError: scikit-learn is missing, the model has no encoder, a task has no labels, or a training split has a
            single label.
        DataError: a store cannot be read.
        CheckpointError: the run cannot be read.
    """
    if find_spec("sklearn") is None:
        raise ConfigError("probe needs scikit-learn, which is not installed: pip install 't5music[study]'")
    if not tasks:
        raise ConfigError("probe.tasks names no task: name at least one classification task")
    stores = [store for task in tasks for store, _ in open_stores(task)]
    folder = model_dir if checkpoint == selection.LATEST else str(selection.step_folder(model_dir, checkpoint))
    model = trained_model.load(folder).model
    if random_weights:
        model = nnx.merge(*parameters.initialise(model.config, initial_key(seed)))
    results: Results = {}
    for store in stores:
        material = Material.of(model, store, segments=segments, limit=limit, batch_size=batch_size, prompted=prompted)
        if output_dir is not None:
            save(path_of(output_dir) / f"{store.name}.npz", material)
        results[store.name] = measure(material)
    show(results, "test, frozen features")
    return results


@dataclass(frozen=True)
class Material:
    """The segments of a task with their features.

    Attributes:
        labels: the label set.
        segments: split -> segments.
        layers: split -> pooled states, float32 [layers + 1, segments, 2 d_model]; see `segment_vectors.pool`.
        handmade: split -> hand-made features, float64 [segments, features]; see `handmade_features.features`.
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
        """Reads a store and pools a model's states; for arguments and errors see `probe`."""
        vocab = vocabulary.default()
        by_split = {
            split: segment_vectors.read(store, split, vocab, of_piece=segments, limit=limit) for split in SPLITS
        }
        layers = {
            split: segment_vectors.pool(model, split_segments, batch_size=batch_size, prompted=prompted)
            for split, split_segments in by_split.items()
        }
        handmade = {
            split: np.stack([handmade_features.features(score) for score in split_segments.scores(vocab)])
            for split, split_segments in by_split.items()
        }
        return cls(store.labels or (), by_split, layers, handmade)

    def all_layers(self) -> dict[str, NDArray]:
        """split -> the vectors of all layers, concatenated: [segments, (layers + 1) * 2 d_model]."""
        return {split: np.concatenate(list(layers), axis=-1) for split, layers in self.layers.items()}


class Answers(NamedTuple):
    """A classifier's answers.

    Attributes:
        classes: the labels that it knows, int [classes].
        test: log-probabilities of the test split, [segments, classes].
        validation_accuracy: a share.
    """

    classes: NDArray[np.int64]
    test: NDArray[np.float64]
    validation_accuracy: float

    def labels(self) -> NDArray[np.int64]:
        """The likeliest label of each segment, [segments]."""
        return self.classes[self.test.argmax(axis=1)]

    def of_pieces(self, pieces: NDArray[np.str_]) -> NDArray[np.int64]:
        """The likeliest label of each piece by the mean over its segments, ordered by the pieces' names, [pieces]."""
        return self.classes[_means(self.test, pieces).argmax(axis=1)]


def classify(features: Vectors, labels: Mapping[str, NDArray]) -> Answers:
    """Fits a classifier to the training split, with the C that is best on the validation split; of equals, the least.

    Args:
        features: split -> [segments, features].
        labels: split -> [segments].

    Raises:
        ConfigError: the training split has a single label.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if len(np.unique(labels["train"])) < 2:
        raise ConfigError("probe.tasks: a training split has a single label, so there is nothing to classify")
    features = {split: values.astype(np.float64) for split, values in features.items()}
    best: tuple[float, Any] = (-1.0, None)
    for strength in REGULARISATION:
        model = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=MAX_ITERATIONS))
        model.fit(features["train"], labels["train"])
        accuracy = float(model.score(features["validation"], labels["validation"]))
        if accuracy > best[0]:
            best = accuracy, model
    return Answers(best[1].classes_, best[1].predict_log_proba(features["test"]), best[0])


def neighbours(features: Vectors, segments: Mapping[str, Segments]) -> dict[str, float]:
    """Measures how many of the training pieces nearest to a test piece have its label.

    A piece's vector is the mean of its segments', standardised by the training pieces; nearness is the cosine. A piece
    is in one split only, so none is its own neighbour. Whether another recording or clip of the same song can be one
    depends on the corpus's split (EMOPIA has a split of either kind).

    Args:
        features: split -> [segments, features].
        segments: split -> segments.

    Returns:
        "precision_at_1" and "precision_at_5"; "chance", the precision of neighbours drawn at random.
    """
    pieces, labels = {}, {}
    for split in ("train", "test"):
        names = segments[split].pieces
        pieces[split] = _means(features[split], names)  # [pieces, features]
        labels[split] = segments[split].labels[np.unique(names, return_index=True)[1]]  # [pieces]
    center, scale = pieces["train"].mean(axis=0), pieces["train"].std(axis=0)
    scale[scale == 0] = 1
    unit = {}
    for split, vectors in pieces.items():
        standard = (vectors - center) / scale
        unit[split] = standard / np.maximum(np.linalg.norm(standard, axis=1, keepdims=True), 1e-12)
    order = np.argsort(-unit["test"] @ unit["train"].T, axis=1, kind="stable")  # [test pieces, training pieces]
    same = labels["train"][order] == labels["test"][:, None]  # [test pieces, training pieces], the nearest first
    return {f"precision_at_{rank}": float(same[:, :rank].mean()) for rank in RANKS} | {"chance": float(same.mean())}


def measure(material: Material) -> dict[str, float]:
    """The metrics of one task that `probe` returns."""
    labels = {split: segments.labels for split, segments in material.segments.items()}
    test = material.segments["test"]
    piece_labels = test.labels[np.unique(test.pieces, return_index=True)[1]]

    def accuracy(answers: Answers) -> float:
        return float(np.mean(answers.labels() == test.labels))

    def piece_accuracy(answers: Answers) -> float:
        return float(np.mean(answers.of_pieces(test.pieces) == piece_labels))

    together = material.all_layers()
    layers = [
        classify({split: states[number] for split, states in material.layers.items()}, labels)
        for number in range(len(material.layers["train"]))
    ]
    best = int(np.argmax([answers.validation_accuracy for answers in layers]))
    handmade = classify(material.handmade, labels)
    scores = answer_metrics.classification_metrics(test.labels, layers[best].labels(), material.labels)
    near, near_handmade = (neighbours(vectors, material.segments) for vectors in (together, material.handmade))
    return {
        "accuracy": accuracy(layers[best]),
        "macro_f1": scores["macro_f1"],
        "piece_accuracy": piece_accuracy(layers[best]),
        "validation_accuracy": layers[best].validation_accuracy,
        "best_layer": best,
        **{f"layer_{number}_accuracy": accuracy(answers) for number, answers in enumerate(layers)},
        "all_layers_accuracy": accuracy(classify(together, labels)),
        "handmade_accuracy": accuracy(handmade),
        "handmade_piece_accuracy": piece_accuracy(handmade),
        "majority_accuracy": metrics.majority_accuracy(labels["train"], test.labels),
        **{f"neighbours_precision_at_{rank}": near[f"precision_at_{rank}"] for rank in RANKS},
        **{f"handmade_neighbours_precision_at_{rank}": near_handmade[f"precision_at_{rank}"] for rank in RANKS},
        "chance_precision": near["chance"],
        "examples": len(test.labels),
        "pieces": len(piece_labels),
    }


def _means(values: NDArray, pieces: NDArray[np.str_]) -> NDArray:
    """The mean row of each piece, ordered by the pieces' names: [segments, n] -> [pieces, n]."""
    _, piece = np.unique(pieces, return_inverse=True)
    sums = np.zeros((piece.max() + 1, values.shape[1]))
    np.add.at(sums, piece, values)
    return sums / np.bincount(piece)[:, None]


def save(path: Path, material: Material) -> None:
    """Writes the vectors as an .npz file.

    Its arrays are, for each split, <split>_layers (float32 [layers + 1, segments, 2 d_model]), <split>_handmade
    (float64 [segments, features]), <split>_labels and <split>_pieces ([segments]); and "label_set" and
    "handmade_names", the names of labels and of hand-made features.
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
