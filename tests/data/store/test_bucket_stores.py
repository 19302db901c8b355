"""Token stores in buckets: published from one machine, read through a cache on another."""

import shutil

import pytest

from t5music.data.mixing_rates import EQUAL
from t5music.data.store import publish
from t5music.data.store.token_store import FeatureSpec, StoreWriter, TokenStore, find, write_mixture
from t5music.data.vocabulary import default
from t5music.errors import DataError
from t5music.storage import bucket_copies, path_of


def write_store(folder, examples=40, name="tunes", offset=0):
    features = {"inputs": FeatureSpec(), "targets": FeatureSpec()}
    with StoreWriter(
        folder / name, features=features, vocabulary=default(), encoding="remi", shard_bytes=200
    ) as writer:
        for number in range(examples):
            split = "train" if number % 4 else "validation"
            writer.write(split, {"inputs": [number + 300 + offset], "targets": [number + 400] * (number % 5 + 1)})
    return folder / name


def examples_of(store):
    return [
        {feature: tokens.tolist() for feature, tokens in store.split(split)[index].items()}
        for split in store.splits
        for index in range(store.examples(split))
    ]


@pytest.fixture(params=["google_bucket", "s3_bucket"])
def stores(request):
    return path_of(request.getfixturevalue(request.param)) / "data/stores"


def copies():
    folder = bucket_copies.cache_dir() / bucket_copies.COPIES
    return sorted(folder.iterdir()) if folder.is_dir() else []


def test_a_published_store_is_the_store(stores, tmp_path):
    local = write_store(tmp_path / "stores")
    publish.publish_store(local, stores)
    publish.publish_mixture(write_mixture(tmp_path / "stores", "all", {"tunes": EQUAL}), stores)
    ((store, rate),) = find(stores, "all", default())
    assert rate == EQUAL
    assert not copies()  # nothing is copied before a split is read
    store.split("validation")
    assert len(copies()) == len(store.splits["validation"].shards) < len(list(local.glob("*.records")))
    assert examples_of(store) == examples_of(TokenStore.open(local))


def test_what_is_there_is_not_copied_again_and_a_new_one_takes_its_place(stores, tmp_path, monkeypatch):
    publish.publish_store(write_store(tmp_path / "one"), stores)
    with monkeypatch.context() as patch:
        patch.setattr(bucket_copies, "upload_tree", lambda *a, **k: pytest.fail("copied again"))
        publish.publish_store(write_store(tmp_path / "two"), stores)
    other = write_store(tmp_path / "three", offset=1)
    publish.publish_store(other, stores)
    assert examples_of(TokenStore.open(stores / "tunes")) == examples_of(TokenStore.open(other))


def test_half_a_store_is_none(stores, tmp_path, monkeypatch):
    local = write_store(tmp_path / "stores")

    def upload(self, file):
        if file.name == "manifest.json":
            raise OSError(5, "the machine is switched off", str(self))
        self.write_bytes(file.read_bytes())

    with monkeypatch.context() as patch:
        patch.setattr("t5music.storage.BucketPath.upload", upload)
        with pytest.raises(DataError, match=r"cannot write .*/stores/tunes: the machine is switched off"):
            publish.publish_store(local, stores)
    with pytest.raises(DataError, match=r"'tunes' is not compiled in .*/data/stores"):
        find(stores, "tunes")
    publish.publish_store(local, stores)
    assert examples_of(find(stores, "tunes")) == examples_of(TokenStore.open(local))


def test_damage_is_found_in_the_bucket_and_in_the_cache(stores, tmp_path):
    local = write_store(tmp_path / "stores")
    publish.publish_store(local, stores)
    shard = next(local.glob("train-00000*"))
    store = TokenStore.open(stores / "tunes")
    store.split("train")
    content = bytearray(shard.read_bytes())
    content[-30] ^= 1
    for copy in copies():
        if copy.read_bytes() == shard.read_bytes():
            copy.write_bytes(content)
    with pytest.raises(DataError, match="its digest is not the manifest's"):
        TokenStore.open(stores / "tunes").split("train")
    TokenStore.open(stores / "tunes").split("train")  # the damaged copy was removed
    (stores / "tunes" / shard.name).write_bytes(bytes(content))
    shutil.rmtree(bucket_copies.cache_dir())
    with pytest.raises(DataError, match="its digest is not the manifest's"):
        TokenStore.open(stores / "tunes").split("train")
    (stores / "tunes" / shard.name).unlink()
    with pytest.raises(DataError, match=rf"{shard.name} \(train\) is missing: compile tunes again"):
        TokenStore.open(stores / "tunes")


def test_the_cache_is_bounded(google_bucket, monkeypatch):
    folder = path_of(google_bucket)
    monkeypatch.setenv("T5MUSIC_BUCKET_CACHE_BYTES", "2500")
    monkeypatch.setattr(bucket_copies, "IN_USE_SECONDS", -1.0)
    for number in range(5):
        (folder / f"{number}.bin").write_bytes(bytes(1000))
        bucket_copies.copy_of_file(folder / f"{number}.bin")
    assert len(copies()) == 3  # room is made before a copy
    path = bucket_copies.copy_of_file(folder / "4.bin")
    assert path.read_bytes() == bytes(1000)
    (folder / "4.bin").write_bytes(bytes(1001))
    assert bucket_copies.copy_of_file(folder / "4.bin").read_bytes() == bytes(1001)
