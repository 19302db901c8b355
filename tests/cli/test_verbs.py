"""Every verb of the command line: its help, and that missing input is refused before anything heavy is imported."""

from __future__ import annotations

import errno
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from t5music.cli import flags
from t5music.cli import main as command_line
from t5music.cli.verbs import VERBS, corpora

HEAVY = {"jax", "flax", "numpy", "tensorflow", "symusic", "matplotlib", "seqio"}
NOWHERE = "nowhere/at_all"

# What each verb reads, missing. {run} is a run that is there, {song} a file, {gin} a gin file that includes one that is
# missing.
MISSING = {
    "corpora --from": ["corpora", "--build", "maestro", "--from", NOWHERE],
    "compile --midi": ["compile", "--midi", NOWHERE],
    "compile --text": ["compile", "--text", NOWHERE],
    "compile --table": ["compile", "--midi", "{run}", "--table", NOWHERE],
    "train --init": ["train", "mine", "--model_dir", "{run}", "--init", NOWHERE],
    "train --gin_file": ["train", "mine", "--model_dir", "{run}", "--gin_file", NOWHERE],
    "train, INITIAL_CHECKPOINT_PATH": ["train", "mine", f"--gin.INITIAL_CHECKPOINT_PATH={NOWHERE}"],
    "train, an included gin file": ["train", "mine", "--model_dir", "{run}", "--gin_file", "{gin}"],
    "eval, MODEL_DIR": ["eval", "mine", f"--gin.MODEL_DIR={NOWHERE}"],
    "eval --model_dir": ["eval", "mine", "--model_dir", NOWHERE],
    "eval, a second --model_dir": ["eval", "mine", "--model_dir", "{run}", "--model_dir", NOWHERE],
    "eval --gin_file": ["eval", "mine", "--model_dir", "{run}", "--gin_file", NOWHERE],
    "study --gin_file": ["study", "--gin_file", NOWHERE],
    "launch, a gin file": ["launch", "tpu_vm", "--command", f"train mine --gin_file={NOWHERE}"],
    "study --collect": ["study", "--gin_file", "studies/spans.gin", "--collect", NOWHERE],
    "leakage": ["leakage", NOWHERE],
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
    "original FILE": ["original", NOWHERE, "--model_dir", "{run}"],
    "original --model_dir": ["original", "{song}", "--model_dir", NOWHERE],
    "compare FOLDER": ["compare", NOWHERE, "{run}", "--model_dir", "{run}"],
    "compare REFERENCE": ["compare", "{run}", NOWHERE, "--model_dir", "{run}"],
    "compare --model_dir": ["compare", "{run}", "{run}", "--model_dir", NOWHERE],
    "listen FOLDER": ["listen", "{run}", NOWHERE],
    "listen --answers": ["listen", "--answers", NOWHERE],
    "listen --key": ["listen", "--answers", "{run}", "--key", NOWHERE],
    "generate, a model's name": ["generate", "{song}", "--model_dir", f"pretrained:{NOWHERE}"],
    "train --init, a model's name": ["train", "mine", "--model_dir", "{run}", "--init", f"pretrained:{NOWHERE}"],
    "serve --model_dir": ["serve", "--model_dir", NOWHERE],
    "serve --sound_font": ["serve", "--sound_font", NOWHERE],
    "export --model_dir": ["export", "--model_dir", NOWHERE, "--to", "{run}"],
}  # fmt: skip
WITHOUT_INPUT = {"models", "quickstart"}  # they read what comes with t5music, and what they build


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
    song, gin_file, run = tmp_path / "song.mid", tmp_path / "mine.gin", tmp_path / "run"
    song.write_bytes(b"not read")
    gin_file.write_text(f"include 'runs/train.gin'\ninclude '{NOWHERE}'\n")
    (run / "checkpoints" / "1").mkdir(parents=True)
    places = {"run": run, "song": song, "gin": gin_file}
    commands = [[word.format(**places) for word in words] for words in MISSING.values()]
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


@pytest.mark.parametrize("verb", ["generate", "classify", "label", "export", "eval"])
def test_a_checkpoint_that_a_run_does_not_have_is_refused_like_a_missing_run(
    verb: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "run" / "checkpoints" / "1").mkdir(parents=True)
    (tmp_path / "song.mid").write_bytes(b"")
    monkeypatch.setattr(flags, "prepare_devices", lambda flags: pytest.fail("too late"))
    inputs = {"export": ["--to", str(tmp_path / "model")], "eval": ["mine"]}.get(verb, [str(tmp_path / "song.mid")])
    run = ["--model_dir", str(tmp_path / "run"), "--checkpoint", "7"]
    assert command_line.main([verb, *inputs, *run]) == 2
    assert "has no checkpoint of step 7; there are: 1" in capsys.readouterr().err
    assert command_line.main([verb, *inputs, "--model_dir", str(tmp_path)]) == 2
    assert f"no checkpoint at {tmp_path}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("commons", "no checkpoint at commons: no such folder; .*; did you mean pretrained:commons"),
        ("pretrain:commons", "no such folder; .*; did you mean pretrained:commons"),
        ("pretrained:comons", "no model 'comons' comes with t5music .*; did you mean 'commons'"),
        ("hf://music", "hf://music is no address of the Hugging Face Hub: write hf://OWNER/NAME"),
    ],
)
def test_a_model_s_name_that_is_none_says_which_is_meant(
    name: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    Path("song.mid").write_bytes(b"")
    monkeypatch.setattr(flags, "prepare_devices", lambda flags: pytest.fail("too late"))
    assert command_line.main(["generate", "song.mid", "--model_dir", name]) == 2
    assert re.match(f"t5music: error: .*{message}", capsys.readouterr().err)


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_one_line(error: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    def run(flags: object) -> None:
        raise OSError(error, os.strerror(error), "/full/song.mid")

    monkeypatch.setattr(corpora, "run", run)
    with open(os.devnull, "w") as nowhere:
        monkeypatch.setattr(sys, "stdout", nowhere)
        assert command_line.main(["corpora"]) == 2
    assert capsys.readouterr().err == f"t5music: error: cannot write /full/song.mid: {os.strerror(error)}\n"
