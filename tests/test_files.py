"""Names of files in print, and files that may be opened."""

from __future__ import annotations

import errno
import os
import re
import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from t5music import files
from t5music.errors import DataError
from t5music.files import open_regular, printable_name

NAMES = st.binary(max_size=24).map(os.fsdecode) | st.text(max_size=24)


def name_of(printed: str) -> str:
    """The inverse of `printable_name`."""

    def character(match: re.Match[str]) -> str:
        if match[0] == "\\\\":
            return "\\"
        code = int(match[0][2:], 16)
        return chr(code + 0xDC00) if match[0][1] == "x" and code >= 0x80 else chr(code)

    return re.sub(r"\\\\|\\x[0-9a-f]{2}|\\u[0-9a-f]{4}", character, printed)


@given(NAMES)
def test_a_printed_name_is_one_line_of_utf_8_and_tells_the_name(name: str):
    printed = printable_name(name)
    assert printed.encode().decode() == printed
    assert len(printed.splitlines()) <= 1
    assert name_of(printed) == name


@pytest.mark.parametrize("name", ["rock/a.mid", "Ä 日本 🎵.mid", "a b (1).MID", "100% #1.mid", "نغمة.mid"])
def test_most_names_are_printed_as_they_are(name: str):
    assert printable_name(name) == printable_name(Path(name)) == name


def test_bytes_and_characters_that_cannot_be_shown():
    assert printable_name(os.fsdecode(b"Caf\xe9 tango.mid")) == r"Caf\xe9 tango.mid"
    assert printable_name("a\nb\\c\u2028\x85.mid") == r"a\x0ab\\c\u2028\u0085.mid"


def test_only_regular_files_are_opened(tmp_path: Path):
    (tmp_path / "a.mid").write_bytes(b"music")
    (tmp_path / "link.mid").symlink_to("a.mid")
    for name in ("a.mid", "link.mid"):
        with open_regular(tmp_path / name) as file:
            assert file.read() == b"music"
    os.mkfifo(tmp_path / "pipe.mid")  # to open it would wait for a writer, for ever
    with pytest.raises(OSError, match="it is a pipe, not a file"):
        open_regular(tmp_path / "pipe.mid")
    with pytest.raises(IsADirectoryError, match="it is a folder, not a file"):
        open_regular(tmp_path)
    with pytest.raises(OSError, match="it is a device, not a file"):
        open_regular("/dev/zero")
    with socket.socket(socket.AF_UNIX) as listening:
        os.chdir(tmp_path)  # a socket's name is short
        listening.bind("s.mid")
        with pytest.raises(OSError, match="it is a socket, not a file"):
            open_regular("s.mid")
    with pytest.raises(FileNotFoundError):
        open_regular(tmp_path / "none.mid")


def test_a_folder_is_replaced_whole_or_not_at_all(tmp_path: Path):
    target = tmp_path / "deep" / "model"
    for content in ("old", "new"):
        with files.replacing_folder(target) as folder:
            (folder / "file").write_text(content)
            assert not target.exists() or (target / "file").read_text() == "old"
    assert (target / "file").read_text() == "new"

    def fail(error: BaseException) -> None:
        with files.replacing_folder(target) as folder:
            (folder / "file").write_text("half")
            raise error

    with pytest.raises(DataError, match=rf"^cannot write {target}: No space left on device$"):
        fail(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
    with pytest.raises(KeyboardInterrupt):
        fail(KeyboardInterrupt())
    assert (target / "file").read_text() == "new"
    assert [path.name for path in target.parent.iterdir()] == ["model"]


def test_what_cannot_take_a_name_leaves_what_has_it(tmp_path: Path):
    (tmp_path / "old").mkdir()
    with pytest.raises(FileNotFoundError):
        files.swap_in(tmp_path / "none", tmp_path / "old")
    assert [path.name for path in tmp_path.iterdir()] == ["old"]
