"""`t5music train --plan`, for the machine's own devices and for the pods of gin/pods."""

from __future__ import annotations

from pathlib import Path

import gin
import numpy as np
import pytest

from t5music.cli.main import main
from t5music.configuration import gin_files, registry
from t5music.data.store.codec import FeatureSpec
from t5music.data.store.token_store import StoreWriter
from t5music.data.vocabulary import FIRST_EVENT, default
from t5music.runs import print_plan

PODS = sorted((Path(__file__).resolve().parents[2] / "gin" / "pods").glob("*.gin"))
ENDS = ("tpu_v5e_16_base", "tpu_v4_256_11b")
SET = ["MIXTURE_OR_TASK_NAME = 'some_task'", "MODEL_DIR = 'run'"]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("T5MUSIC_DATA", str(tmp_path))
    yield
    gin.clear_config()


# The smallest and the largest stand for the others.
@pytest.mark.parametrize(
    "path",
    [pytest.param(path, id=path.stem, marks=[] if path.stem in ENDS else [pytest.mark.slow]) for path in PODS],
)
def test_the_trainings_for_pods_fit(path: Path, capsys: pytest.CaptureFixture[str]):
    gin_files.configure([f"pods/{path.name}"], SET)
    training_plan = registry.train(plan=print_plan.Request())
    assert training_plan.fits
    assert training_plan.seconds < 14 * 86400
    kind, count = path.stem.removeprefix("tpu_").split("_")[:2]
    assert (training_plan.chip.name, training_plan.mesh.size) == (f"TPU {kind}", int(count))
    printed = capsys.readouterr().out
    assert "not there yet ('some_task' is not compiled" in printed
    parameters = sum(print_plan.plan.parameter_counts(training_plan.training.config).values())
    assert f"total: {parameters:,} parameters" in printed


def test_the_largest_is_planned_for_a_v4_pod():
    gin_files.configure(["pods/tpu_v4_256_11b.gin"], SET)
    training_plan = registry.train(plan=print_plan.Request())
    assert training_plan.training.config.d_ff == 65536
    assert training_plan.memory.parameters == pytest.approx(11.28e9 * 4 / 256, rel=0.01)


TINY = ["--gin_file=runs/train.gin", "--gin_file=models/t5_1_1/tiny.gin"]


def test_a_plan_needs_no_data_and_leaves_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    data = ["--data_dir", str(tmp_path / "data")]
    assert main(["train", "nothing", "--plan", *TINY, "--plan_throughput", "81920", *data]) == 0
    printed = capsys.readouterr().out
    assert "1,000 steps = 8,192,000 tokens" in printed
    assert "1 min 40 s at the stated throughput" in printed
    assert "encoder.layers.0.mlp.wi_0" in printed
    assert not (tmp_path / "data").exists()


def test_a_plan_for_another_machine_with_a_way_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    small = ["--gin_file=runs/train.gin", "--gin_file=models/t5_1_1/small.gin", "--batch_size", "512"]
    assert main(["train", "nothing", "--plan", *small, "--plan_device", "T4", "--plan_count", "8"]) == 0
    printed = capsys.readouterr().out
    assert "8 x T4" in printed
    assert "DOES NOT FIT" in printed
    assert "this fits" in printed
    assert "T5Config.scan_layers = True" in printed
    assert main(["train", "nothing", "--plan", *TINY, "--plan_device", "TPU v9", "--plan_count", "8"]) == 2
    assert "no chip 'TPU v9' in the table; did you mean" in capsys.readouterr().err
    assert main(["train", "nothing", "--plan", *TINY, "--plan_device", "T4"]) == 2
    assert "--plan_count" in capsys.readouterr().err


def test_a_store_says_how_many_epochs(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    features = {name: FeatureSpec("tokens", True) for name in ("inputs", "targets")}
    path = tmp_path / "stores" / "pairs"
    with StoreWriter(path, features=features, vocabulary=default(), encoding="tx1", objectives=[]) as out:
        for _ in range(50):  # of 512 and 512 with EOS: every row is full, and holds one
            out.write("train", dict.fromkeys(features, np.full(511, FIRST_EVENT)))
    assert main(["train", "pairs", "--plan", *TINY, "--steps", "100", "--data_dir", str(tmp_path)]) == 0
    assert "0% padding; epochs: pairs 16\n" in capsys.readouterr().out
