"""Every value of every flag: refused in one line with status 2 before anything is computed, or taken.

The flags are those that the parsers declare, so that a new one is tried without a line here. A verb's work is replaced:
what is tried is all that comes before it.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import tiny_models

from t5music.analysis import originality
from t5music.cli import building, compiling, launch
from t5music.cli import flags as shared
from t5music.cli.main import build_parser, main
from t5music.cli.verbs import VERBS
from t5music.comparison import listen
from t5music.data.examples import Continue
from t5music.inference import export, pretrained
from t5music.music import midi
from t5music.storage import addresses
from t5music.studies import quickstart
from t5music.training.checkpoints import average

PARSER = build_parser()
# What each verb needs; {song}, {folder} and {run} are there.
NEEDS = {
    "corpora": ["--build", "maestro"],
    "compile": ["--midi", "{folder}"],
    "leakage": ["mine"],
    "train": ["mine", "--model_dir", "new"],
    "eval": ["mine", "--model_dir", "{run}"],
    "study": ["--gin_file", "studies/spans.gin"],
    "launch": ["slurm", "--image", "a", "--command", "train mine"],
    "average": ["--model_dir", "{run}", "--model_dir", "{run}", "--output", "mean"],
    "generate": ["{song}", "--model_dir", "{run}"],
    "classify": ["{song}", "--model_dir", "{run}"],
    "label": ["{song}", "--model_dir", "{run}"],
    "embed": ["{folder}", "--model_dir", "{run}"],
    "similar": ["{song}", "{folder}", "--model_dir", "{run}"],
    "models": [],
    "original": ["{song}", "--model_dir", "{run}"],
    "compare": ["{folder}", "{folder}", "--model_dir", "{run}"],
    "listen": ["{folder}", "{folder}"],
    "export": ["--model_dir", "{run}", "--to", "exported"],
    "serve": ["--model_dir", "{run}"],
    "quickstart": [],
}
VALUES = ["", "0", "-1", "nan", "inf", "1e999", str(2**63), "9" * 5000, "x", "none/at/all", "{song}", "{folder}",
          "a\0b", "\udcff", "a\nb", "\x1b[2J", "gs://b/x", "x" * 300]  # fmt: skip
# Free text, or the name of something that only the data, the music, the model or the study knows, or a range (-1 is "at
# most 1"): any text may be right.
TEXTS = {
    "--name", "--label", "--split", "--task", "--caption", "--cell", "--plan_device", "--coordinator", "--beam",
    "--mixture", "--export", "--build", "--instruments", "--style", "--question", "--title", "names", "mixture",
    "--zone", "--project", "--accelerator", "--image", "--mount", "--host", "--infill",
    "--lock", "--rhythm_of", "--chords_of", "--density",
}  # fmt: skip
# A file or folder to write, which need not be there.
NEW_PATHS = {
    "--output", "--to", "--dir", "--csv", "--seqio_cache", "--data_dir", "--gin_search_paths", "train --model_dir",
}  # fmt: skip


def flags_of(verb: str) -> list[argparse.Action]:
    """The flags and arguments of a verb that take a value."""
    return [action for action in PARSER.verbs[verb]._actions if action.nargs != 0]


class BegunError(Exception):
    """The verb's work begins."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("values")
    midi.write(tiny_models.band(), root / "folder" / "song.mid")
    tiny_models.write_run(root / "run", {"continue": Continue("pop", "remi")})
    (root / "data" / "stores" / "mine").mkdir(parents=True)
    return root


@pytest.fixture
def run(place: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[list[str]], int | None]]:
    """Runs a command; None where its work begins."""

    def begin(*arguments: object, **more: object) -> None:
        raise BegunError

    monkeypatch.chdir(place)
    monkeypatch.setenv("T5MUSIC_DATA", str(place / "data"))
    monkeypatch.setenv("T5MUSIC_MODULES", "")
    monkeypatch.setattr(addresses, "find_spec", lambda name: None)  # no bucket is asked
    monkeypatch.setattr(shared, "prepare_devices", begin)
    for verb in VERBS:  # some have taken it by name
        module = __import__(f"t5music.cli.verbs.{verb}", fromlist=["run"])
        if hasattr(module, "prepare_devices"):
            monkeypatch.setattr(module, "prepare_devices", begin)
    for module, name in (
        *((building, name) for name in ("build", "export", "leakage")),
        *(
            (compiling, "compile_"),
            (average, "average"),
            (export, "export"),
            (originality, "original"),
            (listen, "write_test"),
            (listen, "evaluate"),
            (pretrained, "table"),
            (quickstart, "run"),
            (launch, "script"),
        ),
    ):
        monkeypatch.setattr(module, name, begin)
    before = sorted(place.rglob("*"))

    def command(words: list[str]) -> int | None:
        try:
            return main(words)
        except BegunError:
            return None

    yield command
    assert sorted(place.rglob("*")) == before, "nothing is begun"


def test_every_verb_is_tried(run, place, capsys):
    """What they need is enough: the work begins."""
    assert set(NEEDS) == set(VERBS)
    for verb in VERBS:
        assert run([verb, *filled(NEEDS[verb], place)]) is None, capsys.readouterr().err


def filled(words: list[str], place: Path) -> list[str]:
    places = {"song": place / "folder" / "song.mid", "folder": place / "folder", "run": place / "run"}
    return [str(places[word[1:-1]]) if word[1:-1] in places else word for word in words]


@pytest.mark.parametrize("verb", VERBS)
def test_a_value_is_refused_in_one_line_or_taken(verb, run, place, capsys):
    for action in flags_of(verb):
        name = action.option_strings[0] if action.option_strings else action.dest
        for value in filled(VALUES, place):
            times = action.nargs if isinstance(action.nargs, int) else 1
            words = [name, *[value] * times] if action.option_strings else [value]
            needs = [] if not action.option_strings and verb != "similar" else filled(NEEDS[verb], place)
            if verb == "similar" and not action.option_strings:
                needs = [*needs[2:], needs[0]]
            if not action.option_strings and not needs:
                needs = filled(NEEDS[verb], place)[1:]
            status = run([verb, *needs, *words])
            error = capsys.readouterr().err
            where = f"{verb} {name} {value[:60]!r}: {error}"
            if status is None:
                taken = bool({name, f"{verb} {name}"} & (TEXTS | NEW_PATHS)) or is_fine(action, value)
                assert taken, where
            else:
                assert status == 2, where
                assert error.startswith("t5music: error: "), where
                assert error.count("\n") == 1, where
                assert len(error) < 1100, where
                assert "\x1b" not in error, where
            if not value or ("\0" in value and name != "--caption"):
                assert status == 2, where


def is_fine(action: argparse.Action, value: str) -> bool:
    """Whether a value that was taken may be: a number within its flag's limits, or a path that is there."""
    if action.type is not None:
        try:
            action.type(value)  # type: ignore[operator]
        except (argparse.ArgumentTypeError, ValueError):
            return False
        return value != "9" * 5000
    return os.path.exists(value)
