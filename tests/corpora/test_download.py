"""Fetching corpora from a loopback server: whole, cut off, wrong, refused; and from what is at hand."""

from __future__ import annotations

import hashlib
import io
import sys
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest
from lock_holders import other_process

from t5music import locks
from t5music.corpora import download
from t5music.corpora.base import Corpus, Download, Entry
from t5music.errors import DataError


def archive(files: dict[str, bytes]) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return content.getvalue()


CONTENT = archive({"music-v1/index.csv": b"file\n", "music-v1/a.mid": bytes(range(256)) * 400})


class Server(ThreadingHTTPServer):
    """Serves CONTENT; `cut` ends that many answers early, `ranges` says whether a part may be asked for."""

    cut = 0
    ranges = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[str | None] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/music.tar.gz"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.server.asked.append(wanted)
        if not self.path.endswith("music.tar.gz"):
            self.send_error(404)
            return
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and self.server.ranges else 0
        if start >= len(CONTENT):
            self.send_error(416)
            return
        body = CONTENT[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.server.cut:
            self.server.cut -= 1
            body = body[: len(body) // 2]
            self.close_connection = True
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(download.time, "sleep", lambda seconds: None)
    with Server() as running:
        threading.Thread(target=running.serve_forever, args=(0.02,), daemon=True).start()
        yield running
        running.shutdown()


def published(server: Server, **more) -> Download:
    return Download(server.url, f"sha256:{hashlib.sha256(CONTENT).hexdigest()}", len(CONTENT), **more)


def corpus(*downloads: Download, **more) -> Corpus:
    def entries(root: Path) -> list[Entry]:
        return []

    return Corpus("music", "Music", "CC BY 4.0", "somewhere", "Someone", entries, downloads=downloads,
                  layout="index.csv", **more)  # fmt: skip


def test_fetched_checked_unpacked_and_never_again(server: Server, tmp_path: Path):
    music = corpus(published(server))
    root = download.obtain(music, tmp_path, accept_licence=True, progress=False)
    assert root == tmp_path / "downloads/music/files/music-v1"
    assert (root / "a.mid").stat().st_size == 256 * 400
    sums = (tmp_path / "downloads/music/SHA256SUMS").read_text()
    assert sums == f"{hashlib.sha256(CONTENT).hexdigest()}  music.tar.gz\n"
    assert download.obtain(music, tmp_path, progress=False) == root
    assert len(server.asked) == 1


@pytest.mark.parametrize("ranges", [True, False])
def test_a_connection_that_breaks_is_gone_on_with(server: Server, tmp_path: Path, ranges: bool):
    server.cut, server.ranges = 2, ranges
    if not ranges:
        server.cut = 1
    path = download.fetch(published(server), tmp_path, progress=False)
    assert path.read_bytes() == CONTENT
    assert server.asked[0] is None
    assert all(asked is not None for asked in server.asked[1:])


def test_what_arrived_is_kept_for_the_next_start(server: Server, tmp_path: Path):
    server.cut = download.ATTEMPTS
    with pytest.raises(DataError, match=r"are kept, start again to go on"):
        download.fetch(published(server), tmp_path, progress=False)
    kept = (tmp_path / "music.tar.gz.part").stat().st_size
    assert 0 < kept < len(CONTENT)
    assert not (tmp_path / "music.tar.gz").exists()
    assert download.fetch(published(server), tmp_path, progress=False).read_bytes() == CONTENT
    assert server.asked[-1] == f"bytes={kept}-"


def test_a_part_that_was_whole_already(server: Server, tmp_path: Path):
    (tmp_path / "music.tar.gz.part").write_bytes(CONTENT)
    assert download.fetch(published(server), tmp_path, progress=False).read_bytes() == CONTENT


@pytest.mark.parametrize("checksum", ["sha256:" + "0" * 64, "md5:" + "0" * 32])
def test_a_wrong_checksum_is_refused_and_nothing_is_kept(server: Server, tmp_path: Path, checksum: str):
    with pytest.raises(DataError, match=f"not the published {checksum.partition(':')[2]}"):
        download.fetch(replace(published(server), checksum=checksum), tmp_path, progress=False)
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_size_is_refused(server: Server, tmp_path: Path):
    with pytest.raises(DataError, match=r"and not the 17 published"):
        download.fetch(replace(published(server), bytes=17), tmp_path, progress=False)


def test_md5_is_taken_where_that_is_what_is_published(server: Server, tmp_path: Path):
    known = Download(server.url, f"md5:{hashlib.md5(CONTENT).hexdigest().upper()}")
    assert download.fetch(known, tmp_path, progress=False).is_file()


def test_without_a_published_checksum_what_arrived_is_written_down(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    download.fetch(Download(server.url), tmp_path, progress=False)
    found = hashlib.sha256(CONTENT).hexdigest()
    assert f"no checksum is published; what arrived has sha256 {found}" in capsys.readouterr().err
    assert found in (tmp_path / "SHA256SUMS").read_text()


def test_an_address_that_is_gone(server: Server, tmp_path: Path):
    with pytest.raises(DataError, match="answers 404"):
        download.fetch(Download(server.url.replace("music", "other")), tmp_path, progress=False)


def test_nobody_answers(server: Server, tmp_path: Path):
    server.shutdown()
    server.server_close()
    with pytest.raises(DataError, match=r"cannot be fetched: .*; 0 bytes are kept"):
        download.fetch(published(server), tmp_path, progress=False)


def test_terms_must_be_accepted_once(server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    music = corpus(published(server))
    with pytest.raises(DataError, match="--accept_licence"):
        download.obtain(music, tmp_path, progress=False)
    shown = capsys.readouterr().err
    assert "licence: CC BY 4.0" in shown
    assert server.url in shown
    assert not server.asked
    download.obtain(music, tmp_path, accept_licence=True, progress=False)
    assert "licence: CC BY 4.0" in (tmp_path / "downloads/music/LICENCE").read_text()


def test_what_is_at_hand_is_taken_instead(tmp_path: Path):
    music = corpus(Download("http://127.0.0.1:9/never"))
    packed = tmp_path / "music.tar.gz"
    packed.write_bytes(CONTENT)
    root = download.obtain(music, tmp_path / "data", source=str(packed), progress=False)
    assert (root / "a.mid").is_file()
    assert download.obtain(music, tmp_path / "data", source=str(root.parent), progress=False) == root
    zipped = tmp_path / "music.zip"
    with zipfile.ZipFile(zipped, "w") as out:
        out.writestr("deep/music-v1/index.csv", "file\n")
    assert (download.obtain(music, tmp_path / "data", source=str(zipped), progress=False) / "index.csv").is_file()


def test_another_layout_is_refused(tmp_path: Path):
    with pytest.raises(DataError, match=r"is not music: there is no index\.csv"):
        download.obtain(corpus(), tmp_path, source=str(tmp_path), progress=False)
    with pytest.raises(DataError, match="no such file or folder"):
        download.obtain(corpus(), tmp_path, source=str(tmp_path / "none"), progress=False)
    with pytest.raises(DataError, match="no address"):
        download.obtain(corpus(), tmp_path, progress=False)


@pytest.mark.parametrize("name", ["../outside.mid", "/outside.mid"])
def test_an_archive_cannot_write_outside(tmp_path: Path, name: str):
    packed = tmp_path / "bad.tar.gz"
    packed.write_bytes(archive({"index.csv": b"file\n", name: b"x"}))
    data = tmp_path / "data"
    if name.startswith("/"):  # taken as relative
        assert (download.obtain(corpus(), data, source=str(packed), progress=False) / "outside.mid").is_file()
    else:
        with pytest.raises(DataError, match="cannot be unpacked"):
            download.obtain(corpus(), data, source=str(packed), progress=False)
        assert not list(data.rglob("index.csv"))
    assert not (tmp_path / "outside.mid").exists()


def test_a_damaged_archive_leaves_nothing(tmp_path: Path):
    packed = tmp_path / "cut.tar.gz"
    packed.write_bytes(CONTENT[: len(CONTENT) // 2])
    with pytest.raises(DataError, match=r"cut\.tar\.gz cannot be unpacked"):
        download.obtain(corpus(), tmp_path / "data", source=str(packed), progress=False)
    assert not list((tmp_path / "data").rglob("*.csv"))


def test_an_archive_at_hand_must_have_the_published_checksum(tmp_path: Path):
    packed = tmp_path / "music.tar.gz"
    packed.write_bytes(CONTENT)
    published = hashlib.md5(CONTENT).hexdigest()
    for checksum in (f"md5:{published}", f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"):
        music = corpus(Download("http://127.0.0.1:9/music.tar.gz", checksum))
        assert (download.obtain(music, tmp_path / checksum[:3], source=str(packed), progress=False) / "a.mid").is_file()
    packed.write_bytes(archive({"music-v2/index.csv": b"file\n"}))
    for name in ("music.tar.gz", "renamed.tgz"):
        packed = packed.rename(tmp_path / name)
        message = (
            rf"--from .*{name}: its md5 is \w+ and not the published {published}: .* unpack it and give its folder"
        )
        with pytest.raises(DataError, match=message):
            download.obtain(corpus(Download("http://127.0.0.1:9/music.tar.gz", f"md5:{published}")), tmp_path / "data",
                            source=str(packed), progress=False)  # fmt: skip
    assert packed.is_file(), "what a person gives is never removed"
    assert not (tmp_path / "data").exists()


def test_an_archive_in_an_archive_is_named(tmp_path: Path):
    packed = tmp_path / "outer.tar.gz"
    packed.write_bytes(archive({"inner.zip": b"PK"}))
    with pytest.raises(DataError, match=r"is not music: .*, but another archive, inner\.zip: unpack it first"):
        download.obtain(corpus(), tmp_path / "data", source=str(packed), progress=False)


def test_what_a_system_added_to_an_archive_is_not_the_corpus(tmp_path: Path):
    for name in ("__MACOSX/music/index.csv", "._index.csv", "b/music/index.csv"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert download.obtain(corpus(), tmp_path, source=str(tmp_path), progress=False) == tmp_path / "b" / "music"


def test_a_damaged_download_without_a_published_checksum_is_removed(server: Server, tmp_path: Path, monkeypatch):
    broken = CONTENT[:-4] + bytes(4)
    monkeypatch.setattr(sys.modules[__name__], "CONTENT", broken)
    with pytest.raises(DataError, match=r"cannot be unpacked: .*without a published checksum is removed: start again"):
        download.obtain(corpus(Download(server.url)), tmp_path, accept_licence=True, progress=False)
    assert sorted(path.name for path in (tmp_path / "downloads" / "music").iterdir()) == ["LICENCE", "SHA256SUMS"]


def test_a_download_that_the_disk_cannot_hold_is_not_begun(server: Server, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(download.shutil, "disk_usage", lambda folder: SimpleNamespace(free=len(CONTENT) - 1))
    with pytest.raises(
        DataError, match=rf"has {len(CONTENT):,} bytes, and the disk of .* only {len(CONTENT) - 1:,} free"
    ):
        download.fetch(published(server), tmp_path, progress=False)
    assert not [path for path in tmp_path.iterdir() if path.stat().st_size]


def test_what_another_process_fetches_is_waited_for(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    unpacked = tmp_path / "downloads/music/files"
    with other_process(tmp_path / "downloads/music/.lock") as other:

        def sleep(seconds: float) -> None:  # the other process is done
            if seconds == locks.POLL_SECONDS:
                unpacked.mkdir()
                (unpacked / "index.csv").write_bytes(b"")
                other.communicate()

        monkeypatch.setattr(locks.time, "sleep", sleep)
        assert download.obtain(corpus(published(server)), tmp_path, accept_licence=True, progress=False) == unpacked
    assert server.asked == []
    assert f"files of music: waiting for process {other.pid}" in capsys.readouterr().err
