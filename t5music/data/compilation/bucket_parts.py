"""Bucket parts: the parts of a compile by workers that share nothing with this machine but a bucket.

The built corpora are copied into the bucket, under the digest of what they hold, so that a copy is never old. A worker
copies those that it reads to its own disk, once, and writes its parts into the bucket, each whole or not at all. At the
end the parts are copied to this machine, where they wait as if it had made them.

    <bucket>/corpora/3f9c.../nottingham/...                      a built corpus
    <bucket>/stores/.chorales.3f9c.../store, sums                parts that are done
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from t5music import files
from t5music.corpora.base import CORPORA, REPORT_FILE, built_folder, corpora_dir
from t5music.data.compilation import shards
from t5music.data.compilation.shards import Job
from t5music.errors import DataError
from t5music.parallel import Part
from t5music.storage import BucketPath, bucket_copies

Run = Callable[[Callable[[Part[int]], None], Sequence[Part[int]]], None]


@dataclasses.dataclass(frozen=True)
class BucketWork:
    """Compiles a part on a worker; pickled to it.

    Attributes:
        job: with the work's folder in the bucket. Its data folder is not used.
        corpora: corpus -> its folder in the bucket.
    """

    job: Job
    corpora: dict[str, BucketPath]

    def __call__(self, part: Part[int]) -> None:
        """Compiles a part whose file is in the bucket; see `shards.compile_part`."""
        shards.compile_part(dataclasses.replace(self.job, data_dir=self._data_dir()), part)

    def _data_dir(self) -> Path:
        """A data folder of this machine that has copies of the corpora, by links."""
        places = json.dumps({name: str(folder) for name, folder in self.corpora.items()}, sort_keys=True)
        data_dir = bucket_copies.cache_dir() / "built" / hashlib.sha256(places.encode()).hexdigest()[:16]
        corpora_dir(data_dir).mkdir(parents=True, exist_ok=True)
        for name, folder in self.corpora.items():
            link, copy = corpora_dir(data_dir) / name, bucket_copies.copy_of_folder(folder)
            if not link.exists():  # a link to a copy that is gone is none
                temporary = link.with_name(f".{name}.{os.getpid()}")
                temporary.symlink_to(copy.absolute(), target_is_directory=True)
                temporary.replace(link)
        return data_dir


def run(job: Job, parts: Sequence[Part[int]], bucket: BucketPath, run_parts: Run) -> None:
    """Does the parts of a job that are not done, through a bucket.

    Args:
        job: with all its folders on this machine.
        parts: of the job.
        bucket: the data folder in the bucket.
        run_parts: does parts, on workers that see the bucket, given a function and parts whose files are there.

    Raises:
        DataError: a corpus is not built, or the bucket cannot be read or written.
        T5MusicError: whatever `run_parts` raises. Parts that are done stay in the bucket, and are not done again.
    """
    folder = bucket / files.STORES / job.folder.name
    missing = [part for part in parts if not part.file.exists()]
    try:
        corpora = {name: _upload(name, job.data_dir, bucket) for name in {*job.corpora, *job.apart_from}}
        work = BucketWork(dataclasses.replace(job, folder=folder), corpora)
        run_parts(work, [Part(part.items, folder / part.file.relative_to(job.folder)) for part in missing])
        for part in missing:  # the shard first: a part is done once its sums are there
            for target in (job.shard(part), part.file):
                with files.replacing(target) as temporary:
                    (folder / target.relative_to(job.folder)).download(temporary)
        folder.remove_tree()
    except OSError as error:
        raise DataError(f"{error.filename or bucket}: {error.strerror or error}") from error


def _upload(corpus: str, data_dir: Path, bucket: BucketPath) -> BucketPath:
    """Copies a built corpus into the bucket, unless it is there; returns its folder there."""
    built = built_folder(corpus, data_dir)
    if built is None:
        raise DataError(f"corpus {corpus!r} is not built")
    target = bucket / CORPORA / shards.identity(corpus, data_dir)[:16] / corpus
    if not (target / built.name / REPORT_FILE).is_file():
        bucket_copies.upload_tree(built, target / built.name, last=REPORT_FILE)
    return target
