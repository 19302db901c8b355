"""The `[data]` extra: whether it is installed, and TensorFlow imported as every verb wants it."""

from __future__ import annotations

import os
from importlib.util import find_spec

from t5music.errors import DataError

DATA_EXTRA = ("seqio", "tensorflow", "tensorflow_datasets")


def is_installed() -> bool:
    """Whether all of it is."""
    return all(find_spec(name) is not None for name in DATA_EXTRA)


def import_tensorflow() -> None:
    """Imports TensorFlow, quietly, and leaves the GPUs to JAX. Raises DataError where `[data]` is not installed."""
    missing = [name for name in DATA_EXTRA if find_spec(name) is None]
    if missing:
        raise DataError(f"{', '.join(missing)} not installed: pip install 't5music[data]'")
    # TensorFlow only reads and writes files here: no GPU memory for it, no remarks on its kernels. JAX, which may start
    # later in this process, sees the GPUs that there are.
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    os.environ.update(CUDA_VISIBLE_DEVICES="-1", TF_CPP_MIN_LOG_LEVEL="3", TF_ENABLE_ONEDNN_OPTS="0")
    # TensorFlow's libraries write to file descriptor 2 while they load, whatever the log level.
    terminal = os.dup(2)
    try:
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), 2)
            import tensorflow as tf

            tf.constant(0)  # looks for devices, and remarks on them, now
    finally:
        os.dup2(terminal, 2)
        os.close(terminal)
        del os.environ["CUDA_VISIBLE_DEVICES"]
        if visible is not None:
            os.environ["CUDA_VISIBLE_DEVICES"] = visible
