"""Fetching a corpus: from its official address, or from an archive or a folder that is at hand.

    <data_dir>/downloads/<corpus>/LICENCE            the terms, as they were accepted
    <data_dir>/downloads/<corpus>/lmd_full.tar.gz    whole and checked; `.part` while it is on its way
    <data_dir>/downloads/<corpus>/SHA256SUMS         of what arrived
    <data_dir>/downloads/<corpus>/files/             unpacked

An interrupted download goes on where it stopped, and a second process waits for the one that fetches. What is unpacked
appears whole or not at all (`archives`). An archive that is at hand must have the checksum that is published, as one
that is fetched; a folder is taken as it is.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import shutil
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from tqdm import tqdm

from t5music import files, locks
from t5music.corpora import archives
from t5music.corpora.base import Corpus, Download, locate
from t5music.errors import DataError
from t5music.files import printable_name

ATTEMPTS = 4  # to go on after a broken connection, with a pause that doubles from one second
TIMEOUT = 60  # seconds without a byte
_BLOCK = 1 << 20


def obtain(
    corpus: Corpus,
    data_dir: Path,
    *,
    source: str | None = None,
    accept_licence: bool = False,
    progress: bool = True,
) -> Path:
    """The folder with a corpus' files: fetches and unpacks whatever is not there yet.

    Args:
        corpus: the corpus.
        data_dir: the folder that holds everything t5music builds.
        source: a folder or an archive (zip or tar) of the official layout, instead of the download.
        accept_licence: accept the corpus' terms; otherwise a person is asked, once, before the first download.
        progress: show progress bars.

    Raises:
        DataError: the terms were not accepted, the address does not answer, what arrived is not what was published, or
            the layout is another.
    """
    home = data_dir / "downloads" / corpus.name
    if source is not None:
        return _at_hand(corpus, Path(source).expanduser(), home, progress)
    if corpus.installed is not None:
        return corpus.installed()
    if not corpus.downloads:
        raise DataError(f"corpus {corpus.name!r} has no address to fetch it from: get it from {corpus.source}, "
                        f"then t5music corpora --build {corpus.name} --from FOLDER_OR_ARCHIVE")  # fmt: skip
    unpacked = home / "files"
    if not unpacked.is_dir():
        _accept(corpus, home, accept_licence)
        with _only_here(corpus, home):
            if not unpacked.is_dir():  # by the process that had the lock
                _fetch_and_unpack(corpus, home, unpacked, progress)
    return locate(corpus, unpacked)


def _only_here(corpus: Corpus, home: Path) -> contextlib.AbstractContextManager[None]:
    """Has no other process fetch or unpack the same corpus meanwhile."""
    return locks.waiting(home / locks.FILE, f"files of {corpus.name}")


def _fetch_and_unpack(corpus: Corpus, home: Path, unpacked: Path, progress: bool) -> None:
    paths = [fetch(download, home, progress=progress) for download in corpus.downloads]
    try:
        archives.unpack(paths, unpacked, progress)
    except DataError as error:
        unchecked = [path for path, download in zip(paths, corpus.downloads, strict=True) if not download.checksum]
        for path in unchecked:
            path.unlink()
        again = "; what was fetched without a published checksum is removed: start again" if unchecked else ""
        raise DataError(f"{error}{again}") from error


def _at_hand(corpus: Corpus, path: Path, home: Path, progress: bool) -> Path:
    """The folder with a corpus' files, of a folder or an archive that is at hand."""
    if path.is_dir():
        return locate(corpus, path)
    if not path.is_file():
        raise DataError(f"--from {printable_name(path)}: no such file or folder")
    published = [download for download in corpus.downloads if download.checksum]
    named = [download for download in published if download.name == path.name]
    expected = named or (published if len(corpus.downloads) == 1 else [])
    for download in expected:
        kind, _, checksum = download.checksum.partition(":")
        if (digest := _digest(path, kind)) != checksum.lower():
            raise DataError(
                f"--from {printable_name(path)}: its {kind} is {digest} and not the published {checksum}: it is "
                "another version or damaged; to take it all the same, unpack it and give its folder to --from"
            )
    status = path.stat()
    name = printable_name(path.resolve())
    key = hashlib.sha256(f"{name} {status.st_size} {status.st_mtime_ns}".encode()).hexdigest()
    target = home / f"from-{key[:12]}"
    if not target.is_dir():
        with _only_here(corpus, home):
            archives.unpack([path], target, progress)
    try:
        return locate(corpus, target)
    except DataError as error:
        if inner := archives.nested(target):
            raise DataError(f"{error}, but another archive, {printable_name(inner.name)}: unpack it first") from error
        raise


def terms(corpus: Corpus) -> str:
    """What a person is shown before a download."""
    size = sum(download.bytes for download in corpus.downloads)
    lines = [f"{corpus.name}: {corpus.title}", f"licence: {corpus.licence}", f"source:  {corpus.source}"]
    lines += [f"fetched: {download.url}" for download in corpus.downloads]
    lines += [f"size:    {size / 1e6:,.1f} MB"] if size else []
    lines += [f"cite:    {corpus.citation}"] if corpus.citation else []
    return "\n".join(lines)


def _accept(corpus: Corpus, home: Path, accepted: bool) -> None:
    """Shows the terms and has them accepted, unless they were before."""
    note = home / "LICENCE"
    if note.is_file() and note.read_text("utf-8").strip() == terms(corpus):
        return
    print(terms(corpus), file=sys.stderr)
    if not accepted and sys.stdin.isatty():
        print("Do you accept these terms? [y/N] ", end="", file=sys.stderr, flush=True)
        accepted = sys.stdin.readline().strip().lower() in ("y", "yes")
    if not accepted:
        raise DataError(
            f"the terms of {corpus.name!r} were not accepted: read them, then run "
            f"t5music corpora --build {corpus.name} --accept_licence"
        )
    files.write_text(note, terms(corpus) + "\n")


def fetch(download: Download, folder: Path, *, progress: bool = True) -> Path:
    """Fetches a file into `folder` unless it is there; goes on with what an earlier attempt left. Returns its path.

    Raises:
        DataError: the address does not answer, or what arrived has another size or checksum than was published.
    """
    path = folder / download.name
    if path.is_file():
        return path
    partial = path.with_name(f"{path.name}.part")
    for attempt in range(ATTEMPTS):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _transfer(download, partial, progress)
            break
        except urllib.error.HTTPError as error:
            raise DataError(f"{download.url} answers {error.code} {error.reason}") from error
        except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
            if attempt == ATTEMPTS - 1:
                size = partial.stat().st_size if partial.is_file() else 0
                raise DataError(
                    f"{download.url} cannot be fetched: {error}; {size:,} bytes are kept, start again to go on"
                ) from error
            time.sleep(2**attempt)
        except OSError as error:
            raise DataError(f"cannot write {partial}: {error.strerror or error}") from error
    _check(download, partial)
    partial.rename(path)
    return path


def _transfer(download: Download, partial: Path, progress: bool) -> None:
    """Appends to `partial` what is missing; raises ConnectionError when the connection ends too early."""
    start = partial.stat().st_size if partial.is_file() else 0
    request = urllib.request.Request(download.url, headers={"Range": f"bytes={start}-"} if start else {})
    try:
        answer = urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code != http.client.REQUESTED_RANGE_NOT_SATISFIABLE or not start:
            raise
        return  # it was whole already; the checksum will tell
    with answer:
        if start and answer.status != http.client.PARTIAL_CONTENT:
            start = 0  # the server sends everything again
        length = answer.headers.get("Content-Length")
        expected = start + int(length) if length else 0
        free = shutil.disk_usage(partial.parent).free
        if (size := expected or download.bytes) - start > free:
            raise DataError(f"{download.url} has {size:,} bytes, and the disk of {partial.parent} only {free:,} free")
        bar = tqdm(
            total=expected or download.bytes or None,
            initial=start,
            desc=download.name,
            unit="B",
            unit_scale=True,
            disable=not progress,
            dynamic_ncols=True,
        )
        with bar, open(partial, "ab" if start else "wb") as file:
            while block := answer.read(_BLOCK):
                file.write(block)
                bar.update(len(block))
    arrived = partial.stat().st_size
    if expected and arrived < expected:
        raise ConnectionError(f"the connection ended after {arrived:,} of {expected:,} bytes")


def _check(download: Download, partial: Path) -> None:
    """Compares with what was published, and writes down what arrived. What is wrong is removed."""
    size = partial.stat().st_size
    if download.bytes and size != download.bytes:
        partial.unlink()
        raise DataError(f"{download.url} gave {size:,} bytes and not the {download.bytes:,} published: start again")
    kind, _, published = download.checksum.partition(":")
    digests = {name: _digest(partial, name) for name in {"sha256", kind or "sha256"}}
    if published and digests[kind] != published.lower():
        partial.unlink()
        raise DataError(f"{download.url} has {kind} {digests[kind]} and not the published {published}: start again")
    if not published:
        what = f"no checksum is published; what arrived has sha256 {digests['sha256']}"
        print(f"{download.name}: {what}", file=sys.stderr)
    sums = partial.parent / "SHA256SUMS"
    lines = sums.read_text("utf-8").splitlines() if sums.is_file() else []
    lines = [line for line in lines if not line.endswith(f"  {download.name}")]
    files.write_text(sums, "\n".join([*lines, f"{digests['sha256']}  {download.name}"]) + "\n")


def _digest(path: Path, kind: str) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, kind).hexdigest()
