"""Fetching a corpus: from its official address, or from an archive or a folder that is at hand.

    <data_dir>/downloads/<corpus>/LICENCE            the terms, as they were accepted
    <data_dir>/downloads/<corpus>/lmd_full.tar.gz    whole and checked; `.part` while it is on its way
    <data_dir>/downloads/<corpus>/SHA256SUMS         of what arrived
    <data_dir>/downloads/<corpus>/files/             unpacked

An interrupted download goes on where it stopped. What is unpacked appears whole or not at all.
"""

from __future__ import annotations

import hashlib
import http.client
import shutil
import sys
import tarfile
import time
import urllib.error
import urllib.request
import zipfile
from pathlib import Path

from tqdm import tqdm

from t5music import files
from t5music.corpora.base import Corpus, Download, locate
from t5music.errors import DataError

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
        given = Path(source).expanduser()
        if given.is_dir():
            return locate(corpus, given)
        if not given.is_file():
            raise DataError(f"--from {source}: no such file or folder")
        key = hashlib.sha256(
            f"{given.resolve()} {given.stat().st_size} {given.stat().st_mtime_ns}".encode()
        ).hexdigest()
        return locate(corpus, _unpack([given], home / f"from-{key[:12]}", progress))
    if corpus.installed is not None:
        return corpus.installed()
    if not corpus.downloads:
        raise DataError(f"corpus {corpus.name!r} has no address to fetch it from: get it from {corpus.source}, "
                        f"then t5music corpora --build {corpus.name} --from FOLDER_OR_ARCHIVE")  # fmt: skip
    unpacked = home / "files"
    if not unpacked.is_dir():
        _accept(corpus, home, accept_licence)
        _unpack([fetch(download, home, progress=progress) for download in corpus.downloads], unpacked, progress)
    return locate(corpus, unpacked)


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
        raise DataError(f"the terms of {corpus.name!r} were not accepted: read them, then add --accept_licence")
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
                kept = partial.stat().st_size if partial.is_file() else 0
                raise DataError(
                    f"{download.url} cannot be fetched: {error}; {kept:,} bytes are kept, start again to go on"
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
    found = {name: _digest(partial, name) for name in {"sha256", kind or "sha256"}}
    if published and found[kind] != published.lower():
        partial.unlink()
        raise DataError(f"{download.url} has {kind} {found[kind]} and not the published {published}: start again")
    if not published:
        what = f"no checksum is published; what arrived has sha256 {found['sha256']}"
        print(f"{download.name}: {what}", file=sys.stderr)
    sums = partial.parent / "SHA256SUMS"
    lines = sums.read_text("utf-8").splitlines() if sums.is_file() else []
    lines = [line for line in lines if not line.endswith(f"  {download.name}")]
    files.write_text(sums, "\n".join([*lines, f"{found['sha256']}  {download.name}"]) + "\n")


def _digest(path: Path, kind: str) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, kind).hexdigest()


def _unpack(archives: list[Path], target: Path, progress: bool) -> Path:
    """Unpacks archives into `target`, whole or not at all; a file that is no archive is put there as it is."""
    if target.is_dir():
        return target
    partial = target.with_name(f".{target.name}.part")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        for archive in archives:
            _unpack_one(archive, partial, progress)
        partial.rename(target)
    except (OSError, EOFError, tarfile.TarError, zipfile.BadZipFile) as error:
        raise DataError(f"{archive} cannot be unpacked: {error}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return target


def _unpack_one(archive: Path, folder: Path, progress: bool) -> None:
    def bar(total: int | None) -> tqdm:
        return tqdm(
            total=total, desc=f"unpacking {archive.name}", unit="file", disable=not progress, dynamic_ncols=True
        )

    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as content, bar(len(content.infolist())) as shown:
            for member in content.infolist():
                content.extract(member, folder)  # takes absolute paths and ".." off the names
                shown.update()
    elif tarfile.is_tarfile(archive):
        with tarfile.open(archive) as tar, bar(None) as shown:
            for entry in tar:
                tar.extract(entry, folder, filter="data")  # refuses what would leave the folder
                shown.update()
    else:
        shutil.copy(archive, folder / archive.name)
