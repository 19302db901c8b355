"""Publish: copies compiled stores from this machine into a bucket, where every host reads them.

Shards go first and the manifest last, so that nobody reads half a store; a manifest of an older store goes before them.
"""

from __future__ import annotations

import json
from pathlib import Path

from t5music import locks
from t5music.data.store.codec import MANIFEST
from t5music.errors import DataError
from t5music.storage import BucketPath, bucket_copies


def publish_store(store: Path, stores_dir: BucketPath) -> BucketPath:
    """Copies a store into a bucket's folder of stores, unless it is there already; one host at a time does so.

    Args:
        store: its folder on this machine.
        stores_dir: the folder of stores.

    Returns:
        The store's folder in the bucket.

    Raises:
        DataError: the bucket cannot be written.
    """
    target: BucketPath = stores_dir / store.name
    with locks.waiting(stores_dir / f".{store.name}{locks.FILE}", f"store of {store.name}"):
        try:
            if not _is_published(store, target):
                (target / MANIFEST).unlink(missing_ok=True)
                target.remove_tree()
                bucket_copies.upload_tree(store, target, last=MANIFEST)
        except OSError as error:
            raise DataError(f"cannot write {target}: {error.strerror or error}") from error
    return target


def publish_mixture(file: Path, stores_dir: BucketPath) -> BucketPath:
    """Copies the file of a mixture into a bucket's folder of stores. Raises DataError as `publish_store`."""
    target: BucketPath = stores_dir / file.name
    try:
        target.upload(file)
    except OSError as error:
        raise DataError(f"cannot write {target}: {error.strerror or error}") from error
    return target


def _is_published(store: Path, target: BucketPath) -> bool:
    """Whether the bucket has this manifest, whose digests are those of the shards, and shards of the right size."""
    manifest = (store / MANIFEST).read_bytes()
    if not (target / MANIFEST).is_file() or (target / MANIFEST).read_bytes() != manifest:
        return False
    sizes = target.sizes()
    shards = [shard for split in json.loads(manifest)["splits"].values() for shard in split["shards"]]
    return all(sizes.get(shard["file"]) == shard["bytes"] for shard in shards)
