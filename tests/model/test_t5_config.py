import dataclasses
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from t5music.errors import ConfigError
from t5music.model.config import SIZES, T5Config, named


def tiny(**changes):
    return dataclasses.replace(named("v1.1", "tiny", vocab_size=128), **changes)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("vocab_size", 0),
        ("vocab_size", 10**400),
        ("vocab_size", "ten"),
        ("d_model", 3.5),
        ("d_model", 2**20),
        ("d_ff", [64]),
        ("num_heads", 10**9),
        ("adapter_dim", None),
        ("adapter_dim", -1),
        ("num_decoder_layers", 5000),
        ("relative_attention_max_distance", 2**40),
        ("tie_word_embeddings", 1),
        ("scale_decoder_outputs", "yes"),
        ("version", ["v1.1"]),
        ("dtype", None),
        ("dropout_rate", float("inf")),
        ("dropout_rate", True),
        ("d_model", -1),
        ("d_kv", 8.0),
        ("num_heads", True),
        ("d_ff", "64"),
        ("num_encoder_layers", 0),
        ("num_decoder_layers", None),
        ("version", "v1.2"),
        ("architecture", "decoder_only"),
        ("head", "tokens"),
        ("num_labels", -1),
        ("shared_layers", 1),
        ("dropout_rate", 1.0),
        ("dropout_rate", -0.1),
        ("dropout_rate", float("nan")),
        ("dropout_rate", "0.1"),
        ("relative_attention_num_buckets", 30),
        ("relative_attention_max_distance", 16),
        ("dtype", "float16"),
        ("scan_layers", 1),
        ("remat_policy", "all"),
    ],
)
def test_a_value_that_cannot_be_is_refused_by_the_field_s_name(field, value):
    with pytest.raises(ConfigError, match=rf"^T5Config\.{field} must be ") as refusal:
        tiny(**{field: value})
    assert len(str(refusal.value)) < 200


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"architecture": "language_model"}, "num_encoder_layers must be 0 in a language_model, not 2"),
        ({"architecture": "prefix_lm", "num_encoder_layers": 0, "shared_layers": True}, "shared_layers must be False"),
        ({"architecture": "encoder"}, "num_decoder_layers must be 0 in an encoder, not 2: num_encoder_layers are all"),
        (
            {"architecture": "encoder", "num_decoder_layers": 0, "shared_layers": True},
            "in an encoder: it has no decoder",
        ),
        ({"head": "notes", "num_labels": 3}, "the architecture must be 'encoder', not 'encoder_decoder'"),
        ({"num_labels": 3}, "num_labels must be 0 with the head 'words', not 3"),
        ({"num_labels": 1}, "num_labels must be 0 with the head 'words', not 1"),
        ({"architecture": "encoder", "num_decoder_layers": 0, "head": "notes"}, "num_labels must be at least 2"),
        (
            {"shared_layers": True, "num_encoder_layers": 1},
            "num_encoder_layers and num_decoder_layers to be equal, not 1 and 2",
        ),
    ],
)
def test_fields_that_contradict_each_other_are_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        tiny(**changes)


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from([field.name for field in dataclasses.fields(T5Config)]),
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.integers()) | st.binary(),
)
def test_any_value_is_accepted_or_refused_by_the_field_s_name(field, value):
    try:
        config, refusal = tiny(**{field: value}), ""
    except ConfigError as error:
        config, refusal = tiny(), str(error)
    assert refusal == "" or f"T5Config.{field} must " in refusal
    assert T5Config.from_dict(json.loads(json.dumps(config.to_dict()))) == config


@pytest.mark.parametrize("version", ["v1.0", "v1.1"])
def test_a_config_that_says_what_its_version_says_is_the_version_s(version):
    plain, other = named(version, "tiny", vocab_size=128), {"v1.0": "v1.1", "v1.1": "v1.0"}[version]
    explicit = dataclasses.replace(plain, tie_word_embeddings=plain.tied, scale_decoder_outputs=plain.scaled)
    assert explicit == plain
    changed = dataclasses.replace(plain, tie_word_embeddings=not plain.tied)
    assert changed != plain
    assert (changed.tied, changed.scaled, changed.gated) == (not plain.tied, plain.scaled, plain.gated)
    assert dataclasses.replace(explicit, version=other) == named(other, "tiny", vocab_size=128)


def test_architectures_that_have_no_encoder_say_so():
    assert not tiny().decoder_only
    assert tiny(architecture="prefix_lm", num_encoder_layers=0).decoder_only


def test_json_round_trip():
    config = tiny(
        architecture="prefix_lm",
        num_encoder_layers=0,
        dropout_rate=0.25,
        dtype="bfloat16",
        scan_layers=True,
        remat_policy="dots",
    )
    assert T5Config.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    assert set(config.to_dict()) == {field.name for field in dataclasses.fields(T5Config)}


def test_an_unknown_field_suggests_the_nearest():
    with pytest.raises(ConfigError, match="no field 'n_heads'; did you mean 'num_heads'"):
        T5Config.from_dict({**tiny().to_dict(), "n_heads": 4})


def test_a_missing_field_is_named():
    fields = tiny().to_dict()
    del fields["d_kv"]
    with pytest.raises(ConfigError, match="d_kv is missing"):
        T5Config.from_dict(fields)


def test_it_is_hashable_and_frozen():
    assert hash(tiny()) == hash(tiny())
    with pytest.raises(dataclasses.FrozenInstanceError):
        tiny().num_heads = 5


def test_named_sizes_say_what_is_known():
    with pytest.raises(ConfigError, match=r"no size 'bsae'; did you mean 'base'\? .*small, base"):
        named("v1.0", "bsae", vocab_size=128)
    with pytest.raises(ConfigError, match=r"no T5 version '1\.1'; did you mean 'v1.1'"):
        named("1.1", "base", vocab_size=128)
    with pytest.raises(ConfigError, match="no field 'dropout'"):
        named("v1.1", "base", vocab_size=128, dropout=0.0)


def test_versions_differ_in_gate_and_head():
    assert (named("v1.0", "tiny", vocab_size=128).gated, named("v1.0", "tiny", vocab_size=128).tied) == (False, True)
    assert (named("v1.1", "tiny", vocab_size=128).gated, named("v1.1", "tiny", vocab_size=128).tied) == (True, False)


def test_the_table_has_the_papers_sizes():
    assert list(SIZES["v1.0"]) == ["tiny", "small", "base", "large", "3b", "11b"]
    assert list(SIZES["v1.1"]) == ["tiny", "small", "base", "large", "xl", "xxl"]
