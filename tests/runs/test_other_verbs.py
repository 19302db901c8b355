"""Other verbs: their progress passes through, their error comes back as one."""

from __future__ import annotations

import os
import threading

import pytest

from t5music.errors import DataError
from t5music.runs import other_verbs


def shown(*blocks: bytes) -> str:
    """The reason that is read from a pipe into which the blocks are written one by one."""
    reader, writer = os.pipe()

    def write() -> None:
        for block in blocks:
            os.write(writer, block)
            threading.Event().wait(0.02)
        os.close(writer)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        return other_verbs._show(reader)
    finally:
        thread.join()
        os.close(reader)


@pytest.mark.parametrize(
    ("blocks", "text", "reason"),
    [
        ([b"one\ntwo\n"], "one\ntwo\n", ""),
        ([b"read:  10%\rread:  20%", b"\rread: 100%\n"], "read:  10%\rread:  20%\rread: 100%\n", ""),
        ([b"before\nt5music: err", b"or: it is \xe2\x80", b"\x94 so\n"], "before\n", "it is — so"),
        ([b"t5music: error: no end"], "", "no end"),
        ([b"t5music: warning: x\n"], "t5music: warning: x\n", ""),
    ],
)
def test_all_but_the_error_is_shown(capsys: pytest.CaptureFixture[str], blocks: list[bytes], text: str, reason: str):
    assert shown(*blocks) == reason
    assert capsys.readouterr().err == text


def test_a_verb_that_fails_raises_its_line(capfd: pytest.CaptureFixture[str]):
    with pytest.raises(DataError, match="--midi nowhere: no such folder"):
        other_verbs.run_verb("compile", "--midi", "nowhere")
    assert capfd.readouterr().err == ""
    other_verbs.run_verb("--version")
    assert capfd.readouterr().out.startswith("t5music ")
