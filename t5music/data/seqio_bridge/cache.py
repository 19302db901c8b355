"""seqio's own cache of a task, written without Beam: for seqio and T5X users who read cached tasks.

The layout is seqio 0.0.20's: `<dir>/<task>/{info,stats}.<split>.json`, TFRecord files of tf.train.Example, COMPLETED.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import seqio
import tensorflow as tf

from t5music.data.store.token_store import TokenStore
from t5music.errors import DataError
from t5music.files import write_text

FEATURES = ("inputs", "targets")


def write(task_name: str, store: TokenStore, cache_dir: Path) -> Path:
    """Writes the cache of a task below `cache_dir` from its token store; returns the task's folder.

    Afterwards `seqio.add_global_cache_dirs([cache_dir])` and `use_cached=True` read it.
    """
    folder = cache_dir / seqio.utils.get_task_dir_from_name(task_name)
    done = folder / "COMPLETED"
    done.unlink(missing_ok=True)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for split in store.splits:
            _write_split(folder, store, split)
    except (OSError, tf.errors.OpError) as error:
        raise DataError(f"cannot write {folder}: {error}") from error
    write_text(done, "")
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
