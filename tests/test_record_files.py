"""Record files: exact, the same bytes for the same records, and no damage goes unnoticed."""

from __future__ import annotations

import tempfile
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from t5music.errors import DataError
from t5music.record_files import RecordFile, RecordWriter

RECORDS = st.lists(st.binary(max_size=40), max_size=12)


def write(path: Path, records: list[bytes]) -> bytes:
    with closing(RecordWriter(path)) as writer:
        for record in records:
            writer.write(record)
    return path.read_bytes()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "some.records"


@settings(deadline=None)
@given(records=RECORDS, in_memory_bytes=st.sampled_from([0, 10**6]))
def test_records_come_back(records: list[bytes], in_memory_bytes: int):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        content = write(path, records)
        file = RecordFile(path, in_memory_bytes=in_memory_bytes)
        assert list(file) == records
        assert [file[index] for index in reversed(range(len(file)))] == records[::-1]
        assert file[1:3] == records[1:3]
        assert write(path.with_name("again"), records) == content
        assert RecordFile(path.with_name("again")).digest == file.digest
        with pytest.raises(IndexError):
            file[len(records)]


def fault(path: Path, digest: str) -> str:
    """How the change of a file is noticed, by whoever knows its digest and reads all of it."""
    try:
        file = RecordFile(path)
        list(file)
    except DataError as error:
        return str(error)
    return "" if file.digest == digest else "another digest"


@settings(deadline=None)
@given(records=RECORDS.filter(bool), data=st.data())
def test_no_changed_byte_goes_unnoticed(records: list[bytes], data: st.DataObject):
    """It changes the digest, or a record that is then refused, or the file is refused as a whole."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        content = bytearray(write(path, records))
        digest = RecordFile(path).digest
        place = data.draw(st.integers(0, len(content) - 1))
        content[place] ^= data.draw(st.integers(1, 255))
        path.write_bytes(content)
        assert fault(path, digest)


@settings(deadline=None)
@given(records=RECORDS, data=st.data())
def test_a_file_cut_short_is_refused(records: list[bytes], data: st.DataObject):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        content = write(path, records)
        path.write_bytes(content[: data.draw(st.integers(0, len(content) - 1))])
        with pytest.raises(DataError, match="is damaged"):
            RecordFile(path)


def test_errors_name_the_file(path: Path):
    with pytest.raises(DataError, match=rf"cannot read {path}: No such file"):
        RecordFile(path)
    write(path, [b"one", b"two"])
    path.write_bytes(b"X" + path.read_bytes()[1:])
    file = RecordFile(path)
    assert file[1] == b"two"
    with pytest.raises(DataError, match=rf"record 0 of {path} is damaged"):
        file[0]


def test_the_format_is_what_the_module_says(path: Path):
    assert write(path, [b"ab", b""]) == b"".join(
        [
            b"ab",
            (2).to_bytes(8, "little") * 2,
            (0x9E83486D).to_bytes(4, "little"),  # CRC-32 of "ab"
            bytes(4),
            (2).to_bytes(8, "little"),
            b"T5MUSIC1",
        ]
    )
