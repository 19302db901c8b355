"""Settings of sampling: declared once, with limits, for flags, Python and the API; and what does not go together."""

from __future__ import annotations

import math

import numpy as np
import pytest
import tiny_models
from hypothesis import given
from hypothesis import strategies as st

from t5music.cli.parser import Parser
from t5music.cli.verbs import generate as verb
from t5music.data.examples import Compose
from t5music.errors import ConfigError
from t5music.inference import sampling_settings
from t5music.inference.decoding_settings import decoding_settings
from t5music.inference.model import Model
from t5music.inference.sampling_settings import INTEGER, NAMES, SETTINGS, Setting, checked
from t5music.model import decoding_call, pattern_penalty
from t5music.music.score import DRUMS
from t5music.server import schema
from t5music.server.limits import Limits

STYLES = {
    "pop": tiny_models.Continue("pop", "remi", words=60),
    "folk": tiny_models.Continue("folk", "remi", words=60),
    "compose": Compose("remi"),
}


@pytest.fixture(scope="module")
def model() -> Model:
    return Model(tiny_models.trained(tiny_models.ABILITIES), "tiny")


@pytest.fixture(scope="module")
def styles() -> Model:
    return Model(tiny_models.trained(STYLES), "tiny")


def values(setting: Setting):
    """Values that a setting can have."""
    most = 1000 if setting.most is None else setting.most
    if setting.kind == INTEGER:
        return st.integers(int(setting.least), int(most))
    return st.floats(setting.least, most, exclude_min=setting.above is not None)


def test_the_declared_limits_are_the_model_s():
    limits = {setting.name: setting.most for setting in SETTINGS}
    assert limits["beams"] == decoding_call.MOST_BEAMS
    assert limits["guidance"] == decoding_call.MOST_GUIDANCE
    assert limits["length_penalty"] == decoding_call.MOST_LENGTH_PENALTY
    assert (limits["repetition_penalty"], limits["repeats"], limits["pattern"]) == (
        pattern_penalty.MOST_PENALTY, pattern_penalty.MOST_TIMES, pattern_penalty.MOST_NOTES
    )  # fmt: skip
    assert checked({"beams": 4}).length_penalty == decoding_call.LENGTH_PENALTY


@given(data=st.data(), name=st.sampled_from(NAMES))
def test_every_value_within_the_limits_may_be_set(data, name):
    setting = SETTINGS[NAMES.index(name)]
    value = data.draw(values(setting))
    others = {
        "length_penalty": {"beams": 2},
        "repeats": {"repetition_penalty": 1},
        "pattern": {"repetition_penalty": 1},
    }
    assert getattr(checked({name: value, **others.get(name, {})}), name) == value


@given(name=st.sampled_from(NAMES), value=st.sampled_from([-1, math.nan, math.inf, "1", True, [1], 1e9, 0.5]))
def test_every_other_value_is_refused_by_name(name, value):
    setting = SETTINGS[NAMES.index(name)]
    is_number = type(value) in (int, float) and math.isfinite(value)
    in_limits = is_number and setting.least <= value <= (math.inf if setting.most is None else setting.most)
    if in_limits and (setting.kind != INTEGER or value == int(value)):
        return
    with pytest.raises(ConfigError, match=f"--{name} must be a"):
        checked({name: value})


def test_every_setting_is_a_flag_and_a_field(styles: Model):
    parser = Parser()
    verb.add_flags(parser)
    properties = schema.abilities(styles, Limits())["continue"]["schema"]["properties"]
    for setting in SETTINGS:
        assert f"--{setting.name}" in parser.format_help()
        assert properties[setting.name]["drawing"]
        assert properties[setting.name]["minimum"] == setting.least
    assert "guidance" not in schema.abilities(styles, Limits())["compose"]["schema"]["properties"]


def test_what_nobody_sets_is_as_it_was():
    assert checked({}) == checked(dict.fromkeys(NAMES))
    assert checked({})[:4] == (0.9, 0, 0.95, 0)
    assert checked({"beams": 1}) == checked({})


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"beams": 4, "temperature": 0.9}, "--temperature does not go with --beams"),
        ({"beams": 4, "top_k": 5}, "--top_k does not go with --beams"),
        ({"beams": 4, "top_p": 0.9}, "--top_p does not go with --beams"),
        ({"beams": 4, "min_p": 0.1}, "--min_p does not go with --beams"),
        ({"length_penalty": 1.0}, "--length_penalty means nothing without --beams"),
        ({"beams": 1, "length_penalty": 1.0}, "--length_penalty means nothing without --beams"),
        ({"repeats": 2}, "--repeats means nothing without --repetition_penalty"),
        ({"pattern": 2, "repetition_penalty": 0}, "--pattern means nothing without --repetition_penalty"),
        ({"temprature": 1}, "there is no setting 'temprature'.*did you mean 'temperature'"),
    ],
)
def test_settings_that_do_not_go_together(settings, words):
    with pytest.raises(ConfigError, match=words):
        checked(settings)


def test_beams_take_the_likeliest(model: Model):
    song = tiny_models.band(bars=4)
    searched = checked({"beams": 4, "temperature": 0})
    assert (searched.temperature, searched.top_p, searched.beams) == (0, 1, 4)
    one, other = (model.continue_(song, beams=4, words=30, seed=seed) for seed in (0, 1))
    assert one.data == other.data
    with pytest.raises(ConfigError, match="--beams: a search knows no bar"):
        model.stream(song, task="continue", beams=4)


@pytest.mark.parametrize(
    "sampling",
    [
        {"min_p": 0.2, "top_p": 1},
        {"temperature": 0, "repetition_penalty": 20, "repeats": 1, "pattern": 1},
        pytest.param({"beams": 3}, marks=pytest.mark.slow),
        pytest.param({"guidance": 3}, marks=pytest.mark.slow),
        {"beams": 2, "guidance": 2, "repetition_penalty": 5, "length_penalty": 0},
    ],
)
@pytest.mark.parametrize("promises", [{"key": "A minor", "density": "2-6"}, pytest.param({}, marks=pytest.mark.slow)])
def test_every_setting_writes_music_within_promises(model: Model, sampling, promises):
    song = tiny_models.band(bars=4)
    result = model.continue_(song, words=60, **sampling, **promises)
    assert result.repairs == 0
    free = {name: value for name, value in sampling.items() if name == "temperature"}
    assert result.data != model.continue_(song, words=60, **free, **promises).data
    if promises:
        pitched = result.notes[result.notes["program"] != DRUMS]
        assert set(pitched["pitch"] % 12) <= {9, 11, 0, 2, 4, 5, 7}


def test_guidance_follows_the_style_of_the_prompt(styles: Model):
    task, song = STYLES["folk"], tiny_models.band(bars=4)
    _, settings = decoding_settings(styles.trained, task, song, "song", key=None, temperature=0, guidance=2)
    neutral, scale = settings["guidance"]
    assert scale == 2
    vocabulary = styles.trained.vocabulary
    text = vocabulary.decode(neutral[0])
    assert text.startswith("continue : Bar")
    assert "folk" not in text
    with pytest.raises(ConfigError, match="--guidance does not go with compose: its prompt names no style"):
        styles.compose("a slow piece", guidance=2)


def test_patterns_of_the_music_before_count(model: Model):
    task, song = tiny_models.ABILITIES["continue"], tiny_models.band(bars=8)
    _, settings = decoding_settings(model.trained, task, song, "song", key=None, temperature=0, repetition_penalty=2)
    (before,) = settings["patterns"].before
    events = model.trained.vocabulary.event_ids("remi")[task.before(song)[0]]
    np.testing.assert_array_equal(before, events[-pattern_penalty.REMEMBERED :])
    assert sampling_settings.SETTINGS[NAMES.index("repeats")].default == settings["patterns"].times
