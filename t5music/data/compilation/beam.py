"""Beam: compiling past one machine, the parts of a compile as an Apache Beam pipeline.

    from t5music.data.compilation import compile_task as compiling
    compiling.compile_task(task, data_dir, beam_options=["--runner=FlinkRunner", "--flink_master=host:8081", ...])

Any runner will do whose workers have t5music installed and see the data folder under the same path, on a file system
that is mounted on all of them, or the bucket that it is in (`bucket_parts`). Parts are handed out by number; pieces are
read and shards written by the workers themselves, so only numbers pass through Beam. Finished parts are kept, as
without Beam. With Dask's runner, what a lost worker had to do is done by another one.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from importlib.util import find_spec

from t5music.errors import ConfigError, DataError
from t5music.parallel import Part

DASK = "DaskRunner"
_DASK_CLASS = "apache_beam.runners.dask.dask_runner.DaskRunner"  # Beam knows no short name for it
_LIBRARIES = ("apache_beam", "dask", "distributed")
_PARTITIONS = ("--dask_npartitions", "--dask_partition_size")


def run(work: Callable[[Part[int]], None], parts: Sequence[Part[int]], options: Sequence[str]) -> None:
    """Does every part whose file is not there yet, in a pipeline, and waits until all are done.

    Args:
        work: writes a part's file, at the end and at once; pickled to the workers.
        parts: the work.
        options: Beam's own, such as `--runner=DirectRunner --direct_num_workers=4`.

    Raises:
        ConfigError: Beam is not installed.
        DataError: the pipeline failed, or its workers write to another place than this machine reads.
        T5MusicError: whatever `work` raises.
    """
    if find_spec("apache_beam") is None:
        raise ConfigError("apache-beam is not installed: pip install 't5music[beam]'")
    import apache_beam as beam
    from apache_beam.options.pipeline_options import PipelineOptions

    todo = [part for part in parts if not part.file.exists()]
    if not todo:
        return
    try:
        pipeline = beam.Pipeline(options=PipelineOptions(_completed(options)))
        _ = pipeline | beam.Create(todo) | beam.Reshuffle() | beam.Map(work)
        result = pipeline.run()
        with contextlib.closing(getattr(result, "client", contextlib.ExitStack())):  # Dask's, which nobody else closes
            result.wait_until_finish()
    except Exception as error:
        of_cluster = type(error).__module__.partition(".")[0] in _LIBRARIES
        if not of_cluster and not isinstance(error, RuntimeError | ValueError | OSError):
            raise
        raise DataError(f"the Beam pipeline failed (finished parts are kept): {_last_line(error)}") from error
    missing = [part for part in todo if not part.file.exists()]
    if missing:
        raise DataError(
            f"the Beam pipeline ended without {missing[0].file}: its workers must see the data folder under this path"
        )


def _completed(options: Sequence[str]) -> list[str]:
    """Beam's options with what Dask's runner needs: its whole name, and parts that go to workers one by one."""
    completed = list(options)
    for place, option in enumerate(options):
        if option in (DASK, f"--runner={DASK}"):
            completed[place] = option.replace(DASK, _DASK_CLASS)
    if any(option.endswith(_DASK_CLASS) for option in completed) and not any(
        option.startswith(_PARTITIONS) for option in completed
    ):
        completed.append("--dask_partition_size=1")  # by default, hundreds go together
    return completed


def _last_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
