"""Storage: buckets (gs://, s3://) beside the disks of this machine, behind the methods of pathlib's paths.

This is the one place that knows schemes. `path_of` gives a pathlib path for a path of this machine, which costs nothing
and imports nothing more, and a `BucketPath` for an address. What a bucket does differently:

- Nothing can be renamed. One object appears whole or not at all, so a file is written beside and then uploaded
  (`files.replacing`). What has several files is complete once its last one is there, its commit marker: Orbax's
  `commit_success.txt` for a checkpoint, the manifest for a token store.
- Nothing can be appended to. A metrics file is written whole, at most every WHOLE_FILE_SECONDS, and before each
  checkpoint (`files.AppendedFile`).
- There is no `flock`. A lock is an object that is written under conditions, with an owner and a lease (`bucket_locks`).
- Reading is slow. What is read as a whole, a checkpoint or a shard of a store, is copied into a cache on this machine
  first (`bucket_copies`), which is bounded.

Files go through fsspec (gcsfs, s3fs), which retries what a server may mend. Arrays go through Orbax and TensorStore,
which know Google's buckets alone; Orbax is told to use fsspec for the rest, since it would import TensorFlow where
there is one. A `BucketPath` has no `__fspath__`: code that does not know of buckets fails and makes no folder "gs:".

With STORAGE_EMULATOR_HOST or AWS_ENDPOINT_URL set, all of this talks to that server.
"""

from t5music.storage.addresses import is_bucket as is_bucket
from t5music.storage.addresses import path_of as path_of
from t5music.storage.addresses import require_reachable as require_reachable
from t5music.storage.bucket_path import BucketPath as BucketPath
