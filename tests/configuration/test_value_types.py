"""Every value that gin sets is of its parameter's type, or one line says what it may be."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any, get_type_hints

import gin
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from t5music.configuration import (
    gin_files,
    limits,
    registry,  # noqa: F401  (registers what gin may set)
    value_types,
)
from t5music.errors import ConfigError, T5MusicError
from t5music.studies import runner  # noqa: F401  (registers "study")


@pytest.fixture(autouse=True)
def clear_gin() -> Iterator[None]:
    yield
    gin.clear_config()


def parameters() -> list[tuple[str, str, Any]]:
    """(name of an entry point, parameter, type) of everything that gin may set."""
    entries = []
    for selector, configurable in gin.config._REGISTRY.items():
        if not selector.startswith("gin."):
            name, function = gin.config._REGISTRY.minimal_selector(selector), configurable.wrapped
            hints = get_type_hints(function.__init__ if inspect.isclass(function) else function)
            barred = configurable.denylist or ()
            entries += [(name, key, hint) for key, hint in hints.items() if key != "return" and key not in barred]
    return entries


PARAMETERS = parameters()
literals = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="ascii", exclude_characters="@%'\\\n\r\x00"), max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b"]), inner, max_size=2),
    max_leaves=4,
)


def is_taken(parameter: str, hint: Any, value: Any) -> bool:
    """Whether a literal is of a parameter's type and within its limits."""
    limit = limits.of(parameter)
    return value_types._fits(hint, value) and (limit is None or all(map(limit.holds, limits.numbers(value))))


def test_every_parameter_has_a_type():
    assert len(PARAMETERS) > 100
    untyped = [
        (name, parameter)
        for name, configurable in gin.config._REGISTRY.items()
        if not name.startswith("gin.")
        for parameter in inspect.signature(configurable.wrapped).parameters
        if (gin.config._REGISTRY.minimal_selector(name), parameter) not in {entry[:2] for entry in PARAMETERS}
        and parameter not in (configurable.denylist or ())
    ]
    assert untyped == []


@settings(max_examples=150, deadline=None)
@given(entry=st.sampled_from(PARAMETERS), value=literals)
def test_a_literal_is_taken_or_refused_in_a_line(entry, value):
    name, parameter, hint = entry
    binding = f"{name}.{parameter} = {value!r}"
    if not is_taken(parameter, hint, value):
        with pytest.raises(ConfigError, match=rf"\A{name}\.{parameter} must be [^\n]+\Z"):
            gin_files.configure([], [binding])
    else:
        gin_files.configure([], [binding])
        if hint in (int, bool, str):
            assert type(value) is hint


@settings(max_examples=60, deadline=None)
@given(entry=st.sampled_from(PARAMETERS), value=literals)
def test_macros_are_named(entry, value):
    name, parameter, hint = entry
    bindings = [f"{name}.{parameter} = %A_MACRO", f"A_MACRO = {value!r}"]
    if is_taken(parameter, hint, value):
        gin_files.configure([], bindings)
    else:
        with pytest.raises(ConfigError, match=rf"^A_MACRO \(read by {name}\.{parameter}\) must be "):
            gin_files.configure([], bindings)


@pytest.mark.parametrize(
    ("binding", "message"),
    [
        ("TrainingData.batch_size = 'ten'", r"TrainingData.batch_size must be a whole number .*, not 'ten'"),
        ("train.seed = 9223372036854775808", r"must be a whole number \(at most 2\^63 - 1\), not 9223372036854775808"),
        ("train.seed = True", "train.seed must be a whole number"),
        ("train.model_dir = ''", "train.model_dir must be text, and not empty"),
        ("T5Config.dropout_rate = 1e999", "T5Config.dropout_rate must be a finite number, not inf"),
        ("Update.optimizer = 'adam'", r"what gives Optimizer, as @adafactor\(\), @adamw\(\), @muon\(\), not 'adam'"),
        ("Update.optimizer = @adafactor", r"Optimizer, as @adafactor\(\), @adamw\(\), @muon\(\), not @adafactor"),
        ("Update.optimizer = @schedules.constant()", r"Update.optimizer must be .* not @schedules.constant\(\)"),
        ("adafactor.rate = 0.1", "adafactor.rate must be a reference to a function"),
        ("InitialModel.model = @T5Config()", "InitialModel.model must be a reference to a function"),
        ("InitialModel.restore = 'encoder.*'", "InitialModel.restore must be a list of texts or None"),
        ("Records.profile_steps = (1, 2, 3)", "Records.profile_steps must be a list of 2 of whole numbers or None"),
        ("TrainingData.objective = @Transpose", r"gives Objective, as @\w+\(\)"),
        ("TrainingData.task_feature_lengths = {'inputs': 'x'}", "a dictionary from texts to whole numbers"),
        ("evaluate.model_dir = 'az://bucket/run'", "evaluate.model_dir az://bucket/run: only paths of this machine"),
        ("evaluate.model_dir = ['run', 'ftp://x/run']", "evaluate.model_dir ftp://x/run: only paths"),
        ("evaluate.split = 'gs://bucket/run'", "evaluate.split gs://bucket/run: only files and folders"),
    ],
)  # fmt: skip
def test_what_cannot_be(binding, message):
    with pytest.raises(ConfigError, match=message):
        gin_files.configure([], [binding])


def test_references_that_fit():
    gin_files.configure(
        [],
        [
            "InitialModel.model = @T5Config",
            "Update.optimizer = @adafactor()",
            "adafactor.rate = @truncated_rsqrt()",
            "train.mesh = @make_mesh",
            "TrainingData.augmentations = [@Transpose(), @TimeStretch()]",
            "TrainingData.rate = @Proportional()",
            "train.data = @TrainingData()",
            "TrainingData.batch_size = %ROWS",
            "ROWS = 4",
            "TrainingData.mixture_or_task_name = 'music'",
            "TrainingData.task_feature_lengths = {'inputs': 8, 'targets': 8}",
            "train.model_dir = 'C:/music'",
        ],
    )


# Numbers at and past the limits.
NUMBERS = (-(2**63) + 1, -1, 0, 1, 2**31, 2**63 - 1, -1.0, 0.0, 0.5, 1.0, 1e308)
NUMERIC = [entry for entry in PARAMETERS if entry[2] in (int, float, int | None, float | None)]
# Functions and classes that check their numbers themselves -> what else they need.
T5 = ("vocab_size", "d_model", "d_kv", "num_heads", "d_ff", "num_encoder_layers", "num_decoder_layers")
NEEDS = {
    "T5Config": dict.fromkeys(T5, 8),
    "Constant": {"rate": 0.5},
    "gradual_unfreezing": {"steps": 5},
    "truncated_rsqrt": {"warmup_steps": 5},
    "warmup_cosine": {"peak": 0.5, "warmup_steps": 5, "total_steps": 10},
    "warmup_linear": {"peak": 0.5, "warmup_steps": 5, "total_steps": 10},
    "warmup_rsqrt": {"peak": 0.5, "warmup_steps": 5},
    "TrainingData": {"mixture_or_task_name": "a", "task_feature_lengths": {}, "batch_size": 1},
    "Update": {"optimizer": None},
}


@pytest.mark.parametrize(("name", "parameter", "hint"), NUMERIC, ids=lambda value: str(value))
def test_every_number_has_limits(name, parameter, hint):
    numbers = [number for number in NUMBERS if value_types._fits(hint, number)]
    limit = limits.of(parameter)
    if limit is not None:
        beyond = [number for number in numbers if not limit.holds(number)]
        for number in beyond:
            with pytest.raises(ConfigError, match=rf"\A{name}\.{parameter} must be (at|above)[^\n]+, not [^\n]+\Z"):
                gin_files.configure([], [f"{name}.{parameter} = {number!r}"])
    else:
        function = gin.config._REGISTRY.get_match(name).wrapped
        beyond = [number for number in numbers if is_refused(function, NEEDS.get(name, {}) | {parameter: number})]
    assert beyond, "no number is too small or too large"


def is_refused(function: Callable[..., Any], arguments: dict[str, Any]) -> bool:
    """Whether a call is refused; with anything but an error that a person can mend, the test fails."""
    try:
        function(**arguments)
    except T5MusicError:
        return True
    return False
