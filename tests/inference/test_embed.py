"""Vectors of one's own music: they are means of the encoder's states, broken files are left out, likes are found."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tiny_models
from flax import nnx
from sklearn.metrics.pairwise import cosine_similarity

from t5music.cli.main import main
from t5music.data.examples import Continue, Pieces, Texts
from t5music.data.vocabulary import EOS_ID, default
from t5music.errors import ConfigError
from t5music.inference import embed, trained_model, vector_files
from t5music.inference.trained_model import TrainedModel
from t5music.model.config import LANGUAGE_MODEL
from t5music.music import encodings, midi

TASKS = {"games": Pieces("tx1"), "tunes": Continue("folk", "remi")}
PIECES = {"a.mid": (0, 4), "rock/b.mid": (1, 30), "rock/c.mid": (2, 8), "rock/d.mid": (3, 8), "e.MID": (4, 1)}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run, a folder of music with a file that is none, and the vectors of the others."""
    root = tmp_path_factory.mktemp("embedding")
    tiny_models.write_run(root / "run", TASKS)
    for name, (seed, bars) in PIECES.items():
        midi.write(tiny_models.band(seed, bars), root / "music" / name)
    (root / "music" / "broken.mid").write_bytes(b"MThd, but not really")
    assert main(["embed", str(root / "music"), *run(root), "--output", str(root / "vectors.npz")]) == 0
    return root


def run(place: Path, name: str = "run") -> list[str]:
    return ["--model_dir", str(place / name)]


@pytest.fixture(scope="module")
def trained(place: Path) -> TrainedModel:
    return trained_model.load(place / "run")


def test_a_vector_is_the_mean_over_segments_of_the_mean_over_words(place: Path, trained: TrainedModel):
    found = vector_files.read(place / "vectors.npz")
    assert found.files == tuple(sorted(PIECES))
    remi = encodings.get("remi")
    states_of = nnx.jit(lambda model, tokens: model.encoder_states(tokens))
    for name in ("a.mid", "rock/c.mid"):
        segments = remi.segments(remi.encode(midi.read(place / "music" / name)), tiny_models.LENGTHS["inputs"] - 1)
        means = []
        for segment in segments:
            row = np.zeros((1, 128), np.int32)
            row[0, : len(segment) + 1] = np.append(default().encode_events("remi", segment), EOS_ID)
            means.append(np.asarray(states_of(trained.model, row))[-1, 0, : len(segment)].mean(axis=0))
        assert len(means) > 1
        np.testing.assert_allclose(found.vectors[found.files.index(name)], np.mean(means, axis=0), atol=1e-5)


def test_the_file_says_how_it_was_made_and_the_broken_file_is_named(place: Path, tmp_path: Path, capsys):
    path = tmp_path / "vectors.parquet"
    assert main(["embed", str(place / "music"), *run(place), "--output", str(path), "--layer", "0"]) == 0
    printed = capsys.readouterr()
    lines = printed.err.splitlines()
    assert any(line.startswith("left out: broken.mid: ") for line in lines)
    assert "1 of 6 files left out" in lines
    assert printed.out.strip() == f"{path}: 5 vectors of 16 numbers, layer 0 of {place / 'run'}"
    zero, last = vector_files.read(path), vector_files.read(place / "vectors.npz")
    assert (last.settings.layer, last.settings.encoding, last.settings.words) == (1, "remi", 95)
    assert (last.settings.model, last.settings.step) == (str(place / "run"), 1)
    assert dataclasses.replace(last.settings, layer=0) == zero.settings
    assert list(zero.left_out) == list(last.left_out) == ["broken.mid"]
    assert np.abs(zero.vectors - last.vectors).max() > 0.01


def test_nothing_is_written_where_nothing_can_be_used(place: Path, tmp_path: Path, capsys):
    def error(*arguments: str) -> str:
        assert main(["embed", *arguments, *run(place)]) == 2
        return capsys.readouterr().err.splitlines()[-1]

    output = ["--output", str(tmp_path / "vectors.npz")]
    assert f"{tmp_path / 'nowhere'}: no such folder" in error(str(tmp_path / "nowhere"), *output)
    (tmp_path / "a.mid").write_bytes(b"")
    assert f"{tmp_path}: none of its 1 files could be used" in error(str(tmp_path), *output)
    assert "--layer 7: the model's are 0 (the embeddings) to 1" in error(str(tmp_path), *output, "--layer", "7")
    assert "ends with .npz or .parquet" in error(str(tmp_path), "--output", "vectors.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["a.mid"]


def test_models_without_an_encoder_or_of_no_music_are_refused(trained: TrainedModel):
    texts = dataclasses.replace(trained, tasks={"stories": Texts()})
    with pytest.raises(ConfigError, match="run was trained on no music"):
        embed.settings_of(texts, "run")
    config = dataclasses.replace(tiny_models.CONFIG, architecture=LANGUAGE_MODEL, num_encoder_layers=0)
    model: Any = SimpleNamespace(config=config)
    with pytest.raises(ConfigError, match="run: a language_model has no encoder"):
        embed.settings_of(dataclasses.replace(trained, model=model), "run")
    games = dataclasses.replace(trained, tasks={"games": Pieces("tx1")})
    assert embed.settings_of(games, "run").encoding == "tx1"


def test_the_piece_itself_is_the_most_similar(place: Path, capsys):
    song = str(place / "music" / "rock" / "b.mid")
    rankings = []
    for collection in (place / "vectors.npz", place / "music"):
        capsys.readouterr()
        assert main(["similar", song, str(collection), *run(place), "--top", "3"]) == 0
        rankings.append(capsys.readouterr().out.splitlines())
    assert rankings[0] == rankings[1]
    assert len(rankings[0]) == 3
    assert rankings[0][0].split() == ["1.000", "rock/b.mid"]
    values = [float(line.split()[0]) for line in rankings[0]]
    assert values == sorted(values, reverse=True)
    assert values[1] < 0.99


def test_similarity_is_the_cosine_without_the_mean():
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(6, 4)).astype(np.float32) + 100  # a large part in common
    found = embed.similarities(vectors[2], vectors)
    centred = vectors - vectors.mean(axis=0, dtype=np.float64)
    np.testing.assert_allclose(found, cosine_similarity(centred[2:3], centred)[0], atol=1e-9)
    assert found.min() < 0
    same = np.ones((2, 4), np.float32)
    assert embed.similarities(same[0], same).tolist() == [0, 0]


def test_vectors_of_another_model_or_layer_are_not_compared(place: Path, tmp_path: Path, capsys):
    def error(*arguments: str) -> str:
        assert main(["similar", str(place / "music" / "a.mid"), *arguments]) == 2
        return capsys.readouterr().err.splitlines()[-1]

    vectors = str(place / "vectors.npz")
    tiny_models.write_run(tmp_path / "other", TASKS, seed=1)
    line = error(vectors, *run(tmp_path, "other"))
    assert f"{vectors} was made with other weights (step 1 of {place / 'run'}): make it again" in line
    assert f"--layer 0: {vectors} is of layer 1" in error(vectors, *run(place), "--layer", "0")
    assert "--top must be a whole number of at least 1, not '0'" in error(vectors, *run(place), "--top", "0")
    midi.write(tiny_models.band(), tmp_path / "one" / "a.mid")
    assert "has a single piece" in error(str(tmp_path / "one"), *run(place))
    assert "no such file or folder" in error(str(tmp_path / "nowhere"), *run(place))
    (tmp_path / "vectors.txt").write_text("")
    assert "ends with .npz or .parquet" in error(str(tmp_path / "vectors.txt"), *run(place))


def test_the_fingerprint_is_of_the_weights_alone(place: Path, trained: TrainedModel):
    again = trained_model.load(place / "run").model
    assert embed.fingerprint(again) == embed.fingerprint(trained.model)
    again.embedding[...] = again.embedding[...].at[3, 3].add(1e-3)
    assert embed.fingerprint(again) != embed.fingerprint(trained.model)


@pytest.mark.parametrize("suffix", vector_files.SUFFIXES)
def test_names_that_are_not_utf_8_and_what_is_no_file(place: Path, tmp_path: Path, capsys, suffix: str):
    """From the folder to the file of vectors and to the ranking."""
    names = [os.fsdecode(name) for name in (b"Caf\xe9/tango \xe9.mid", b"a\nb.mid", "Ä.mid".encode())]
    for seed, name in enumerate(names):
        midi.write(tiny_models.band(seed), tmp_path / "music" / name)
    os.mkfifo(tmp_path / "music" / "pipe.mid")
    (tmp_path / "music" / ".hidden.mid").write_bytes(b"")
    vectors, song = str(tmp_path / f"v{suffix}"), str(tmp_path / "music" / names[0])
    assert main(["embed", str(tmp_path / "music"), *run(place), "--output", vectors]) == 0
    assert main(["similar", song, vectors, *run(place), "--top", "1"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == r" 1.000  Caf\xe9/tango \xe9.mid"
    collection = vector_files.read(Path(vectors))
    assert collection.files == (r"Caf\xe9/tango \xe9.mid", r"a\x0ab.mid", "Ä.mid")
    assert collection.left_out == {"pipe.mid": "cannot be read: it is a pipe, not a file"}
    assert main(["similar", str(tmp_path / "music" / "pipe.mid"), vectors, *run(place)]) == 2
    assert "it is a pipe, not a file" in capsys.readouterr().err


def test_vectors_of_another_width_are_not_compared(place: Path, tmp_path: Path, capsys):
    collection = vector_files.read(place / "vectors.npz")
    vector_files.write(tmp_path / "v.npz", dataclasses.replace(collection, vectors=collection.vectors[:, 1:]))
    assert main(["similar", str(place / "music" / "a.mid"), str(tmp_path / "v.npz"), *run(place)]) == 2
    assert "was made with other weights" in capsys.readouterr().err
