"""The gin flags of the command line: T5X's forms, and what they are refused for."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import pytest

from t5music.cli import gin_flags
from t5music.errors import ConfigError


def test_flags_of_t5x():
    bindings, rest = gin_flags.split(
        ["train", "--gin.TRAIN_STEPS=500", "--gin.MODEL_DIR=/tmp/run", "--gin.train.optimizer=@adamw()", "--steps", "3"]
    )
    assert bindings == ["TRAIN_STEPS = 500", "MODEL_DIR = '/tmp/run'", "train.optimizer = @adamw()"]
    assert rest == ["train", "--steps", "3"]


@pytest.mark.parametrize("flag", ["--gin.TRAIN_STEPS", "--gin.=3", "--gin."])
def test_a_flag_without_a_name_or_a_value_is_refused(flag: str):
    with pytest.raises(ConfigError, match=r"--gin\.NAME=value"):
        gin_flags.split([flag])


def test_a_module_of_ones_own_is_imported_from_the_current_folder(tmp_path: Path):
    """In a process of its own: what gin registers stays registered."""
    (tmp_path / "my_music.py").write_text("import gin\n\n\n@gin.configurable\ndef mine(rate=1): ...\n")
    (tmp_path / "my.gin").write_text("mine.rate = 2\n")
    code = """
import argparse
import gin
from t5music.cli import gin_flags
parser = argparse.ArgumentParser()
gin_flags.add(parser)
flags = parser.parse_args(["--module_import=my_music", "--gin_file=my.gin"])
flags.bindings = []
gin_flags.configure(flags, "none", {})
print(gin.query_parameter("mine.rate"))
"""
    process = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert process.stdout == "2\n"


@pytest.mark.parametrize(
    ("content", "message"), [(None, "No module named"), ("1 / 0\n", "ZeroDivisionError"), ("import", "SyntaxError")]
)
def test_a_module_that_cannot_be_imported_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None, message: str
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    name = f"my_broken_module_{message.split()[0].lower()}"
    if content is not None:
        (tmp_path / f"{name}.py").write_text(content)
    flags = argparse.Namespace(module_import=[name])
    with pytest.raises(ConfigError, match=rf"--module_import {name}: .*{message}"):
        gin_flags.import_modules(flags)
