"""Where t5music builds its data, and writing files whole or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from t5music.errors import DataError


def data_dir() -> Path:
    """Where corpora and token stores are built: the environment's T5MUSIC_DATA, else ~/.cache/t5music."""
    return Path(os.environ.get("T5MUSIC_DATA", "~/.cache/t5music")).expanduser()


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yields a temporary path in the same folder that is renamed to `path` on success and removed on failure.

    The parent folders are made. A file system that refuses (full, read-only, no permission) raises DataError that
    names `path`.
    """
    target = Path(path)
    temporary: Path | None = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=target.suffix, dir=target.parent)
        os.close(handle)
        temporary = Path(name)
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)  # mkstemp makes files private; ours are ordinary
        yield temporary
        os.replace(temporary, target)
        temporary = None
    except OSError as error:
        raise DataError(f"cannot write {target}: {error.strerror or error}") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Writes UTF-8 text to `path`, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_bytes(path: str | os.PathLike[str], content: bytes) -> None:
    """Writes bytes to `path`, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)
