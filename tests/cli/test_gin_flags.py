"""The gin flags of the command line: T5X's forms, and what they are refused for."""

from __future__ import annotations

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
