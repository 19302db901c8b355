"""Tasks that somebody else has registered with seqio: compiled as they come out of it, trained on, or refused."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

seqio = pytest.importorskip("seqio")
tf = pytest.importorskip("tensorflow")

from t5music.cli.main import main  # noqa: E402
from t5music.data import answer_metrics  # noqa: E402
from t5music.data.seqio_bridge import plain_tasks  # noqa: E402
from t5music.data.seqio_bridge.vocabulary import T5MusicVocabulary  # noqa: E402
from t5music.data.store.token_store import TokenStore, find  # noqa: E402
from t5music.data.vocabulary import default  # noqa: E402
from t5music.errors import DataError  # noqa: E402

MODULE = """
import seqio, tensorflow as tf
from t5music.data.seqio_bridge.vocabulary import T5MusicVocabulary

def texts(split, shuffle_files, seed=None):
    count = {"train": 8, "validation": 2}[split]
    return tf.data.Dataset.range(count).map(
        lambda n: {"inputs": tf.strings.join(["say ", tf.strings.as_string(n)]), "targets": tf.strings.as_string(n)}
    )

for name in ("numbers", "more_numbers"):
    seqio.TaskRegistry.add(
        name,
        source=seqio.FunctionDataSource(texts, splits=["train", "validation"]),
        preprocessors=[seqio.preprocessors.tokenize, seqio.preprocessors.append_eos_after_trim],
        output_features={feature: seqio.Feature(T5MusicVocabulary()) for feature in ("inputs", "targets")},
    )
seqio.MixtureRegistry.add("all_numbers", [("numbers", 3), ("more_numbers", 1)])
"""


def a_task(**changes) -> seqio.Task:
    def dataset(split, shuffle_files, seed=None):
        return tf.data.Dataset.from_tensor_slices({"targets": ["one", "two"]})

    arguments = {
        "source": seqio.FunctionDataSource(dataset, splits=["train"]),
        "preprocessors": [seqio.preprocessors.tokenize],
        "output_features": {"targets": seqio.Feature(T5MusicVocabulary(), add_eos=False)},
    }
    return seqio.TaskRegistry.add("a_plain_task", **(arguments | changes))


@pytest.mark.slow
def test_it_is_compiled_and_trained_on_like_any_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setenv("T5MUSIC_MODULES", "")
    monkeypatch.setenv("T5MUSIC_DATA", "")
    (tmp_path / "my_numbers.py").write_text(MODULE)
    flags = ["--module_import", "my_numbers", "--data_dir", str(tmp_path / "data")]
    monkeypatch.delitem(sys.modules, "my_numbers", raising=False)  # and what is imported goes with the test
    assert main(["compile", "all_numbers", *flags]) == 0
    (one, rate), (other, other_rate) = find(tmp_path / "data" / "stores", "all_numbers", default())
    assert {one.name: rate.of(1), other.name: other_rate.of(1)} == {"numbers": 3, "more_numbers": 1}
    texts = [{name: default().decode(ids) for name, ids in example.items()} for example in one.split("train")]
    assert texts == [{"inputs": f"say {number}", "targets": str(number)} for number in range(8)]
    assert one.examples("validation") == 2
    size = ["--gin_file=runs/train.gin", "--gin_file=models/t5_1_1/tiny.gin", "--steps", "1", "--batch_size", "1"]
    lengths = '--gin.TASK_FEATURE_LENGTHS={"inputs": 32, "targets": 32}'
    assert main(["train", "all_numbers", "--model_dir", "run", *size, lengths, *flags[2:]]) == 0


def test_flags_that_a_plain_task_has_no_use_for_are_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    a_task()
    for flag in (["--seqio_cache", str(tmp_path)], ["--beam=--runner=DirectRunner"]):
        assert main(["compile", "a_plain_task", *flag, "--data_dir", str(tmp_path / "data")]) == 2
        assert f"{flag[0].partition('=')[0]} is not for 'a_plain_task'" in capsys.readouterr().err


def test_a_language_model_has_empty_inputs_and_ends_as_its_feature_says(tmp_path: Path):
    store = plain_tasks.compile_plain(a_task(), tmp_path / "stores" / "a_plain_task")
    assert [default().decode(example["targets"]) for example in store.split("train")] == ["one", "two"]
    assert all(not len(example["inputs"]) for example in store.split("train"))
    assert not store.features["targets"].add_eos
    assert np.array_equal(TokenStore.open(store.path, default()).split("train")[0]["targets"], default().encode("one"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"output_features": {"targets": seqio.Feature(seqio.ByteVocabulary())}},
            r"its feature 'targets' is in ByteVocabulary; declare it with seqio.Feature\(.*T5MusicVocabulary",
        ),
        (
            {"output_features": {"labels": seqio.Feature(T5MusicVocabulary())}},
            "its features are labels, and a store has inputs and targets",
        ),
        (
            {"source": seqio.FunctionDataSource(lambda split, shuffle_files, seed=None: None, splits=["dev"])},
            r"it has no split 'train' \(there are: dev\)",
        ),
    ],
)
def test_what_a_store_cannot_hold_is_refused(tmp_path: Path, changes: dict, message: str):
    with pytest.raises(DataError, match=f"seqio task 'a_plain_task' cannot be compiled: {message}"):
        plain_tasks.compile_plain(a_task(**changes), tmp_path / "stores" / "a_plain_task")
    assert not list(tmp_path.rglob("*"))


def test_metrics_are_those_that_are_registered_and_the_others_are_said(tmp_path: Path, capsys):
    def mine(targets, predictions):
        return {}

    metrics = {"metric_fns": [answer_metrics.bleu, mine]}
    store = plain_tasks.compile_plain(a_task(**metrics), tmp_path / "stores" / "a_plain_task")
    assert store.manifest.metrics == ("bleu",)
    assert "a_plain_task: t5music eval does not measure mine: put @t5music.data.answer_metrics.register" in (
        capsys.readouterr().out
    )
    seqio.TaskRegistry.remove("a_plain_task")
    task = a_task(**metrics, postprocess_fn=lambda text, **_: text.lower())
    store = plain_tasks.compile_plain(task, tmp_path / "stores" / "a_plain_task")
    assert store.manifest.metrics == ()
    assert "measures none of its metrics: they judge what its postprocess_fn returns" in capsys.readouterr().out
