"""Archives: whole ones are unpacked; damaged, forged, encrypted and outgrown ones are refused and leave nothing."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import shutil
import struct
import tarfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from t5music.corpora import archives
from t5music.errors import DataError

MUSIC = {"deep/a.mid": bytes(range(256)) * 40, "b.mid": b"music" * 50}


def tar(members: dict[str, bytes], *special: tarfile.TarInfo) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as out:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            out.addfile(info, io.BytesIO(data))
        for info in special:
            out.addfile(info)
    return content.getvalue()


def special(name: str, kind: bytes, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


def zipped(members: dict[str, bytes]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as out:
        for name, data in members.items():
            out.writestr(name, data)
    return content.getvalue()


TAR, ZIP = tar(MUSIC), zipped(MUSIC)
GZ = gzip.compress(TAR)
MEMBERS = TAR[: 512 + 10240 + 1024]  # without the mark of the end


def unpack(folder: Path, name: str, content: bytes) -> dict[str, bytes]:
    (folder / name).write_bytes(content)
    target = archives.unpack([folder / name], folder / "files", progress=False)
    return {path.relative_to(target).as_posix(): path.read_bytes() for path in target.rglob("*") if path.is_file()}


def refusal(folder: Path, name: str, content: bytes) -> str:
    with pytest.raises(DataError) as refused:
        unpack(folder, name, content)
    assert {path.name for path in folder.iterdir()} == {name}, "what was refused is removed"
    assert "\n" not in str(refused.value)
    return str(refused.value).removeprefix(f"{folder}/")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("m.zip", ZIP),
        ("m.tar", TAR),
        ("m.tar.gz", GZ),
        ("m.tgz", gzip.compress(TAR[:5120]) + gzip.compress(TAR[5120:])),
        ("m.tar.bz2", bz2.compress(TAR)),
        ("m.tar.xz", lzma.compress(TAR)),
        ("streams.tar.bz2", bz2.compress(TAR[:5120]) + bz2.compress(TAR[5120:]) + bytes(512)),
        ("streams.tar.xz", lzma.compress(TAR[:700]) + bytes(8) + lzma.compress(TAR[700:])),
        ("renamed", GZ),
    ],
)
def test_whole_archives(tmp_path: Path, name: str, content: bytes):
    assert unpack(tmp_path, name, content) == MUSIC


def test_a_file_that_is_no_archive_is_put_there(tmp_path: Path):
    assert unpack(tmp_path, "table.csv", b"file\n") == {"table.csv": b"file\n"}


def flipped(content: bytes, place: int) -> bytes:
    data = bytearray(content)
    data[place] ^= 0x55
    return bytes(data)


def forged(**changes: int) -> bytes:
    """The zip archive with other values in the directory's entry of its first member."""
    data = bytearray(ZIP)
    entry, local = data.index(b"PK\1\2"), data.index(b"PK\3\4")
    if "size" in changes:
        data[entry + 24 : entry + 28] = struct.pack("<I", changes["size"])
    if "method" in changes:
        for place in (entry + 10, local + 8):
            data[place : place + 2] = struct.pack("<H", changes["method"])
    if "flags" in changes:
        for place in (entry + 8, local + 6):
            data[place : place + 2] = struct.pack("<H", changes["flags"])
    return bytes(data)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("sum.tar.gz", flipped(GZ, -6), "sum.tar.gz cannot be unpacked: CRC check failed"),
        ("length.tar.gz", flipped(GZ, -1), "cannot be unpacked: Incorrect length"),
        ("tail.tar.gz", GZ[:-1], "tail.tar.gz cannot be unpacked: Compressed file ended before"),
        ("half.tar.gz", GZ[: len(GZ) // 2], "Compressed file ended before"),
        ("half.tar.bz2", bz2.compress(TAR)[:-9], "Compressed file ended before"),
        ("half.tar.xz", lzma.compress(TAR)[:-9], "Compressed file ended before"),
        ("more.tar.gz", GZ + b"more", "more.tar.gz cannot be unpacked: Not a gzipped file"),
        ("more.tar.bz2", bz2.compress(TAR) + b"more", "more.tar.bz2 cannot be unpacked: Invalid data stream"),
        ("more.tar.xz", lzma.compress(TAR) + b"more", "more.tar.xz cannot be unpacked: "),
        ("sum.tar.bz2", flipped(bz2.compress(TAR), -3), "cannot be unpacked: Invalid data stream"),
        ("sum.tar.xz", flipped(lzma.compress(TAR), -3), "cannot be unpacked: Corrupt input data"),
        ("second.tar.xz", lzma.compress(TAR) + lzma.compress(bytes(512))[:-5], "Compressed file ended before"),
        ("cut.tar", TAR[:2000], "cut.tar, deep/a.mid: cannot be unpacked: unexpected end of data"),
        ("member.tar", TAR[: 512 + 10240], "it ends too early, at byte 10,752 of the archive"),
        ("header.tar", flipped(TAR, 512 + 10240 + 3), "bad checksum, at byte 10,752 of the archive"),
        ("two.tar", TAR + TAR, "two.tar: there is more behind the end of the tar archive"),
        ("empty.zip", b"", "empty.zip is neither a zip nor a tar archive"),
        ("page.zip", b"<html>sorry</html>", "page.zip is neither a zip nor a tar archive"),
        ("one.gz", gzip.compress(b"MThd", mtime=0), "one.gz is neither a zip nor a tar archive"),
        ("cut.zip", ZIP[:-30], "cut.zip cannot be unpacked: File is not a zip file"),
        ("bits.zip", flipped(ZIP, 60), "bits.zip, deep/a.mid: cannot be unpacked"),
        ("method.zip", forged(method=99), "method.zip, deep/a.mid: cannot be unpacked: That compression method"),
        ("secret.zip", forged(flags=1), "secret.zip, deep/a.mid: cannot be unpacked: it is encrypted: if it is as it"),
        ("bomb.zip", forged(size=0xFFFFFFF0), "bomb.zip, deep/a.mid: with it there is more in the archive than the "),
    ],
)
def test_damaged_archives(tmp_path: Path, name: str, content: bytes, message: str):
    assert message in refusal(tmp_path, name, content)


@pytest.mark.parametrize(
    ("member", "message"),
    [
        (special("pipe.mid", tarfile.FIFOTYPE), "'pipe.mid' is a special file"),
        (special("device.mid", tarfile.CHRTYPE), "'device.mid' is a special file"),
        (special("disk.mid", tarfile.BLKTYPE), "'disk.mid' is a special file"),
        (special("link.mid", tarfile.SYMTYPE, "/etc/passwd"), "'link.mid' is a link to an absolute path"),
        (special("link.mid", tarfile.SYMTYPE, "../../x"), "which is outside the destination"),
        (special("link.mid", tarfile.LNKTYPE, "../../x"), "which is outside the destination"),
        (special("../x.mid", tarfile.REGTYPE), "which is outside the destination"),
    ],
)
def test_members_that_leave_the_folder_or_are_no_files(tmp_path: Path, member: tarfile.TarInfo, message: str):
    line = refusal(tmp_path, "m.tar", tar(MUSIC, member))
    assert line.startswith(f"m.tar, {member.name}: cannot be unpacked: ")
    assert message in line


def test_names_are_kept_within_the_folder(tmp_path: Path):
    assert set(unpack(tmp_path, "m.tar", tar({"/x.mid": b"1"}))) == {"x.mid"}
    shutil.rmtree(tmp_path / "files")
    assert set(unpack(tmp_path, "m.zip", zipped({"../../x.mid": b"1", "/y.mid": b"2"}))) == {"x.mid", "y.mid"}


def huge(kind: bytes) -> bytes:
    info = tarfile.TarInfo("big.mid")
    info.size, info.type = 2**40, kind
    return info.tobuf(tarfile.GNU_FORMAT) + bytes(10240)


def test_a_limit_on_what_is_inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    assert "big.mid: with it there is more" in refusal(tmp_path, "m.tar", MEMBERS + huge(tarfile.REGTYPE))
    monkeypatch.setattr(archives, "FLOOR", 5000)
    monkeypatch.setattr(archives, "MOST_TIMES", 2)
    line = refusal(tmp_path, "m.tar", gzip.compress(TAR))
    assert "than the 5,000 bytes an archive of its size may have: if it is as it should be, unpack it yourself" in line
    monkeypatch.setattr(archives, "MOST_TIMES", 100)
    assert unpack(tmp_path, "m.tar", gzip.compress(TAR)) == MUSIC


def test_a_limit_on_the_disk_and_on_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(archives, "MOST_FILES", 1)
    for name, content in (("m.tar", TAR), ("m.zip", ZIP)):
        assert f"{name}: more than 1 files in it" in refusal(tmp_path, name, content)
        (tmp_path / name).unlink()
    monkeypatch.setattr(archives, "MOST_FILES", 10)
    monkeypatch.setattr(archives, "RESERVE", shutil.disk_usage(tmp_path).total)
    assert "than the 0 bytes there is free on the disk" in refusal(tmp_path, "m.zip", ZIP)


def test_headers_that_claim_memory(tmp_path: Path):
    for kind in (tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE):
        assert "a header of 1,099,511,627,776 bytes" in refusal(tmp_path, "m.tar", MEMBERS + huge(kind))


def test_a_zip_within_a_tar_is_not_taken_for_a_zip(tmp_path: Path):
    inner = tar({"inner.zip": ZIP})
    assert unpack(tmp_path, "m.tar", inner) == {"inner.zip": ZIP}
    assert archives.nested(tmp_path / "files") == tmp_path / "files" / "inner.zip"


CHANGES = st.lists(st.tuples(st.integers(0, 10**6), st.binary(min_size=1, max_size=4)), min_size=1, max_size=6)


@given(st.sampled_from([TAR, GZ, ZIP, bz2.compress(TAR), lzma.compress(TAR)]), CHANGES)
def test_damage_is_refused_or_does_no_harm(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, changes: list[tuple[int, bytes]]
):
    data = bytearray(content)
    for place, piece in changes:
        data[place % len(data) : place % len(data) + len(piece)] = piece
    folder = tmp_path_factory.mktemp("damaged")
    message = ""
    try:
        unpack(folder, "m.tar", bytes(data))
    except DataError as error:
        message = str(error)
    assert len(message.splitlines()) <= 1
    assert sorted(path.name for path in folder.iterdir()) == (["m.tar"] if message else ["files", "m.tar"])
