"""Every flag of every verb: what it cannot be is refused in one line that names it, before anything begins."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from t5music.cli.main import build_parser, main
from t5music.cli.parser import model, place
from t5music.cli.verbs import VERBS
from t5music.errors import ConfigError, closest
from t5music.storage import addresses

PARSER = build_parser()
# (verb, flag, whether it is typed) of all flags that take a value.
FLAGS = [
    (verb, action.option_strings[0], action.type is not None)
    for verb, parser in PARSER.verbs.items()
    for action in parser._actions
    if action.option_strings and action.nargs in (None, "+", "*")
]
TYPED = [entry for entry in FLAGS if entry[2]]
TEXTS = st.one_of(
    st.text(st.characters(exclude_categories=("Cs",)), max_size=8),
    st.integers().map(str),
    st.floats().map(str),
    st.sampled_from(["0", "-1", "nan", "inf", "1e999", "9" * 5000, "١٢", "0x10", "1_000", " 3 "]),
)


def test_there_are_flags():
    assert len(FLAGS) > 60
    assert len(TYPED) > 20


@settings(max_examples=300, deadline=None)
@given(entry=st.sampled_from(TYPED), value=TEXTS)
def test_a_value_is_taken_or_refused_in_a_line(entry, value):
    verb, flag, _ = entry
    try:
        PARSER.parse_line([verb, f"{flag}={value}"])
    except ConfigError as error:
        text = str(error)
    else:
        text = ""
    names_the_flag = text.startswith((f"{flag} must be ", f"{flag}: "))
    assert not text or names_the_flag or "are required" in text, text
    assert len(text.splitlines()) <= 1


# (verb, flag) of all flags that are a place, on this machine or in a bucket.
PLACES = [
    (verb, action.option_strings[0])
    for verb, parser in PARSER.verbs.items()
    for action in parser._actions
    if action.option_strings and action.type in (place, model)
]


@pytest.mark.parametrize(
    ("verb", "flag"), [entry[:2] for entry in FLAGS if entry[1] != "--caption" and entry[:2] not in PLACES]
)
@pytest.mark.parametrize("address", ["gs://bucket/x", "s3://bucket/x"])
def test_buckets_are_refused_by_every_other_flag(verb, flag, address):
    for words in ([flag, address], [f"{flag}={address}"]):
        with pytest.raises(ConfigError, match=rf"^{flag} {address}: only files and folders of this machine"):
            PARSER.parse_line([verb, *words])


@pytest.mark.parametrize(("verb", "flag"), PLACES)
@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("https://bucket/x", "only paths of this machine, gs:// and s3://"),
        ("gs://", "names no bucket: write gs://BUCKET/FOLDER"),
        ("s3://b/x", r"s3fs is not installed: pip install 't5music\[s3\]'"),
        ("gs://b/x", r"gcsfs is not installed: pip install 't5music\[gcs\]'"),
    ],
)
def test_what_no_bucket_is_and_what_is_not_installed_is_refused(verb, flag, address, message, monkeypatch):
    if "installed" in message:
        monkeypatch.setattr(addresses, "find_spec", lambda name: None)
    elif address == "gs://":
        monkeypatch.setattr(addresses, "find_spec", lambda name: name)
    for words in ([flag, address], [f"{flag}={address}"]):
        with pytest.raises(ConfigError, match=rf"^{flag} {address}:? {message}"):
            PARSER.parse_line([verb, *words])


@pytest.mark.parametrize("verb", VERBS)
def test_empty_values_and_misspelt_flags_are_refused(verb):
    with pytest.raises(ConfigError, match="--data_dir: a value is empty"):
        PARSER.parse_line([verb, "--data_dir="])
    with pytest.raises(ConfigError, match=r"has no flag --data_dri; did you mean '--data_dir'\?"):
        PARSER.parse_line([verb, "--data_dri", "x"])
    with pytest.raises(ConfigError, match=r"^az://b/x: only (files|paths)"):
        PARSER.parse_line([verb, "az://b/x"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "name a verb: corpora, compile"),
        (["contine"], "no verb 'contine'; did you mean 'generate --task continue'?"),
        (["trian"], "no verb 'trian'; did you mean 'train'?"),
        (["qqqq"], "no verb 'qqqq' (t5music --help)"),
        (["generate", "--words", "ten"], "--words must be a whole number of at least 1, not 'ten' (t5music gen"),
        (["compile", "--labels", "folder"], "--labels must be folders or none, not 'folder'; did you mean 'folders'?"),
        (["export", "--to", "x"], "t5music export: the following arguments are required: --model_dir"),
    ],
)  # fmt: skip
def test_one_line_says_what_to_do(words, message, capsys):
    assert main(words) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"t5music: error: {message}")
    assert error.count("\n") == 1


def test_the_data_folder_may_not_be_anywhere(monkeypatch, capsys):
    monkeypatch.setenv("T5MUSIC_DATA", "https://bucket")
    assert main(["corpora"]) == 2
    assert "--data_dir (environment: T5MUSIC_DATA) https://bucket: only paths of this" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "names", "match"),
    [
        ("vgg", ["maestro", "vgmidi", "lakh"], "vgmidi"),
        ("MIXTURE_OR_TASK_NAM", ["MODEL_DIR", "MIXTURE_OR_TASK_NAME"], "MIXTURE_OR_TASK_NAME"),
        ("contine", ["infill", "continue"], "continue"),
        ("model_dir", ["MODEL_DIR"], "MODEL_DIR"),
        ("tran", ["Transpose", "train"], "train"),
        ("xyz", ["maestro"], None),
        ("x", [], None),
    ],
)
def test_the_nearest_name(name, names, match):
    assert closest(name, names) == match
