"""The benchmarks run, on a few made-up files; what they measure here means nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import common
import corpus
import generation
import gpu
import jax
import jax.numpy as jnp
import joints
import loader
import numpy as np
import packing
import personalisation
import precision
import pytest
import scaling
import tiny_models
import tokens
import training
from flax import nnx

from t5music.data import mixing_rates
from t5music.data.compilation.shards import FEATURES
from t5music.data.store.codec import FeatureSpec
from t5music.data.store.token_store import StoreWriter, find, write_mixture
from t5music.data.vocabulary import default
from t5music.inference.likelihoods import Exchange, bits
from t5music.inference.model import Model
from t5music.model import config as model_config
from t5music.model import parameters
from t5music.model.config import T5Config
from t5music.music import encodings, midi
from t5music.music.score import NOTE, Score

# Stands in for MidiTok: refuses files of one archive.
PEER = """
import json, sys
for line in sys.stdin:
    print(json.dumps([None if "/two/1." in file else 0.5 for file in json.loads(line)]), flush=True)
"""


@pytest.fixture
def archives(tmp_path: Path) -> Path:
    """Two archives of five files each, and one that is not music."""
    for archive in ("one", "two", "labels_only"):
        for number in range(5):
            notes = np.zeros(40, NOTE)
            notes["onset"], notes["duration"], notes["velocity"] = np.arange(40) * 240, 240, 80
            notes["pitch"] = np.random.default_rng(number).integers(50, 80, 40)
            (tmp_path / archive).mkdir(exist_ok=True)
            midi.write(Score(480, notes), tmp_path / archive / f"{number}.mid")
    return tmp_path


def test_files_are_drawn_from_all_archives_and_always_the_same(archives: Path):
    files = common.choose(archives, 4)
    assert files == common.choose(archives, 4)
    assert [file.parent.name for file in files] == ["one", "two"] * 4
    assert len(set(files)) == 8
    assert files != common.choose(archives, 4, seed=1)


def test_of_several_rounds_the_best_counts():
    times = iter([3.0, 9.0, 2.0, 8.0])
    readers = {"mine": lambda files: next(times), "theirs": lambda files: next(times)}
    assert common.take_turns(readers, [Path("a")], rounds=2) == {"mine": 2.0, "theirs": 8.0}


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # pydub looks for ffmpeg
def test_tokens(archives: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    pytest.importorskip("note_seq")
    (tmp_path / "miditok_peer.py").write_text(PEER)
    monkeypatch.setattr(tokens, "HERE", tmp_path)
    table = tokens.compare(common.choose(archives, 8), 8, 1, Path(sys.executable))
    assert "8 files, best of 1 rounds" in table
    assert [line.split(" | ")[2] for line in table.splitlines()[2:4]] == ["note-seq", "MidiTok"]
    assert "| 500.00 |" in table  # half a second a file


def test_loader(tmp_path: Path):
    rng = np.random.default_rng(0)
    features = {"inputs": FeatureSpec(), "targets": FeatureSpec()}
    for name in ("a", "b"):
        path = tmp_path / "stores" / name
        with StoreWriter(path, features=features, vocabulary=default(), encoding="remi") as writer:
            for size in rng.integers(5, 20, 60):
                writer.write("train", {"inputs": rng.integers(3, 99, size), "targets": rng.integers(3, 99, size)})
    write_mixture(tmp_path / "stores", "both", {"a": mixing_rates.EQUAL, "b": mixing_rates.EQUAL})
    batches = loader.our_batches("both", {"inputs": 64, "targets": 64}, tmp_path)
    assert loader.examples_a_second(batches, 0.05) > 0
    filled = loader.fill(batches, 5)
    assert 0.8 < filled["inputs"] == filled["targets"] < 1
    assert loader.rates_off(batches, "both", tmp_path, 500) < 0.05
    batches.close()


def test_corpus_steps_are_measured(tmp_path: Path):
    found = corpus.measured(lambda folder: len(list(folder.iterdir())), tmp_path)
    assert found.files == 0
    assert found.seconds < 60
    assert found.peak == 0 or found.peak > 10


SMALLEST = {"d_model": 16, "d_kv": 8, "num_heads": 2, "d_ff": 32, "num_encoder_layers": 1, "num_decoder_layers": 1}


def test_training_sides_take_turns_and_their_warm_up_is_not_timed(capsys: pytest.CaptureFixture[str]):
    def side(first: float) -> training.Steps:
        losses = iter(range(100))
        return training.timed_steps(lambda: first + next(losses))

    said = training.take_turns({"mine": side(0.0), "theirs": side(50.0)}, rounds=2, steps=3)
    assert said["mine"]["losses"] == list(range(training.WARM_UP + 6))
    assert len(said["theirs"]["seconds"]) == len(said["theirs"]["cpu"]) == 6


def test_the_peer_is_given_every_weight_and_the_batch(tmp_path: Path):
    config = T5Config(vocab_size=128, dropout_rate=0.0, **SMALLEST)
    inputs, targets = training.random_batch(128, 2, 8, 4)
    targets[1, 2:] = 0
    _, params = parameters.initialise(config, jax.random.key(0))
    training.write_job(tmp_path / "job", config, inputs, targets, params, compile=True)
    job = json.loads((tmp_path / "job" / "job.json").read_text())
    assert (job["compile"], job["device"], job["config"]["num_layers"]) == (True, "cpu", 1)
    with np.load(tmp_path / "job" / "weights.npz") as weights:
        assert sum(weights[name].size for name in weights.files) == parameters.count(params)
    with np.load(tmp_path / "job" / "batch.npz") as batch:
        np.testing.assert_array_equal(batch["labels"][1, 2:], -100)


@pytest.mark.slow
def test_accelerators_code_path_runs_without_one(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    for platform in ("gpu", "tpu"):
        with pytest.raises(SystemExit, match=f"no {platform.upper()} here: install jax"):
            gpu.main([], platform=platform)
    for module in (gpu, model_config):
        monkeypatch.setattr(module, "named", lambda *_, **changes: T5Config(**{**SMALLEST, **changes}))
    small = ["--rows", "128", "--lengths", "8", "4", "--batch", "2", "--steps", "2", "--matrix", "64"]
    gpu.main([*small, "--size", "base", "--writing_batch", "2", "--prompt", "4", "--new", "3", "--any_device"])
    lines = capsys.readouterr().out.splitlines()
    assert "TFLOP/s in a product of 64 squared" in lines[0]
    layers = SMALLEST["num_encoder_layers"] + 2 * SMALLEST["num_decoder_layers"]
    assert lines[2] == f"Training base; fused attention: 0 of {layers}"
    assert [line.split(" | ")[0] for line in lines[4:7]] == ["| batch", lines[5], "| 2"]
    assert float(lines[6].split(" | ")[2].replace(",", "")) > 0
    assert [line.split(" | ")[0] for line in lines[8:]] == ["| writing", lines[9], "| base"]
    assert float(lines[10].strip("| ").split(" | ")[1].replace(",", "")) > 0


def test_gpu_s_flops_are_those_of_every_product():
    """A third of them is the forward pass, of which XLA counts the rest as well."""
    config = T5Config(vocab_size=512, dropout_rate=0.0, **{**SMALLEST, "d_model": 256, "d_kv": 64, "d_ff": 512})
    graphdef, abstract = parameters.abstract(config)

    def forward(params: nnx.State, inputs: jax.Array, targets: jax.Array) -> jax.Array:
        return nnx.merge(graphdef, params)(inputs, targets)

    tokens = (jax.ShapeDtypeStruct((2, length), jnp.int32) for length in (64, 32))
    counted = jax.jit(forward).lower(abstract, *tokens).cost_analysis()["flops"]
    assert gpu.step_flops(config, 2, 64, 32) / 3 == pytest.approx(counted, rel=0.15)


def test_scaling_goes_on_where_it_stopped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    first, second = scaling.cells()[:2]
    found = {"compile": 1.0, "seconds": 0.5, "cpu": 1.0, "bytes": 2**30}
    results = tmp_path / "scaling.json"
    results.write_text(json.dumps({scaling.key(first): found}))
    asked = []

    def stands_in(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        asked.append(json.loads(command[-1]))
        return subprocess.CompletedProcess(command, 0, json.dumps(found))

    monkeypatch.setattr(scaling, "cells", lambda: [first, second])
    monkeypatch.setattr(scaling.subprocess, "run", stands_in)
    monkeypatch.setattr(scaling.os, "sched_setaffinity", lambda *_: None)
    for _ in range(2):
        scaling.main(["--results", str(results)])
    assert asked == [second]
    assert capsys.readouterr().out.count("| 5,120 |") == 4  # 4 x 640 tokens in half a second, two cells, two times
    assert set(json.loads(results.read_text())) == {scaling.key(first), scaling.key(second)}


@pytest.mark.slow
def test_a_cell_of_scaling_is_measured():
    found = scaling.run({"size": "tiny", "batch": 1, "length": 8, "remat": "full"}, rows=128, steps=1)
    assert 0 < found["seconds"] < found["compile"]
    assert found["bytes"] > 2**20


@pytest.mark.slow
def test_packing_counts_real_tokens(tmp_path: Path):
    rng = np.random.default_rng(0)
    features = {"inputs": FeatureSpec(), "targets": FeatureSpec()}
    with StoreWriter(tmp_path / "stores" / "a", features=features, vocabulary=default(), encoding="remi") as writer:
        for size in rng.integers(5, 9, 60):
            writer.write("train", {"inputs": rng.integers(3, 99, size), "targets": rng.integers(3, 99, size)})
    members = [(find(tmp_path / "stores", "a", default()), mixing_rates.EQUAL)]
    config = T5Config(vocab_size=default().rows, **SMALLEST)
    found = packing.measure(members, (32, 32), config, rounds=1, count=4)
    assert 3 < found["tokens"][True] / found["tokens"][False] < 5  # four or five examples in a row
    assert packing.line("a", (32, 32), found)[0] == "a, 32 -> 32"


# Stands in for Hugging Face: writes what lies beside it.
GENERATION_PEER = """
import json, pathlib, sys
written = json.loads(pathlib.Path(__file__).with_name("written.json").read_text())
for line in sys.stdin:
    print(json.dumps({"wall": 0.5, "cpu": 0.25, "tokens": written}), flush=True)
"""


@pytest.fixture(scope="module")
def writer():
    """A tiny model that never writes EOS."""
    return generation.build("tiny")


def generation_options(python: Path, *more: str):
    small = ["--batch", "2", "--prompt", "8", "--new", "5", "--rounds", "1", "--clock", "cpu", "--size", "tiny"]
    return generation.parse([*small, "--peers", str(python), *more])


def test_generation_is_compared_by_equal_tokens(writer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "generation_peer.py").write_text(GENERATION_PEER)
    monkeypatch.setattr(generation, "HERE", tmp_path)
    monkeypatch.setattr(generation, "build", lambda *_: writer)
    prompts = generation.random_prompts(2, 8, default().rows)
    _, written = generation.ours(writer, 5)(prompts)
    assert (written != 1).all()
    (tmp_path / "written.json").write_text(json.dumps(written.tolist()))
    options = generation_options(Path(sys.executable))
    line = generation.against_hugging_face(options).splitlines()[2]
    assert line.startswith("| tiny, batch 2 | ")
    assert line.split(" | ")[2] == "50.00"  # a quarter of a second for five tokens
    (tmp_path / "written.json").write_text(json.dumps(((written + 1) % 99).tolist()))
    with pytest.raises(AssertionError, match="different tokens"):
        generation.against_hugging_face(options)


def test_generation_with_a_grammar_is_timed(writer, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(generation, "build", lambda *_: writer)
    table = generation.with_grammar(generation_options(Path(sys.executable), "--grammar", "tx1"))
    name, *milliseconds, ratio = table.splitlines()[2].strip("| ").split(" | ")
    assert name == "tx1, tiny, batch 2"
    assert float(ratio) > 0
    assert min(map(float, milliseconds)) > 0


def test_losses_are_compared_step_by_step(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    def train(dtype, steps, folder, arguments):
        assert arguments == ["--data_dir", "data"]
        return np.full(steps, {"float32": 2.0, "auto": 2.02}[dtype]), {"float32": 4.0, "auto": 3.98}[dtype]

    monkeypatch.setattr(precision, "train", train)
    monkeypatch.setattr("sys.argv", ["precision.py", "--steps", "45", "--data_dir", "data"])
    precision.main()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "means of 20 steps: +1.00, +1.00 %"
    assert lines[1] == "mean of all 45 steps: +1.00 %"
    assert lines[2] == "validation after the last: -0.50 %"


def test_of_one_composer_thirty_pieces_are_a_folder_and_the_others_are_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    pieces = [(f"{composer}{number:02}", composer) for number in range(40) for composer in "AB"]
    records = [{"id": piece.encode(), "composer": composer.encode(), "midi": b"MThd"} for piece, composer in pieces]
    monkeypatch.setattr(personalisation.datasets, "records", lambda *_: records)
    splits = personalisation.write_music("songs", "A", tmp_path)
    counts = {split: list(splits.values()).count(split) for split in ("train", "validation", "test")}
    assert counts == {"train": 27, "validation": 3, "test": 10}
    lines = (tmp_path / "labels.csv").read_text().splitlines()
    assert lines == ["file,split", *(f"{piece}.mid,{split}" for piece, split in splits.items())]
    assert (
        {path.stem for path in tmp_path.glob("*.mid")}
        == set(splits)
        == {p for p, composer in pieces if composer == "A"}
    )
    with pytest.raises(SystemExit, match="C has 0 pieces in the test split of songs: more than 30 needed"):
        personalisation.write_music("songs", "C", tmp_path)


def test_a_training_that_was_broken_off_goes_on_and_its_time_adds_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    commands: list[tuple[str, ...]] = []

    def run(*arguments: str) -> float:
        commands.append(arguments)
        (tmp_path / personalisation.FINISHED_FILE).write_text("{}") if len(commands) == 2 else None
        return 1.5

    monkeypatch.setattr(personalisation, "run", run)
    assert [personalisation.train(tmp_path, ["--replay", "5"]) for _ in range(3)] == [1.5, 3.0, 3.0]
    assert commands == [("train", personalisation.NAME, "--model_dir", str(tmp_path), "--replay", "5")] * 2


def test_of_a_task_only_the_examples_of_some_pieces_are_measured(tmp_path: Path):
    with StoreWriter(tmp_path / "songs", features=FEATURES, vocabulary=default(), encoding="remi") as writer:
        for number in range(12):
            tokens = np.arange(3, 8, dtype=np.int32)
            writer.write("test", {"inputs": tokens, "targets": tokens, "piece": f"piece{number % 3}"})
    measured: list[list[int]] = []

    def score(batches: Any, is_note: np.ndarray) -> dict[str, float]:
        measured.append(batches.examples)
        return {"bits_per_note": 2.0}

    model = SimpleNamespace(lengths={"inputs": 8, "targets": 8}, vocabulary=default(), score=score)
    store = find(tmp_path, "songs", default())
    assert personalisation.bits_per_note(model, store, 3, only=["piece1"]) == 2.0
    personalisation.bits_per_note(model, store, 99, without=["piece1", "piece2"])
    assert measured == [[1, 7, 10], [0, 3, 6, 9]]


def test_bits_of_joints_are_those_of_the_bars_that_were_written():
    model = Model(tiny_models.trained(tiny_models.ABILITIES), "tiny")
    ids = default().encode_events("remi", encodings.get("remi").encode(tiny_models.band(bars=4)))
    edges = np.flatnonzero(ids == ids[0])  # each bar's Bar
    prompts, written = np.array([[9, 1]], np.int32), ids[None]
    whole = bits(model.trained, Exchange(prompts, written))[0]
    first, *_ = joints.bars_of(model, Exchange(prompts, written)).bits
    assert first == pytest.approx(whole[: edges[1]].sum())
    # With its first bar given, and the Bar of the second, the second is the first that was written.
    row = np.append(written[0, : edges[2]], ids[0])[None]
    given = joints.bars_of(model, Exchange(prompts, row, row[:, : edges[1] + 1]))
    assert given.bits == pytest.approx([bits(model.trained, Exchange(prompts, row))[0][edges[1] + 1 : edges[2]].sum()])
    assert given.notes.tolist() == [int(default().is_note[ids[edges[1] : edges[2]]].sum())]
    assert joints.per_note([(6.0, 2), (3.0, 1)]) == "3.00"
    assert joints.per_note([]) == "-"
