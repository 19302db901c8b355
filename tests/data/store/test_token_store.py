"""Token stores: exact, identical when made twice, whole or not there, and honest about damage."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mutations import DELETED, mutated, refusal, replaced

from t5music.data import mixing_rates
from t5music.data.objectives import SpanCorruption
from t5music.data.objectives.language_model import SelectRandomChunk
from t5music.data.store.codec import FeatureSpec, RecordCodec
from t5music.data.store.manifest import VocabularyId
from t5music.data.store.token_store import StoreWriter, TokenStore, find, write_mixture
from t5music.data.vocabulary import Vocabulary
from t5music.errors import ConfigError, DataError
from t5music.record_files import RecordFile, RecordWriter
from t5music.terms import Terms

FEATURES = {
    "inputs": FeatureSpec(),
    "targets": FeatureSpec("tokens", add_eos=True),
    "piece": FeatureSpec("text", False),
}
STEPS = [SelectRandomChunk(), SpanCorruption()]
BACH = Terms("bach", "CC0 1.0", "cc0-1.0", "CC0", "https://example.org", "Bach, Works, 1750")


def write(path: Path, vocabulary: Vocabulary, examples: int = 10, **settings) -> None:
    settings = {"features": FEATURES, "encoding": "tx1", "objectives": STEPS} | settings
    rng = np.random.default_rng(0)
    with StoreWriter(path, vocabulary=vocabulary, **settings) as writer:
        for number in range(examples):
            for split in ("train", "validation")[: 1 + (number < 2)]:
                targets = rng.integers(3, vocabulary.size, 50 + number)
                example = {"targets": targets, "piece": f"Stück {number}"}
                writer.write(split, example, notes=number, seconds=0.1 * number)


def test_what_is_written_comes_back(tmp_path, vocabulary):
    write(tmp_path / "chorales", vocabulary, labels=["major", "minor"], terms=[BACH])
    store = TokenStore.open(tmp_path / "chorales", vocabulary)
    split = store.split("train")
    assert len(split) == store.examples("train") == 10
    rng = np.random.default_rng(0)
    assert split[0]["targets"].tolist() == rng.integers(3, vocabulary.size, 50).tolist()
    assert split[9]["targets"].dtype == split[9]["inputs"].dtype == np.int32
    assert [len(split[i]["targets"]) for i in range(10)] == list(range(50, 60))
    assert split[4]["piece"] == "Stück 4"
    assert split[4]["inputs"].tolist() == []
    assert store.features == FEATURES
    assert store.objectives == STEPS
    with pytest.raises(IndexError):
        split[10]
    assert store.name == "chorales"
    assert store.labels == ("major", "minor")
    assert store.manifest.vocabulary == VocabularyId(vocabulary.fingerprint, vocabulary.size)
    assert (store.manifest.terms, store.kind) == ((BACH,), None)
    train = store.splits["train"]
    assert train.tokens == {"inputs": 0, "targets": sum(range(50, 60))}
    assert train.max_length == {"inputs": 0, "targets": 59}
    assert (train.notes, train.seconds) == (45, 4.5)
    assert [path.name for path in tmp_path.iterdir()] == ["chorales"]  # nothing temporary is left


def test_a_store_can_be_seen_under_another_objective_and_with_fewer_examples(tmp_path, vocabulary):
    write(tmp_path / "chorales", vocabulary)
    store = TokenStore.open(tmp_path / "chorales", vocabulary)
    assert store.changed() is store
    other = store.changed(objective=SpanCorruption(mean_span_length=10.0), examples=4)
    assert other.objectives == [SelectRandomChunk(), SpanCorruption(mean_span_length=10.0)]
    assert other.changes == {"objective": SpanCorruption(mean_span_length=10.0).to_config(), "examples": 4}
    whole, few = store.split("train"), other.split("train")
    assert len(few) == other.examples("train") == 4
    assert [few[i]["piece"] for i in range(4)] == [whole[i]["piece"] for i in (0, 2, 5, 7)]  # evenly spread
    with pytest.raises(IndexError):
        few[4]
    assert len(other.split("validation")) == 2  # only training has fewer
    assert (store.objectives, store.examples("train"), store.changes) == (STEPS, 10, {})  # the store is as it was
    assert len(store.changed(examples=99).split("train")) == 10
    with pytest.raises(ConfigError, match="examples must be at least 1, not 0"):
        store.changed(examples=0)
    write(tmp_path / "labels", vocabulary, objectives=[])
    supervised = TokenStore.open(tmp_path / "labels", vocabulary)
    assert supervised.changed(objective=SpanCorruption(), examples=4) is supervised


TOKENS = st.lists(st.integers(0, 9_999), max_size=50)


@given(TOKENS, TOKENS, st.text(st.characters(exclude_categories=["Cs"])), st.sampled_from([10_000, 70_000]))
def test_records_are_exact(inputs, targets, text, size):
    codec = RecordCodec(FEATURES, size)
    record, counts = codec.pack({"inputs": inputs, "targets": np.array(targets, np.int64), "piece": text})
    example = codec.unpack(record)
    assert (example["inputs"].tolist(), example["targets"].tolist(), example["piece"]) == (inputs, targets, text)
    assert counts == {"inputs": len(inputs), "targets": len(targets)}
    assert len(record) == 12 + len(text.encode()) + (2 if size == 10_000 else 4) * (len(inputs) + len(targets))


def test_two_compiles_are_byte_identical(tmp_path, vocabulary):
    for folder in ("one", "two"):
        write(tmp_path / folder / "task", vocabulary, shard_bytes=300)
    one, two = ({path.name: path.read_bytes() for path in (tmp_path / f / "task").iterdir()} for f in ("one", "two"))
    assert one == two
    assert len(one) == 1 + 4 + 1


def test_shards_are_read_as_one(tmp_path, vocabulary):
    write(tmp_path / "task", vocabulary, examples=23, shard_bytes=500)
    names = [shard.file for shard in TokenStore.open(tmp_path / "task").splits["train"].shards]
    assert len(names) > 3
    assert names[1] == f"train-00001-of-{len(names):05d}.records"
    split = TokenStore.open(tmp_path / "task").split("train")
    assert [split[i]["piece"] for i in range(23)] == [f"Stück {i}" for i in range(23)]


def test_hundreds_of_shards_are_read_as_one(tmp_path, vocabulary):
    write(tmp_path / "task", vocabulary, examples=300, shard_bytes=1)
    store = TokenStore.open(tmp_path / "task")
    assert len(store.splits["train"].shards) == 300
    split = store.split("train")
    assert [split[i]["piece"] for i in (0, 299, 17, 17)] == ["Stück 0", "Stück 299", "Stück 17", "Stück 17"]


def test_an_example_is_its_readers_own(tmp_path, vocabulary):
    write(tmp_path / "task", vocabulary)
    split = TokenStore.open(tmp_path / "task").split("train")
    before = split[0]["targets"].tolist()
    split[0]["targets"][:] = 0
    assert split[0]["targets"].tolist() == before


def write_and_fail(path: Path, vocabulary: Vocabulary, example: dict) -> None:
    with StoreWriter(path, features=FEATURES, vocabulary=vocabulary, encoding="tx1") as writer:
        writer.write("train", example)
        raise RuntimeError("interrupted")


def test_a_new_store_replaces_the_old_one_and_a_failed_one_does_not(tmp_path, vocabulary):
    path = tmp_path / "task"
    write(path, vocabulary, examples=3)
    with pytest.raises(RuntimeError, match="interrupted"):
        write_and_fail(path, vocabulary, {"targets": [5]})
    assert TokenStore.open(path).examples("train") == 3
    write(path, vocabulary, examples=5)
    assert TokenStore.open(path).examples("train") == 5
    assert [entry.name for entry in tmp_path.iterdir()] == ["task"]


def test_an_old_store_survives_when_the_new_one_cannot_take_its_place(tmp_path, vocabulary, monkeypatch):
    path = tmp_path / "task"
    write(path, vocabulary, examples=3)
    rename = Path.rename

    def refuse(self: Path, target: Path) -> Path:
        if Path(target) == path and not self.name.endswith(".old"):
            raise OSError("busy")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(DataError, match=f"cannot write {path}: busy"):
        write(path, vocabulary, examples=5)
    assert TokenStore.open(path).examples("train") == 3
    assert [entry.name for entry in tmp_path.iterdir()] == ["task"]


def test_a_folder_that_is_no_store_is_not_replaced(tmp_path, vocabulary):
    (tmp_path / "music").mkdir()
    (tmp_path / "music" / "mine.mid").write_bytes(b"MThd")
    with pytest.raises(DataError, match="is not a token store"):
        write(tmp_path / "music", vocabulary)
    assert (tmp_path / "music" / "mine.mid").exists()


@pytest.mark.parametrize(
    ("example", "message"),
    [
        ({"target": [3]}, "no feature 'target'"),
        ({"targets": [10**6]}, "ids outside"),
        ({"targets": [-1]}, "ids outside"),
        ({"targets": [0.5]}, "one row of integers"),
        ({"targets": [[3]]}, "one row of integers"),
        ({"piece": b"raw"}, "must be text"),
    ],
)
def test_examples_that_do_not_fit_are_errors(tmp_path, vocabulary, example, message):
    with pytest.raises(DataError, match=message):
        write_and_fail(tmp_path / "task", vocabulary, example)
    assert not list(tmp_path.iterdir())


FULL_DISK = """
import resource, sys
from t5music.data.store.codec import FeatureSpec
from t5music.data.store.token_store import StoreWriter
from t5music.data.vocabulary import default
from t5music.errors import DataError

resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))  # no file may grow beyond this
try:
    with StoreWriter(sys.argv[1], features={"targets": FeatureSpec()}, vocabulary=default(), encoding="tx1") as writer:
        for _ in range(30):
            writer.write("train", {"targets": range(3, 2000)})
except DataError as error:
    print(error)
"""


def test_a_full_disk_is_an_error_and_leaves_nothing(tmp_path):
    run = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path / "task")], capture_output=True, text=True, check=True
    )
    assert run.stdout.startswith(f"cannot write {tmp_path / 'task'}: ")
    assert run.stderr == ""
    assert not list(tmp_path.iterdir())


# ------------------------------------------------------------------------------------------------------- damage


def test_damage_is_named(tmp_path, vocabulary):
    path = tmp_path / "task"
    write(path, vocabulary)
    shard = path / "train-00000-of-00001.records"
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-10])
    with pytest.raises(DataError, match=rf"{len(whole) - 10} bytes instead of {len(whole)}: compile task again"):
        TokenStore.open(path)
    shard.write_bytes(b"\0" * len(whole))
    with pytest.raises(DataError, match="damaged"):
        TokenStore.open(path).split("train")[0]
    shard.write_bytes(bytes([whole[0] ^ 1]) + whole[1:])
    split = TokenStore.open(path).split("train")
    with pytest.raises(DataError, match=r"example 0 of .* is damaged, compile it again: .* checksum"):
        split[0]
    assert split[1]["piece"] == "Stück 1"
    with closing(RecordWriter(shard)) as other:
        for record in [*RecordFile(path / "validation-00000-of-00001.records"), *[b"x" * 100] * 8]:
            other.write(record)
    manifest = json.loads((path / "manifest.json").read_text())
    manifest["splits"]["train"]["shards"][0]["bytes"] = shard.stat().st_size
    (path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(DataError, match="its digest is not the manifest's"):
        TokenStore.open(path).split("train")
    shard.unlink()
    with pytest.raises(DataError, match="missing"):
        TokenStore.open(path)


def test_manifests_that_do_not_fit_are_errors(tmp_path, vocabulary):
    path = tmp_path / "task"
    with pytest.raises(DataError, match=r"no manifest\.json"):
        TokenStore.open(path)
    write(path, vocabulary)
    other = Vocabulary({"a": ["x"]})
    with pytest.raises(DataError, match=f"{vocabulary.fingerprint[:16]}, not {other.fingerprint[:16]}"):
        TokenStore.open(path, other)
    manifest = json.loads((path / "manifest.json").read_text())
    (path / "manifest.json").write_text(json.dumps(manifest | {"version": 99}))
    with pytest.raises(DataError, match="version 99, not 1"):
        TokenStore.open(path)
    (path / "manifest.json").write_text("{")
    with pytest.raises(DataError, match="cannot be read"):
        TokenStore.open(path)
    (path / "manifest.json").write_text("{}")
    with pytest.raises(DataError, match="does not describe a task"):
        TokenStore.open(path)


def test_splits_that_are_not_there(tmp_path, vocabulary):
    write(tmp_path / "task", vocabulary)
    store = TokenStore.open(tmp_path / "task")
    with pytest.raises(
        DataError, match=r"no split 'valid' \(there are: train, validation\); did you mean 'validation'"
    ):
        store.split("valid")
    write(tmp_path / "none", vocabulary, examples=0)
    with pytest.raises(DataError, match=r"no split 'train' \(there are: none\)"):
        TokenStore.open(tmp_path / "none").split("train")


# ------------------------------------------------------------------------------------------------------ mixtures


def test_finding_tasks_and_mixtures(tmp_path, vocabulary):
    for name in ("chorales", "folk"):
        write(tmp_path / name, vocabulary)
    write_mixture(
        tmp_path, "study", {"chorales": mixing_rates.Constant(2.0), "folk": mixing_rates.Proportional(2**16, 2.0)}
    )
    store = find(tmp_path, "chorales", vocabulary)
    assert isinstance(store, TokenStore)
    assert store.name == "chorales"
    members = find(tmp_path, "study", vocabulary)
    assert isinstance(members, list)
    assert [(store.name, rate) for store, rate in members] == [
        ("chorales", mixing_rates.Constant(2.0)),
        ("folk", mixing_rates.Proportional(2**16, 2.0)),
    ]
    with pytest.raises(DataError, match=r"t5music compile chorale --data_dir .*; did you mean 'chorales'"):
        find(tmp_path, "chorale")
    with pytest.raises(DataError, match=r"'anything' is not compiled in .*`t5music compile anything --data_dir"):
        find(tmp_path / "nowhere", "anything")
    write_mixture(tmp_path, "half", {"chorales": mixing_rates.EQUAL, "jazz": mixing_rates.EQUAL})
    with pytest.raises(DataError, match="task 'jazz' of mixture 'half' is not compiled"):
        find(tmp_path, "half")
    with pytest.raises(ConfigError, match="at least one task"):
        write_mixture(tmp_path, "empty", {})


def test_reading_imports_neither_tensorflow_nor_seqio():
    code = (
        "import sys, t5music.data.store.token_store, t5music.data.loading.loader; "
        "import t5music.data.vocabulary as v; v.default(); "
        "print(*{'tensorflow', 'seqio', 'tensorflow_datasets'} & set(sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "\n"


# -------------------------------------------------------------------------------------------- stores of strangers


@pytest.fixture(scope="module")
def stores(tmp_path_factory, vocabulary) -> Path:
    """A task "chorales" and a mixture "study" of it."""
    folder = tmp_path_factory.mktemp("stores")
    write(folder / "chorales", vocabulary, labels=["major", "minor"])
    write_mixture(folder, "study", {"chorales": mixing_rates.Proportional(2**16, 2.0)})
    return folder


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("splits", "train", "examples"), "10", 'splits.train.examples must be a whole number, not "10"'),
        (("splits", "train", "seconds"), DELETED, "splits.train.seconds is missing"),
        (("splits", "train", "shards", 0, "file"), "../x", "splits.train has a shard '../x'"),
        (("splits",), [], "splits must be an object"),
        (("features", "inputs", "kind"), "sound", "features.inputs.kind must be one of 'tokens', 'text'"),
        (("objectives", 1, "name"), "spam", "unknown objective 'spam'"),
        (("objectives", 1, "noise_density"), "a", 'noise_density must be a finite number, not "a"'),
        (("vocabulary", "size"), None, "vocabulary.size must be a whole number, not null"),
        (("labels",), "major", 'labels must be a list, not "major"'),
    ],
)
def test_a_manifest_of_another_shape_is_refused_by_name(stores, tmp_path, path, value, message):
    shutil.copytree(stores / "chorales", tmp_path / "chorales")
    manifest = tmp_path / "chorales" / "manifest.json"
    manifest.write_text(json.dumps(replaced(json.loads(manifest.read_text()), path, value)))
    with pytest.raises(DataError, match=message) as error:
        TokenStore.open(tmp_path / "chorales")
    assert str(manifest) in str(error.value)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_mutated_manifests_and_mixtures_are_read_or_refused(stores, data):
    with tempfile.TemporaryDirectory() as place:
        folder = Path(shutil.copytree(stores, Path(place) / "stores"))
        file = folder / data.draw(st.sampled_from(["chorales/manifest.json", "study.mixture.json"]))
        file.write_text(data.draw(mutated(json.loads(file.read_text()))))

        def read() -> None:
            for store, rate in find(folder, "study"):
                assert rate.of(store.examples("train")) > 0
                examples = store.split("train")
                assert all(set(examples[i]) == set(store.features) for i in range(len(examples)))
                assert store.kind is None or store.kind.kind

        assert "\n" not in refusal(read)
