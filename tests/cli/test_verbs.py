"""Every verb of the command line: its help, and that missing input is refused before anything heavy is imported."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from t5music.cli import main as command_line
from t5music.cli.verbs import VERBS

HEAVY = {"jax", "flax", "numpy", "tensorflow", "symusic", "matplotlib", "seqio"}
NOWHERE = "nowhere/at_all"

# What each verb reads, missing. {run} is a folder that is there and {song} a file that is.
MISSING = {
    "corpora --from": ["corpora", "--build", "maestro", "--from", NOWHERE],
    "compile --midi": ["compile", "--midi", NOWHERE],
    "compile --text": ["compile", "--text", NOWHERE],
    "compile --table": ["compile", "--midi", "{run}", "--table", NOWHERE],
    "train --init": ["train", "mine", "--model_dir", "{run}", "--init", NOWHERE],
    "train --gin_file": ["train", "mine", "--model_dir", "{run}", "--gin_file", NOWHERE],
    "eval --model_dir": ["eval", "mine", "--model_dir", NOWHERE],
    "eval, a second --model_dir": ["eval", "mine", "--model_dir", "{run}", "--model_dir", NOWHERE],
    "eval --gin_file": ["eval", "mine", "--model_dir", "{run}", "--gin_file", NOWHERE],
    "study --gin_file": ["study", "--gin_file", NOWHERE],
    "average --model_dir": ["average", "--model_dir", NOWHERE, "--output", "{run}"],
    "generate FILE": ["generate", NOWHERE, "--model_dir", "{run}"],
    "generate --model_dir": ["generate", "{song}", "--model_dir", NOWHERE],
    "classify FILE": ["classify", NOWHERE, "--model_dir", "{run}"],
    "classify --model_dir": ["classify", "{song}", "--model_dir", NOWHERE],
    "label FILE": ["label", NOWHERE, "--model_dir", "{run}"],
    "label --model_dir": ["label", "{song}", "--model_dir", NOWHERE],
    "embed FOLDER": ["embed", NOWHERE, "--model_dir", "{run}"],
    "embed --model_dir": ["embed", "{run}", "--model_dir", NOWHERE],
    "similar FILE": ["similar", NOWHERE, "{run}", "--model_dir", "{run}"],
    "similar VECTORS": ["similar", "{song}", NOWHERE, "--model_dir", "{run}"],
    "similar --model_dir": ["similar", "{song}", "{run}", "--model_dir", NOWHERE],
    "export --model_dir": ["export", "--model_dir", NOWHERE, "--to", "{run}"],
}  # fmt: skip
WITHOUT_INPUT = {"leakage", "quickstart"}  # they read what t5music built


def test_every_verb_is_a_file_and_every_file_a_verb():
    folder = Path(command_line.__file__).parent / "verbs"
    assert {path.stem for path in folder.glob("*.py")} == {*VERBS, "__init__"}


@pytest.mark.parametrize("verb", VERBS)
def test_help_names_every_flag(verb: str, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as end:
        command_line.main([verb, "--help"])
    assert end.value.code == 0
    text = capsys.readouterr().out
    assert "--data_dir" in text
    assert "(default: None)" not in text
    assert "(default: False)" not in text


def test_missing_inputs_of_all_verbs_are_tried():
    assert {arguments[0] for arguments in MISSING.values()} == set(VERBS) - WITHOUT_INPUT


def test_missing_input_is_refused_before_heavy_imports(tmp_path: Path):
    """All cases in one fresh process: after each, nothing heavy has been imported yet."""
    song = tmp_path / "song.mid"
    song.write_bytes(b"not read")
    commands = [[word.format(run=tmp_path, song=song) for word in words] for words in MISSING.values()]
    code = f"""
import contextlib, io, json, sys
from t5music.cli.main import main
for arguments in {commands!r}:
    with contextlib.redirect_stderr(io.StringIO()) as text:
        status = main(arguments)
    print(json.dumps([status, text.getvalue(), sorted({HEAVY!r} & set(sys.modules))]))
"""
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    results = [json.loads(line) for line in process.stdout.splitlines()]
    for case, (status, text, heavy) in zip(MISSING, results, strict=True):
        assert status == 2, case
        assert text.startswith("t5music: error: "), case
        assert text.count("\n") == 1, case
        assert NOWHERE in text, case
        assert heavy == [], case


def test_one_missing_file_among_several_is_left_to_the_verb(tmp_path: Path):
    from t5music.cli import inputs

    (tmp_path / "song.mid").write_bytes(b"")
    inputs.require_any([str(tmp_path / "song.mid"), str(tmp_path / "missing.mid")])


def test_help_imports_neither_gin_nor_anything_heavy():
    code = f"""
import sys
from t5music.cli.main import main
try:
    main(["--help"])
except SystemExit:
    pass
print(sorted(({HEAVY!r} | {{"gin"}}) & set(sys.modules)))
"""
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert process.stdout.splitlines()[-1] == "[]"


def test_python_m_t5music_is_the_command_line():
    process = subprocess.run([sys.executable, "-m", "t5music", "--version"], capture_output=True, text=True, check=True)
    assert process.stdout.startswith("t5music ")
