"""TFDS datasets: built corpora as everybody reads them, `tfds.data_source("bach_chorales", data_dir=...)`.

TFDS writes a dataset under a temporary name and renames it at the end.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf
import tensorflow_datasets as tfds

from t5music.corpora.base import Corpus


def write(
    corpus: Corpus,
    folder: Path,
    fields: Sequence[str],
    splits: Mapping[str, Sequence[int]],
    pieces: Callable[[], Iterator[Mapping[str, bytes]]],
    metadata: Mapping[str, Any],
) -> None:
    """Writes a corpus as a TFDS dataset in ArrayRecord files.

    Args:
        corpus: what it is.
        folder: TFDS's data_dir, in which there is no such dataset yet.
        fields: names of the fields.
        splits: split -> the numbers of its pieces in the corpus.
        pieces: gives all pieces of the corpus, in order; called once for each split.
        metadata: the corpus' report.

    Raises:
        OSError, RuntimeError: the dataset cannot be written.
    """
    builder = _builder(corpus, folder, fields, splits, pieces, metadata)
    tfds.disable_progress_bar()  # reading has its own bar; TFDS's are many and short
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            builder.download_and_prepare(download_config=tfds.download.DownloadConfig(try_download_gcs=False))
    except tf.errors.OpError as error:
        raise RuntimeError(str(error)) from error


def _builder(
    corpus: Corpus,
    folder: Path,
    fields: Sequence[str],
    splits: Mapping[str, Sequence[int]],
    pieces: Callable[[], Iterator[Mapping[str, bytes]]],
    metadata: Mapping[str, Any],
) -> Any:
    """A TFDS builder of the corpus; its class is made here because TFDS names a dataset after its class."""

    def _info(self: Any) -> tfds.core.DatasetInfo:
        return self.dataset_info_from_configs(
            description=corpus.title,
            features=tfds.features.FeaturesDict({name: tfds.features.Text() for name in fields}),
            homepage=corpus.source,
            citation=corpus.citation,
            license=corpus.licence,
            metadata=tfds.core.MetadataDict(metadata),
        )

    def _generate(self: Any, split: str) -> Iterator[tuple[int, Mapping[str, bytes]]]:
        numbers = frozenset(splits[split])
        return ((number, piece) for number, piece in enumerate(pieces()) if number in numbers)

    def _split_generators(self: Any, dl_manager: Any) -> dict[str, Any]:
        return {split: self._generate_examples(split) for split in splits}

    members = {
        "VERSION": tfds.core.Version(corpus.version),
        "name": corpus.name,
        "pkg_dir_path": Path(__file__).parent,
        "_info": _info,
        "_split_generators": _split_generators,
        "_generate_examples": _generate,
    }
    with tfds.core.registered.skip_registration():
        kind = type(corpus.name, (tfds.core.GeneratorBasedBuilder,), members)
    return kind(data_dir=str(folder), file_format="array_record")
