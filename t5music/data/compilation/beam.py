"""Beam: compiling past one machine, the parts of a compile as an Apache Beam pipeline.

    from t5music.data.compilation import compile_task as compiling
    compiling.compile_task(task, data_dir, beam_options=["--runner=FlinkRunner", "--flink_master=host:8081", ...])

Any runner will do whose workers have t5music installed and see the data folder under the same path: a file system
that is mounted on all of them. Parts are handed out by number; pieces are read and shards written by the workers
themselves, so nothing but numbers passes through Beam. Finished parts are kept, as without Beam.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.util import find_spec

from t5music.errors import ConfigError, DataError
from t5music.parallel import Part


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
        with beam.Pipeline(options=PipelineOptions(list(options))) as pipeline:
            _ = pipeline | beam.Create(todo) | beam.Reshuffle() | beam.Map(work)
    except (RuntimeError, ValueError, OSError) as error:
        raise DataError(f"the Beam pipeline failed (finished parts are kept): {_last_line(error)}") from error
    missing = [part for part in todo if not part.file.exists()]
    if missing:
        raise DataError(
            f"the Beam pipeline ended without {missing[0].file}: its workers must see the data folder under this path"
        )


def _last_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
