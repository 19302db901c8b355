"""Embed: a vector for each piece of one's own music, and which pieces are like another (`t5music embed`, `similar`).

A piece is cut into segments as long as the model was trained to read. The encoder is shown the bare words of each, as
in pre-training; a segment's vector is the mean of a layer's states over its words, and a piece's the mean over its
segments. Nothing is trained here. No TensorFlow, no seqio.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from numpy.typing import NDArray
from tqdm import tqdm

from t5music import __version__
from t5music.corpora.listing import relative_id
from t5music.corpora.sources.folder import find_files
from t5music.data.vocabulary import EOS_ID, Ids
from t5music.errors import ConfigError, DataError, MidiError
from t5music.files import printable_name
from t5music.inference import stand_ins, trained_model, vector_files
from t5music.inference.left_out import LeftOut
from t5music.inference.trained_model import TrainedModel
from t5music.inference.vector_files import Collection, Settings
from t5music.model.network import T5
from t5music.music import encodings, music_files
from t5music.music.score import Score
from t5music.storage import bucket_copies, path_of
from t5music.training.checkpoints import selection

SHORTEST_ROW = 64  # rows are padded to this times a power of two, so that few lengths are compiled
BATCH_SIZE = 8
FILES_AT_A_TIME = 32  # in memory
GENERAL = "remi"  # the encoding that can say any music


# ------------------------------------------------------------------------------------------------- states to vectors


def pool(
    model: T5, rows: Sequence[Ids], counted: NDArray[np.bool_], *, batch_size: int = BATCH_SIZE
) -> NDArray[np.float32]:
    """The pooled states of every layer, float32 [layers + 1, rows, 2 d_model]: means, then standard deviations.

    Layers are those of `T5.encoder_states`; every row is shown with EOS at its end, as in training.

    Args:
        model: with an encoder.
        rows: int32 [n] each, without EOS; at least one.
        counted: bool [vocabulary size], True for the ids at whose positions states are pooled.
        batch_size: rows at a time.
    """
    graphdef, params = nnx.split(model)
    vectors = np.empty((model.config.num_encoder_layers + 1, len(rows), 2 * model.config.d_model), np.float32)
    for width, places in _by_width(rows, batch_size):
        tokens = np.zeros((batch_size, width), np.int32)
        for row, place in enumerate(places):
            tokens[row, : len(rows[place]) + 1] = np.append(rows[place], EOS_ID)
        states = _pooled(graphdef, params, tokens, counted[tokens].astype(np.float32))
        vectors[:, places] = np.asarray(states)[:, : len(places)]
    return vectors


@jax.jit
def _pooled(graphdef: nnx.GraphDef, params: nnx.State, tokens: jax.Array, counted: jax.Array) -> jax.Array:
    """Mean and standard deviation over the counted positions: [layers + 1, batch, 2 d_model] in float32."""
    states = nnx.merge(graphdef, params).encoder_states(tokens).astype(jnp.float32)  # [layers + 1, batch, n, d_model]
    weights = counted / jnp.maximum(jnp.sum(counted, axis=1, keepdims=True), 1)  # [batch, n]
    mean = jnp.einsum("lbnd,bn->lbd", states, weights)
    spread = jnp.einsum("lbnd,bn->lbd", jnp.square(states - mean[:, :, None]), weights)
    return jnp.concatenate([mean, jnp.sqrt(spread)], axis=-1)


def _by_width(rows: Sequence[Ids], batch_size: int) -> Iterator[tuple[int, list[int]]]:
    """Yields (padded length, indices of up to `batch_size` rows of it), so that short rows cost little."""
    widths = np.array([max(SHORTEST_ROW, 1 << len(row).bit_length()) for row in rows])  # with room for EOS
    for width in np.unique(widths).tolist():
        places = np.flatnonzero(widths == width).tolist()
        for first in range(0, len(places), batch_size):
            yield width, places[first : first + batch_size]


def fingerprint(model: T5) -> str:
    """SHA-256 (hex) of a model's weights and their names: the same wherever a checkpoint is copied to."""
    digest = hashlib.sha256()
    for path, param in nnx.to_flat_state(nnx.state(model, nnx.Param)):
        weights = np.asarray(param[...])
        digest.update(f"{path} {weights.dtype} {weights.shape}".encode())
        digest.update(weights.tobytes())
    return digest.hexdigest()


# -------------------------------------------------------------------------------------------------- files to vectors


def settings_of(trained: TrainedModel, model_dir: str, layer: int | None = None) -> Settings:
    """How vectors of a model are made: of `layer`, the last if None, in remi if the model knows it.

    Raises ConfigError for a model without an encoder or trained on no music, and for a layer that it does not have.
    """
    config = trained.model.config
    if config.decoder_only:
        raise ConfigError(f"--model_dir {model_dir}: a {config.architecture} has no encoder whose states make a vector")
    if layer is not None and not 0 <= layer <= config.num_encoder_layers:
        raise ConfigError(f"--layer {layer}: the model's are 0 (the embeddings) to {config.num_encoder_layers}")
    names = [task.encoding for task in trained.tasks.values() if task.encoding in trained.vocabulary.encodings]
    if not names:
        raise ConfigError(f"--model_dir {model_dir} was trained on no music")
    return Settings(
        model=model_dir,
        step=trained.step,
        fingerprint=fingerprint(trained.model),
        layer=config.num_encoder_layers if layer is None else layer,
        encoding=GENERAL if GENERAL in names else names[0],
        words=trained.lengths["inputs"] - 1,  # and EOS
        version=__version__,
    )


def segments_of(score: Score, trained: TrainedModel, settings: Settings, name: str) -> list[Ids]:
    """The words of music in segments, int32 [n] each. Raises MidiError that calls the music `name`."""
    encoding = encodings.get(settings.encoding)
    try:
        segments = encoding.segments(encoding.encode(stand_ins.familiar(trained, score)), settings.words)
    except MidiError as error:
        raise MidiError(f"{name}: {error}") from error
    if not segments:
        raise MidiError(f"{name}: no notes in it that {encoding.name} has words for")
    return [trained.vocabulary.encode_events(encoding.name, segment) for segment in segments]


def vectors_of(trained: TrainedModel, settings: Settings, pieces: Sequence[Sequence[Ids]]) -> NDArray[np.float32]:
    """The vectors of pieces in segments, at least one each: float32 [pieces, d_model]."""
    rows = [row for segments in pieces for row in segments]
    counts = np.array([len(segments) for segments in pieces])
    states = pool(trained.model, rows, trained.vocabulary.event_mask(settings.encoding))
    means = states[settings.layer, :, : trained.model.config.d_model]
    sums = np.add.reduceat(means, np.cumsum(counts) - counts, axis=0)
    return (sums / counts[:, None]).astype(np.float32)


def collect(folder: str | os.PathLike[str], trained: TrainedModel, settings: Settings) -> Collection:
    """The vectors of all MIDI files below a folder; those that cannot be used are named on stderr and left out.

    Raises DataError for a folder without a MIDI file, or without one that can be used.
    """
    place = path_of(folder)
    root = bucket_copies.copy_of_folder(place)
    listing = find_files(root)
    left_out = LeftOut(len(listing.files) + len(listing.unreadable), place)
    for name, reason in listing.unreadable.items():
        left_out.add(name, reason)
    names: list[str] = []
    vectors: list[NDArray[np.float32]] = []
    with tqdm(total=len(listing.files), desc="embed", unit="file", dynamic_ncols=True, disable=None) as bar:
        for first in range(0, len(listing.files), FILES_AT_A_TIME):
            part, pieces = listing.files[first : first + FILES_AT_A_TIME], []
            for path in part:
                name = relative_id(path, root)
                try:
                    pieces.append(segments_of(music_files.read(path, name=name), trained, settings, name))
                except MidiError as error:
                    left_out.add(name, error)
                else:
                    names.append(name)
            if pieces:
                vectors.append(vectors_of(trained, settings, pieces))
            bar.update(len(part))
    left_out.check()
    left_out.count()
    return Collection(settings, tuple(names), np.concatenate(vectors), left_out.reasons)


# --------------------------------------------------------------------------------------------------------- the verbs


def embed(
    folder: str, model_dir: str, *, output: str, layer: int | None = None, checkpoint: str = selection.LATEST
) -> Path:
    """`t5music embed`: writes one vector for each MIDI file below a folder; files that cannot be read are left out.

    Args:
        folder: where the files are.
        model_dir: the run whose encoder is used.
        output: the file to write, .npz or .parquet: see `vector_files`.
        layer: of the encoder, 0 the embeddings; the last if None.
        checkpoint: of the run: "latest", "best" or a step.

    Returns:
        The path of the file.

    Raises:
        ConfigError: an output of another suffix, a model without an encoder, a layer that it does not have.
        DataError: no file in the folder could be used, or the output cannot be written.
    """
    path = vector_files.check_path(output, "--output")
    trained = trained_model.load(model_dir, checkpoint)
    collection = collect(folder, trained, settings_of(trained, model_dir, layer))
    vector_files.write(path, collection)
    pieces, width = collection.vectors.shape
    layer = collection.settings.layer
    print(f"{printable_name(path)}: {pieces} vectors of {width} numbers, layer {layer} of {model_dir}")
    return path


def similar(
    file: str,
    collection: str,
    model_dir: str,
    *,
    top: int = 10,
    layer: int | None = None,
    checkpoint: str = selection.LATEST,
) -> list[tuple[str, float]]:
    """`t5music similar`: prints the pieces of a collection that are most like a MIDI file, the most alike first.

    Args:
        file: the MIDI file.
        collection: a folder of MIDI files, or a file that `t5music embed` made of one with the same weights.
        model_dir: the run whose encoder is used.
        top: how many pieces to print.
        layer: as of `embed`; that of the collection's file if None.
        checkpoint: of the run: "latest", "best" or a step.

    Returns:
        (file, similarity from -1 to 1; see `similarities`) of each, in order.

    Raises:
        ConfigError: as `embed`; a file of vectors of other weights or of another layer; a `top` below 1.
        DataError: a collection that cannot be read, or of fewer than two pieces.
        MidiError: the file cannot be read.
    """
    trained = trained_model.load(model_dir, checkpoint)
    score, name = music_files.read(file), printable_name(file)
    ranked = ranking(trained, score, name, collection, model_dir, top=top, layer=layer)
    for piece, value in ranked:
        print(f"{value:6.3f}  {piece}")
    return ranked


def ranking(
    trained: TrainedModel,
    score: Score,
    name: str,
    collection: str | os.PathLike[str],
    model_dir: str,
    *,
    top: int = 10,
    layer: int | None = None,
) -> list[tuple[str, float]]:
    """The pieces of a collection that are most like music; arguments, what it returns and errors as of `similar`.

    `name` is what the music is called in errors.
    """
    if top < 1:
        raise ConfigError(f"--top {top}: at least one piece must be asked for")
    path = path_of(collection)
    stored = None if path.is_dir() else vector_files.read(vector_files.check_path(path, "the collection"))
    settings = settings_of(trained, model_dir, stored.settings.layer if stored and layer is None else layer)
    if stored:
        _require_same(stored, settings, trained.model.config.d_model, path)
        settings = stored.settings
    segments = segments_of(score, trained, settings, name)
    pieces = stored or collect(path, trained, settings)
    if len(pieces.files) < 2:
        raise DataError(f"{printable_name(path)} has a single piece, so there is nothing to rank")
    likeness = similarities(vectors_of(trained, settings, [segments])[0], pieces.vectors)
    return [(pieces.files[index], float(likeness[index])) for index in np.argsort(-likeness, kind="stable")[:top]]


def similarities(vector: NDArray, vectors: NDArray) -> NDArray[np.float64]:
    """The cosine of a vector [n] with each of a collection's [pieces, n], all of them less the collection's mean.

    The states of a Transformer share a large part, whatever it reads, so that the plain cosines of any two pieces are
    nearly 1 and differ by what the common part makes of their lengths (Mu & Viswanath 2018; Ethayarajh 2019). What is
    left without the mean is by what pieces differ from each other.
    """
    center = vectors.mean(axis=0, dtype=np.float64)
    piece, others = vector - center, vectors - center
    norms = np.linalg.norm(piece) * np.linalg.norm(others, axis=1)
    return others @ piece / np.maximum(norms, np.finfo(np.float64).tiny)


def _require_same(stored: Collection, settings: Settings, width: int, path: Path) -> None:
    """Raises ConfigError for a file of vectors that cannot be compared with ones of these settings and width."""
    again = f"make it again with t5music embed FOLDER --model_dir {settings.model} --output {path}"
    former = stored.settings
    if former.fingerprint != settings.fingerprint or stored.vectors.shape[1] != width:
        model = former.model if former.step is None else f"step {former.step} of {former.model}"
        raise ConfigError(f"{path} was made with other weights ({model}): {again}")
    if former.layer != settings.layer:
        raise ConfigError(f"--layer {settings.layer}: {path} is of layer {former.layer}: {again} --layer ...")
