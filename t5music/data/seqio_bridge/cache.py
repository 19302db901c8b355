"""seqio's own cache of a task, written without Beam: for seqio and T5X users who read cached tasks.

The layout is seqio 0.0.20's: `<dir>/<task>/{info,stats}.<split>.json`, TFRecord files of tf.train.Example, COMPLETED.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import seqio
import tensorflow as tf

from t5music import files
from t5music.data.store.codec import MANIFEST
from t5music.data.store.token_store import TokenStore
from t5music.errors import DataError
from t5music.files import write_text

FEATURES = ("inputs", "targets")
SOURCE = "t5music_store.sha256"  # in a cache: the digest of its store's manifest


def write(task_name: str, store: TokenStore, cache_dir: Path, *, force: bool = False) -> Path:
    """Writes the cache of a task below `cache_dir` from its token store; returns the task's folder.

    Afterwards `seqio.add_global_cache_dirs([cache_dir])` and `use_cached=True` read it. One that was written from this
    very store is left as it is.

    Args:
        task_name: the task's name in seqio.
        store: of the task.
        cache_dir: the folder of all tasks' caches.
        force: whether another cache of the task may be replaced.

    Raises:
        ConfigError: another cache is there, or what is no cache.
        DataError: the folder cannot be written.
    """
    folder = cache_dir / seqio.utils.get_task_dir_from_name(task_name)
    source = hashlib.sha256((store.path / MANIFEST).read_bytes()).hexdigest()
    if (folder / SOURCE).is_file() and (folder / SOURCE).read_bytes() == source.encode():
        return folder
    files.require_free_folder(folder, "--seqio_cache", force=force, mark="COMPLETED", kind="cache of seqio's")
    with files.replacing_folder(folder) as unfinished:
        try:
            for split in store.splits:
                _write_split(unfinished, store, split)
        except tf.errors.OpError as error:
            raise DataError(f"cannot write {folder}: {error.message}") from error
        (unfinished / SOURCE).write_text(source)
        (unfinished / "COMPLETED").touch()
    return folder


def _write_split(folder: Path, store: TokenStore, split: str) -> None:
    tokens = dict.fromkeys(FEATURES, 0)
    longest = dict.fromkeys(FEATURES, 0)
    examples = store.split(split)
    prefix = seqio.utils.get_cached_tfrecord_prefix(str(folder), split)
    with tf.io.TFRecordWriter(f"{prefix}-00000-of-00001") as writer:
        for index in range(len(examples)):
            example = {name: examples[index][name] for name in FEATURES}
            writer.write(seqio.utils.dict_to_tfexample(example).SerializeToString())
            for name, ids in example.items():
                tokens[name] += int(np.size(ids))
                longest[name] = max(longest[name], int(np.size(ids)))
    features = {name: {"shape": [None], "dtype": "int32"} for name in FEATURES}
    info = {"num_shards": 1, "features": features, "seqio_version": seqio.__version__}
    stats = {"examples": len(examples)}
    stats |= {f"{name}_tokens": count for name, count in tokens.items()}
    stats |= {f"{name}_max_tokens": count for name, count in longest.items()}
    write_text(seqio.utils.get_cached_info_path(str(folder), split), json.dumps(info))
    write_text(seqio.utils.get_cached_stats_path(str(folder), split), json.dumps(stats))
