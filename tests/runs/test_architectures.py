"""The architectures' gin files: with every size, with the parameters they state, and through a whole training."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable
from pathlib import Path

import gin
import numpy as np
import pytest

from t5music import files
from t5music.cli.main import main
from t5music.configuration import gin_files as configuration
from t5music.data import examples
from t5music.data.store.codec import FeatureSpec
from t5music.data.store.token_store import StoreWriter
from t5music.data.vocabulary import FIRST_EVENT, default
from t5music.model.config import SIZES, T5Config, named

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "gin" / "models" / "architectures"
COUNTS = json.loads((ROOT / "tests" / "golden" / "t5_architecture_counts.json").read_text())
MODELS = {"v1.0": "t5_1_0", "v1.1": "t5_1_1"}


def halved(config: T5Config) -> T5Config:
    layers = config.num_decoder_layers // 2
    return dataclasses.replace(config, num_encoder_layers=layers, num_decoder_layers=layers)


EXPECTED: dict[str, Callable[[T5Config], T5Config]] = {
    "shared": lambda config: dataclasses.replace(config, shared_layers=True),
    "half": halved,
    "language_model": lambda config: dataclasses.replace(config, architecture="language_model", num_encoder_layers=0),
    "prefix_lm": lambda config: dataclasses.replace(config, architecture="prefix_lm", num_encoder_layers=0),
}


@pytest.fixture(autouse=True)
def clear_gin():
    yield
    gin.clear_config()


def file_of(architecture: str, config: T5Config) -> str:
    return f"half_of_{config.num_decoder_layers}" if architecture == "half" else architecture


@pytest.mark.parametrize("version", SIZES)
@pytest.mark.parametrize("architecture", EXPECTED)
def test_every_size_comes_in_every_architecture(version: str, architecture: str):
    for size in SIZES[version]:
        plain = named(version, size, vocab_size=256, dtype="auto")
        model, change = f"models/{MODELS[version]}/{size}.gin", file_of(architecture, plain)
        extra = ["MIXTURE_OR_TASK_NAME = 'task'", "MODEL_DIR = 'run'"]
        configuration.configure(["runs/train.gin", model, f"models/architectures/{change}.gin"], extra)
        assert gin.get_configurable("T5Config")(vocab_size=256) == EXPECTED[architecture](plain)


def test_the_files_state_the_parameters_they_have():
    stated = {}
    for path in FOLDER.glob("*.gin"):
        kind = {"language_model": "decoder_only", "prefix_lm": "decoder_only"}.get(path.stem, path.stem.split("_")[0])
        for version, line in re.findall(r"^#   (v1\.\d)  (.*)$", path.read_text(), re.MULTILINE):
            for size, millions in re.findall(r"(\w+) ([\d,]+) M", line):
                assert millions == f"{COUNTS[version][size][kind] / 1e6:,.0f}", path
                stated.setdefault((version, size), set()).add(path.stem)
    assert stated.keys() == {(version, size) for version in COUNTS for size in COUNTS[version]}
    for (version, size), found in stated.items():
        assert found == {file_of(name, named(version, size, vocab_size=256)) for name in EXPECTED}


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ["encoder_decoder", *EXPECTED])
def test_every_architecture_is_trained_resumed_and_evaluated_from_a_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, architecture: str
):
    monkeypatch.setenv("T5MUSIC_DATA", str(tmp_path / "data"))
    vocabulary, rng = default(), np.random.default_rng(0)
    features = {name: FeatureSpec("tokens", True) for name in ("inputs", "targets")}
    path = files.data_dir() / "stores" / "copy"
    asked = examples.to_config(examples.Continue("folk", "tx1"))
    with StoreWriter(path, features=features, vocabulary=vocabulary, encoding="tx1", examples=asked) as out:
        for split, count in (("train", 40), ("validation", 6)):
            for _ in range(count):
                words = rng.integers(FIRST_EVENT, FIRST_EVENT + 9, int(rng.integers(2, 8)))
                out.write(split, {"inputs": words, "targets": words}, notes=1)
    gin_files = ["runs/train.gin", "models/t5_1_1/tiny.gin"]
    if architecture != "encoder_decoder":
        change = file_of(architecture, named("v1.1", "tiny", vocab_size=256))
        gin_files.append(f"models/architectures/{change}.gin")
    run = tmp_path / "run"
    flags = [f"--gin_file={file}" for file in gin_files] + ["--gin.TASK_FEATURE_LENGTHS={'inputs': 12, 'targets': 12}"]
    for steps in ("4", "8"):
        main(["train", "copy", "--model_dir", str(run), "--steps", steps, *flags])
        gin.clear_config()
    main(["eval", "copy", "--model_dir", str(run)])
    found = json.loads((run / "eval_validation.json").read_text())["copy"]
    assert found["examples"] == 6
    assert 0 < found["loss"] < 10
