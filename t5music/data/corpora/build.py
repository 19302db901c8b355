"""Building a corpus as a TFDS dataset: one example a piece, its MIDI bytes and its labels.

A built corpus is an ordinary TFDS dataset under `<data_dir>/corpora`, readable with
`tfds.load("bach_chorales", data_dir=...)` without t5music. TFDS writes it under a temporary name and renames it at the
end, so that an interrupted build leaves nothing behind.
"""

from __future__ import annotations

import contextlib
import io
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import tensorflow as tf
import tensorflow_datasets as tfds
from tqdm import tqdm

from t5music import files
from t5music.data.corpora.base import SPLITS, Corpus, Piece, Skipped, assign_splits, corpora_dir, read_report
from t5music.errors import DataError
from t5music.music import midi


def load(corpus_name: str, data_dir: Path) -> Any:
    """The built corpus as a TFDS builder. Raises DataError if it is not built."""
    if read_report(corpus_name, data_dir) is None:
        raise DataError(f"corpus {corpus_name!r} is not built: t5music corpora --build {corpus_name}")
    return tfds.builder(corpus_name, data_dir=str(corpora_dir(data_dir)))


def build(corpus: Corpus, data_dir: Path, *, progress: bool = True, force: bool = False) -> dict[str, Any]:
    """Builds the corpus unless it is there already, and returns its report.

    Args:
      corpus: what to build.
      data_dir: the folder that holds everything t5music builds.
      progress: show a progress bar.
      force: read the files again and replace what was built.

    Raises:
      DataError: no piece could be read, or the folder cannot be written.
    """
    report = read_report(corpus.name, data_dir)
    if report is not None:
        if not force:
            return report
        shutil.rmtree(corpora_dir(data_dir) / corpus.name)
    read = tqdm(corpus.read(), corpus.name, corpus.size(), unit="file", disable=not progress, dynamic_ncols=True)
    # The pieces wait on disk: splits need every piece's group, and a large corpus does not fit in memory.
    with tempfile.TemporaryDirectory(prefix="t5music-") as folder:
        pieces, skipped = _collect(read, Path(folder))
        if not pieces:
            reasons = "; ".join(f"{n} x {reason}" for reason, n in Counter(skipped.values()).most_common(3))
            raise DataError(f"corpus {corpus.name!r}: none of its {len(skipped)} files could be used ({reasons})")
        dealt = assign_splits([piece.group for piece in pieces])
        splits = [piece.split or dealt[piece.group] for piece in pieces]
        metadata = {
            "licence": corpus.licence,
            "source": corpus.source,
            "labels": {label: list(values) for label, values in corpus.labels.items()},
            "pieces": dict(Counter(splits)),
            "groups": len({piece.group for piece in pieces}),
            "skipped": skipped,
        }
        builder = _builder(corpus, data_dir, pieces, splits, metadata)
        config = tfds.download.DownloadConfig(try_download_gcs=False)
        tfds.disable_progress_bar()  # the bar above is the one that matters; TFDS's own are many and short
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                builder.download_and_prepare(download_config=config)
        except (OSError, RuntimeError, tf.errors.OpError) as error:  # TFDS wraps TensorFlow's in RuntimeError
            raise DataError(f"cannot write corpus {corpus.name!r} below {data_dir}: {error}") from error
    return metadata


class _Stored(NamedTuple):
    """A piece whose notes wait in a file."""

    file: Path
    id: str
    labels: Mapping[str, str]
    group: str
    split: str | None


def _collect(read: Iterator[Piece | Skipped], folder: Path) -> tuple[list[_Stored], dict[str, str]]:
    """Writes every piece's MIDI bytes to `folder`; returns the pieces and {file: reason} of what was skipped."""
    pieces: list[_Stored] = []
    skipped: dict[str, str] = {}
    for item in read:
        if isinstance(item, Skipped):
            skipped[item.id] = item.reason
            continue
        file = folder / f"{len(pieces)}.mid"
        file.write_bytes(midi.to_bytes(item.score))
        pieces.append(_Stored(file, item.id, item.labels, item.group, item.split))
    return pieces, skipped


def export(corpus_name: str, data_dir: Path, split: str, folder: Path) -> list[Path]:
    """Writes the pieces of one split as MIDI files into `folder`; returns their paths, sorted.

    Raises:
      DataError: the corpus is not built, has no such split, or the folder cannot be written.
    """
    builder = load(corpus_name, data_dir)
    if split not in builder.info.splits:
        raise DataError(f"corpus {corpus_name!r} has no split {split!r} (there are: {', '.join(builder.info.splits)})")
    paths = []
    for piece in builder.as_dataset(split=split).as_numpy_iterator():
        path = folder / Path(piece["id"].decode()).with_suffix(".mid").name
        files.write_bytes(path, piece["midi"])
        paths.append(path)
    return sorted(paths)


def _builder(corpus: Corpus, data_dir: Path, pieces: list[_Stored], splits: list[str], metadata: dict[str, Any]) -> Any:
    """A TFDS builder of the corpus; its class is made here because TFDS names a dataset after its class."""
    labels = sorted(corpus.labels)

    def _info(self: Any) -> tfds.core.DatasetInfo:
        return self.dataset_info_from_configs(
            description=corpus.title,
            features=tfds.features.FeaturesDict({name: tfds.features.Text() for name in ("id", "midi", *labels)}),
            homepage=corpus.source,
            citation=corpus.citation,
            license=corpus.licence,
            metadata=tfds.core.MetadataDict(metadata),
        )

    def _generate(self: Any, split: str) -> Iterator[tuple[int, dict[str, Any]]]:
        for index, piece in enumerate(pieces):
            if splits[index] == split:
                content = {"id": piece.id, "midi": piece.file.read_bytes()}
                yield index, content | {label: piece.labels.get(label, "") for label in labels}

    def _split_generators(self: Any, dl_manager: Any) -> dict[str, Any]:
        return {split: self._generate_examples(split) for split in SPLITS if metadata["pieces"].get(split)}

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
    return kind(data_dir=str(corpora_dir(data_dir)))
