"""Where a text names keys, chords or notes, training does not transpose the music alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from small_scores import piece, tune

from t5music.data import examples
from t5music.data.examples import Examples, to_config
from t5music.data.loading.task_stream import TaskStream
from t5music.data.objectives import Transpose
from t5music.data.store.codec import FeatureSpec
from t5music.data.store.token_store import StoreWriter, TokenStore
from t5music.data.vocabulary import default

LENGTHS = {"inputs": 512, "targets": 512}
LABELS = {"key": "A minor", "caption": "A tune in A minor.", "composer": "bach"}
ABC = "X:1\nT:One\nM:4/4\nL:1/4\nK:Am\nABcd|edcB|A4|]\n"
TEXTS = [
    examples.ClassifyKey(versions=1),
    examples.NameChords("folk", "remi", part=("melody",), versions=1),
    examples.Caption("remi"),
    examples.Compose("remi"),
    examples.TranscribeAbc(),
    examples.PlayAbc(),
]
OTHERS = [examples.Classify("composer", ("bach", "landini"), "remi"), examples.Continue("folk", "remi", words=32)]


def versions(kind: Examples, folder: Path) -> set[tuple[str, str]]:
    """The first example of a tune in forty epochs of a training that transposes."""
    example = next(iter(kind.examples(piece(tune([69, 71, 72, 74, 76, 74, 72, 71, 69, 0, 0, 0]), **LABELS, abc=ABC))))
    vocabulary, features = default(), {"inputs": FeatureSpec(), "targets": FeatureSpec()}
    with StoreWriter(
        folder / "task", features=features, vocabulary=vocabulary, encoding=kind.encoding, examples=to_config(kind)
    ) as writer:
        writer.write("train", {name: vocabulary.encode(text) for name, text in example._asdict().items()})
    stream = TaskStream(
        TokenStore.open(folder / "task"), "train", feature_lengths=LENGTHS, vocabulary=vocabulary, seed=0,
        augmentations=[Transpose()],
    )  # fmt: skip
    pairs = [stream.pair(0, epoch) for epoch in range(40)]
    decoded = {(vocabulary.decode(np.asarray(p.inputs)), vocabulary.decode(np.asarray(p.targets))) for p in pairs}
    return {(inputs.removesuffix("</s>").strip(), targets.removesuffix("</s>").strip()) for inputs, targets in decoded}


@pytest.mark.parametrize("kind", TEXTS, ids=lambda kind: kind.kind)
def test_music_beside_such_a_text_is_not_transposed(kind: Examples, tmp_path: Path):
    assert len(versions(kind, tmp_path)) == 1


@pytest.mark.parametrize("kind", OTHERS, ids=lambda kind: kind.kind)
def test_other_music_is(kind: Examples, tmp_path: Path):
    assert len(versions(kind, tmp_path)) > 6


def test_every_kind_whose_texts_name_pitches_is_tried_here():
    naming = {name for name, kind in examples.KINDS.items() if getattr(kind, "names_pitches", False)}
    assert naming == {kind.kind for kind in TEXTS} | {"classify_printed_key"}
